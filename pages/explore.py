"""Explore: one picture, large, that follows the sliders."""

from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from ganlib.base.errors import GanlibError
from ganlib.latents.recipes import Recipe
from pages._ui.common import model_cache
from pages._ui.common.frame import download, error_boundary, fragment, open_page, plain, show_error
from pages._ui.common.place import Place
from pages._ui.common.uploads import PICTURE_BYTES, content
from pages._ui.components import picture_stage, slider_bank, snippet
from pages._ui.components.mount import tag
from pages._ui.explore.children import show_children, show_crossing
from pages._ui.explore.directions import on_sliders, show_directions
from pages._ui.explore.history import (
    Bench,
    fit_to_model,
    groups_of,
    recipe_words,
    values_of,
    what_is_wrong,
    with_values,
)
from pages._ui.explore.latent_map import show_map
from pages._ui.explore.style_mixing import show_grid
from pages._ui.models.rights import warn

EASEL = 390  # height of the picture on a narrow screen, in pixels
PIXELS_HELP = "Show pixels crisp instead of smoothed"

heading = open_page("Explore")
place = Place("explore", needed=("seeds", "base"))

# Read the recipe: from the address, or as it was.
state = st.session_state
model = model_cache.choose_model(heading)
spec = model.spec
is_new = "bench" not in state
if is_new or state["bench"].digest != model.digest:
    before: Recipe = model_cache.seed_recipe(model, 0) if is_new else state["bench"].recipe
    if before.label is None and before.seeds:  # it comes from a model without classes
        before = replace(before, label=model_cache.seed_recipe(model, before.seeds[0][0]).label)
    state["bench"] = Bench.begin(model.digest, fit_to_model(before, spec, model_cache.directions(model))[0])
bench: Bench = state["bench"]
directions = on_sliders(model)


def show(recipe: Recipe, note: str = "") -> None:
    """Put a recipe from elsewhere on the bench, as far as this model can make it."""
    recipe, left_out = fit_to_model(recipe, spec, model_cache.directions(model))
    bench.show(recipe)
    bench.note = note + (f" Left out: {', '.join(left_out)}." if left_out else "")


if fit_to_model(bench.recipe, spec, model_cache.directions(model))[1]:
    show(bench.recipe)  # a direction that it used was deleted
with error_boundary():
    query = place.arrive()
    if place.take_news():
        show(Recipe.from_query(query))
        if is_new:
            bench.past.clear()


# What a person does arrives here, before the fragment below runs again.
def drag(values: dict[str, Any], settled: bool) -> None:
    with error_boundary():
        recipe = with_values(bench.recipe, values, spec, directions)
        recipe.validate()
        bench.drag(recipe, settled)


def walk(back: bool) -> None:
    """One step back or forward; steps that differ only by directions that were deleted are passed over."""
    before = bench.recipe
    while bench.past if back else bench.future:
        (bench.undo if back else bench.redo)()
        possible, _ = fit_to_model(bench.recipe, spec, model_cache.directions(model))
        bench.recipe = bench.settled = possible
        if possible != before:
            break


def reset() -> None:
    if bench.recipe.base is not None:  # a photograph stays what it is
        show(Recipe(base=bench.recipe.base, label=bench.recipe.label))
        return
    seeds = tuple((seed, 1.0) for seed, _ in bench.recipe.seeds[:1])
    first = model_cache.seed_recipe(model, seeds[0][0] if seeds else 0)
    show(first if bench.recipe.label is None else replace(first, label=bench.recipe.label))


def keep(kept: bool) -> None:
    with error_boundary():
        model_cache.keep(model, bench.recipe, kept)


def reopen() -> None:
    """Take the recipe out of a picture that was dropped in."""
    upload, state["upload-error"] = state["explore-upload"], None
    if upload is None:
        return
    try:
        recipe, digest, name = model_cache.read_saved(upload.name, content(upload, max_bytes=PICTURE_BYTES).read())
        same = digest == model.digest
        show(recipe, "" if same else f"That picture was made with another model, {name}: here it looks different.")
    except GanlibError as error:
        state["upload-error"] = error


