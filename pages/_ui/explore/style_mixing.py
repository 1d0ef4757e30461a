"""The style-mixing grid: rows give the shape, columns the style of chosen layers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import streamlit as st

from ganlib.base.errors import InputError
from ganlib.latents.recipes import STYLE_GROUPS, Recipe, parse_seeds, style_groups
from ganlib.media import images
from ganlib.models.checkpoints import Checkpoint
from pages._ui.common import model_cache
from pages._ui.common.frame import download, error_boundary
from pages._ui.components import WallPicture, picture_wall
from pages._ui.explore.history import STYLES
from pages._ui.morph.keyframes import recipe_id, recipe_of

MOST = 8  # rows, and columns
SIDE = 128


def show_grid(model: Checkpoint, recipe: Recipe, take: Callable[[Recipe], None]) -> None:
    """Rows and columns of seeds; a click opens a cell."""
    first = recipe.seeds[0][0] if recipe.seeds else 0
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rows = st.text_input("Rows", f"{first},{first + 1},{first + 2}", key="grid-rows", width=200)
        columns = st.text_input("Columns", "10-14", key="grid-columns", width=200)
        names = st.segmented_control(
            "The columns give", [name for name in STYLES if style_groups(model.spec.num_ws)[STYLES.index(name)]],
            selection_mode="multi", default=["fine"], format_func=STYLE_GROUPS.__getitem__, key="grid-layers",
        )  # fmt: skip
    with error_boundary():
        down, across = parse_seeds(rows), parse_seeds(columns)
        if max(len(down), len(across)) > MOST:
            raise InputError(f"a grid of {len(down)} × {len(across)} is too large", f"Use at most {MOST} seeds each.")
        grid = cells(recipe, down, across, tuple(names or ()), model.spec.num_ws)
        found = model_cache.pictures(model, grid, side=SIDE)
        places = [WallPicture(f"{i}|{recipe_id(cell)}", _words(cell), found[i]) for i, cell in enumerate(grid)]
        opened = picture_wall(places, key="wall-grid", label="Style-mixing grid", columns=len(across) + 1, mode="only",
                              is_table=True, rev=f"{model.digest}-grid")  # fmt: skip
        download("The grid as a PNG", f"{model.name}-mixing.png", partial(_sheet, model, grid, len(across) + 1))
        if opened:
            take(recipe_of(opened.split("|", 1)[1]))


def cells(recipe: Recipe, down: list[int], across: list[int], names: tuple[str, ...], num_ws: int) -> list[Recipe]:
    """Row by row: the row's own picture, then it with the style of each column."""
    groups = dict(zip(STYLES, style_groups(num_ws), strict=True))
    layers = sorted(layer for name in names for layer in groups[name])
    grid = []
    for row in down:
        own = replace(recipe, seeds=((row, 1.0),), mix=(), base=None)
        grid.append(own)
        grid += [replace(own, mix=tuple((layer, column) for layer in layers)) for column in across]
    return grid


def _words(cell: Recipe) -> str:
    styles = ", ".join(str(seed) for seed in dict.fromkeys(seed for _, seed in cell.mix))
    return cell.caption() + (f" × {styles}" if styles else "")


def _sheet(model: Checkpoint, grid: list[Recipe], columns: int) -> bytes:
    return images.encode(images.contact_sheet(model_cache.renderer(model).render(grid), columns=columns), "png")
