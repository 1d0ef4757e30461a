"""A folder with one tiny model, and pages that look there."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest


def snippets(app: AppTest) -> list[SimpleNamespace]:
    """The blocks of words to copy that a page shows, each with its `value`."""
    parts = (part.proto for part in app.get("bidi_component"))
    return [
        SimpleNamespace(value=json.loads(part.json)["text"])
        for part in parts
        if part.component_name == "atelier-snippet"
    ]


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
