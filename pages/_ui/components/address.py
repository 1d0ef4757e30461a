"""The address bar: follows what is shown, and says when the browser went back or forward."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from pages._ui.components.mount import Hears, declare, mount

_component = declare("address")


def address_bar(query: Mapping[str, str], *, key: str, on_went: Callable[[dict[str, str]], None]) -> None:
    """Put the parameters `query` into the browser's address; nothing is seen on the page.

    What a hand does with pauses of less than one and a half seconds is one step of the browser's Back.
    `on_went(query)` is called with the parameters there before the next run of the surrounding fragment when the
    browser goes back or forward within the page; until that run the address is left alone.
    """

    def went(message: dict[str, Any]) -> None:
        st.session_state[f"{key}-answered"] = message["id"]
        on_went(dict(parse_qsl(message["query"], keep_blank_values=True)))

    answered = st.session_state.get(f"{key}-answered", "")
    hears: Hears = {"went": ({"query": str, "id": str}, went)}
    mount(_component, key=key, data={"query": urlencode(query), "heard": answered}, hears=hears)
