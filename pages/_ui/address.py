"""The address of a page: what is in it can be shared, bookmarked and gone back to."""

from collections.abc import Mapping

import streamlit as st


def arrived(page: str, *needed: str) -> dict[str, str] | None:
    """Return the address's parameters when they are news: a link, or the browser's Back; else None.

    None as well where none of the `needed` ones is there: after a click in the navigation, or (for a moment, while one
    page leads to another) among another page's parameters. The page then goes on where it was.
    """
    query = {key: value for key, value in st.query_params.to_dict().items() if key != "model"}
    if not query.keys() & set(needed) or query == st.session_state.get(f"{page}-address"):
        return None
    st.session_state[f"{page}-address"] = query
    st.session_state[f"{page}-arrivals"] = arrivals(page) + 1
    return query


def arrivals(page: str) -> int:
    """How often the address brought news; sliders follow it when this grows."""
    return int(st.session_state.get(f"{page}-arrivals", 0))


def write_address(page: str, model: str, query: Mapping[str, str]) -> None:
    """Put the parameters of what is shown into the address."""
    st.session_state[f"{page}-address"] = dict(query)
    whole = {"model": model, **query}
    if st.query_params.to_dict() != whole:
        st.query_params.from_dict(whole)
