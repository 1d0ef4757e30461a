"""Every field that asks for an option has the option's limits, choices and first value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking import agreed
from streamlit.testing.v1 import AppTest

from ganlib.base.options import facts_of, title_of
from pages._ui.common import fields
from tests.metrics.test_metrics import write_set

BEGINS_ELSEWHERE = {"drop-psi", "drop-floor", "drop-count", "find-count"}
"""Where a page begins with another value than a terminal: what a person looks at first is not what a script wants."""
LOWER = {"drop-count": 0}
"""Ends that a page reads in its own way: 0 pieces are all."""


@pytest.fixture
def asked(monkeypatch) -> dict[str, tuple[Any, str]]:
    """Key of a field → the options that it asks for, as pages are shown."""
    found: dict[str, tuple[Any, str]] = {}
    stated = fields.facts_and_default

    def noting(options: Any, name: str, key: str | None = None) -> Any:
        if key:
            found[key] = options, name
        return stated(options, name, key)

    monkeypatch.setattr(fields, "facts_and_default", noting)
    return found


@pytest.mark.parametrize(
    ("page", "query", "fewest"),
    [("drop", {}, 8), ("explore", {}, 2), ("evaluate", {}, 3), ("train", {"preset": "cpu"}, 25),
     ("compare", {"view": "copies"}, 1), ("compare", {"view": "statistics"}, 1)],
)  # fmt: skip
def test_fields_say_what_the_options_state(repository, checkpoints, tmp_path, monkeypatch, asked, page, query, fewest):
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    data = write_set(tmp_path / "data" / "set.zip")
    app = AppTest.from_file(str(Path(repository) / "pages" / f"{page}.py"), default_timeout=180)
    for key, value in ({"data": str(data), "model": "tiny"} | query).items():
        app.query_params[key] = value
    agreed(app.run())
    if page == "explore":
        app.segmented_control(key="workshop").set_value("Directions").run()
    assert not app.exception
    number = 0
    for field in (*app.number_input, *app.slider, *app.selectbox, *app.text_input, *app.toggle):
        if field.key not in asked:
            continue
        number += 1
        options, name = asked[field.key]
        item = options.__dataclass_fields__[name]
        facts = facts_of(item)
        if field.type in ("number_input", "slider"):
            low, high = fields.limits_of(facts)
            if field.type == "slider" and facts.usual:
                assert low <= facts.usual[0] < facts.usual[1] <= high
                low, high = facts.usual
            least = LOWER.get(field.key, low)
            assert least is None or field.min == least, field.key
            assert high is None or field.max == high, field.key
        if field.type == "text_input" and facts.longest is not None:
            assert field.max_chars == facts.longest, field.key
        if field.type == "selectbox":
            assert field.options == [title_of(facts.choices, choice) for choice in facts.choices], field.key
        if (
            page not in ("train", "evaluate") and field.key not in BEGINS_ELSEWHERE
        ):  # they begin as a preset or link says
            assert field.value == item.default, field.key
    assert number >= fewest, number


def test_a_value_of_an_address_beyond_the_limits_is_shown_and_refused_in_words(repository, checkpoints, tmp_path):
    (tmp_path / "data").mkdir()
    data = write_set(tmp_path / "data" / "set.zip")
    app = AppTest.from_file(str(Path(repository) / "pages" / "train.py"), default_timeout=180)
    app.query_params["data"], app.query_params["resume_kimg"] = str(data), "-3"
    agreed(app.run())
    assert not app.exception
    assert "is not possible" in " ".join(error.value for error in app.error)