@fragment()
def live() -> None:
    """The sliders and their picture; the rest of the page follows when a slider is let go."""
    left, right = st.columns([3, 2], gap="large")
    with right:
        slider_bank(
            groups_of(spec, directions, bench.recipe.base, model.classes),
            values_of(bench.recipe, spec, directions),
            key="bank",
            rev=f"{model.digest}-{bench.rev}-{tag(str([(each.name, each.title) for each in directions]))}",
            on_change=drag,
            explain=what_is_wrong,
        )
    with left, st.container(height=EASEL, border=False, key="easel"):  # room before its script and style have come
        show_picture(bench.recipe)
    if bench.page_is_behind:
        bench.page_is_behind = False
        st.rerun()


def show_picture(recipe: Recipe) -> None:
    if bench.note:
        st.warning(plain(bench.note), icon=":material/info:")
    with error_boundary():
        pixels = bool(state.get("explore-pixels"))
        picture = model_cache.stage_picture(model, recipe, pixels, is_dragged=recipe != bench.settled)
        picture_stage(
            picture,
            key="stage",
            width=spec.resolution,
            height=spec.resolution,
            title=recipe.caption(),
            caption=recipe_words(recipe, model_cache.directions(model)),
            note=f"{model.title} · {spec.resolution} × {spec.resolution}",
            side=model_cache.STAGE,
            pixels=pixels,
        )


def show_actions(recipe: Recipe) -> None:
    kept = any(favourite.recipe == recipe for favourite in model_cache.favourites(model))
    with st.container(horizontal=True, vertical_alignment="center", key="explore-actions"):
        st.button("Undo", icon=":material/undo:", on_click=walk, args=(True,), disabled=not bench.past)
        st.button("Redo", icon=":material/redo:", on_click=walk, args=(False,), disabled=not bench.future)
        st.button("Reset", icon=":material/restart_alt:", on_click=reset, help="Back to seed A or the photograph alone")
        icon = ":material/heart_check:" if kept else ":material/favorite:"
        st.button("Kept" if kept else "Keep", icon=icon, on_click=keep, args=(not kept,), key="keep")
        download(
            "PNG",
            model_cache.file_name(model, recipe),
            partial(model_cache.png, model, recipe),
            help="With its recipe inside",
        )
        warn(model)
        st.toggle("Single pixels", key="explore-pixels", help=PIXELS_HELP, persist_state="session")


def show_recipe(recipe: Recipe) -> None:
    needed = f"the model and {plain(recipe.base)}.npz beside it" if recipe.base else "the model"
    st.caption(f"The address of this page is this picture. Whoever has {needed} can open it:")
    snippet(f"/explore?{urlencode({'model': model.name, **recipe.to_query()})}", key="recipe-address")
    st.file_uploader(
        "Drop a saved picture to reopen its recipe",
        key="explore-upload",
        on_change=reopen,
        type=["png", "webp", "jpg", "jpeg"],
    )
    if state.get("upload-error"):
        show_error(state["upload-error"])


def take(recipe: Recipe) -> None:
    """Put a picture that was clicked below onto the bench."""
    show(recipe)
    st.rerun()


def show_workshop(recipe: Recipe) -> None:
    """What else can be done with the picture; one thing at a time, since each makes pictures of its own."""
    options = ["Recipe", "Directions", "Children", "Map"]
    if spec.num_ws > 1:
        options[3:3] = ["Crossbreed", "Mixing grid"]
    chosen = st.segmented_control(
        "Workshop", options, default="Recipe", key="workshop", label_visibility="collapsed", persist_state="session"
    )
    with error_boundary():
        show_chosen(str(chosen), recipe)


def show_chosen(chosen: str, recipe: Recipe) -> None:
    if chosen == "Directions":
        show_directions(model, recipe, st.rerun)
    elif chosen == "Children":
        show_children(model, recipe, bench.past, take)
    elif chosen == "Crossbreed":
        show_crossing(model, recipe, take)
    elif chosen == "Mixing grid":
        show_grid(model, recipe, take)
    elif chosen == "Map":
        fragment()(show_map)(model, recipe, take)
    else:
        show_recipe(recipe)


bench.page_is_behind = False
live()
# Apart, so that on a narrow screen the sliders can stand between them.
left, _ = st.columns([3, 2], gap="large")
with left:
    show_actions(bench.settled)
(whole,) = st.columns(1)  # a column, as those above: on a narrow screen their order is that of style.css
with whole, st.container(key="recipe"):
    show_workshop(bench.settled)
place.write({"model": model.name} | bench.settled.to_query())
