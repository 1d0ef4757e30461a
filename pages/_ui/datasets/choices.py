"""What was chosen for a source: how it is cut, what is left out. It outlives the browser, beside the findings."""

import json
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import streamlit as st

from ganlib.dataset import PrepareConfig
from ganlib.dataset.exclusion import read_exclusions, write_exclusions
from ganlib.errors import GanlibError
from ganlib.options import check_types
from ganlib.runs import write_json
from pages._ui import models


@dataclass(frozen=True)
class Cut:
    """The options of `prepare` that the page asks for; the same names, the same defaults."""

    resolution: int = 64
    crop: str = "auto"
    unframe: str = "auto"
    fill: str = "auto"
    background: str = "#ffffff"
    margin: float = 1.22
    keep_outliers: bool = False
    labels: str = "keep"
    licence: str = ""
    credit: str = ""
    augment: tuple[str, ...] = ()

    def config(self, source: str, dest: str, exclude: str = "") -> PrepareConfig:
        """The configuration of the preparation. Raises InputError."""
        return PrepareConfig.from_dict({"source": source, "dest": dest, "exclude": exclude, **asdict(self)})


def folder_of(source: str) -> Path:
    """Where the choices for a source are kept."""
    return models.runs_root() / "sources" / sha256(str(Path(source).resolve()).encode()).hexdigest()[:16]


def cut_of(source: str) -> Cut:
    """What was chosen last; what cannot be read counts as not chosen."""
    known: dict[str, Cut] = st.session_state.setdefault("cuts", {})
    if source not in known:
        known[source] = _read(folder_of(source) / "cut.json")
    return known[source]


def keep_cut(source: str, cut: Cut) -> None:
    """Keep what was chosen. Raises OSError."""
    if cut != cut_of(source):
        st.session_state["cuts"][source] = cut
        folder_of(source).mkdir(parents=True, exist_ok=True)
        write_json(folder_of(source) / "cut.json", asdict(cut))


def _read(path: Path) -> Cut:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {item.name for item in fields(Cut)}
        return Cut(**check_types(Cut, {name: value for name, value in values.items() if name in known}))
    except (OSError, ValueError, TypeError, AttributeError, GanlibError):
        return Cut()


def list_path(source: str) -> Path:
    """The list of what is left out by hand."""
    return folder_of(source) / "exclude.txt"


def left_out(source: str) -> dict[str, str] | None:
    """Names that are left out, with the reason; None where nothing was decided yet."""
    path = list_path(source)
    if not path.exists():
        return None
    try:
        return read_exclusions(path)
    except GanlibError:
        return None


def leave_out(source: str, names: dict[str, str]) -> None:
    """Keep the list of what is left out. Raises OSError."""
    list_path(source).parent.mkdir(parents=True, exist_ok=True)
    write_exclusions(list_path(source), names)
