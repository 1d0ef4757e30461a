"""The Train page without a browser: settings as links, forms and commands; runs in every state."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import agreed
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.commands.flags import flags_from_dataclass, values_from_flags
from ganlib.media.images import contact_sheet, encode
from ganlib.models.checkpoints import list_checkpoints
from ganlib.training.config import TrainConfig
from ganlib.training.presets import PRESETS, with_preset
from pages._ui.train.curves import figures, words_before_line
from pages._ui.train.draft import OWN, Draft, draft_from, draft_of
from tests.pages.conftest import snippets

TINY = {"preset": "quick", "cbase": "64", "cmax": "8", "z_dim": "8", "w_dim": "8", "batch": "4"}


def open_train(repository: Path, **query: str) -> AppTest:
    app = AppTest.from_file(str(repository / "pages" / "train.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    return agreed(app.run())


def told(app: AppTest) -> str:
    assert not app.exception, app.exception
    return " | ".join(element.value for element in (*app.error, *app.warning)).replace("\\", "")


def shown(app: AppTest) -> str:
    texts = (*app.markdown, *app.caption, *app.subheader, *app.info)
    return " | ".join(element.value for element in texts).replace("\\", "")


def press(app: AppTest, key: str) -> AppTest:
    return app.button(key=key).click().run()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """32 pictures of 16 px."""
    path, rng = tmp_path / "dots.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as file:
        for i in range(32):
            file.writestr(f"img{i:03d}.png", encode(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)))
    return path


def make_run(root: Path, name: str, state: str, *, ticks: int = 12, **config: Any) -> Path:
    """A training run as it looks in some state."""
    settings = TrainConfig(**{"data": "dots.zip", "kimg": 50.0, **config}).to_dict()
    run = runs.create_run(root, "train", name, settings)
    records = [
        {"Progress/kimg": {"mean": tick + 1.0}, "Loss/G/loss": {"mean": 1.5}, "Loss/D/loss": {"mean": 1.0},
         "Loss/signs/real": {"mean": 0.5}, "Loss/signs/fake": {"mean": -0.8}, "Timing/sec_per_kimg": {"mean": 10.0}}
        for tick in range(ticks)
    ]  # fmt: skip
    (run.path / "stats.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    runs.write_json(run.path / "training_options.json", {**settings, "spec": {"resolution": 16}})
    pixels = np.zeros((12, 16, 16, 3), np.uint8)
    for sheet, grey in (("reals", 90), ("fakes_init", 10), ("fakes000005", 50), ("fakes000010", 70)):
        (run.path / f"{sheet}.png").write_bytes(encode(contact_sheet(pixels + np.uint8(grey), columns=4, gap=0)))
    status = {"state": "running" if state == "lost" else state, "done": ticks, "total": 50}
    status |= {"message": "the disk is full", "hint": "Free some."}
    runs.write_json(run.path / "status.json", status)
    os.utime(run.path / "job.json", (1, 1))
    return run.path


# --- settings ---------------------------------------------------------------------------------------------------------


def test_settings_survive_a_link():
    draft = Draft("dcgan")
    for name, value in (("data", "a b.zip"), ("betas", (0.0, 0.9)), ("bn_D", True), ("kimg", 7.5), ("title", "12")):
        draft.put(name, value)
    draft.put("ngf", 32)
    draft.put("ngf", None)  # back to the preset's
    again, errors = draft_of(draft.to_query(), rev=3)
    assert not errors and again.rev == 4
    assert again.values() == draft.values() and "ngf" not in draft.to_query()
    assert again.config().title == "12" and again.config().betas == (0.0, 0.9)


def test_a_bad_link_is_told_and_the_rest_of_it_counts():
    query = {"preset": "nonsense", "batch": "8.5", "mirror": "maybe", "arch": "dcgan", "zzz": "1", "data": "x.zip"}
    draft, errors = draft_of(query, rev=0)
    said = " ".join(error.message for error in errors)
    assert "nonsense" in said and "batch" in said and "mirror" in said and len(errors) == 3
    assert draft.preset == "quick" and draft.changes == {"arch": "dcgan", "data": "x.zip"}


@pytest.mark.parametrize("preset", [*PRESETS, OWN])
def test_the_command_means_the_same_settings(preset, tmp_path):
    draft = Draft(preset)
    for name, value in (("data", "my set.zip"), ("mirror", not draft.values()["mirror"]), ("snap", 3.0), ("seed", 7)):
        draft.put(name, value)
    draft.put("bn_D", None if draft.values()["bn_D"] else True)
    words = shlex.split(draft.command(tmp_path))
    assert words[:4] == ["python", "-m", "ganlib", "train"]
    parser = argparse.ArgumentParser()
    parser.add_argument("--outdir", type=Path)
    parser.add_argument("--preset")
    flags_from_dataclass(parser, TrainConfig)
    args = parser.parse_args(words[4:])
    given = values_from_flags(TrainConfig, args)
    config = with_preset(args.preset, given) if args.preset else TrainConfig.from_dict(given)
    assert config == draft.config() and args.outdir == tmp_path


def test_an_earlier_runs_settings_become_a_draft():
    config = TrainConfig(data="x.zip", batch=3, aug="noaug").to_dict()
    config |= {"spec": {}, "from_the_future": 1, "kimg": "?"}
    draft = draft_from(config, resume="runs/00001-train-x", rev=2)
    assert draft.preset == OWN and draft.rev == 3
    assert draft.changes == {"data": "x.zip", "batch": 3, "aug": "noaug", "resume": "runs/00001-train-x"}


def test_choosing_a_preset_keeps_the_data_and_drops_the_rest():
    draft, _ = draft_of({"preset": "quick", "data": "x.zip", "batch": "3"}, rev=0)
    draft.choose("dcgan")
    assert draft.values()["data"] == "x.zip" and draft.values()["batch"] is None and draft.values()["arch"] == "dcgan"


def test_a_preset_that_needs_a_model_takes_the_first_and_gives_it_back():
    draft, _ = draft_of({"preset": "quick", "data": "x.zip"}, rev=0)
    draft.choose("transfer", first_model="checkpoints/a.safetensors")
    assert draft.config().resume == draft.shown["resume"] == "checkpoints/a.safetensors"
    draft.choose("dcgan", first_model="checkpoints/a.safetensors")
    assert draft.values()["resume"] is None and draft.values()["data"] == "x.zip"
    own, _ = draft_of({"preset": "quick", "resume": "runs/7"}, rev=0)
    own.choose("transfer", first_model="checkpoints/a.safetensors")
    assert own.values()["resume"] == "runs/7"


# --- curves -----------------------------------------------------------------------------------------------------------


def test_curves_are_drawn_for_what_was_measured_with_the_other_run_dotted():
    records = [{"Progress/kimg": {"mean": float(i)}, "Loss/G/loss": {"mean": 1.0 + i}} for i in range(5000)]
    metric = {"fid50k_full": [{"results": {"fid50k_full": v}, "snapshot_pkl": f"network-snapshot-{k:06d}.safetensors"}
                              for k, v in ((10, 9.0), (20, 4.0), (30, 6.0))]}  # fmt: skip
    drawn = figures(records, metric, records[:3], {}, dark=False)
    assert list(drawn) == ["Quality", "Losses"]
    mine, other = drawn["Losses"].data
    assert len(mine.x) <= 610 and mine.x[-1] == 4999 and mine.y[-1] == 5000
    assert other.line.dash == "dot" and list(other.x) == [0, 1, 2]
    star = drawn["Quality"].data[-1]
    assert star.name == "best" and (star.x[0], star.y[0]) == (20, 4.0)
    assert figures([], {}, [], {}, dark=True) == {}


def test_a_single_point_is_large_and_the_first_line_is_promised_for_its_time():
    config = {"tick": 0.25, "snap": 1.0, "kimg": 5.0}
    record = {"Progress/kimg": {"mean": 0.25}, "Loss/G/loss": {"mean": 1.0}, "Timing/sec_per_kimg": {"mean": 240.0}}
    metric = {"kid1k": [{"results": {"kid1k": 0.2}, "snapshot_pkl": "network-snapshot-000001.safetensors"}]}
    drawn = figures([record], metric, [], {}, dark=False)
    (point,) = drawn["Losses"].data
    assert point.mode == "markers" and point.marker.size > 10
    assert drawn["Losses"].layout.xaxis.range == (0, 0.5), "no kimg below 0"
    assert [trace.marker.size for trace in drawn["Quality"].data] == [11], "and no star over it"
    words = words_before_line(drawn["Losses"], [record], config, is_active=True)
    assert words == "One point so far; the line begins at 0.5 kimg, about 1 min 0 s after it."
    assert "begins at 2 kimg" in words_before_line(drawn["Quality"], [record], config, is_active=True)
    assert "first point comes at 0.25 kimg" in words_before_line(None, [], config, is_active=True)
    assert "run ends at 0.25" in words_before_line(drawn["Losses"], [record], config | {"kimg": 0.25}, is_active=True)
    assert "has ended" in words_before_line(drawn["Losses"], [record], config, is_active=False)
    two = [record, record | {"Progress/kimg": {"mean": 0.5}}]
    assert words_before_line(figures(two, {}, [], {}, dark=False)["Losses"], two, config, is_active=True) == ""


def test_a_run_with_numbers_but_none_of_the_curves_is_shown(repository, checkpoints, tmp_path):
    run = make_run(tmp_path / "runs", "bare", "done")
    (run / "stats.jsonl").write_text('{"Progress/kimg": {"mean": 1.0}}\n')
    app = open_train(repository, run=run.name)
    assert told(app) == "" and "The run ended before a point" in shown(app)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_form_has_every_option_in_its_group_and_starts_without_data(repository, checkpoints):
    app = open_train(repository)
    assert told(app) == "" and app.title[0].value == "Train"
    fields = (*app.number_input, *app.toggle, *app.selectbox, *app.text_input)
    labels = {element.label for element in fields}
    assert {name.replace("_", " ") for name in ("batch", "mirror", "loss", "betas", "augpipe", "title")} <= labels
    assert "A network learns from a set" in shown(app) and "No run yet" in shown(app)
    assert not [button for button in app.button if button.key == "start"]


def test_the_form_shows_only_what_the_family_has(repository, checkpoints, data):
    app = open_train(repository, data=str(data), **TINY)

    def labels() -> set[str]:
        return {element.label for element in (*app.number_input, *app.toggle, *app.selectbox, *app.text_input)}

    assert {"cbase", "pl weight"} <= labels() and not {"ngf", "fade kimg", "gp weight"} & labels()
    app.selectbox(key="preset").set_value("dcgan").run()
    assert {"ngf", "bn D"} <= labels() and not {"cbase", "pl weight", "style mix"} & labels()
    next(box for box in app.selectbox if box.label == "loss").set_value("wgan-gp").run()
    assert {"gp weight", "drift"} <= labels()


def test_what_is_set_in_the_form_is_in_the_command(repository, checkpoints, data):
    app = open_train(repository, data=str(data), **TINY)
    assert told(app) == "" and "32 pictures of 16 px" in shown(app)
    next(box for box in app.number_input if box.label == "batch").set_value(2).run()
    next(box for box in app.selectbox if box.label == "loss").set_value("r3gan").run()
    command = snippets(app)[0].value
    assert "--preset quick" in command and "--batch 2" in command and "--loss r3gan" in command
    app.selectbox(key="preset").set_value("dcgan").run()
    assert "--preset dcgan" in snippets(app)[0].value and "--batch" not in snippets(app)[0].value
    assert str(data) in snippets(app)[0].value


def test_classes_without_a_picture_are_told_where_they_are_learned(repository, checkpoints, data):
    with zipfile.ZipFile(data, "a") as file:
        file.writestr("dataset.json", json.dumps({"labels": [[f"img{i:03d}.png", 1 + i % 2] for i in range(32)]}))
    words = "1 of 3 classes has no picture (0)"
    app = open_train(repository, data=str(data), **TINY)
    assert words not in told(app) and "32 pictures of 16 px, 3 classes" in shown(app)
    app = open_train(repository, data=str(data), **TINY, cond="true")
    assert words in " | ".join(element.value for element in app.warning).replace("\\", "")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"batch": "0"}, "Batch = 0 is not possible"),
        ({"data": "/nowhere/x.zip"}, "x.zip"),
        ({"betas": "[0.5]"}, "Betas = (0.5,)"),
        ({"run": "../etc"}, "There is no run called ../etc"),
        ({"run": "00099-train-none"}, "There is no run called"),
        ({"run": "x" * 300}, "There is no run called"),
        ({"folder": "/nowhere"}, "/nowhere is no training run"),
        ({"from": "/nowhere"}, "/nowhere is no training run"),
    ],
)
def test_what_is_impossible_is_told_in_a_sentence(repository, checkpoints, data, query, words):
    app = open_train(repository, **{**TINY, "data": str(data), **query})
    assert words in told(app)
    assert not list((checkpoints.parent / "runs").glob("*train*"))


def wait(run: runs.RunDir, *states: str) -> None:
    deadline = time.monotonic() + 180
    while run.state not in states and time.monotonic() < deadline:
        time.sleep(0.3)
    assert run.state in states, run.log_tail()


def test_a_run_is_started_watched_stopped_and_resumed(repository, checkpoints, data, tmp_path):
    query = {**TINY, "data": str(data), "kimg": "0.2", "snap": "0.02", "tick": "0.02", "title": "Dots"}
    app = press(open_train(repository, **query), "start")
    assert told(app) == ""
    (run,) = runs.list_runs(tmp_path / "runs", verb="train")
    assert run.job["command"].startswith("python -m ganlib train --data") and run.job["exclusive"]
    assert "Dots" in shown(app)
    wait(run, "running", "done")
    app.run()
    if run.state == "running":
        press(app, "stop")
        wait(run, "stopped", "done")
        app.run()
    if run.state == "stopped":
        press(app, "resume")
        wait(run, "done")
        app.run()
    assert not app.error and "Snapshots" in shown(app)
    assert "Very few pictures" in told(app), "the doctor knows the data set"
    press(app, "use")
    known, _ = list_checkpoints(checkpoints)
    assert {model.title for model in known} == {"Tiny", "Dots"}


def test_a_trial_step_is_measured_once_for_the_same_settings(repository, checkpoints, data, tmp_path):
    app = open_train(repository, data=str(data), **TINY)
    next(button for button in app.button if button.label == "Measure a trial step").click().run()
    (run,) = runs.list_runs(tmp_path / "runs", verb="estimate")
    wait(run, "done")
    app.run()
    assert told(app) == ""
    assert [metric.label for metric in app.metric] == ["Whole run", "Per kimg", "Memory", "Processor hours"]
    next(box for box in app.number_input if box.label == "batch").set_value(2).run()
    assert not app.metric and any(button.label == "Measure a trial step" for button in app.button)


@pytest.mark.parametrize(
    ("state", "words", "button"),
    [("stopped", "12 of 50 kimg", "resume"), ("lost", "Its worker disappeared", "resume"), ("done", "12 of 50", None),
     ("failed", "The disk is full. Free some.", "resume")],
)  # fmt: skip
def test_a_run_is_shown_in_every_state(repository, checkpoints, tmp_path, state, words, button):
    path = make_run(tmp_path / "runs", "a <b>fruit</b>", state)
    assert "a <b>fruit</b>" in [each.label.replace("\\", "") for each in open_train(repository).button]
    app = open_train(repository, run=path.name)
    said = shown(app) + told(app)
    assert words in said and "a <b>fruit</b>" in said and "Healthy" in said and "10 kimg" in said
    keys = {each.key for each in app.button}
    assert {"all-runs", "continue", "make-film"} <= keys and "stop" not in keys
    assert (button in keys) if button else "resume" not in keys
    assert "Snapshots" not in shown(app), "there are none"


def test_the_slider_goes_back_in_time_and_another_run_lies_over_this_one(repository, checkpoints, tmp_path):
    path, other = (make_run(tmp_path / "runs", name, "done") for name in ("one", "two"))
    app = open_train(repository, run=path.name)
    app.select_slider[0].set_value("fakes000005.png").run()
    assert "Generated, 5 kimg" in shown(app)
    app.selectbox(key="compare").set_value(other.name).run()
    assert told(app) == "" and app.selectbox(key="compare").value == other.name
    app = open_train(repository, **{"run": path.name, "with": other.name})
    assert app.selectbox(key="compare").value == other.name


def test_opening_the_page_chooses_no_path(repository, checkpoints, tmp_path):
    assert told(open_train(repository)) == ""
    assert not list((tmp_path / "runs").glob("chosen-paths*"))


def test_continue_prefills_the_form(repository, checkpoints, data, tmp_path):
    path = make_run(tmp_path / "runs", "one", "done", data=str(data))
    app = press(open_train(repository, run=path.name), "continue")
    assert told(app) == ""
    assert f"--resume {path}" in snippets(app)[0].value and "--kimg 50" in snippets(app)[0].value


def test_a_run_of_nvidias_tools_is_shown_without_buttons_for_jobs(repository, checkpoints, tmp_path):
    path = make_run(tmp_path / "elsewhere", "x", "done")
    (path / "job.json").unlink()
    (path / "status.json").unlink()
    (path / "network-snapshot-000010.pkl").write_bytes(b"\x80\x04")
    app = open_train(repository, folder=str(path))
    assert told(app) == "" and "12 kimg" in shown(app) and "Healthy" in shown(app)
    keys = {button.key for button in app.button}
    assert not {"stop", "resume"} & keys
    assert app.button(key="use").disabled


def test_a_timelapse_is_made_and_shown(repository, checkpoints, tmp_path):
    path = make_run(tmp_path / "runs", "one", "done")
    app = press(open_train(repository, run=path.name), "make-film")
    (film,) = runs.list_runs(tmp_path / "runs", verb="timelapse")
    wait(film, "done")
    app.run()
    assert told(app) == "" and film.artefacts[0].name == "timelapse.mp4"
    assert [folder.name for folder in (tmp_path / "runs").glob("*train*")] == [path.name]
