"""The Drop page without a browser: the form, its preview, the job, the check."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.latents.favourites import add_favourite
from ganlib.latents.recipes import Recipe
from ganlib.models.checkpoints import change_card, list_checkpoints
from tests.pages.conftest import snippets


def open_page(repository: Path, **query: str) -> AppTest:
    app = AppTest.from_file(str(repository / "pages" / "drop.py"), default_timeout=180)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def shown(app: AppTest) -> str:
    assert not app.exception, app.exception
    texts = (*app.markdown, *app.caption, *app.error, *app.warning, *app.success, *snippets(app))
    return " | ".join(element.value for element in texts).replace("\\", "")


def finish(root: Path) -> runs.RunDir:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        (run,) = runs.list_runs(root, verb="nft")
        if run.state not in ("queued", "running"):
            return run
        time.sleep(0.3)
    raise AssertionError("the collection took too long")


@pytest.fixture
def model(checkpoints):
    (found,), _ = list_checkpoints(checkpoints)
    return change_card(found.path, licence="CC0-1.0")


def test_a_collection_is_previewed_made_checked_and_removed(repository, model, tmp_path):
    app = open_page(repository, seeds="0-11")
    app.number_input(key="drop-count").set_value(4)
    app.slider(key="drop-floor").set_value(0.0)
    app.text_input(key="drop-collection").set_value("Plums & pears").run()
    assert "4 pieces" in shown(app).replace("**", "") and "--seeds 0-11" in shown(app)
    app.button(key="drop-start").click().run()
    run = finish(tmp_path / "runs")
    assert run.state == "done", run.log_tail()
    item = json.loads((run.path / "drop" / "metadata" / "3.json").read_text())
    assert item["name"] == "Plums & pears #3"
    app = open_page(repository, seeds="0-11")
    app.segmented_control(key="drop-view").set_value("Collections").run()
    assert "Plums & pears" in shown(app) and "Provenance hash" in shown(app)
    app.button(key=f"check-{run.path.name}").click().run()
    assert "as it should be" in shown(app) and "expects a symbol" in app.warning[0].value.replace("\\", "")
    (run.path / "drop" / "images" / "2.png").write_bytes(b"torn")
    app.button(key=f"check-{run.path.name}").click().run()
    assert app.error and "2" in app.error[0].value
    app.button(key=f"remove-{run.path.name}").click().run()
    assert not run.path.exists() and not app.exception


def test_favourites_can_be_the_source(repository, model):
    for seed in (3, 5, 8):
        add_favourite(model.folder, Recipe.of_seed(seed, psi=0.7))
    app = open_page(repository)
    app.segmented_control(key="drop-source").set_value("Favourites").run()
    app.number_input(key="drop-count").set_value(0)
    app.slider(key="drop-floor").set_value(0.0).run()
    assert "3 pieces" in shown(app).replace("**", "") and "--favourites all" in shown(app)


def test_the_number_of_pieces_follows_what_is_there_and_the_button_says_why_it_cannot(repository, model):
    for seed in range(12):
        add_favourite(model.folder, Recipe.of_seed(seed, psi=0.7))
    app = open_page(repository)
    count = app.number_input(key="drop-count")
    assert count.value == 20 and not app.button(key="drop-start").disabled
    app.segmented_control(key="drop-source").set_value("Favourites").run()
    count = app.number_input(key="drop-count")
    assert count.value is None and count.placeholder == "all 12 that pass"
    app.slider(key="drop-floor").set_value(0.0).run()
    assert "12 pieces" in shown(app).replace("**", "") and not app.button(key="drop-start").disabled
    app.number_input(key="drop-count").set_value(20).run()
    assert app.button(key="drop-start").disabled and "20 pieces of 12 different candidates" in shown(app)
    app.number_input(key="drop-count").set_value(12)
    app.slider(key="drop-floor").set_value(1.0).run()  # what only a look at the pictures tells
    assert app.button(key="drop-start").disabled and "pieces where 12 were asked for" in shown(app)
    app.segmented_control(key="drop-source").set_value("Seeds")
    app.slider(key="drop-floor").set_value(0.0).run()
    assert app.number_input(key="drop-count").value == 12, "what was chosen by hand stays"
    app.text_input(key="drop-seeds").set_value("1-3").run()
    assert app.button(key="drop-start").disabled and "12 pieces of 3" in shown(app)
    app.number_input(key="drop-count").set_value(None).run()
    assert not app.button(key="drop-start").disabled and "3 pieces" in shown(app).replace("**", "")


def test_a_link_with_a_few_seeds_opens_with_all_of_them(repository, model):
    app = open_page(repository, seeds="0-11")
    count = app.number_input(key="drop-count")
    assert count.value is None and count.placeholder == "all 12 that pass"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("drop-seeds", "nine", "seed"),
        ("drop-name", "{wings}", "unknown word"),
        ("drop-collection", " ", "has no name"),
        ("drop-base", "ftp://x", "no base address"),
    ],
)
def test_what_cannot_be_is_told_and_the_page_lives(repository, model, key, value, words):
    app = open_page(repository)
    app.text_input(key=key).set_value(value).run()
    assert words in shown(app)
    app.text_input(key=key).set_value("1-3" if key == "drop-seeds" else "{collection}" if "name" in key else "A").run()
    assert not app.exception


def test_a_model_that_may_not_be_sold_warns_and_asks(repository, model, tmp_path):
    change_card(model.path, licence="CC-BY-NC-4.0")
    app = open_page(repository, seeds="0-5")
    app.number_input(key="drop-count").set_value(2).run()
    assert app.warning and not app.checkbox(key="drop-unsold").value
    assert app.button(key="drop-start").disabled and app.error
    app.checkbox(key="drop-unsold").set_value(True).run()
    assert not app.button(key="drop-start").disabled and not app.error
    app.button(key="drop-start").click().run()
    assert finish(tmp_path / "runs").state == "done"
