"""The Compare page without a browser: walls, quiz, copy check, verdicts, face-off, statistics."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from asking import agreed
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.base import workspace
from ganlib.compare import CopyCheck
from ganlib.compare.games import Sitting, answer, sit_down, sitting_of
from ganlib.compare.quiz import Play, begin_faceoff, begin_quiz
from ganlib.compare.votes import Game, keep_game
from ganlib.dataset import Dataset
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.models.checkpoints import list_checkpoints, save_snapshot
from ganlib.networks import tiny_generator
from pages._ui.compare.sets import RealSet, large_picture, real_picture
from pages._ui.compare.sides import _nearest
from tests.compare.conftest import write_set
from tests.pages.conftest import snippets


def open_page(repository: Path, **query: str) -> AppTest:
    app = AppTest.from_file(str(repository / "pages" / "compare.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    return agreed(app.run())


def shown(app: AppTest) -> str:
    assert not app.exception, app.exception
    boxes = (*app.error, *app.warning, *app.success, *app.info)
    texts = (*app.markdown, *app.caption, *boxes, *snippets(app), *app.subheader)
    return " | ".join(element.value for element in texts).replace("\\", "")


def finish(root: Path, verb: str) -> runs.RunDir:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        (run,) = runs.list_runs(root, verb=verb)
        if run.state not in ("queued", "running"):
            return run
        time.sleep(0.3)
    raise AssertionError("the job took too long")


@pytest.fixture
def data(checkpoints, tmp_path, monkeypatch) -> Path:
    """A set of 12 pictures where the page looks for sets."""
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
    return write_set(tmp_path / "data" / "reals", images.resize(coarse, 32, 32))


def play(app: AppTest, key: str) -> None:
    """Answer every round as the browser would."""
    while not (game := playing(app, key)).is_over:
        answer(workspace.runs_root(), app.session_state[key], game.at, "left", 1.0)
    app.run()


def playing(app: AppTest, key: str) -> Play:
    found = sitting_of(workspace.runs_root(), app.session_state[key])
    assert found is not None
    return found.play


def test_without_a_set_the_page_says_what_it_is_for(repository, checkpoints):
    app = open_page(repository)
    assert "copies of training pictures" in shown(app)
    assert [button.label for button in app.button] == ["Prepare a data set"]


def test_walls_of_one_layout_and_nearest_ones_need_a_check(repository, data):
    app = open_page(repository)
    assert "Real · 12 pictures" in shown(app) and "Generated · Tiny" in shown(app)
    app.segmented_control(key="sides-how").set_value("real").run()
    assert "run one of this model against this set" in shown(app)


def test_the_browsers_back_reaches_the_first_view(repository, data):
    app = open_page(repository)
    app.segmented_control(key="compare-view").set_value("quiz").run()
    assert app.session_state["compare-place"]["query"]["view"] == "quiz"
    app.session_state["compare-place"]["went"] = {"model": "tiny", "data": str(data)}
    app.run()
    assert app.session_state["compare-view"] == "sides" and "Generated · Tiny" in shown(app)
    app.session_state["compare-place"]["went"] = {"model": "tiny", "data": str(data), "view": "quiz"}
    app.run()
    assert app.session_state["compare-view"] == "quiz" and "One of these is real" in shown(app)


def test_a_quiz_is_played_kept_and_shown(repository, data, tmp_path):
    app = open_page(repository, view="quiz", data=str(data))
    app.segmented_control(key="quiz-rounds").set_value(5).run()
    app.button(key="quiz-begin").click().run()
    assert playing(app, "quiz").at == 0 and not app.exception
    play(app, "quiz")
    assert "In the last round the real one was on the " in shown(app)
    assert "of 5 right" in shown(app) and "95 % confidence" in shown(app)
    keep_game(tmp_path / "runs", Game("quiz", "other", "d", "reals", "", 20, 9, at="2026-01-01"))
    app.button(key="quiz-leave").click().run()
    assert "| other | reals | no limit | 1 | 20 | 55% | 34%–74% |" in shown(app)


def test_a_running_quiz_survives_a_reload_with_its_questions_answers_and_score(repository, data, tmp_path):
    app = open_page(repository, view="quiz", data=str(data))
    app.segmented_control(key="quiz-rounds").set_value(5).run()
    app.button(key="quiz-begin").click().run()
    before = playing(app, "quiz")
    for i, side in enumerate(("left", "right", "left")):
        answer(tmp_path / "runs", app.session_state["quiz"], i, side, 2.0)
    address = app.session_state["compare-place"]["query"]
    app = open_page(repository, **address)
    after = playing(app, "quiz")
    assert (after.rounds, after.answers, after.seconds) == (before.rounds, ("left", "right", "left"), 6.0)
    assert app.button(key="quiz-stop") and app.session_state["compare-place"]["query"] == address
    play(app, "quiz")
    app = open_page(repository, **address)
    assert "of 5 right" in shown(app), "the score too"
    app.button(key="quiz-leave").click().run()
    assert "game" not in app.session_state["compare-place"]["query"] and app.button(key="quiz-begin")


@pytest.mark.parametrize("name", ["../../secret", "0" * 16, "f" * 5000, "*", "\0", "", "<b>x</b>"])
def test_an_address_with_a_forged_game_shows_the_settings(repository, data, tmp_path, name):
    (tmp_path / "secret.json").write_text("{}")
    for view in ("quiz", "faceoff"):
        app = open_page(repository, view=view, data=str(data), game=name)
        assert not app.exception and not app.error and sitting_of(tmp_path / "runs", name) is None
        assert "game" not in app.session_state["compare-place"]["query"]


def test_a_game_of_another_set_model_or_kind_is_not_taken(repository, data, checkpoints, tmp_path):
    (model,), _ = list_checkpoints(checkpoints)
    play = begin_quiz(5, 50, seed=1)
    for sitting in (
        Sitting(play, model.digest, str(data)),  # of a set that was larger
        Sitting(play, model.digest, "/another/set"),
        Sitting(play, "another model", str(data)),
        Sitting(begin_faceoff(5), model.digest, str(data)),
    ):
        name = sit_down(tmp_path / "runs", sitting)
        app = open_page(repository, view="quiz", data=str(data), game=name)
        assert app.button(key="quiz-begin") and not app.exception and not app.error


def test_a_copy_check_runs_and_its_report_opens(repository, data, tmp_path):
    app = open_page(repository, view="copies")
    app.text_input(key="copies-seeds").set_value("nine").run()
    assert "seed" in shown(app)
    app.text_input(key="copies-seeds").set_value("0-5").run()
    assert "--seeds 0-5" in shown(app)
    app.button(key="copies-start").click().run()
    run = finish(tmp_path / "runs", "copies")
    assert run.state == "done", run.log_tail()
    app = open_page(repository, view="copies")
    assert "of 6 pictures" in shown(app) and "training pictures are from each other" in shown(app)
    app.toggle(key=f"open-{run.path.name}").set_value(True).run()
    assert not app.exception
    for how in ("real", "fake"):
        sides = open_page(repository)
        sides.segmented_control(key="sides-how").set_value(how).run()
        assert "Click a picture above" in shown(sides)
    app.button(key=f"remove-{run.path.name}").click().run()
    assert not run.path.exists() and not app.exception


def test_a_mirrored_match_is_shown_in_a_mirror(repository, data):
    reals = RealSet(str(data), 0, Dataset.open(data))
    for read in (real_picture, lambda *which: large_picture(*which[:2], 64, *which[2:])):
        straight, turned = (images.decode(read(reals, 3, mirrored)).astype(int) for mirrored in (False, True))
        assert np.abs(straight[:, ::-1] - turned).mean() < 4 < np.abs(straight - turned).mean()
    space = {"index": 2, "times": 0.4, "mirrored": True}
    rows = ({"recipe": Recipe.of_seed(5).to_dict(), "pixels": space, "features": space | {"times": 0.9}},)
    (pair,) = _nearest(CopyCheck(data, rows, {}, ()), "real", random.Random(0))
    assert (pair.real, pair.mirrored) == (2, True) and pair.words.endswith("0.40×")


def test_a_folder_is_checked_and_a_wrong_one_is_told(repository, data, tmp_path):
    app = open_page(repository, view="copies")
    app.segmented_control(key="copies-how").set_value("place").run()
    assert "no folder is named" in shown(app).lower()
    app.text_input(key="copies-place").set_value(str(tmp_path / "nowhere")).run()
    assert "there is no" in shown(app).lower()
    app.text_input(key="copies-place").set_value(str(data)).run()
    assert f"--source {data}" in shown(app)


def test_a_model_without_a_discriminator_has_no_verdicts(repository, data):
    app = open_page(repository, view="verdicts")
    assert "no discriminator" in shown(app)


def test_the_discriminator_of_the_bundled_model_is_asked(repository, checkpoints, data):
    shutil.copy(repository / "checkpoints" / "fruit.safetensors", checkpoints)
    st.cache_data.clear()
    app = open_page(repository, view="verdicts", model="fruit")
    assert shown(app).count("on average") == 2
    app.toggle(key="verdicts-heat").set_value(False).run()
    assert not app.exception


def test_a_face_off_needs_two_models_and_ends_in_a_tally(repository, checkpoints, data, tmp_path):
    app = open_page(repository, view="faceoff")
    assert "needs a second model" in shown(app)
    save_snapshot(checkpoints / "second.safetensors", G_ema=tiny_generator(seed=5), title="Second")
    app = open_page(repository, view="faceoff", model="tiny")
    app.segmented_control(key="faceoff-rounds").set_value(5).run()
    app.button(key="faceoff-begin").click().run()
    assert len(playing(app, "faceoff").rounds) == 5 and not app.exception
    address = app.session_state["compare-place"]["query"]
    assert address["game"] == app.session_state["faceoff"]
    rounds = playing(app, "faceoff").rounds
    app = open_page(repository, **address)
    assert playing(app, "faceoff").rounds == rounds and not app.button(key="faceoff-stop").disabled
    play(app, "faceoff")
    assert "tiny" in shown(app) and ": " in app.subheader[0].value
    keep_game(tmp_path / "runs", Game("faceoff", "a", "x", "b", "y", 5, 2, ties=2, at="2026-01-01"))
    app.button(key="faceoff-leave").click().run()
    assert "| a | b | 5 | 2 | 67% |" in shown(app)


def test_statistics_are_compared_in_a_job(repository, data, tmp_path):
    app = open_page(repository, view="statistics")
    assert "--pictures 12" in shown(app)
    app.button(key="statistics-start").click().run()
    run = finish(tmp_path / "runs", "statistics")
    assert run.state == "done", run.log_tail()
    app = open_page(repository, view="statistics")
    assert "12 pictures of each kind, psi 1" in shown(app)
    assert [metric.label for metric in app.metric][-1] == "As varied as the set" and not app.exception


def test_a_set_that_is_gone_is_told(repository, data):
    app = open_page(repository, data="/nowhere/set.zip")
    assert "there is no /nowhere/set.zip" in shown(app).lower()
