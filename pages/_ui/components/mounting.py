"""How a component gets from its files into the page."""

import base64
import hashlib
from pathlib import Path

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


def no_callback() -> None:
    """Do nothing: Streamlit lists an event in a component's answer only where a callback is named."""
