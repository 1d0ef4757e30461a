"""No page reads the words of strangers as Markdown or HTML, and none ends in an error over them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from google.protobuf.message import Message
from streamlit.elements.lib import policies
from streamlit.testing.v1 import AppTest

from pages._ui.common.frame import WORD_JOINER
from tests.hostile_workspace import SIGNS, Workspace, make_workspace
from tests.pages.conftest import snippets

# What the browser shows as text: components write into text nodes, the others are plain in Streamlit.
TEXT_ELEMENTS = {"bidi_component", "code", "json", "text", "arrow_data_frame", "plotly_chart", "imgs"}
TEXT_FIELDS = {"options", "raw_value", "raw_values", "value", "default", "set_value", "placeholder", "id", "url",
               "element_id", "form_id", "key", "query_string"}  # fmt: skip
MARKDOWN_VALUES = {"radio", "button_group", "slider", "metric"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("hostile"))


def strings(message: Message, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text in a message of Streamlit, with the names of the fields that lead to it."""
    for field, value in message.ListFields():
        for one in value if field.is_repeated else [value]:
            if isinstance(one, Message):
                yield from strings(one, (*path, field.name))
            elif isinstance(one, str):
                yield (*path, field.name), one


def read_as_markdown(app: AppTest) -> list[str]:
    """Words of strangers that stand unescaped where Streamlit reads Markdown."""
    found = []
    for node in nodes(app._tree):
        proto = getattr(node, "proto", None)
        if not isinstance(proto, Message):
            continue
        kind = getattr(node, "type", "")
        if kind in TEXT_ELEMENTS:
            continue
        for path, text in strings(proto):
            is_text = path[-1] in TEXT_FIELDS and not (kind in MARKDOWN_VALUES and path[-1] in ("options", "content"))
            if not is_text and not TEXT_ELEMENTS & set(path):
                bare = re.sub(r"\\.", "", text)
                found += [f"{kind} {'.'.join(path)}: {text[:200]}" for sign in SIGNS if sign in bare][:1]
    return found


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in getattr(node, "children", {}).values():
        yield from nodes(child)


def test_words_of_strangers_are_plain_on_every_page(workspace, repository, monkeypatch):
    for name, value in workspace.environment.items():
        monkeypatch.setenv(name, value)
    st.cache_data.clear()
    said = list[str]()
    monkeypatch.setattr(policies, "_LOGGER", SimpleNamespace(warning=lambda words, key, **_: said.append(words % key)))
    wrong: dict[str, list[str]] = {}
    for page, query in workspace.addresses():
        app = AppTest.from_file(str(repository / "pages" / f"{page}.py"), default_timeout=120)
        for key, value in query.items():
            app.query_params[key] = value
        said.clear()
        monkeypatch.setattr(policies, "_shown_default_value_warning", False)  # else only once in a process
        app.run()
        complaints = [*said, *(each.value for each in snippets(app) if WORD_JOINER in each.value)]
        complaints += [f"{one.message} {one.stack_trace}" for one in app.exception] + read_as_markdown(app)
        if complaints:
            wrong[f"{page} {query}"] = complaints
    assert wrong == {}
