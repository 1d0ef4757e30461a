"""How a component gets from its files into the page."""

import base64
import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

FOLDER = Path(__file__).parent
MOST_TEXT = 10_000  # letters in one text of a message
MOST_THINGS = 10_000  # in one list of a message
LARGEST = 2**53  # numbers of the browser are whole up to here
Shape = Any
"""What a message must be: `str`, `bool`, `int`, `float` (whole or not, finite), `object` (any of them, or nothing),
`[shape]` for a list, `{name: shape}` for an object that has at least these names, `dict` for one with any names."""
Hears = Mapping[str, tuple[Shape, Callable[[Any], None]]]


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


def fits(message: Any, shape: Shape) -> bool:
    """Whether a message has a shape. Anybody can send anything in the place of what our JavaScript sends."""
    if isinstance(shape, dict):
        return isinstance(message, dict) and all(fits(message.get(name), part) for name, part in shape.items())
    if isinstance(shape, list):
        is_list = isinstance(message, list) and len(message) <= MOST_THINGS
        return is_list and all(fits(part, shape[0]) for part in message)
    if shape is object:
        return message is None or any(fits(message, kind) for kind in (str, bool, float))
    if shape is float or shape is int:
        is_number = isinstance(message, int | float) and not isinstance(message, bool)
        is_kind = shape is float or isinstance(message, int)
        return is_number and is_kind and abs(message) <= LARGEST and math.isfinite(message)
    return isinstance(message, shape) and not (isinstance(message, str | dict) and len(message) > MOST_TEXT)


def mount(
    component: ComponentRenderer,
    *,
    key: str,
    data: Mapping[str, Any],
    hears: Hears,
    returns: Mapping[str, Shape] | None = None,
) -> dict[str, Any]:
    """Mount a component and return what it answered for each event in `returns`, None without an answer.

    The handlers in `hears` are called with what their events sent, before the next run of the surrounding fragment.
    A message that has not the shape that stands beside its event is ignored: it did not come from our JavaScript.
    Messages in quick succession cut runs short. After a run that ended before it came to the component, Streamlit calls
    back with empty hands; what was sent comes with the answer, and the page is then run once more.
    """

    def handle(event: str, message: Any) -> None:
        shape, handler = hears[event]
        if fits(message, shape):
            handler(message)

    def hear(event: str) -> Callable[[], None]:
        def call() -> None:
            message = st.session_state.get(key, {}).get(event)
            if message is not None:
                st.session_state[f"{key}-heard"] = {**st.session_state.get(f"{key}-heard", {}), event: message}
                handle(event, message)

        return call

    callbacks: dict[str, Any] = {f"on_{event}_change": hear(event) for event in hears}
    # Streamlit lists an event in the answer only where a callback is named.
    returns = returns or {}
    callbacks |= {f"on_{event}_change": _do_nothing for event in returns}
    answer = component(key=key, data=dict(data), **callbacks)
    heard = st.session_state.pop(f"{key}-heard", {})
    late = {event: answer[event] for event in hears if answer[event] is not None and answer[event] != heard.get(event)}
    for event, message in late.items():
        handle(event, message)
    if late:
        st.rerun()
    return {event: answer[event] if fits(answer[event], shape) else None for event, shape in returns.items()}


def _do_nothing() -> None:
    """Stand where a callback has to be named."""
