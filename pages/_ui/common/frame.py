"""What every page stands in: the title, the navigation, the look, and errors told in sentences."""

import importlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ganlib.base.errors import GanlibError
from ganlib.compute.device import tune_allocator

NAME = "Latent Atelier"
PAGES = Path(__file__).resolve().parents[2]
STYLE = Path(__file__).with_name("style.css")
# Once in a session: the browser widens the page and loads the style while nothing is on it yet that could jump.
DRESSING_SECONDS = 0.35
MARK = Path(__file__).with_name("mark.svg")
GALLERY, EXPLORE, MORPH, PROJECT, DROP, DATASETS, TRAIN, EVALUATE, MODELS = (
    str(PAGES / f"{name}.py")
    for name in ("gallery", "explore", "morph", "project", "drop", "datasets", "train", "evaluate", "models")
)
UPSCALE, COMPARE = (str(PAGES / f"{name}.py") for name in ("upscale", "compare"))
# Home by itself; the other pages by what a person comes for, each section in the order of the work.
SECTIONS = {
    "": {"Gallery": GALLERY},
    "Create": {"Explore": EXPLORE, "Morph": MORPH, "Project": PROJECT, "Upscale": UPSCALE, "Drop": DROP},
    "Library": {"Models": MODELS, "Data sets": DATASETS},
    "Train": {"Train": TRAIN, "Evaluate": EVALUATE, "Compare": COMPARE},
}

_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)")
# What Streamlit replaces in text that is no Markdown: icons, and signs that stand alone.
_REPLACED = re.compile(r":(?=[A-Za-z_])|(?<!\S)(?:<->|<-|->|--|>=|<=|~=)(?!\S)")
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ADDRESS = re.compile(r"https?(?=:)|www(?=\.)|@", re.IGNORECASE)
WORD_JOINER = "\u2060"
_inside_app = ContextVar("_inside_app", default=False)


def run_app() -> None:
    """Run the page that the address names; the body of app.py."""
    # At once: a page that begins narrow would jump when it widens.
    st.set_page_config(page_title=NAME, page_icon=MARK, layout="wide")
    page = _navigation()
    with st.empty():  # there in every run: parts that move by a place are mounted anew and forget what was done
        if "torch" not in sys.modules:  # the first visitor after a start waits for it, and sees that something happens
            st.html(STYLE)
            with st.spinner("Opening the studio …"):
                importlib.import_module("ganlib.render.renderer")
    token = _inside_app.set(True)
    try:
        page.run()
    finally:
        _inside_app.reset(token)


def _navigation() -> Any:
    pages = {
        section: [
            st.Page(path, title=title, url_path=Path(path).stem if path != GALLERY else None, default=path == GALLERY)
            for title, path in titles.items()
        ]
        for section, titles in SECTIONS.items()
    }
    return st.navigation(pages, position="top")


def open_page(title: str) -> DeltaGenerator:
    """Begin a page: its name, the look of the house, its heading. The first line of every page.

    Returns the row of the heading, where a page puts what belongs to the whole of it.

    With a `pages/` folder Streamlit can run a page without app.py, on the first deep link after a restart. The
    navigation is then told from here, and the page begins again inside the app: its parts have other names there, and
    would be mounted anew, forgetting what was done, when app.py runs at the first click.
    """
    st.set_page_config(page_title=f"{title} · {NAME}", page_icon=MARK, layout="wide")
    if not _inside_app.get():
        _navigation()
        if not st.session_state.get("is-inside-app"):
            st.session_state["is-inside-app"] = True
            st.rerun()
    _prepare_process()
    st.html(STYLE)
    st.html(_theme_style(st.context.theme.type or "light") + _section_style(title))
    if not st.session_state.get("is-dressed"):
        st.session_state["is-dressed"] = True
        time.sleep(DRESSING_SECONDS)
    heading = st.container(horizontal=True, vertical_alignment="center", key="heading")
    heading.title(plain(title), anchor=False)
    return heading


def _theme_style(theme: str) -> str:
    """What style.css needs of the theme: its paper and its line, for what lies over other things."""
    paper, line = (st.get_option(f"theme.{theme}.{name}Color") for name in ("background", "border"))
    # The dark theme's accent is light: white on it has a contrast of 3.3 : 1, ink 5.6 : 1.
    ink = '[data-testid="stBaseButton-primary"] { color: #161412; }' if theme == "dark" else ""
    return f"<style>:root {{ --paper: {paper}; --line: {line}; }} {ink}</style>"


