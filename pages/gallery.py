"""Gallery: a wall of pictures for any seeds. The home of the studio."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import streamlit as st

from ganlib.latents.paths import Keyframe
from ganlib.latents.recipes import Recipe, parse_seeds
from pages._ui.common import model_cache
from pages._ui.common.frame import (
    DROP,
    EXPLORE,
    MODELS,
    MORPH,
    download,
    empty_state,
    error_boundary,
    fragment,
    open_page,
)
from pages._ui.common.place import Place
from pages._ui.components import Group, Slider, WallPicture, picture_wall, slider_bank
from pages._ui.gallery.wall_state import EMPTY, STEPS, View, Wall
from pages._ui.models.rights import warn
from pages._ui.morph.choices import Film
from pages._ui.morph.keyframes import MAX_KEYFRAMES, full_name, recipe_id, recipe_of, to_text

HINT = "Click opens a picture · shift-click or the tick selects · the heart keeps · arrow keys walk"
PSI = Slider("psi", "How unusual", -1, 1.5, model_cache.DEFAULT_PSI, marks=(0, 1), help="truncation psi")

heading = open_page("Gallery")
place = Place("gallery", needed=("show",))
# Read what is wanted: from the address, or as it was.
model = model_cache.choose_model()
with heading.container(horizontal=True, horizontal_alignment="right"):
    warn(model)
    if st.button("Open a model", icon=":material/add:", key="open-a-model", type="tertiary"):
        st.switch_page(MODELS, query_params={"view": "import"})
state = st.session_state
wall: Wall = state.setdefault("gallery", Wall(model.name))
if wall.name != model.name:
    wall = state["gallery"] = Wall(model.name, wall.view)
query = place.arrive()
if place.take_news():
    state["seeds"] = query.get("show", wall.view.seeds)[:2000]
    with error_boundary():
        wall.change(wall.view.with_query(query))


# What a person does arrives here, before the fragment below runs again.
def move(by: int) -> None:
    with error_boundary():
        wall.change(wall.view.step(by) if by else wall.view.shuffle())
        state["seeds"] = wall.view.seeds


def keep(id: str, kept: bool) -> None:
    with error_boundary():
        model_cache.keep(model, recipe_of(id), kept)


def show_all() -> None:
    state["tab"] = "All"


def choose() -> None:
    """Take over what the menus say; they have keys, and a change in their defaults would make them new ones."""
    names = ("columns", "per_page", "order", "pixels", *(("label",) if model.spec.label_dim else ()))
    wall.view = replace(wall.view, **{name: state[f"gallery-{name}"] for name in names})


def controls(view: View) -> View:
    """The row above the wall; a list of seeds that cannot be read leaves the wall as it is."""
    state.setdefault("seeds", view.seeds)
    kinds = [None, *range(model.spec.label_dim)]
    shown = {"columns": view.columns, "per_page": view.per_page, "order": view.order, "pixels": view.pixels}
    for name, value in (shown | {"label": view.label if view.label in kinds else None}).items():
        state[f"gallery-{name}"] = value
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        st.text_input("Seeds", key="seeds", width=240, help="Each seed is one picture: 85, 6600-6625, 1,5,9-12")
        for name, icon, help, by in STEPS:
            st.button(help, icon=icon, help=help, on_click=move, args=(by,), key=f"seeds-{name}")
        with st.container(width=260):
            rev = str(place.arrivals)
            slider_bank([Group("", (PSI,))], {"psi": view.psi}, key="psi", rev=rev, on_change=wall.drag)
        if model.spec.label_dim:
            st.selectbox(
                "Kind", kinds, key="gallery-label", help="class label", width=140, on_change=choose,
                format_func=partial(model_cache.kind_name, model), placeholder=model_cache.kind_name(model, None),
            )  # fmt: skip
        with st.popover("View", icon=":material/grid_view:"):
            st.slider("Columns", 2, 12, key="gallery-columns", on_change=choose)
            st.select_slider("Pictures on a page", (12, 24, 48, 96), key="gallery-per_page", on_change=choose)
            st.selectbox(
                "Order", ["", *model_cache.SORTS], key="gallery-order", on_change=choose,
                format_func=lambda order: model_cache.SORTS[order].title if order else "as written",
            )  # fmt: skip
            st.toggle("Single pixels", key="gallery-pixels", on_change=choose, help="Show pixels crisp, not smoothed")
    asked = view if model.spec.label_dim else replace(view, label=None)
    with error_boundary():
        parse_seeds(state["seeds"])
        if state["seeds"] != view.seeds:
            asked = replace(asked, seeds=state["seeds"], start=0)
    wall.view = asked
    return asked


@fragment()
def gallery() -> None:
    view = controls(wall.view)
    favourites = [favourite.recipe for favourite in model_cache.favourites(model)]
    counts = {"All": 0, "Favourites": len(favourites), "Selection": len(wall.selection)}
    words = {name: f"{name} {count}" if count else name for name, count in counts.items()}.__getitem__
    with st.container(horizontal=True, vertical_alignment="center"):
        state.setdefault("tab", "All")
        tab = st.segmented_control(
            "Show",
            list(counts),
            key="tab",
            format_func=words,
            label_visibility="collapsed",
            persist_state="session",
        )
        st.container(key="hint", width="content").caption(HINT)
    recipes = {"Favourites": favourites, "Selection": [recipe_of(id) for id in wall.selection]}.get(tab or "All")
    recipes = model_cache.sort_recipes(model, view.recipes(model) if recipes is None else recipes, view.order)
    if not wall.is_dragging:
        place.write({"model": model.name} | view.to_query())
    if recipes:
        show_pictures(view, recipes, set(favourites), name_of=Recipe.caption if tab == "All" else full_name)
    else:
        cover = model_cache.pictures(model, [model_cache.seed_recipe(model, model.cover)])[0]
        empty_state(EMPTY[str(tab)], cover, "Back to all", show_all)
    show_selection(view)


def show_pictures(
    view: View, recipes: list[Recipe], favourites: set[Recipe], *, name_of: Callable[[Recipe], str]
) -> None:
    ready = model_cache.as_many_as_ready(model, recipes)
    places = [
        WallPicture(recipe_id(recipe), name_of(recipe), picture, recipe in favourites)
        for recipe, picture in zip(recipes, ready, strict=True)
    ]
    opened = picture_wall(
        places,
        key="wall",
        label="Pictures",
        columns=view.columns,
        pixels=view.pixels,
        selected=wall.selection,
        rev=f"{model.digest}-{wall.rev}",
        on_select=wall.select,
        on_keep=keep,
    )
    if opened:
        st.switch_page(EXPLORE, query_params={"model": model.name, **recipe_of(opened).to_query()})


def show_selection(view: View) -> None:
    """The bar at the foot of the window: what can be done with the selected pictures."""
    chosen = [recipe_of(id) for id in wall.selection]
    if not chosen:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="selection-bar"):
        st.markdown(f"**{len(chosen)}** selected")
        warn(model)
        if st.button("Open in Explore", icon=":material/tune:"):
            st.switch_page(EXPLORE, query_params={"model": model.name, **chosen[0].to_query()})
        if st.button("Make a morph", icon=":material/movie:", disabled=not 2 <= len(chosen) <= MAX_KEYFRAMES):
            film: Film = state.get("film", Film())
            keyframes = [Keyframe(recipe, film.seconds) for recipe in chosen]
            st.switch_page(MORPH, query_params={"model": model.name, "k": to_text(keyframes), **film.to_query()})
        seeds = [recipe.seeds[0][0] for recipe in chosen if len(recipe.seeds) == 1]
        if st.button("Make a drop", icon=":material/diamond:", disabled=not seeds):
            st.switch_page(DROP, query_params={"model": model.name, "seeds": ",".join(map(str, dict.fromkeys(seeds)))})
        if len(chosen) == 1:
            download("PNG", model_cache.file_name(model, chosen[0]), partial(model_cache.png, model, chosen[0]))
        else:
            download("ZIP", f"{model.name}.zip", partial(model_cache.png_zip, model, chosen))
        sheet = partial(model_cache.contact_sheet, model, chosen, view.columns)
        download("Contact sheet", f"{model.name}-sheet.png", sheet, icon="grid_on")
        st.button("Clear", type="tertiary", on_click=wall.clear)


gallery()
