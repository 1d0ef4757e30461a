"""The covers on the cards of models: kept on the disk, made after the page has been shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ganlib.latents.recipes import Recipe
from ganlib.models.checkpoints import list_checkpoints, save_snapshot
from ganlib.networks import tiny_generator
from ganlib.render.renderer import Renderer
from pages._ui.common import covers


def recipe_of(model) -> Recipe:
    return Recipe.of_seed(model.cover)


@pytest.fixture
def six(checkpoints, tmp_path, monkeypatch) -> list[Path]:
    """Six models, and a cache of one's own; returns the files that are opened."""
    for i in range(5):
        save_snapshot(checkpoints / f"m{i}.safetensors", G_ema=tiny_generator(seed=i + 10, resolution=16))
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    st.cache_resource.clear()
    opened = []
    real = Renderer.open
    monkeypatch.setattr(Renderer, "open", lambda path, **options: opened.append(Path(path)) or real(path, **options))
    return opened


def open_gallery(repository: Path) -> list[str | None]:
    """What the cards show, in order."""
    app = AppTest.from_file(str(repository / "pages" / "gallery.py"), default_timeout=120).run()
    assert not app.exception, app.exception
    parts = [part.proto for part in app.get("bidi_component")]
    (shelf,) = [part for part in parts if part.component_name == "atelier-shelf"]
    return [row["src"] for row in json.loads(shelf.json)["models"]]


def test_every_model_gets_its_cover_and_a_card_opens_no_model(repository, checkpoints, six, monkeypatch):
    monkeypatch.setattr(covers, "FILL_SECONDS", 0.0)
    models, _ = list_checkpoints(checkpoints)
    assert open_gallery(repository) == [None] * 6
    assert {path.stem for path in six} == {models[0].name}, "only the chosen model is opened for the first picture"
    for _ in models:
        assert covers.fill(models, recipe_of) == 1
    assert covers.fill(models, recipe_of) == 0
    assert all(covers.path_of(model).stat().st_size < 20_000 for model in models)
    six.clear()
    st.cache_resource.clear()  # as after a restart
    assert all(open_gallery(repository))
    assert {path.stem for path in six} <= {models[0].name}


def test_a_model_that_makes_no_cover_is_asked_once_and_keeps_none_from_its_own(checkpoints, six):
    models, _ = list_checkpoints(checkpoints)
    models[0].path.write_bytes(b"no model any more")
    while covers.fill(models, recipe_of):
        pass
    assert [covers.cover(model) is not None for model in models] == [False, True, True, True, True, True]
    assert six.count(models[0].path) == 1


def test_covers_on_the_disk_are_bounded_and_a_full_disk_keeps_them_in_memory(checkpoints, six, tmp_path, monkeypatch):
    monkeypatch.setattr(covers, "MOST", 2)
    models, _ = list_checkpoints(checkpoints)
    while covers.fill(models[:4], recipe_of):
        pass
    assert len(list((tmp_path / "cache" / "covers").iterdir())) == 2
    (tmp_path / "file").touch()
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "file"))
    while covers.fill(models, recipe_of):
        pass
    assert all(map(covers.cover, models))
