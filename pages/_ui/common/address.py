"""The address of a page: what is in it can be shared, bookmarked and gone back to."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages._ui.components import address_bar

MOST_WRITTEN = 64


def arrived(page: str, *needed: str) -> dict[str, str] | None:
    """Return the address's parameters when they are news: a link, or the browser's Back; else None.

    None as well where none of the `needed` ones is there: after a click in the navigation, or (for a moment, while one
    page leads to another) among another page's parameters. The page then goes on where it was.

    The browser reports an address with every message, late while a quick hand is at work, or as it was when the page
    was opened. So what was shown here before is no news by itself; that the browser went back there is said by the
    address bar.
    """
    known = _known(page)
    went, known["went"] = known["went"], None
    reported = {key: value for key, value in st.query_params.to_dict().items() if key != "model"}
    is_told, known["told"] = reported == known["told"], reported
    query = reported if went is None else went
    if went is None and (is_told or query in known["written"] or not query.keys() & set(needed)):
        return None
    st.session_state[f"{page}-arrivals"] = arrivals(page) + 1
    return query


def _known(page: str) -> dict[str, Any]:
    """What the browser told last on this page, where it went since, and what was written there, newest last."""
    empty: dict[str, Any] = {"told": None, "went": None, "written": []}
    known: dict[str, Any] = st.session_state.setdefault(f"{page}-address", empty)
    if st.session_state.get("address-page") != page:
        # Coming from another page, only what is shown here is no news.
        known |= {"told": None, "went": None, "written": known["written"][-1:]}
        st.session_state["address-page"] = page
    return known


def arrivals(page: str) -> int:
    """How often the address brought news; sliders follow it when this grows."""
    return int(st.session_state.get(f"{page}-arrivals", 0))


def write_address(page: str, model: str, query: Mapping[str, str]) -> None:
    """Put the parameters of what is shown into the address, and listen for the browser's Back."""
    known = _known(page)
    written = dict(query)
    if written not in known["written"][-1:]:
        known["written"] = [*known["written"][-MOST_WRITTEN:], written]

    def went(there: dict[str, str]) -> None:
        _known(page)["went"] = {key: value for key, value in there.items() if key != "model"}

    with st.container(key="address"):
        address_bar({"model": model, **query}, key=f"{page}-bar", on_went=went)
    if known["went"] is not None:
        st.rerun()  # only part of the page was run; the whole of it goes where the browser went
