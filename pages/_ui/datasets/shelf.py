"""The sets that are ready for training, and the sources that were looked at."""

from pathlib import Path

import streamlit as st

from ganlib.base.errors import GanlibError
from ganlib.training.watch.folder import look_at_data
from pages._ui.common.frame import TRAIN, fragment, is_left, plain, sentences
from pages._ui.components.mount import data_url
from pages._ui.datasets import place
from pages._ui.datasets.intake import recent_sources
from pages._ui.train.form import data_sets

SHOWN = 12
STRIP = 8  # pictures beside a set


@fragment()
def show_shelf() -> None:
    """Show every set with a strip of its pictures, what can be done with it, and sources in work."""
    place.follow()
    known = data_sets()
    if not known:
        st.caption("No set yet. What you prepare appears here, and in the list of the Train page.")
    for path in known[: st.session_state.get("sets-length", SHOWN)]:
        _card(path)
    if len(known) > st.session_state.get("sets-length", SHOWN):
        st.button("Show more", key="sets-more", on_click=_lengthen)
    if sources := recent_sources()[:SHOWN]:
        st.caption("Pictures looked at before")
        for source in sources:
            st.button(
                plain(Path(source).name), key=f"source-{source}", type="tertiary", icon=":material/history:",
                help=plain(source), on_click=place.go, kwargs={"source": source},
            )  # fmt: skip


def _lengthen() -> None:
    st.session_state["sets-length"] = st.session_state.get("sets-length", SHOWN) + SHOWN


def _card(path: str) -> None:
    with st.container(border=True, gap="small", key=f"set-{path}"):
        try:
            words, strip = _look(path, Path(path).stat().st_mtime_ns)
        except (GanlibError, OSError) as error:
            st.markdown(f"**{plain(Path(path).name)}**")
            st.caption(sentences(error.message) if isinstance(error, GanlibError) else "It is gone.")
            return
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.button(
                plain(Path(path).name), key=f"open-{path}", type="tertiary", on_click=place.go, kwargs={"set": path}
            )
            if st.button("Train with it", icon=":material/model_training:", key=f"train-{path}"):
                st.switch_page(TRAIN, query_params={"preset": "quick", "data": path})
        st.caption(f"{plain(words)} · {plain(path)}")
        st.image(data_url(strip))


@st.cache_data(max_entries=128, show_spinner=False)
def _look(path: str, changed: int) -> tuple[str, bytes]:
    return look_at_data(Path(path), count=STRIP, side=64, should_stop=is_left)
