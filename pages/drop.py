"""Drop: a collection of pieces with traits, rarity and metadata, ready to be minted elsewhere."""

import streamlit as st

from ganlib import runs
from ganlib.errors import GanlibError
from ganlib.nft import NftConfig
from pages._ui import models
from pages._ui.drops.form import show_form, summary
from pages._ui.drops.look import show_preview
from pages._ui.drops.shelf import jobs, show_collections
from pages._ui.frame import errors_told, open_page, show_error
from pages._ui.jobs import ACTIVE
from pages._ui.place import Place

heading = open_page("Drop")
place = Place("drop")
query = place.arrive()
model = models.choose_model(heading)
if place.take_news() and query.get("seeds"):
    st.session_state["drop-seeds"] = query["seeds"][:2000]
    st.session_state["drop-source"] = "Seeds"
place.write({"model": model.name} | ({"seeds": query["seeds"]} if "seeds" in query else {}))


def start(config: NftConfig) -> None:
    """Submit the job."""
    try:
        runs.submit(models.runs_root(), "nft", config.collection, config.validate().to_dict())
        st.session_state["drop-view"] = "Collections"
        st.toast("The collection is being made: it is at the top.", icon=":material/diamond:")
    except GanlibError as error:
        st.session_state["drop-error"] = error


st.markdown(
    "Favourites or seeds become a collection: pictures, traits, rarity, metadata, hashes and IPFS addresses in one "
    "folder. There is no wallet and no chain in here: you mint it where you like, or print it."
)
left, right = st.columns([2, 3], gap="large")
is_possible = False
with left, errors_told():
    wanted = show_form(model, query.get("seeds", ""))
    wanted.validate()
    is_possible = True
    is_busy = any(run.state in ACTIVE for run in jobs())
    st.button(
        "Make the collection", type="primary", icon=":material/diamond:", key="drop-start", on_click=start,
        args=(wanted,), disabled=is_busy, width="stretch",
    )  # fmt: skip
    with st.expander("The same from a terminal"):
        st.code(summary(wanted), language="bash", wrap_lines=True)
if error := st.session_state.pop("drop-error", None):
    show_error(error)
with right:
    view = st.segmented_control("View", ["Preview", "Collections"], default="Preview", key="drop-view",
                                label_visibility="collapsed", required=True)  # fmt: skip
    if view == "Collections":
        show_collections()
    else:
        with errors_told():
            if is_possible:
                show_preview(model, wanted)
