"""The pages without a browser: they run alone and inside the app, and tell errors in sentences."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.latents.favourites import add_favourite
from ganlib.latents.recipes import Recipe
from ganlib.models.checkpoints import read_card, save_snapshot
from ganlib.networks import tiny_generator
from pages._ui.common.frame import SECTIONS, sentences
from pages._ui.explore.history import groups_of
from tests.pages.conftest import snippets

PAGES = ("gallery", "explore", "morph")


def open_app(repository: Path, page: str = "gallery", **query: str) -> AppTest:
    app = AppTest.from_file(str(repository / "pages" / f"{page}.py"), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def told(app: AppTest) -> str:
    assert not app.exception, app.exception
    return " | ".join(element.value for element in (*app.error, *app.warning)).replace("\\", "")


def test_every_page_stands_in_one_section_of_the_navigation(repository):
    told_of = [Path(path).stem for titles in SECTIONS.values() for path in titles.values()]
    assert sorted(told_of) == sorted(path.stem for path in (repository / "pages").glob("[a-z]*.py"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_without_app_py(repository, checkpoints, page):
    app = open_app(repository, page)
    assert told(app) == ""
    assert app.title[0].value == page.title()


def test_the_app_opens_the_gallery(repository, checkpoints):
    app = AppTest.from_file(str(repository / "pages" / "_ui" / "common" / "entrance.py"), default_timeout=60).run()
    assert told(app) == ""
    assert app.title[0].value == "Gallery"


@pytest.mark.parametrize("page", PAGES)
def test_without_a_model_a_page_says_how_to_get_one(repository, tmp_path, monkeypatch, page):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path / "nothing"))
    app = open_app(repository, page)
    assert not app.exception
    assert "No model yet" in app.markdown[0].value and "ganlib train" in snippets(app)[0].value
    assert [button.label for button in app.button] == ["Open a model", "Look again"]


def test_a_damaged_model_is_named_and_the_others_work(repository, checkpoints):
    (checkpoints / "broken.safetensors").write_bytes(b"\x00" * 5)
    app = open_app(repository)
    assert "broken.safetensors has 5 bytes" in told(app)
    assert app.text_input(key="seeds").value == "0-23"


def test_an_unknown_model_in_the_address_is_told_and_another_shown(repository, checkpoints):
    app = open_app(repository, "explore", model="../../etc/passwd")
    assert "There is no model called ../../etc/passwd. Available: tiny." in told(app)
    assert told(app.run()) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [("-1", "Seeds are whole numbers"), ("6625-6600", "Write 6600-6625"), ("nan", "'nan' is no seed"), ("", "no seed")],
)
def test_bad_seeds_leave_the_wall_as_it_was(repository, checkpoints, text, words):
    app = open_app(repository, show="5-7")
    app.text_input(key="seeds").set_value(text).run()
    assert words in told(app)
    assert app.session_state["gallery"].view.seeds == "5-7"
    app.text_input(key="seeds").set_value("8").run()
    assert told(app) == "" and app.session_state["gallery"].view.seeds == "8"


@pytest.mark.parametrize(
    ("query", "words", "field"),
    [
        ({"show": "6625-6600"}, "Write 6600-6625", "6625-6600"),
        ({"show": "nan"}, "'nan' is no seed", "nan"),
        ({"show": "4-6", "psi": "nan"}, "Psi nan is not between", "4-6"),
        ({"show": "4-6", "label": "x"}, "no whole number", "4-6"),
    ],
)
def test_a_bad_link_to_the_gallery_is_told_once_and_shows_a_wall(repository, checkpoints, query, words, field):
    app = open_app(repository, **query)
    assert words in told(app) and len(app.error) == 1
    assert app.text_input(key="seeds").value == field
    assert app.session_state["gallery"].view.seeds == ("4-6" if field == "4-6" else "0-23")
    app.text_input(key="seeds").set_value("0-5").run()
    assert app.session_state["gallery"].view.seeds == "0-5"


@pytest.mark.parametrize("bad", [{"fps": "nan"}, {"seconds": "nan"}, {"shape": "3:1"}])
def test_a_bad_choice_in_a_link_leaves_the_keyframes(repository, checkpoints, bad):
    app = open_app(repository, "morph", k="seeds=5@1~seeds=6@1", **bad)
    assert "is no" in told(app) and len(app.error) == 1
    assert len(app.session_state["track"].keyframes) == 2
    assert "is no keyframe" in told(open_app(repository, "morph", k="seeds=5@nan"))


def test_the_gallery_steps_through_seeds_and_back(repository, checkpoints):
    app = open_app(repository, show="100-111")
    app.button(key="seeds-after").click().run()
    assert app.text_input(key="seeds").value == "112-123"
    app.button(key="seeds-before").click().run()
    assert app.text_input(key="seeds").value == "100-111"
    app.button(key="seeds-shuffle").click().run()
    assert len(app.text_input(key="seeds").value.split(",")) == 24


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"seeds": "x"}, "no whole number"),
        ({"seeds": "1", "psi": "nan"}, "Psi nan is not between"),
        ({"seeds": "1", "label": "7"}, "Left out: class 7"),
        ({"seeds": "1", "mix": "40:3"}, "Left out: styles beyond"),
        ({"seeds": "1", "base": "../x"}, "is no name"),
        ({"seeds": "1", "edits": "smile:2"}, "directions that this model does not have"),
    ],
)
def test_a_bad_link_is_explained_and_the_page_lives(repository, checkpoints, query, words):
    app = open_app(repository, "explore", model="tiny", **query)
    assert words in told(app)
    assert any(button.label == "Reset" for button in app.button)
    next(button for button in app.button if button.label == "Reset").click().run()
    assert "No direction" not in told(app)


def test_explore_reads_the_recipe_in_its_address(repository, checkpoints):
    app = open_app(repository, "explore", model="tiny", seeds="85:0.25,12:0.75", psi="0.5", noise="none")
    assert told(app) == ""
    assert app.session_state["bench"].recipe == Recipe(((85, 0.25), (12, 0.75)), psi=0.5, noise_mode="none")
    next(button for button in app.button if button.label == "Reset").click().run()
    assert app.session_state["bench"].recipe == Recipe.of_seed(85, psi=0.7)


def test_a_link_moves_and_turns_the_picture_of_a_model_that_can(repository, checkpoints):
    save_snapshot(checkpoints / "mover.safetensors", G_ema=tiny_generator("stylegan3"), title="Mover")
    app = open_app(repository, "explore", model="mover", seeds="85", translate="0.25,-0.5", rotate="30")
    assert told(app) == ""
    assert app.session_state["bench"].recipe == Recipe.of_seed(85, translate=(0.25, -0.5), rotate=30)
    still = open_app(repository, "explore", model="tiny", seeds="85", rotate="30")
    assert "Left out: the picture's place" in told(still)


def test_the_heart_keeps_a_recipe_beside_its_model(repository, checkpoints):
    app = open_app(repository, "explore", model="tiny", seeds="85")
    app.button(key="keep").click().run()
    kept = json.loads((checkpoints / "tiny" / "favourites.json").read_text())["favourites"]
    assert [row["recipe"]["seeds"] for row in kept] == [[[85, 1.0]]]
    assert app.button(key="keep").label == "Kept"
    app.button(key="keep").click().run()
    assert json.loads((checkpoints / "tiny" / "favourites.json").read_text())["favourites"] == []


def test_a_damaged_list_of_favourites_is_told_and_left_alone(repository, checkpoints):
    (checkpoints / "tiny").mkdir()
    (checkpoints / "tiny" / "favourites.json").write_text("{")
    for page in PAGES:
        assert "favourites.json is damaged" in told(open_app(repository, page))
    app = open_app(repository, "explore", seeds="1")
    app.button(key="keep").click().run()
    assert "favourites.json is damaged" in told(app)
    assert (checkpoints / "tiny" / "favourites.json").read_text() == "{"


def test_favourites_are_a_tab_of_the_gallery(repository, checkpoints):
    add_favourite(checkpoints / "tiny", Recipe.of_seed(7))
    app = open_app(repository)
    assert app.segmented_control(key="tab").options == ["All", "Favourites 1", "Selection"]
    app.segmented_control(key="tab").set_value("Selection").run()
    assert "Nothing selected yet" in " ".join(element.value for element in app.markdown)


def test_morph_begins_with_examples_and_reads_its_address(repository, checkpoints):
    app = open_app(repository, "morph")
    assert "A film goes from picture to picture" in " ".join(element.value for element in app.markdown)
    next(button for button in app.button if button.label == "Begin with three pictures").click().run()
    assert [k.recipe.seeds[0][0] for k in app.session_state["track"].keyframes] == [1, 2, 3]
    assert any("180 frames" in caption.value for caption in app.caption)

    app = open_app(repository, "morph", k="seeds=5&psi=0.7@1.5~seeds=6@2")
    assert [k.seconds for k in app.session_state["track"].keyframes] == [1.5, 2.0]
    for bad in ("seeds=5", "seeds=5@x", "seeds=x@2", "~"):
        assert told(open_app(repository, "morph", k=bad)) != "", bad


def test_too_many_or_bad_keyframes_are_explained(repository, checkpoints):
    app = open_app(repository, "morph", k="seeds=5@1~seeds=6@1")
    for text, words in (("-1", "Seeds are whole numbers"), ("1-500", "At most 60")):
        app.text_input(key="morph-add").set_value(text).run()
        assert words in told(app)
        assert len(app.session_state["track"].keyframes) == 2


@pytest.mark.parametrize(
    ("state", "words"),
    [("lost", "its worker disappeared"), ("failed", "The disk is full. Free some."), ("stopped", "cancelled")],
)
def test_jobs_that_ended_badly_are_shown_with_resume(repository, checkpoints, tmp_path, state, words):
    run = runs.create_run(tmp_path / "runs", "video", "a <b>film</b>", {})
    status = {"state": "running" if state == "lost" else state, "message": "the disk is full", "hint": "Free some."}
    runs.write_json(run.path / "status.json", status)
    os.utime(run.path / "job.json", (1, 1))
    app = open_app(repository, "morph")
    shown = " ".join(element.value for element in (*app.markdown, *app.error)).replace("\\", "")
    assert words in shown and "a <b>film</b>" in shown
    labels = [button.label for button in app.button]
    assert labels.count("Resume") == labels.count("Remove") == 1 and "Cancel" not in labels
    next(button for button in app.button if button.label == "Remove").click().run()
    assert not run.path.exists()
    assert "Remove" not in [button.label for button in app.button]


def test_a_film_that_was_cancelled_says_so_at_once(repository, checkpoints, tmp_path):
    run = runs.create_run(tmp_path / "runs", "video", "a film", {})  # no worker has come yet: it is queued
    app = open_app(repository, "morph")
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert any("cancelling" in element.value for element in app.markdown)
    assert [button.disabled for button in app.button if button.label == "Cancel"] == [True]
    assert run.state == "queued"


def test_every_choice_of_a_film_is_read_from_the_address(repository, checkpoints):
    choices = {"fps": "25", "curve": "slerp", "loop": "0", "size": "512", "format": "gif", "shape": "4:5"}
    app = open_app(repository, "morph", k="seeds=5@1.5~seeds=6@1.5", ground="#ffffff", **choices)
    assert told(app) == ""
    assert app.number_input(key="seconds").value == 1.5
    assert [app.selectbox(key=key).value for key in ("fps", "size", "format", "shape")] == [25, 512, "gif", "4:5"]
    assert app.selectbox(key="ground").value == "#ffffff"
    assert app.segmented_control(key="curve").value == "slerp" and app.toggle(key="loop").value is False
    assert any("512 × 640" in caption.value for caption in app.caption)
    app.selectbox(key="fps").set_value(50).run()
    assert app.session_state["film"].fps == 50
    assert "'7' is no fps" in told(open_app(repository, "morph", fps="7"))


def test_seconds_follow_the_keyframes_of_a_link_and_set_them_all(repository, checkpoints):
    app = open_app(repository, "morph", k="seeds=5@1~seeds=6@3")
    assert app.number_input(key="seconds").value is None  # they differ
    app.number_input(key="seconds").set_value(0.5).run()
    assert [keyframe.seconds for keyframe in app.session_state["track"].keyframes] == [0.5, 0.5]
    app.text_input(key="morph-add").set_value("9").run()
    assert [keyframe.seconds for keyframe in app.session_state["track"].keyframes] == [0.5, 0.5, 0.5]


def test_export_submits_a_job_that_makes_the_film(repository, checkpoints, tmp_path):
    app = open_app(repository, "morph", k="seeds=5@0.5~seeds=6@0.5")
    next(button for button in app.button if button.label == "Export the film").click().run()
    assert told(app) == ""
    (run,) = runs.list_runs(tmp_path / "runs", verb="video")
    deadline = time.monotonic() + 60
    while run.state in ("queued", "running") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert run.state == "done", run.log_tail()
    assert [path.name for path in run.artefacts] == ["morph.mp4"]
    app.run()
    assert "Finished films" in [element.value for element in app.subheader]


def test_a_model_with_classes_offers_them_and_a_link_names_one(repository, checkpoints, tiny_labelled_model):
    shutil.copy(tiny_labelled_model, checkpoints)
    app = open_app(repository, model="tiny-labelled", show="1-3", label="2")
    assert told(app) == ""
    assert app.session_state["gallery"].view.label == 2
    kind = next(box for box in app.selectbox if box.label == "Kind")
    assert kind.options == ["any", "0", "1", "2"]
    app = open_app(repository, "explore", model="tiny-labelled", seeds="1", label="2")
    assert told(app) == "" and app.session_state["bench"].recipe.label == 2
    app = open_app(repository, "morph", model="tiny-labelled", k="seeds=5&label=1@1~seeds=6&label=2@1")
    assert told(app) == ""


def test_classes_have_names_and_are_shown_in_turn_where_none_is_chosen(repository, checkpoints):
    G = tiny_generator(label_dim=2)
    save_snapshot(checkpoints / "two.safetensors", G_ema=G, classes=("monet", "vangogh"))
    app = open_app(repository, model="two", show="1-3")
    kind = next(box for box in app.selectbox if box.label == "Kind")
    assert kind.options == ["any", "monet", "vangogh"]
    wall = app.session_state["gallery"]
    assert [recipe.label for recipe in wall.view.recipes(read_card(checkpoints / "two.safetensors"))] == [1, 0, 1]
    for wanted in (1, 0, 1, None, 0):
        box = next(box for box in app.selectbox if box.label == "Kind")
        box.set_value(wanted).run()
        assert app.session_state["gallery"].view.label == wanted, "every change counts"
        box = next(box for box in app.selectbox if box.label == "Kind")
        assert box.value == wanted
    for wanted in ("colour", "likeness", "", "colour"):
        next(box for box in app.selectbox if box.label == "Order").set_value(wanted).run()
        assert app.session_state["gallery"].view.order == wanted
    for wanted in (4, 8, 5):
        next(each for each in app.slider if each.label == "Columns").set_value(wanted).run()
        assert app.session_state["gallery"].view.columns == wanted
    app = open_app(repository, "explore", model="two")
    assert app.session_state["bench"].recipe.label == 0 and told(app) == ""
    groups = groups_of(G.spec, classes=("monet", "vangogh"))
    options = [control.options for group in groups for control in group.controls if control.id == "label"]
    assert options == [((None, "none"), (0, "monet"), (1, "vangogh"))]


def test_changing_the_model_keeps_the_recipe_as_far_as_it_fits(repository, checkpoints, tiny_labelled_model):
    shutil.copy(tiny_labelled_model, checkpoints)
    app = open_app(repository, "explore", model="tiny-labelled", seeds="9", label="2", psi="0.4")
    app.selectbox[0].set_value("tiny").run()
    assert told(app) == ""
    assert app.session_state["bench"].recipe == Recipe.of_seed(9, psi=0.4)


def test_flags_in_errors_become_names_of_fields_but_commands_stay():
    assert sentences("too long", "use a smaller --batch-gpu").replace("\\", "") == "Too long. Use a smaller batch gpu."
    words = "make one with `python -m ganlib prepare --dest F.zip`"
    assert "--dest F.zip" in sentences(words).replace("\\", "")
