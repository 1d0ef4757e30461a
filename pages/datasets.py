"""Data sets: from a folder of anything to a set for training, and the sets that are ready."""

import streamlit as st

from ganlib.base.errors import InputError
from pages._ui.common.frame import error_boundary, open_page
from pages._ui.common.paths import accept_path
from pages._ui.datasets import place
from pages._ui.datasets.browse import show_set
from pages._ui.datasets.intake import show_intake
from pages._ui.datasets.shelf import show_shelf
from pages._ui.datasets.source import show_source

open_page("Data sets")
query = place.arrive()
place.take_news()


def start() -> None:
    """New pictures on the left, what is there already on the right."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("New set", anchor=False)
        st.markdown(
            "Photographs, scans, paintings: they are looked through, you decide what stays, and they become a set of "
            "square pictures that a network can learn from."
        )
        show_intake()
    with right:
        st.subheader("Sets", anchor=False)
        show_shelf()


with error_boundary():
    try:
        if path := query.get("set"):
            place.write({"set": path})
            show_set(accept_path(path))
        elif source := query.get("source"):
            place.write({"source": source} | ({"step": query["step"]} if "step" in query else {}))
            show_source(accept_path(source), query.get("step", ""))
        else:
            place.write({})
            start()
    except InputError:
        st.button("All sets", icon=":material/arrow_back:", key="all-sets", on_click=place.go)
        raise
