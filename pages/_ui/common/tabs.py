"""Several tabs of one person: what one keeps or names, the others show as soon as they are looked at."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from ganlib.latents.editing import FOLDER
from pages._ui.common.frame import fragment
from pages._ui.components import tab_seen

_SHOWN = "shown-stores"


def follow_other_tabs(folders: Sequence[Path]) -> None:
    """Run the page again when its tab is looked at and favourites or directions in `folders` have changed meanwhile.

    Nothing asks while nobody looks."""
    st.session_state[_SHOWN] = _stamp(folders)
    _listen(tuple(folders))


@fragment()
def _listen(folders: tuple[Path, ...]) -> None:
    if tab_seen(key="other-tabs") and _stamp(folders) != st.session_state.get(_SHOWN):
        st.rerun()


def _stamp(folders: Sequence[Path]) -> tuple[int, ...]:
    """When the lists of files last changed. A file that is replaced changes its folder."""
    return tuple(_changed(path) for folder in folders for path in (folder, folder / FOLDER))


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
