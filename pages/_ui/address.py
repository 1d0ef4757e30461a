"""The address of a page: what is in it can be shared, bookmarked and gone back to."""

import time
from collections.abc import Mapping
from typing import Any

import streamlit as st

IN_FLIGHT_SECONDS = 4.0
"""A busy browser was seen to report an address this long after another one had been written."""
MOST_WRITTEN = 64


def arrived(page: str, *needed: str) -> dict[str, str] | None:
    """Return the address's parameters when they are news: a link, or the browser's Back; else None.

    None as well where none of the `needed` ones is there: after a click in the navigation, or (for a moment, while one
    page leads to another) among another page's parameters. The page then goes on where it was.

    The browser reports its address with every message, and a quick hand sends several before it has heard of the
    parameters written meanwhile; a rerun by the server reports what was written last. So news is only a report that
    differs from the last one and was not written here within the last `IN_FLIGHT_SECONDS`.
    """
    query = {key: value for key, value in st.query_params.to_dict().items() if key != "model"}
    if not query.keys() & set(needed):
        return None
    known = _known(page)
    if query == known["seen"]:
        return None
    known["seen"] = query
    now = time.monotonic()
    recent = [each for each, when in known["written"] if now - when < IN_FLIGHT_SECONDS]
    if query in recent or query == _last(known):
        return None
    known["written"].clear()
    st.session_state[f"{page}-arrivals"] = arrivals(page) + 1
    return query


def _known(page: str) -> dict[str, Any]:
    """What the browser last reported on this page, and what was written there, with its time, newest last."""
    known: dict[str, Any] = st.session_state.setdefault(f"{page}-address", {"seen": None, "written": []})
    if st.session_state.get("address-page") != page:
        # Coming from another page, only what this page itself wrote last is no news.
        known["written"] = known["written"][-1:] if known["written"] else [(known["seen"], 0.0)]
        known["seen"] = None
        st.session_state["address-page"] = page
    return known


def _last(known: Mapping[str, Any]) -> dict[str, str] | None:
    return known["written"][-1][0] if known["written"] else known["seen"]


def arrivals(page: str) -> int:
    """How often the address brought news; sliders follow it when this grows."""
    return int(st.session_state.get(f"{page}-arrivals", 0))


def write_address(page: str, model: str, query: Mapping[str, str]) -> None:
    """Put the parameters of what is shown into the address."""
    known = _known(page)
    if dict(query) != _last(known):
        known["written"] = [*known["written"][-MOST_WRITTEN:], (dict(query), time.monotonic())]
    whole = {"model": model, **query}
    if st.query_params.to_dict() != whole:
        st.query_params.from_dict(whole)
