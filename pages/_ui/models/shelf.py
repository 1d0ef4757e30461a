"""All models of the studio as cards."""

import time

import streamlit as st

from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.metrics import kind_of
from ganlib.models.checkpoints import Checkpoint, list_checkpoints
from ganlib.networks import architecture
from pages._ui.common.frame import GALLERY, fragment, plain, sentences, show_error
from pages._ui.models import place
from pages._ui.models.contact_sheet import sheet
from pages._ui.models.rights import badge

COLUMNS = 3
SHOWN = 24
MOST_WORDS = 120  # characters of credit on a card
SECONDS = 1.0  # for making sheets before what is there is shown


@fragment()
def show_shelf() -> None:
    """Show a card for every model; sheets that are missing are made a few at a time."""
    place.follow()
    found, damaged = list_checkpoints(workspace.checkpoints_root())
    if not found and not damaged:
        st.markdown("**No model yet.** Import one, fetch one from the Hub, or train one from your own pictures.")
    length = st.session_state.get("models-length", SHOWN)
    began, is_missing = time.monotonic(), False
    for start in range(0, min(len(found), length), COLUMNS):
        for column, model in zip(st.columns(COLUMNS), found[start : start + COLUMNS], strict=False):
            with column:
                is_missing |= not _card(model, may_make=time.monotonic() - began < SECONDS)
    if len(found) > length:
        st.button("Show more", key="models-more", on_click=_lengthen)
    for error in damaged:
        show_error(error)
    if is_missing:
        st.rerun()  # of the whole page: the first run is one, and has no fragment of its own


def _lengthen() -> None:
    st.session_state["models-length"] = st.session_state.get("models-length", SHOWN) + SHOWN


def _card(model: Checkpoint, *, may_make: bool) -> bool:
    """Show one model; return whether its sheet is there, or never will be."""
    problem: GanlibError | None = None
    picture = None
    with st.container(border=True, gap="small", key=f"model-{model.name}"):
        try:
            picture = sheet(model, may_make=may_make)
        except GanlibError as error:
            problem = error
        if picture is not None:
            st.image(picture, width="stretch")
        elif problem is not None:
            st.caption(sentences(problem.message, problem.hint))
        else:
            st.caption(f"making its pictures ({model.spec.resolution:d} px) …")
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{plain(model.title)}**", width="content")
            badge(model.licence)
        st.caption(plain(facts(model)))
        st.caption(plain(short(" · ".join(filter(None, (model.licence or "licence not stated", model.data))))))
        with st.container(horizontal=True):
            if st.button("Gallery", key=f"gallery-{model.name}", icon=":material/grid_view:", type="primary"):
                st.switch_page(GALLERY, query_params={"model": model.name})
            st.button("About it", key=f"about-{model.name}", on_click=place.go, kwargs={"model": model.name})
    return picture is not None or problem is not None


def short(text: str) -> str:
    """A text of somebody on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_WORDS else f"{line[: MOST_WORDS - 1]}…"


def facts(model: Checkpoint) -> str:
    """A model in one line: family, side, classes, thousands of pictures seen, first metric, size."""
    spec = model.spec
    words = [architecture(spec.arch).title, f"{spec.resolution} px"]
    if spec.label_dim:
        words.append(f"{spec.label_dim} classes")
    if model.kimg:
        words.append(f"{model.kimg:,.0f} kimg")
    for name, value in model.metrics.items():
        if kind_of(name) and isinstance(value, int | float):
            words.append(f"{name} {value:.3g}")
            break
    return " · ".join([*words, f"{model.bytes / 1e6:.1f} MB"])
