"""Gallery: a wall of pictures for any seeds. The home of the studio."""

from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from ganlib.latents import Recipe, parse_seeds
from ganlib.paths import Keyframe
from pages._ui import models
from pages._ui.address import arrived, write_address
from pages._ui.components import Group, Slider, WallPicture, picture_wall, slider_bank
from pages._ui.frame import EXPLORE, MORPH, empty_state, errors_told, open_page, part
from pages._ui.keyframes import MAX_KEYFRAMES, SECONDS, recipe_id, recipe_of, to_text
from pages._ui.view import View

EMPTY = {
    "Favourites": "Nothing kept yet. The heart under a picture keeps it here, beside its model.",
    "Selection": "Nothing selected yet. Shift-click a picture, or tick its corner, to gather it here.",
}
PSI = Slider("psi", "Variation", -1, 1.5, models.DEFAULT_PSI, marks=(0, 1), help="truncation psi")

open_page("Gallery")

# Read what is wanted: from the address, or as it was.
model = models.choose_model()
state = st.session_state
state.setdefault("view", View())
selections: dict[str, list[str]] = state.setdefault("selection", {})
selections.setdefault(model.name, [])
if (query := arrived("gallery")) is not None:
    with errors_told():
        state["view"] = state["view"].with_query(query)
        state["gallery-seeds"] = state["view"].seeds


def change_view(view: View) -> None:
    """Show another view; pictures selected on the wall follow its variation."""
    recipes = map(recipe_of, selections[model.name])
    select([recipe_id(state["view"].followed_by(recipe, view)) for recipe in recipes])
    state["selection-rev"] = state.get("selection-rev", 0) + 1
    state["view"] = view
    state["gallery-seeds"] = view.seeds


def move(by: int) -> None:
    with errors_told():
        change_view(state["view"].stepped(by) if by else state["view"].shuffled())


def drag_psi(values: dict[str, Any], settled: bool) -> None:
    change_view(replace(state["view"], psi=float(values["psi"])))


def keep(id: str, kept: bool) -> None:
    with errors_told():
        models.keep(model, recipe_of(id), kept)


def select(ids: list[str]) -> None:
    selections[model.name] = ids


def clear_selection() -> None:
    select([])
    state["selection-rev"] = state.get("selection-rev", 0) + 1


def show_all() -> None:
    state["gallery-tab"] = "All"


def controls(view: View) -> View:
    """The row above the wall; a list of seeds that cannot be read leaves the wall as it is."""
    state.setdefault("gallery-seeds", view.seeds)
    with st.container(horizontal=True, vertical_alignment="bottom", key="gallery-controls"):
        st.text_input("Seeds", key="gallery-seeds", width=300, help="Each seed is one picture: 85, 6600-6625, 1,5,9-12")
        st.button(
            "", icon=":material/chevron_left:", help="Seeds before these", on_click=move, args=(-1,), key="before"
        )
        st.button("", icon=":material/chevron_right:", help="Seeds after these", on_click=move, args=(1,), key="after")
        st.button("Shuffle", icon=":material/casino:", on_click=move, args=(0,))
        with st.container(width=280, key="gallery-psi"):
            slider_bank([Group("", (PSI,))], {"psi": view.psi}, key="gallery-bank", rev="0", on_change=drag_psi)
        with st.popover("View", icon=":material/grid_view:"):
            columns = st.slider("Columns", 2, 12, view.columns)
            per_page = st.select_slider("Pictures on a page", (12, 24, 48, 96), view.per_page)
            pixels = st.toggle("Single pixels", view.pixels, help="Show pixels crisp instead of smoothed")
        label = view.label
        if model.spec.label_dim:
            label = st.selectbox("Kind", [None, *range(model.spec.label_dim)], help="class label", width=120)
    asked = replace(view, columns=columns, per_page=per_page, pixels=pixels, label=label)
    with errors_told():
        parse_seeds(state["gallery-seeds"])
        if state["gallery-seeds"] != view.seeds:
            asked = replace(asked, seeds=state["gallery-seeds"], start=0)
    state["view"] = asked
    return asked


@part()
def gallery() -> None:
    view = controls(state["view"])
    favourites = [favourite.recipe for favourite in models.favourites(model)]
    counts = {"All": 0, "Favourites": len(favourites), "Selection": len(selections[model.name])}
    tab = st.segmented_control(
        "Show", list(counts), default="All", key="gallery-tab", label_visibility="collapsed",
        format_func=lambda name: f"{name} {counts[name]}" if counts[name] else name,
    )  # fmt: skip
    if tab == "Favourites":
        recipes = favourites
    elif tab == "Selection":
        recipes = [recipe_of(id) for id in selections[model.name]]
    else:
        recipes = view.recipes(model)
    write_address("gallery", model.name, view.to_query())
    if recipes:
        show_wall(view, recipes, set(favourites))
    else:
        empty_state(EMPTY[str(tab)], models.pictures(model, [models.FIRST_RECIPE])[0], "Back to all", show_all)
    show_selection(view)


def show_wall(view: View, recipes: list[Recipe], favourites: set[Recipe]) -> None:
    ready = models.as_many_as_ready(model, recipes)
    places = [
        WallPicture(recipe_id(recipe), recipe.caption(), picture, recipe in favourites)
        for recipe, picture in zip(recipes, ready, strict=True)
    ]
    opened = picture_wall(
        places,
        key="wall",
        label="Pictures",
        columns=view.columns,
        pixels=view.pixels,
        selected=selections[model.name],
        rev=f"{model.digest}-{state.get('selection-rev', 0)}",
        on_select=select,
        on_keep=keep,
    )
    if opened:
        st.switch_page(EXPLORE, query_params={"model": model.name, **recipe_of(opened).to_query()})


def show_selection(view: View) -> None:
    """The bar at the foot of the window: what can be done with the selected pictures."""
    chosen = [recipe_of(id) for id in selections[model.name]]
    if not chosen:
        st.caption("Click opens a picture · shift-click or the tick selects · the heart keeps · arrow keys walk.")
        return
    with st.container(horizontal=True, vertical_alignment="center", key="selection-bar"):
        st.markdown(f"**{len(chosen)}** selected")
        if st.button("Open in Explore", icon=":material/tune:"):
            st.switch_page(EXPLORE, query_params={"model": model.name, **chosen[0].to_query()})
        if st.button("Make a morph", icon=":material/movie:", disabled=not 2 <= len(chosen) <= MAX_KEYFRAMES):
            keyframes = [Keyframe(recipe, SECONDS) for recipe in chosen]
            st.switch_page(MORPH, query_params={"model": model.name, "k": to_text(keyframes)})
        if len(chosen) == 1:
            name, data = models.file_name(model, chosen[0]), partial(models.png, model, chosen[0])
            st.download_button("PNG", data, name, "image/png", icon=":material/download:")
        else:
            data = partial(models.png_zip, model, chosen)
            st.download_button("ZIP", data, f"{model.name}.zip", "application/zip", icon=":material/download:")
        data = partial(models.contact_sheet, model, chosen, view.columns)
        st.download_button("Contact sheet", data, f"{model.name}-sheet.png", "image/png", icon=":material/grid_on:")
        st.button("Clear", type="tertiary", on_click=clear_selection)


gallery()
