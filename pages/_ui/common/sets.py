"""Data sets that a page has open."""

from pathlib import Path

import streamlit as st

from ganlib.dataset import Dataset
from ganlib.dataset.files import MANY
from pages._ui.common.frame import is_left


def open_set(path: str) -> tuple[Dataset, int]:
    """Return a data set, and when its file was changed last, in nanoseconds: part of every cache key.

    Raises DataError for what is none, and OSError for what is gone."""
    changed = Path(path).stat().st_mtime_ns
    return _open(path, changed), changed


@st.cache_resource(max_entries=4, show_spinner="Opening the set …")
def _open(path: str, changed: int) -> Dataset:
    return Dataset.open(path, bounds=MANY, should_stop=is_left)
