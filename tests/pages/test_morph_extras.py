"""Morph: every curve, format and pace reaches the job, and what belongs to some formats alone is shown with those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.video import RenderJob
from pages._ui.morph.choices import codings
from tests.pages.conftest import snippets

THREE = "seeds=1&psi=0.7@1~seeds=2&psi=0.7@1~seeds=3&psi=0.7@1"


def open_page(repository: Path, **query: str) -> AppTest:
    app = AppTest.from_file(str(repository / "pages" / "morph.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception, app.exception
    return app


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[RenderJob]:
    """The films that were asked for; nothing is rendered."""
    asked: list[RenderJob] = []

    def submit(root: Path, verb: str, name: str, config: dict[str, Any], **_: Any) -> None:
        asked.append(RenderJob.from_dict(config))

    monkeypatch.setattr(runs, "submit", submit)
    return asked


@pytest.mark.parametrize("format", codings())
def test_every_format_can_be_asked_for(repository, checkpoints, jobs, format):
    app = open_page(repository, k=THREE, format=format)
    assert not app.error, app.error
    press(app, "Export the film")
    (job,) = jobs
    assert (job.format, job.codec) == (("mp4", "h265") if format == "h265" else (format, "h264"))


def test_pace_even_speed_and_moving_styles_go_through_the_address(repository, checkpoints, jobs):
    app = open_page(repository, k=THREE, easing="in-out", moving="fine", even="1", curve="slerp")
    press(app, "Export the film")
    (job,) = jobs
    assert job.even_speed and job.path.moving == "fine" and job.path.curve == "slerp"
    assert {keyframe.easing for keyframe in job.path.keyframes} == {"in-out"}
    assert any("--even-speed" in code.value and "--moving fine" in code.value for code in snippets(app))


def test_one_picture_is_enough_to_drift_and_none_other(repository, checkpoints, jobs):
    one = "seeds=1&psi=0.7@2"
    app = open_page(repository, k=one, curve="noise")
    press(app, "Export the film")
    assert len(jobs[0].path.keyframes) == 1 and jobs[0].path.loop
    app = open_page(repository, k=one, curve="cubic")
    assert "Export the film" not in [button.label for button in app.button] and not app.exception


def test_a_circle_is_a_loop_whatever_the_switch_says(repository, checkpoints, jobs):
    press(open_page(repository, k=THREE, curve="circle", loop="0"), "Export the film")
    assert jobs[0].path.loop


def test_words_quality_and_cost_reach_the_job(repository, checkpoints, jobs):
    app = open_page(repository, k=THREE)
    app.text_input(key="film-title").set_value("Orchard & sky").run()
    app.text_input(key="film-caption").set_value("seed by seed").run()
    app.slider(key="film-crf").set_value(20).run()
    press(app, "What will it take?")
    assert any("about" in caption.value and "MB" in caption.value for caption in app.caption)
    press(app, "Export the film")
    assert (jobs[0].title, jobs[0].caption, jobs[0].crf) == ("Orchard & sky", "seed by seed", 20)
    app = open_page(repository, k=THREE, format="gif")
    app.number_input(key="film-limit").set_value(2.0).run()
    press(app, "Export the film")
    assert jobs[1].size_limit == 2.0


def test_a_keyframe_gets_another_class_and_the_others_keep_theirs():
    from ganlib.latents.paths import Keyframe
    from ganlib.latents.recipes import Recipe
    from ganlib.networks import tiny_generator
    from pages._ui.morph.keyframes import Track, from_text, to_text

    track = Track("digest")
    track.put([Keyframe(Recipe.of_seed(seed, label=0)) for seed in (1, 2)], tiny_generator(label_dim=3).spec)
    first, second = track.stops
    track.set_class(second, 2)
    track.set_class("unknown", 1)
    assert [keyframe.recipe.label for keyframe in track.keyframes] == [0, 2] and list(track.stops) == [first, second]
    assert [keyframe.recipe.label for keyframe in from_text(to_text(track.keyframes))] == [0, 2]
