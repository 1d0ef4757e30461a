"""The latent map on the page: drawn once, hovered, opened, and gathered by the lasso."""

from collections.abc import Callable

import streamlit as st

from ganlib.base.errors import InputError
from ganlib.latents.favourites import add_favourite
from ganlib.latents.recipes import Recipe
from ganlib.models.checkpoints import Checkpoint
from ganlib.render.latent_map import METHODS, LatentMap, draw_map, mean_w, methods_here
from pages._ui.common import model_cache
from pages._ui.common.frame import error_boundary, plain
from pages._ui.components import MapPoint, latent_map

COUNTS = (500, 1000, 2000, 4000)
THUMB = 128
MOST_KEPT = 200  # favourites from one lasso


def show_map(model: Checkpoint, recipe: Recipe, take: Callable[[Recipe], None]) -> None:
    """Show thousands of pictures by likeness; a click puts one on the bench."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        method = st.selectbox("Placed", methods_here(), format_func=METHODS.__getitem__, key="map-method", width=240)
        count = st.select_slider("Pictures", COUNTS, 1000, key="map-count", width=220)
        clusters = st.number_input("Clusters", 1, 32, 8, key="map-clusters", width=120)
    kept = tuple(dict.fromkeys(favourite.recipe for favourite in model_cache.favourites(model)))
    with error_boundary():
        drawn = _drawn(str(model.path), model.digest, method, count, int(clusters))
        _show(model, recipe, drawn, kept, take, f"{model.digest}-{method}-{count}-{clusters}")


@st.cache_data(max_entries=8, show_spinner="Drawing the map …")
def _drawn(path: str, digest: str, method: str, count: int, clusters: int) -> LatentMap:
    renderer = model_cache.open_renderer(path, digest)
    return draw_map(renderer, range(count), method=method, clusters=clusters, psi=model_cache.DEFAULT_PSI)


def _show(
    model: Checkpoint, recipe: Recipe, drawn: LatentMap, kept: tuple[Recipe, ...], take: Callable[[Recipe], None],
    rev: str,
) -> None:  # fmt: skip
    state = st.session_state
    if state.get("map-rev") != rev:
        state["map-rev"], state["map-seen"], state["map-chosen"] = rev, None, []
    # Favourites that are on the map already are marked there; the others are laid over it, and nothing moves.
    others = [each for each in kept if each not in set(drawn.recipes)]
    places, groups = drawn.place(mean_w(model_cache.renderer(model), others))
    shown = (*drawn.recipes, *others)
    rows = zip(shown, [*drawn.xy.tolist(), *places.tolist()], [*drawn.clusters.tolist(), *groups.tolist()], strict=True)
    points = []
    for each, (x, y), cluster in rows:
        mark = "here" if each == recipe else "" if each not in kept else "photo" if each.base else "heart"
        points.append(MapPoint(x, y, each.caption(), cluster, mark))

    def hover(index: int) -> None:
        with error_boundary():
            state["map-seen"] = (index, model_cache.pictures(model, [shown[index]], side=THUMB)[0])

    def select(indices: list[int]) -> None:
        state["map-chosen"] = indices

    opened = latent_map(
        points, key="map", rev=rev, seen=state["map-seen"], selected=state["map-chosen"], on_hover=hover,
        on_select=select,
    )  # fmt: skip
    chosen = [shown[index] for index in state["map-chosen"]]
    if chosen:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{len(chosen)}** selected")
            st.button(
                "Keep them as favourites", icon=":material/favorite:", key="map-keep", on_click=_keep,
                args=(model, chosen),
            )  # fmt: skip
    if news := state.pop("map-news", None):
        st.success(plain(news), icon=":material/check:")
    if opened is not None:
        take(shown[opened])


def _keep(model: Checkpoint, chosen: list[Recipe]) -> None:
    with error_boundary():
        if len(chosen) > MOST_KEPT:
            raise InputError(f"{len(chosen)} favourites at once are too many", f"Select at most {MOST_KEPT}.")
        for each in chosen:
            add_favourite(model.folder, each)
        st.session_state["map-news"] = f"{len(chosen)} favourites kept."
