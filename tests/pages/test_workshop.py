"""Below the picture in Explore: directions, children, crossing, the grid and the map, without a browser."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.latents.editing import Direction, list_directions, save_direction
from ganlib.latents.favourites import load_favourites
from ganlib.latents.recipes import Edit, Recipe
from ganlib.models.checkpoints import list_checkpoints
from ganlib.networks import tiny_generator
from pages._ui.explore.children import child_of
from pages._ui.explore.history import fit_to_model, groups_of, recipe_words, values_of, with_values
from pages._ui.explore.style_mixing import cells
from tests.pages.conftest import snippets

SPEC = tiny_generator().spec
SIZE = Direction("size", torch.ones(SPEC.w_dim), "Size", 1, 2, (-2.0, 4.5))
TILT = Direction("tilt", torch.ones(SPEC.w_dim))


def open_page(repository: Path, **query: str) -> AppTest:
    app = AppTest.from_file(str(repository / "pages" / "explore.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def choose(app: AppTest, view: str) -> AppTest:
    app.segmented_control(key="workshop").set_value(view).run()
    assert not app.exception, app.exception
    return app


def shown(app: AppTest) -> str:
    texts = (*app.markdown, *app.caption, *app.error, *app.warning, *app.success, *snippets(app))
    return " | ".join(element.value for element in texts).replace("\\", "")


@pytest.fixture
def model(checkpoints):
    (found,), _ = list_checkpoints(checkpoints)
    return found


# --- sliders ----------------------------------------------------------------------------------------------------------


def test_a_direction_has_a_slider_with_its_safe_range_marked():
    group = next(group for group in groups_of(SPEC, [SIZE, TILT]) if group.title == "Directions")
    size, tilt = group.controls
    assert (size.id, size.label, size.low, size.high) == ("d:size", "Size", -4.5, 4.5)
    assert {-2.0, 0, 4.5} <= set(size.marks) and tilt.label == "tilt"
    assert not any(group.title == "Directions" for group in groups_of(SPEC))


def test_moving_a_slider_edits_the_recipe_and_zero_takes_the_edit_away():
    recipe = Recipe.of_seed(3, psi=0.7)
    both = [SIZE, TILT]
    values = values_of(recipe, SPEC, both) | {"d:size": 1.5}
    moved = with_values(recipe, values, SPEC, both)
    assert moved.edits == (Edit("size", 1.5, 1, 2),)
    assert values_of(moved, SPEC, both)["d:size"] == 1.5
    second = with_values(moved, values_of(moved, SPEC, both) | {"d:tilt": -1.0, "d:size": 2.0}, SPEC, both)
    assert second.edits == (Edit("size", 2.0, 1, 2), Edit("tilt", -1.0, 0, None))
    back = with_values(second, values_of(second, SPEC, both) | {"d:size": 0.0, "d:tilt": 0}, SPEC, both)
    assert back == recipe
    assert "size +1.5" in recipe_words(moved)


def test_directions_that_a_model_lacks_are_left_out_and_named():
    recipe = replace(Recipe.of_seed(3), edits=(Edit("size", 1.0), Edit("gone", 2.0)))
    fit, left_out = fit_to_model(recipe, SPEC, [SIZE])
    assert fit.edits == (Edit("size", 1.0),) and "gone" in left_out[0]
    assert fit_to_model(recipe, SPEC)[0] == recipe


# --- children ---------------------------------------------------------------------------------------------------------


def test_children_are_recipes_at_the_chosen_distance_and_the_same_every_time():
    parent = Recipe.of_seed(3, psi=0.7)
    child = child_of(parent, 0.3, 1)
    assert child == child_of(parent, 0.3, 1) != child_of(parent, 0.3, 2)
    assert child.seeds[0] == (3, 0.7) and child.seeds[1][1] == 0.3 and child.psi == 0.7
    for number in range(30):
        child = child_of(child, 0.4, number)
        child.validate()
    assert len(child.seeds) == 8 and sum(weight for _, weight in child.seeds) == pytest.approx(1, abs=1e-3)


def test_a_grid_keeps_the_rows_shape_and_takes_the_columns_style():
    grid = cells(Recipe.of_seed(9, psi=0.5), [1, 2], [7, 8, 9], ("fine",), 10)
    assert [cell.seeds[0][0] for cell in grid] == [1] * 4 + [2] * 4
    assert grid[0].mix == () and {seed for _, seed in grid[1].mix} == {7}
    assert [layer for layer, _ in grid[1].mix] == [8, 9] and grid[1].psi == 0.5


# --- the page ---------------------------------------------------------------------------------------------------------


def test_directions_are_found_named_and_deleted_on_the_page(repository, model, tmp_path):
    app = choose(open_page(repository, seeds="3"), "Directions")
    assert "None yet" in shown(app)
    app.number_input(key="find-count").set_value(2)
    app.button(key="find-start").click().run()
    deadline = time.monotonic() + 120
    while runs.list_runs(tmp_path / "runs", verb="directions")[0].state in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    app = choose(open_page(repository, seeds="3"), "Directions")
    assert {d.name for d in list_directions(model.folder)[0]} == {"pca-01", "pca-02"}
    app.text_input(key="direction-title-pca-02").set_value("Ripeness [1]").run()
    assert not app.exception
    assert {d.name: d.title for d in list_directions(model.folder)[0]}["pca-02"] == "Ripeness [1]"
    app.button(key="direction-delete-pca-01").click().run()
    assert [d.name for d in list_directions(model.folder)[0]] == ["pca-02"]


def test_a_direction_is_made_from_pictures(repository, model):
    app = choose(open_page(repository, seeds="3"), "Directions")
    app.button(key="direction-make").click().run()
    assert "no pictures to go to" in shown(app).lower()
    app.text_input(key="direction-there").set_value("1,2")
    app.text_input(key="direction-here").set_value("5")
    app.text_input(key="direction-name").set_value("Redder")
    app.button(key="direction-make").click().run()
    (made,), _ = list_directions(model.folder)
    assert (made.title, made.method, made.model) == ("Redder", "favourites", model.digest)
    assert made.safe is not None


def test_a_link_with_a_direction_shows_it(repository, model):
    save_direction(model.folder, Direction("size", torch.ones(model.spec.w_dim)))
    app = open_page(repository, seeds="3", edits="size:1.5")
    assert not app.warning and "edits=size%3A1.5" in shown(app)


@pytest.mark.parametrize("view", ["Children", "Crossbreed", "Mixing grid", "Map"])
def test_every_view_of_the_workshop_lives(repository, model, view):
    app = choose(open_page(repository, seeds="3"), view)
    assert not app.error
    if view == "Mixing grid":
        app.text_input(key="grid-rows").set_value("1-99").run()
        assert "too large" in shown(app)
        app.text_input(key="grid-rows").set_value("x").run()
        assert "seed" in shown(app)
    if view == "Children":
        app.toggle(key="child-like").set_value(True).run()
        assert not app.exception and not app.error


def test_points_of_a_lasso_become_favourites(repository, model):
    app = choose(open_page(repository, seeds="3"), "Map")
    app.session_state["map-chosen"] = [4, 7]
    app.run()
    app.button(key="map-keep").click().run()
    assert not app.exception
    kept = {favourite.recipe.seeds[0][0] for favourite in load_favourites(model.folder)}
    assert kept == {4, 7} and "2 favourites kept" in shown(app)
