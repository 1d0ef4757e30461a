"""Where things lie: a checkout, an installed package, and the workspace of a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlib.base import workspace
from ganlib.base.errors import CheckpointError
from ganlib.base.workspace import bundled_root, choose_workspace, kept_folder, studio_folder
from ganlib.commands import studio
from ganlib.latents.editing import list_directions
from ganlib.latents.favourites import add_favourite, load_favourites
from ganlib.latents.recipes import Recipe
from ganlib.models.checkpoints import (
    change_card,
    find_checkpoint,
    list_checkpoints,
    read_card,
    remove_checkpoint,
    rename_checkpoint,
)
from ganlib.render.renderer import Renderer
from tests.conftest import save_tiny


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    """The bundled models' folder of an installed package, seen from an empty current folder."""
    folder = tmp_path / "site" / "latent_atelier"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "app.py").touch()
    save_tiny(folder / "checkpoints" / "bundled.safetensors")
    monkeypatch.setattr(workspace, "studio_folder", lambda: folder)
    monkeypatch.setattr(studio, "studio_folder", lambda: folder)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return folder / "checkpoints"


def test_a_checkout_has_its_models_in_its_workspace(repository):
    assert (studio_folder(), bundled_root()) == (repository, None)
    assert kept_folder(repository / "checkpoints" / "fruit.safetensors") == repository / "checkpoints" / "fruit"


def test_bundled_models_are_found_in_every_workspace(installed):
    assert [card.path for card in list_checkpoints(Path("checkpoints"))[0]] == [installed / "bundled.safetensors"]
    assert find_checkpoint("bundled") == find_checkpoint("bundled.safetensors") == installed / "bundled.safetensors"
    assert list_checkpoints(Path("elsewhere"))[0] == []


def test_a_model_of_ones_own_hides_a_bundled_one_of_its_name(installed):
    Path("checkpoints").mkdir()
    own = save_tiny(Path("checkpoints") / "bundled.safetensors")
    assert [card.path for card in list_checkpoints(Path("checkpoints"))[0]] == [own]
    assert find_checkpoint("bundled") == own


def test_models_elsewhere_are_alone(installed, tmp_path, monkeypatch):
    monkeypatch.setenv(workspace.CHECKPOINTS_VARIABLE, str(tmp_path / "mine"))
    assert list_checkpoints(tmp_path / "mine")[0] == []


def test_what_is_kept_beside_a_bundled_model_lies_in_the_workspace(installed):
    card = read_card(installed / "bundled.safetensors")
    assert card.folder == Path("checkpoints") / "bundled"
    add_favourite(card.folder, Recipe.of_seed(3))
    assert len(load_favourites(Path("checkpoints/bundled"))) == 1
    assert [path.name for path in installed.iterdir()] == ["bundled.safetensors"]
    assert Renderer.open(card.path, device="cpu").folder == card.folder


@pytest.mark.parametrize(
    "change",
    [lambda path: rename_checkpoint(path, "other"), remove_checkpoint, lambda path: change_card(path, title="Other")],
    ids=["rename", "remove", "change"],
)
def test_a_bundled_model_is_neither_renamed_nor_changed_nor_deleted(installed, change):
    before = (installed / "bundled.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="bundled comes with the studio"):
        change(installed / "bundled.safetensors")
    assert (installed / "bundled.safetensors").read_bytes() == before


def test_the_workspace_is_the_current_folder_if_it_is_one_and_else_in_ones_home(installed, tmp_path):
    assert choose_workspace() == tmp_path / "home" / "latent-atelier"
    Path("runs").mkdir()
    assert choose_workspace() == Path.cwd()
    assert choose_workspace(Path("~/other")) == tmp_path / "home" / "other"


def test_opening_a_workspace_twice_keeps_what_a_person_did_to_directions(installed, tmp_path, repository):
    directions = installed / "bundled" / "directions"
    directions.mkdir(parents=True)
    for name in ("shown-size", "shown-redness"):
        given = repository / "checkpoints" / "fruit" / "directions" / f"{name}.npz"
        (directions / given.name).write_bytes(given.read_bytes())
    made = studio.open_workspace(tmp_path / "new")
    kept = made / "checkpoints" / "bundled"
    assert {d.name for d in list_directions(kept)[0]} == {"shown-size", "shown-redness"}
    (kept / "directions" / "shown-size.npz").unlink()
    studio.open_workspace(tmp_path / "new")
    assert {d.name for d in list_directions(kept)[0]} == {"shown-redness"}


def test_a_workspace_that_cannot_be_made_is_refused_in_words(installed, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert studio.main(["--workspace", str(tmp_path / "file"), "--no-browser"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "cannot be a workspace" in said
    assert "hint: name another folder with --workspace" in said