def _section_style(title: str) -> str:
    """Mark the section that a page is in; Streamlit marks only the page, in a menu that is closed."""
    place = next((i for i, titles in enumerate(SECTIONS.values(), 1) if title in titles), 0)
    button = f'[data-testid="stTopNav"] > :nth-child({place}) > [data-testid="stTopNavSection"]'
    return f"<style>{button} {{ background: rgba(192, 178, 150, 0.25); }} {button} p {{ font-weight: 600; }}</style>"


@st.cache_resource
def _prepare_process() -> bool:
    """Keep freed memory for the next picture; once in the life of the server."""
    return tune_allocator()


def show_error(error: GanlibError) -> None:
    """Say what is wrong and what to do now."""
    st.error(sentences(error.message, error.hint), icon=":material/error:")


def sentences(*parts: str) -> str:
    """Return parts as sentences: a capital at the beginning, a stop at the end; Markdown is shown as it is.

    The library's words name options as flags; a form has them by name. Whole commands stay as they are."""
    whole = []
    for part in filter(str.strip, parts):
        if "python -m" not in part:
            part = _FLAG.sub(lambda flag: flag[1].replace("-", " "), part)
        first = part.split(maxsplit=1)[0]  # a file name keeps its small letter
        opening = part[:1].upper() if first.isalpha() else part[:1]
        whole.append(opening + part[1:] + ("" if part.endswith((".", "!", "?", ":")) else "."))
    return plain(" ".join(whole))


def plain(text: str) -> str:
    """Return text that Streamlit's Markdown shows as it is.

    Addresses in it would become links, `:material/alarm:` an icon and `->` an arrow, escaped or not: an invisible
    joiner keeps them from that. What turns the direction of writing round is left out, and
    lines are joined: a name in two lines would end the table or the bold words that it stands in."""
    text = _TURNS.sub("", " ".join(text.splitlines()))
    text = _ADDRESS.sub(lambda sign: f"{sign[0]}{WORD_JOINER}", text)
    text = _REPLACED.sub(lambda sign: f"{sign[0][0]}{WORD_JOINER}{sign[0][1:]}", text)
    for character in "\\`*_{}[]()<>#+-.!|$~:&=":
        text = text.replace(character, f"\\{character}")
    return text


@contextmanager
def error_boundary() -> Iterator[None]:
    """Show a GanlibError raised inside as its message and hint; what follows the block goes on."""
    try:
        yield
    except GanlibError as error:
        show_error(error)


def is_left() -> bool:
    """The `should_stop` of long work that a page begins: it ends where the person went elsewhere, or closed the page.

    Streamlit ends a run that nobody waits for only where the page touches it, by an exception of its own: here."""
    st.session_state.get("is-dressed")
    return False


def fragment(*, every: float | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a fragment, which its own controls rerun alone, and tell its errors.

    `every`: seconds after which it runs again by itself; None for never.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def told(*arguments: Any) -> None:
            with error_boundary():
                function(*arguments)

        return st.fragment(told, run_every=every)

    return decorate


def download(
    label: str,
    name: str,
    data: Callable[[], bytes],
    *,
    icon: str = "download",
    help: str | None = None,
    width: Literal["content", "stretch"] = "content",
    key: str | None = None,
) -> None:
    """Show a button that makes a file when it is clicked and hands it over as `name`; buttons of one name need keys."""
    st.download_button(
        plain(label),
        data,
        name,
        icon=f":material/{icon}:",
        help=help,
        key=key or f"download-{name}",
        on_click="ignore",
        width=width,
    )


def empty_state(
    sentence: str,
    picture: bytes | None,
    button: str,
    on_click: Callable[[], None] | None = None,
    *,
    to: str | None = None,
    query: Mapping[str, str] | None = None,
) -> None:
    """Show what a place is for while there is nothing in it yet: one sentence, one picture, one button.

    It leads `to` another page (with the parameters in `query`), or does what `on_click` says."""
    with st.container(key="empty-state", horizontal_alignment="center"):
        if picture is not None:
            st.image(picture, width=192)
        st.markdown(sentence, text_alignment="center")
        if st.button(plain(button), type="primary", on_click=on_click) and to is not None:
            st.switch_page(to, query_params=dict(query or {}))
