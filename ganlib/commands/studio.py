"""`latent-atelier`: opens the studio in the browser, in a workspace that is made where there is none yet."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ganlib import __version__
from ganlib.base.errors import GanlibError, InputError
from ganlib.base.workspace import bundled_root, choose_workspace, kept_folder, studio_folder

PORT = 8501


def main(argv: Sequence[str] | None = None) -> int:
    """Become the studio's server; return 2 where the workspace cannot be used."""
    args = _parser().parse_args(argv)
    try:
        workspace = open_workspace(choose_workspace(args.workspace))
    except GanlibError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2
    print(f"workspace: {workspace}", file=sys.stderr, flush=True)
    os.chdir(workspace)
    # In this process's place: what ends the program ends the server.
    os.execve(sys.executable, command(args.port, is_headless=args.no_browser), environment())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="latent-atelier", description="Open the studio in the browser.")
    parser.add_argument("--version", action="version", version=f"latent-atelier {__version__}")
    parser.add_argument(
        "--workspace", type=Path, metavar="DIR",
        help="folder with your models, jobs and data sets, made if need be (default: the current folder if it is one, "
        "else ~/latent-atelier)",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help="of the page (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="only serve: print the address and open nothing")
    return parser


def open_workspace(folder: Path) -> Path:
    """Make what a workspace lacks and return it, absolute. Raises `InputError` where that cannot be."""
    try:
        for name in ("checkpoints", "runs", "data"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        _copy_directions(folder)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be a workspace: {error.strerror or error}", "name another folder with --workspace"
        ) from error
    return folder.resolve()


def _copy_directions(folder: Path) -> None:
    """Directions that bundled models bring, where nothing is kept for them yet: a person may rename and delete them."""
    bundled = bundled_root()
    for model in sorted(bundled.glob("*.safetensors")) if bundled else ():
        brought, kept = model.with_suffix("") / "directions", folder / kept_folder(model) / "directions"
        if brought.is_dir() and not kept.exists():
            shutil.copytree(brought, kept)


def command(port: int, *, is_headless: bool) -> list[str]:
    """The server's command line."""
    script = studio_folder() / "app.py"
    options = ["--server.port", str(port), "--server.headless", str(is_headless).lower()]
    return [sys.executable, "-m", "streamlit", "run", str(script), *options]


def environment() -> dict[str, str]:
    """The server's environment: pages run in threads, see `device.tune_allocator`."""
    return {"MALLOC_ARENA_MAX": "1"} | os.environ


if __name__ == "__main__":
    sys.exit(main())
