"""What was chosen for a source: how it is cut, what is left out. It outlives the browser, beside the findings."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import streamlit as st

from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.base.options import check_types
from ganlib.dataset import PrepareConfig
from ganlib.dataset.config import LABELS
from ganlib.dataset.exclusion import read_exclusions, write_exclusions
from ganlib.runs import write_json
from ganlib.runs.files import read_json

BY_HAND = "by hand"
ONLY_USED = f"Prepare it again with the classes “{LABELS['used']}” to leave them out."


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

    def config(self, source: str, dest: str) -> PrepareConfig:
        """The configuration of the preparation, with what was decided about single pictures. Raises InputError."""
        lists = {"exclude": list_path(source), "keep": keep_path(source)}
        given = {name: str(path) for name, path in lists.items() if path.exists()}
        return PrepareConfig.from_dict({"source": source, "dest": dest, **given, **asdict(self)})


def folder_of(source: str) -> Path:
    """Where the choices for a source are kept."""
    return workspace.runs_root() / "sources" / sha256(str(Path(source).resolve()).encode()).hexdigest()[:16]


def cut_of(source: str) -> Cut:
    """What was chosen last; what cannot be read counts as not chosen."""
    known: dict[str, Cut] = st.session_state.setdefault("cuts", {})
    if source not in known:
        known[source] = _read(folder_of(source) / "cut.json")
    return known[source]


def keep_cut(source: str, cut: Cut) -> None:
    """Keep what was chosen. Raises GanlibError where it cannot be written."""
    if cut != cut_of(source):
        st.session_state["cuts"][source] = cut
        with _writing(source):
            write_json(folder_of(source) / "cut.json", asdict(cut))


def _read(path: Path) -> Cut:
    try:
        values: dict[str, Any] = read_json(path)
        known = {item.name for item in fields(Cut)}
        return Cut(**check_types(Cut, {name: value for name, value in values.items() if name in known}))
    except (OSError, ValueError, TypeError, AttributeError, GanlibError):
        return Cut()


def list_path(source: str) -> Path:
    """The list of what is left out: what the checks suggest and a person did not take back, and what a person adds."""
    return folder_of(source) / "exclude.txt"


def keep_path(source: str) -> Path:
    """The list of what a person keeps, whatever speaks against it."""
    return folder_of(source) / "keep.txt"


def read_left_out(source: str) -> dict[str, str] | None:
    """Names that are left out, with the reason; None where nothing was decided yet."""
    return _read_list(list_path(source))


def read_kept(source: str) -> dict[str, str]:
    """Names that a person keeps."""
    return _read_list(keep_path(source)) or {}


def decide(source: str, suggested: Mapping[str, str], *, leave: Collection[str], keep: Collection[str]) -> None:
    """Take a person's word about pictures: `leave` these out, `keep` those.

    Raises GanlibError where it cannot be written."""
    stays = {name: by for name, by in read_kept(source).items() if name not in leave}
    added = {name: by for name, by in _read_hand(source).items() if name not in keep}
    with _writing(source):
        write_exclusions(keep_path(source), stays | dict.fromkeys(keep, "kept by hand"))
        write_exclusions(_hand_path(source), added | {name: BY_HAND for name in leave if name not in suggested})
    settle(source, suggested)


def settle(source: str, suggested: Mapping[str, str]) -> dict[str, str]:
    """Return what is left out: what is `suggested` (name → reason) with a person's word over it; write it down.

    Raises GanlibError where it cannot be written."""
    stays = read_kept(source)
    out = {name: reason for name, reason in suggested.items() if name not in stays} | _read_hand(source)
    if out != read_left_out(source):
        with _writing(source):
            write_exclusions(list_path(source), out)
    return out


def _hand_path(source: str) -> Path:
    return folder_of(source) / "by-hand.txt"


def _read_hand(source: str) -> dict[str, str]:
    return _read_list(_hand_path(source)) or {}


def _read_list(path: Path) -> dict[str, str] | None:
    try:
        return read_exclusions(path) if path.exists() else None
    except GanlibError:
        return None


@contextmanager
def _writing(source: str) -> Iterator[None]:
    """Write choices: their folder is there, and a full disk is told."""
    try:
        folder_of(source).mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise GanlibError(f"the choices cannot be kept: {error.strerror or error}", "Free some disk space.") from error
