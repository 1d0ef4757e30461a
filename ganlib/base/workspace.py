"""Where things lie: models, jobs, data sets, what is cached, and the studio's own files.

A workspace is a folder with `checkpoints/`, `runs/` and `data/`; a program works in the one that is its current folder.
Environment variables move each of the three.
"""

from __future__ import annotations

import os
from pathlib import Path

CHECKPOINTS_VARIABLE, RUNS_VARIABLE, DATA_VARIABLE = "ATELIER_CHECKPOINTS", "ATELIER_RUNS", "ATELIER_DATA"
CACHE_VARIABLE = "GANLIB_CACHE"
HOME = "latent-atelier"  # in a person's home, where no other folder is a workspace
_INSTALLED = "latent_atelier"  # beside ganlib in an installed package, where a checkout has app.py itself


def checkpoints_root() -> Path:
    """The folder with the models: `ATELIER_CHECKPOINTS`, or `checkpoints`."""
    return Path(os.environ.get(CHECKPOINTS_VARIABLE) or "checkpoints")


def runs_root() -> Path:
    """The folder with the jobs: `ATELIER_RUNS`, or `runs`."""
    return Path(os.environ.get(RUNS_VARIABLE) or "runs")


def data_root() -> Path:
    """The folder with data sets: `ATELIER_DATA`, or `data`."""
    return Path(os.environ.get(DATA_VARIABLE) or "data")


def cache_root() -> Path:
    """Where downloads and what only saves time lie: `GANLIB_CACHE`, or `~/.cache/latent-atelier`. Not created here."""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) if given else Path.home() / ".cache" / HOME


def studio_folder() -> Path:
    """The folder with app.py, pages/ and the bundled models: a checkout, or where the package is installed."""
    above = Path(__file__).resolve().parents[2]
    installed = above / _INSTALLED
    return installed if (installed / "app.py").is_file() else above


def bundled_root() -> Path | None:
    """The folder with the models of an installed package, which belong to every workspace.

    None in a checkout, whose `checkpoints/` is that of its workspace, and where `ATELIER_CHECKPOINTS` names another.
    """
    folder = studio_folder()
    return None if folder.name != _INSTALLED or os.environ.get(CHECKPOINTS_VARIABLE) else folder / "checkpoints"


def is_bundled(model: Path) -> bool:
    """Whether a model's file came with the installed package: it is not renamed, changed or deleted."""
    bundled = bundled_root()
    return bundled is not None and model.resolve().parent == bundled


def kept_folder(model: Path) -> Path:
    """The folder for what is kept beside a model's file (favourites, directions …); not created here.

    Beside the file; that of a bundled model in the workspace.
    """
    return checkpoints_root() / model.stem if is_bundled(model) else model.with_suffix("")


def is_workspace(folder: Path) -> bool:
    """Whether a folder holds a studio's models or jobs."""
    return any((folder / name).is_dir() for name in ("checkpoints", "runs"))


def choose_workspace(given: Path | None = None) -> Path:
    """The folder to work in: as given; the current one, if it is a workspace; else `latent-atelier` in one's home."""
    if given is not None:
        return given.expanduser()
    return Path.cwd() if is_workspace(Path.cwd()) else Path.home() / HOME
