"""A deleted direction takes nothing with it but its own step."""

from __future__ import annotations

import pytest
import torch
from streamlit.testing.v1 import AppTest

from ganlib.latents.editing import Direction, remove_direction, save_direction
from ganlib.latents.favourites import add_favourite, load_favourites
from ganlib.latents.recipes import Edit, Recipe
from ganlib.models.checkpoints import list_checkpoints

VIEWS = [("explore", "Children"), ("explore", "Map"), ("gallery", ""), ("morph", "")]


@pytest.mark.parametrize(("page", "view"), VIEWS)
def test_favourites_with_a_deleted_direction_stay_usable(repository, checkpoints, page, view):
    (model,), _ = list_checkpoints(checkpoints)
    save_direction(model.folder, Direction("size", torch.ones(model.spec.w_dim)))
    recipe = Recipe(seeds=((3, 1.0),), psi=0.7, edits=(Edit("size", 1.0),))
    add_favourite(model.folder, recipe)
    app = AppTest.from_file(str(repository / "pages" / f"{page}.py"), default_timeout=120)
    for key, value in (recipe.to_query() if page == "explore" else {}).items():
        app.query_params[key] = value
    app.run()
    assert not app.exception and not app.error
    remove_direction(model.folder, "size")
    app.run()
    if view:
        app.segmented_control(key="workshop").set_value(view).run()
    assert not app.exception and not app.error, app.error
    if page == "explore":
        assert any("does not have" in warning.value for warning in app.warning)
    assert load_favourites(model.folder)[0].recipe == recipe  # the list itself is left alone
