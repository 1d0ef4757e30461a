"""What of a page is in its address: it can be shared, bookmarked and gone back to."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages._ui.common.paths import ask_first
from pages._ui.components import address_bar

_MOST_WRITTEN = 64


class Place:
    """The place on one page; `page` is the last part of its address, `paths` its parameters that name files or folders.

    A path that nobody chose here is asked about on arrival, and the page ends there: see `pages._ui.common.paths`.
    With `needed`, only an address with one of these parameters is news. It is one without after a click in the
    navigation, and (for a moment, while one page leads to another) another page's: the page goes on where it was."""

    def __init__(self, page: str, *, paths: Sequence[str] = (), needed: Sequence[str] = ()) -> None:
        self.page, self.paths, self.needed = page, tuple(paths), frozenset(needed)

    def arrive(self) -> dict[str, str]:
        """Return the address's parameters: a link's, where the browser went back to, or what this page wrote last.

        The browser reports an address with every message, late while a quick hand is at work, or as it was when the
        page was opened; so an address that was shown here before is no news by itself.
        """
        known = self._known()
        went, known["went"] = known["went"], None
        reported = st.query_params.to_dict()
        is_told, known["told"] = reported == known["told"], reported
        if went is not None:
            known["query"], known["is_news"] = went, True
        elif not is_told and reported not in known["written"] and (not self.needed or self.needed & reported.keys()):
            known["query"], known["is_news"] = reported, True
            known["written"] += [reported] if reported else []  # without any it is a click in the navigation
        query = dict(known["query"])

        def go_back() -> None:
            self.go(**{name: value for name, value in query.items() if name not in self.paths})

        ask_first(query, self.paths, go_back)
        return query

    def take_news(self) -> bool:
        """Whether a link or the browser's Back brought the address, once."""
        known = self._known()
        is_news, known["is_news"] = known["is_news"], False
        known["arrivals"] += is_news
        return bool(is_news)

    @property
    def arrivals(self) -> int:
        """How often the address brought news; sliders follow it when this grows."""
        return int(self._known()["arrivals"])

    def go(self, **query: str) -> None:
        """Be somewhere else from the next run on; for callbacks."""
        known = self._known()
        known["query"], known["is_news"] = {key: value for key, value in query.items() if value}, True
        known["is_step"] = True

    def follow(self) -> None:
        """Run the whole page again if a callback went somewhere else; the first line of every fragment."""
        if self._known()["is_news"]:
            st.rerun()

    def write(self, query: Mapping[str, str]) -> None:
        """Put the parameters of what is shown into the address, and listen for the browser's Back."""
        known = self._known()
        known["query"] = dict(query)
        if known["query"] not in known["written"][-1:]:
            known["written"] = [*known["written"][-_MOST_WRITTEN:], known["query"]]

        if known.pop("is_step", False):
            # A step of the browser's Back. The address bar alone would put the new address in the old one's place: it
            # is mounted anew, with another part of the page.
            st.query_params.from_dict(known["query"])

        def went(there: dict[str, str]) -> None:
            self._known()["went"] = there

        with st.container(key="address"):
            address_bar(query, key=f"{self.page}-bar", on_went=went)
        if known["went"] is not None:
            st.rerun()

    def _known(self) -> dict[str, Any]:
        """What the page shows, what the browser told last, where it went since, and what was shown, newest last."""
        empty: dict[str, Any] = {"query": {}, "told": None, "went": None, "written": [], "arrivals": 0}
        empty["is_news"] = not self.needed
        known: dict[str, Any] = st.session_state.setdefault(f"{self.page}-place", empty)
        if st.session_state.get("address-page") != self.page:
            # Coming from another page, only what is shown here is no news.
            known |= {"told": None, "went": None, "written": known["written"][-1:]}
            st.session_state["address-page"] = self.page
        return known
