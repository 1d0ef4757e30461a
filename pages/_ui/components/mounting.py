"""How a component gets from its files into the page."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

FOLDER = Path(__file__).parent


def declare(name: str) -> ComponentRenderer:
    """Return the mounting call of the component whose files are `NAME.js` and `NAME.css`."""
    css, js = (
        (FOLDER / f"base.{kind}").read_text() + (FOLDER / f"{name}.{kind}").read_text() for kind in ("css", "js")
    )
    return st.components.v2.component(f"atelier-{name}", html='<div class="atelier"></div>', css=css, js=js)


def data_url(data: bytes) -> str:
    """Return PNG, WebP or JPEG bytes as a data URL."""
    kind = "png" if data.startswith(b"\x89PNG") else "webp" if data.startswith(b"RIFF") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def tag(data: bytes | str) -> str:
    """Return a short name for a content: the browser loads a picture again only when its tag changes."""
    return hashlib.sha1(data.encode() if isinstance(data, str) else data, usedforsecurity=False).hexdigest()[:12]


def mount(
    component: ComponentRenderer,
    *,
    key: str,
    data: Mapping[str, Any],
    hears: Mapping[str, Callable[..., None]],
    returns: Sequence[str] = (),
) -> Any:
    """Mount a component and return its answer, which has an attribute for each event in `returns`, None without one.

    The handlers in `hears` are called with what their events sent, before the next run of the surrounding fragment.
    Messages in quick succession cut runs short. After a run that ended before it came to the component, Streamlit calls
    back with empty hands; what was sent comes with the answer, and the page is then run once more.
    """

    def hear(event: str) -> Callable[[], None]:
        def call() -> None:
            message = st.session_state.get(key, {}).get(event)
            if message is not None:
                st.session_state[f"{key}-heard"] = {**st.session_state.get(f"{key}-heard", {}), event: message}
                hears[event](message)

        return call

    callbacks: dict[str, Any] = {f"on_{event}_change": hear(event) for event in hears}
    # Streamlit lists an event in the answer only where a callback is named.
    callbacks |= {f"on_{event}_change": _do_nothing for event in returns}
    answer = component(key=key, data=dict(data), **callbacks)
    heard = st.session_state.pop(f"{key}-heard", {})
    late = {event: answer[event] for event in hears if answer[event] is not None and answer[event] != heard.get(event)}
    for event, message in late.items():
        hears[event](message)
    if late:
        st.rerun()
    return answer


def _do_nothing() -> None:
    """Stand where a callback has to be named."""
