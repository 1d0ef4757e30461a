"""Pictures on their way to becoming a set: what was found in them, how they are cut, and the set that is made."""

from pathlib import Path

import streamlit as st

from ganlib.dataset.preview import Mosaic, mosaic
from pages._ui.common.frame import fragment, is_left, plain
from pages._ui.components.mount import data_url
from pages._ui.datasets import place
from pages._ui.datasets.crops import show_framing
from pages._ui.datasets.findings import is_examined, show_findings
from pages._ui.datasets.preparation import show_making

STEPS = {"findings": "1 · What is found", "framing": "2 · How it is cut", "make": "3 · The set"}


@fragment()
def show_source(source: str, step: str) -> None:
    """Show one step of the work on a source. Raises GanlibError for a source that cannot be read."""
    place.follow()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All sets", icon=":material/arrow_back:", key="all-sets", on_click=place.go)
        st.subheader(plain(Path(source).name), anchor=False, width="content")
    count, strip, left_out = _look(source, Path(source).stat().st_mtime_ns)
    st.markdown(f"**{count:,}** pictures · {plain(source)}")
    if left_out:
        st.caption(plain(f"Not everything was looked at: {left_out}."))
    if step not in ("framing", "make") and not is_examined(source):
        st.image(data_url(strip), width="stretch")

    def turn() -> None:
        place.go(source=source, step=st.session_state["source-step"] or "findings")

    st.session_state["source-step"] = step if step in STEPS else "findings"
    st.segmented_control(
        "Step", list(STEPS), key="source-step", format_func=STEPS.__getitem__, label_visibility="collapsed",
        on_change=turn,
    )  # fmt: skip
    if step == "framing":
        show_framing(source)
    elif step == "make":
        show_making(source)
    else:
        show_findings(source)


@st.cache_data(max_entries=16, show_spinner="Looking at the pictures …")
def _look(source: str, changed: int) -> Mosaic:
    return mosaic(source, should_stop=is_left)
