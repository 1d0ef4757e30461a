"""A folder with one tiny model, and pages that look there."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """A page that is run becomes the main module; processes that later tests start would run it again."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture
def checkpoints(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    shutil.copy(tiny_model, folder)
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(folder))
    monkeypatch.setenv("ATELIER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("ATELIER_DATA", str(tmp_path / "data"))
    st.cache_data.clear()
    return folder
