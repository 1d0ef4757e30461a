"""Drop: a collection of pieces with traits, rarity and metadata, ready to be minted elsewhere."""

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.nft import NftConfig
from pages._ui.common import model_cache
from pages._ui.common.frame import error_boundary, open_page, show_error
from pages._ui.common.place import Place
from pages._ui.components import snippet
from pages._ui.drop.form import show_form, summary
from pages._ui.drop.look import preview, show_preview
from pages._ui.drop.shelf import jobs, show_collections

START, ICON = "Make the collection", ":material/diamond:"
heading = open_page("Drop")
place = Place("drop")
query = place.arrive()
model = model_cache.choose_model(heading)
if place.take_news() and query.get("seeds"):
    st.session_state["drop-seeds"] = query["seeds"][:2000]
    st.session_state["drop-source"] = "Seeds"
place.write({"model": model.name} | ({"seeds": query["seeds"]} if "seeds" in query else {}))


def start(config: NftConfig) -> None:
    """Submit the job."""
    try:
        runs.submit(workspace.runs_root(), "nft", config.collection, config.validate().to_dict())
        st.session_state["drop-view"] = "Collections"
        st.toast("The collection is being made: it is at the top.", icon=":material/diamond:")
    except GanlibError as error:
        st.session_state["drop-error"] = error


st.markdown(
    "Favourites or seeds become a collection: pictures, traits, rarity, metadata, hashes and IPFS addresses in one "
    "folder. There is no wallet and no chain in here: you mint it where you like, or print it."
)
left, right = st.columns([2, 3], gap="large")
wanted = seen = problem = None
with left:
    try:
        wanted = show_form(model, query.get("seeds", ""))
    except GanlibError as error:
        problem = error
    launch = st.empty()
    # Until it is known whether it can be done; the browser goes on showing the button of the run before.
    launch.button(START, type="primary", icon=ICON, key="drop-wait", disabled=True, width="stretch")
with right:
    st.session_state.setdefault("drop-view", "Preview")
    view = st.segmented_control("View", ["Preview", "Collections"], key="drop-view", label_visibility="collapsed",
                                required=True)  # fmt: skip
    if wanted is not None:
        try:
            seen = preview(model, wanted)
            problem = seen.problem
        except GanlibError as error:
            problem = error
with launch.container():
    is_busy = any(run.is_active for run in jobs())
    st.button(START, type="primary", icon=ICON, key="drop-start", on_click=start, args=(wanted,), width="stretch",
              disabled=is_busy or problem is not None)  # fmt: skip
    if is_busy:
        st.caption("A collection is being made: the next one can begin when it is done.")
    if problem is not None:
        show_error(problem)
    elif failed := st.session_state.pop("drop-error", None):
        show_error(failed)
    if wanted is not None:
        with st.expander("The same from a terminal"):
            snippet(summary(wanted), key="drop-command")
with right, error_boundary():
    if view == "Collections":
        show_collections()
    elif wanted is not None and seen is not None:
        show_preview(model, wanted, seen)
    else:
        st.caption("The pieces appear here when what is said beside the button is mended.")
