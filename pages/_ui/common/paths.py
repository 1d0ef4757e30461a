"""Which paths of this computer a page may touch: those of the workspace, and those that a person chose in it before.

A link can name any path. One that nobody chose here is asked about before anything looks at it, even whether it exists.
"""

import os
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import InputError
from ganlib.runs.files import read_json
from pages._ui.components import snippet

FILE = "chosen-paths.json"  # beside the jobs
MOST = 500  # paths that are remembered; the oldest are forgotten
_guard = threading.Lock()


def accept_path(text: str) -> str:
    """Return the path of a file or folder that a person chose, and remember it. Raises InputError where nothing is
    there, or something else. A path from an address comes here only after `ask_first`."""
    hint = "Give the path of a folder or a zip, or choose from the list."
    if not text:
        raise InputError("no path is given", hint)
    path = tidy(text)
    try:
        kind = stat.S_IFMT(Path(path).stat().st_mode)
    except (OSError, ValueError):  # too long, not allowed, a null character
        raise InputError(f"there is no {text[:200]}", hint) from None
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{text[:200]} is neither a file nor a folder", hint)
    remember(path)
    return path


def ask_first(query: Mapping[str, str], names: Sequence[str], go_back: Callable[[], None]) -> None:
    """Where one of these parameters names a path that nobody chose here, ask, and end this run of the page."""
    for name in names:
        if (text := query.get(name)) and not is_chosen(text):
            _ask(text, go_back)
            st.stop()


def _ask(text: str, go_back: Callable[[], None]) -> None:
    with st.container(border=True, key="foreign-path"):
        st.markdown("**This link names a file or folder of this computer:**")
        snippet(text[:1000], key="foreign-path-text")
        st.markdown(
            "It was not chosen in this studio before, and nothing has looked at it yet. Look at it only if you know "
            "what it is: what lies there is read, and shown on this page."
        )
        with st.container(horizontal=True):
            st.button("Look at it", type="primary", icon=":material/search:", key="foreign-look", on_click=remember,
                      args=(text,))  # fmt: skip
            st.button("Go back", icon=":material/arrow_back:", key="foreign-back", on_click=go_back)


def is_chosen(text: str) -> bool:
    """Whether a path lies in the workspace, or was chosen in it before: by a person on a page, or for a job.

    Of another path nothing is touched. What can be no path (a null character) leads nowhere, and needs no question."""
    path = _absolute(text)
    return not path or _is_inside(path) or path in _remembered() or path in _of_jobs()


def remember(text: str) -> None:
    """Keep a path that a person chose, so that a reload or a restart does not ask; where the disk is full or may not be
    written, as long as the session lasts."""
    path = _absolute(text) if text.strip() else ""
    if not path or _is_inside(path) or path in _remembered():
        return
    st.session_state.setdefault("chosen-paths", []).append(path)
    with _guard:
        try:
            workspace.runs_root().mkdir(parents=True, exist_ok=True)
            runs.write_json(workspace.runs_root() / FILE, {"paths": [*_written(), path][-MOST:]}, durable=False)
        except OSError:
            return


def _remembered() -> list[str]:
    own: list[str] = st.session_state.get("chosen-paths", [])
    return [*own, *_written()]


def _written() -> list[str]:
    try:
        found: Any = read_json(workspace.runs_root() / FILE)["paths"]
        return [path for path in found if isinstance(path, str)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _of_jobs() -> set[str]:
    """The paths that jobs of this workspace were told."""
    configs = [run.job["config"].values() for run in runs.list_runs(workspace.runs_root())]
    values = [value for config in configs for value in config]
    listed = [item for value in values if isinstance(value, list) for item in value]
    return {_absolute(value) for value in [*values, *listed] if isinstance(value, str) and value}


def _is_inside(path: str) -> bool:
    """Whether an absolute path lies in the workspace. A link there that leads out does not."""
    roots = [workspace.data_root(), workspace.runs_root(), workspace.checkpoints_root(), workspace.bundled_root()]
    for root in (root for root in roots if root is not None):
        real = Path(os.path.realpath(root))
        if any(Path(path).is_relative_to(at) for at in (root.absolute(), real)):
            return Path(os.path.realpath(path)).is_relative_to(real)
    return False


def tidy(text: str) -> str:
    """Return a path without `..`, `.` and the sign of one's home; a relative one stays so."""
    try:
        return os.path.normpath(Path(text).expanduser())
    except RuntimeError:  # the home of nobody
        return text


def _absolute(text: str) -> str:
    """The path by which one is remembered; empty for what is none."""
    return "" if "\0" in text else str(Path(tidy(text)).absolute())
