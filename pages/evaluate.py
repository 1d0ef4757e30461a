"""Evaluate: how near a model's pictures are to real ones, over a run and between runs."""

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from pages._ui.common.frame import DATASETS, TRAIN, error_boundary, fragment, open_page, show_error
from pages._ui.common.place import Place
from pages._ui.components import snippet
from pages._ui.evaluate import settings
from pages._ui.evaluate.form import Wish, network_choices, show_form, summary, words_of
from pages._ui.evaluate.results import jobs, show_results
from pages._ui.train.form import data_sets

open_page("Evaluate")
place = Place("evaluate", paths=("data",))
query = place.arrive()
if place.take_news() or not settings.are_there():
    settings.take(query)
state = st.session_state


def start(wish: Wish) -> None:
    """Submit the job."""
    try:
        runs.submit(workspace.runs_root(), "metrics", summary(wish), wish.config.to_dict(), command="")
    except GanlibError as error:
        state["evaluate-error"] = error


@fragment()
def choose() -> None:
    """Everything that is chosen, and Start."""
    place.follow()
    try:
        wish = show_form(state["evaluate-asked"])
    finally:
        place.write(settings.to_query())
    if error := state.pop("evaluate-error", None):
        show_error(error)
    is_busy = any(run.is_active for run in jobs())
    if is_busy != state.get("evaluate-busy", False):
        state["evaluate-busy"] = is_busy
        st.rerun()  # the results stand beside, in another part
    state["evaluate-wish"] = wish
    if wish is None:
        return
    st.button(
        f"Measure{words_of(wish.estimate)}", type="primary", icon=":material/straighten:", key="evaluate-start",
        on_click=start, args=(wish,), disabled=is_busy, width="stretch",
    )  # fmt: skip
    with st.expander("The same from a terminal"):
        snippet(wish.command, key="evaluate-command")


def begin() -> None:
    """The first measurement, as the form says."""
    wish: Wish | None = state.get("evaluate-wish")
    if wish is not None:
        start(wish)
    else:
        st.toast("Something is still to be chosen under Measure.", icon=":material/straighten:")


left, right = st.columns([2, 3], gap="large")
with left:
    st.subheader("Measure", anchor=False)
    choose()
with right, error_boundary():
    st.subheader("Figures", anchor=False)
    if not data_sets():
        show_results("Prepare real pictures", DATASETS, None)
    elif not network_choices():
        show_results("Train a model", TRAIN, None)
    else:
        show_results("Measure", None, begin)
