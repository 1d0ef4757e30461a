"""The Evaluate page without a browser: choices, advice, the job, curves and tables."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from asking import agreed
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.metrics.results import as_good_as, best_of, figures_of_runs, read_figures, to_csv, to_json
from ganlib.models.checkpoints import list_checkpoints, save_snapshot
from ganlib.networks import tiny_generator
from pages._ui.evaluate.charts import curve, has_line
from tests.metrics.test_metrics import write_set
from tests.pages.conftest import snippets


def open_page(repository: Path, **query: str) -> AppTest:
    app = AppTest.from_file(str(repository / "pages" / "evaluate.py"), default_timeout=180)
    for key, value in query.items():
        app.query_params[key] = value
    return agreed(app.run())


def shown(app: AppTest) -> str:
    assert not app.exception, app.exception
    texts = (*app.markdown, *app.caption, *app.error, *app.info, *snippets(app))
    return " | ".join(element.value for element in texts).replace("\\", "")


@pytest.fixture
def reals(checkpoints, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GANLIB_SQUEEZENET", raising=False)
    (tmp_path / "data").mkdir()
    return write_set(tmp_path / "data" / "set.zip")


def record(name: str, value: float, half: float, **more: object) -> dict[str, object]:
    known = {"results": {name: value}, "ci95": {name: [value - half, value + half]}, "metric": name, "timestamp": 1.0}
    return known | {"data": "d1", "num_fake": 100, "num_real": 40, "features": {"name": "fruit-d"}} | more


def write(folder: Path, name: str, *records: dict[str, object]) -> None:
    lines = "".join(json.dumps(one) + "\n" for one in records)
    (folder / f"{name}.jsonl").write_text(lines + "torn {")


@pytest.fixture
def measured(checkpoints, tmp_path) -> Path:
    """A measurement of two runs, with a floor, and a training run that measured itself."""
    root = tmp_path / "runs"
    run = runs.create_run(root, "metrics", "a & b", {})
    snapshots = [
        record("kid1k_fruit-d", value, 0.02, snapshot_pkl=f"network-snapshot-{kimg:06d}.safetensors", kimg=kimg,
               network=f"/there/{name}/network-snapshot-{kimg:06d}.safetensors", title=f"{name} {kimg}",
               data_path="data/set.zip")
        for name, kimg, value in (("a", 1, 0.9), ("a", 2, 0.11), ("a", 3, 0.10), ("b", 1, 0.5), ("b", 2, 0.3))
    ]  # fmt: skip
    write(run.path, "metric-kid1k_fruit-d", *snapshots)
    write(run.path, "floor-kid1k_fruit-d", record("kid1k_fruit-d", 0.001, 0.002, real_floor=True, snapshot_pkl=None))
    train = runs.create_run(root, "train", "c", {"data": "data/other.zip"})
    nameless = record("fid5k_fruit-d", 7.0, 1.0, snapshot_pkl="network-snapshot-000046.safetensors")
    nameless |= {"timestamp": 0.5, "results": {"fid5k_fruit-d": 7.0, "bad": "much"}}
    write(train.path, "metric-fid5k_fruit-d", nameless)
    return root


def test_figures_of_measurements_and_of_training_stand_together(measured):
    figures = figures_of_runs(measured)
    assert [(f.group, f.kimg, f.value) for f in figures if f.name.startswith("fid")] == [("00001-train-c", 46, 7.0)]
    kid = [f for f in figures if f.name.startswith("kid")]
    best = best_of(kid)
    assert best is not None and (best.group, best.kimg) == ("a", 3)
    assert [(f.group, f.kimg) for f in as_good_as(best, kid)] == [("a", 2)]
    assert sum(f.is_baseline for f in kid) == 1 and len(kid) == 6
    assert to_csv(kid).count("\n") == 7 and json.loads(to_json(kid))[0]["value"] == kid[0].value
    assert read_figures(measured / "missing") == []


def test_higher_is_better_where_it_is(measured):
    run = runs.create_run(measured, "metrics", "p", {})
    rows = [
        record("pr1k3_fruit-d", value, 0.1, snapshot_pkl=f"network-snapshot-00000{i}.safetensors")
        for i, value in enumerate((0.2, 0.8, 0.5))
    ]
    write(run.path, "metric-pr1k3_fruit-d", *rows)
    best = best_of(f for f in figures_of_runs(measured) if f.name.startswith("pr"))
    assert best is not None and best.value == 0.8


def test_the_page_says_where_pictures_are_too_few_for_fid(repository, measured):
    run = runs.create_run(measured, "metrics", "few", {})
    facts = {"snapshot_pkl": "few.safetensors", "title": "Few", "data_path": "data/set.zip"}
    write(run.path, "metric-fid50k_full_x", record("fid50k_full_x", 92.0, 1.0, num_fake=50_000, num_real=12, **facts))
    app = open_page(repository)
    app.selectbox(key="results-name").set_value("kid1k_fruit-d").run()
    assert not app.warning
    app.selectbox(key="results-name").set_value("fid50k_full_x").run()
    (warning,) = app.warning
    assert warning.value.replace("\\", "").startswith("12 real pictures are too few for FID")


def test_a_chart_has_a_line_and_a_band_for_each_run(measured):
    kid = [f for f in figures_of_runs(measured) if f.name.startswith("kid")]
    chart = curve([f for f in kid if not f.is_baseline], [f for f in kid if f.is_baseline], dark=False)
    names = [trace.name for trace in chart.data if trace.mode == "lines+markers"]
    bands = [trace for trace in chart.data if trace.fill == "toself"]
    stars = [trace for trace in chart.data if trace.name == "best"]
    assert names == ["a", "b"] and len(bands) == 2 and (stars[0].x[0], stars[0].y[0]) == (3, 0.10)
    assert max(bands[0].y) == pytest.approx(0.92) and chart.layout.yaxis.type == "linear"
    (floor,) = [trace for trace in chart.data if trace.name == "real against real"]
    assert list(floor.y) == [0.001, 0.001] and list(floor.x) == [1, 3]


def test_a_run_from_its_beginning_on_has_a_logarithmic_axis(measured):
    kid = [f for f in figures_of_runs(measured) if f.group == "a"]
    wide = [replace(f, value=f.value * 30**-f.kimg, low=-1.0) for f in kid]
    chart = curve(wide, [], dark=True)
    assert chart.layout.yaxis.type == "log" and all(min(trace.y) > 0 for trace in chart.data)
    assert curve([replace(f, value=0.0) for f in kid], [], dark=True).layout.yaxis.type == "linear"


def test_a_single_point_is_large_and_said_to_be_one(repository, measured):
    kid = [f for f in figures_of_runs(measured) if f.name.startswith("kid") and not f.is_baseline]
    chart = curve(kid[:1], [], dark=False)
    assert chart.data[0].marker.size == 12 and not has_line(kid[:1]) and has_line(kid)
    for path in measured.rglob("metric-kid*.jsonl"):
        path.write_text(path.read_text().splitlines()[0] + "\n")
    assert "A line joins the snapshots of a run" in shown(open_page(repository))


def test_the_page_names_the_best_and_what_is_as_good(repository, measured):
    words = shown(open_page(repository))
    assert "Best: a at 3 kimg" in words and "Not told apart from it: a at 2 kimg" in words
    assert "Real pictures against real ones score 0.001" in words


def test_an_empty_studio_teaches(repository, checkpoints):
    app = open_page(repository)
    assert "A figure says how far" in shown(app) and "Choose a data set to go on" in shown(app)
    assert any(button.label == "Prepare real pictures" for button in app.button)


def test_few_pictures_lead_to_kid(repository, reals):
    app = open_page(repository, model="tiny")
    assert "prefer KID" not in shown(app) and "Fruit's discriminator" in shown(app)
    app.pills(key="evaluate-kinds").set_value(["fid", "kid"]).run()
    assert "With fewer than 2,000 pictures prefer KID" in shown(app)
    app.select_slider(key="evaluate-count").set_value(5000).run()
    assert "prefer KID" not in shown(app) and "FID is only held against FID" in shown(app)


def test_the_settings_survive_a_reload(repository, checkpoints, reals):
    save_snapshot(checkpoints / "other.safetensors", G_ema=tiny_generator(seed=5), title="Other")
    app = open_page(repository, model="tiny")
    assert app.session_state["evaluate-place"]["query"] == {"model": "tiny", "data": app.selectbox[0].value}
    app.multiselect(key="evaluate-networks").set_value([str((checkpoints / f"{n}.safetensors").resolve())
                                                        for n in ("other", "tiny")])  # fmt: skip
    app.pills(key="evaluate-kinds").set_value(["pr"])
    app.select_slider(key="evaluate-count").set_value(250)
    app.selectbox(key="evaluate-features").set_value("embedded")
    app.toggle(key="evaluate-full").set_value(True)
    app.toggle(key="evaluate-floor").set_value(False).run()
    words, address = shown(app), app.session_state["evaluate-place"]["query"]
    again = open_page(repository, **address)
    command = "other.safetensors .*tiny.safetensors .*--metrics pr250_full .*--features embedded"
    assert re.search(command, shown(again)) and "--real-floor" not in shown(again) and shown(again) == words
    assert again.session_state["evaluate-place"]["query"] == address
    again.pills(key="evaluate-kinds").set_value([]).run()
    again = open_page(repository, **again.session_state["evaluate-place"]["query"])
    assert again.pills(key="evaluate-kinds").value == [] and "Choose what to measure" in shown(again)


def test_an_address_with_forged_settings_shows_the_usual_ones(repository, reals):
    usual = shown(open_page(repository, model="tiny"))
    for text in ("<b>x</b>", "-1", "9" * 400, "~" * 900, "../../etc", "nan", "\0"):
        forged = {name: text for name in ("count", "features", "full", "floor", "card", "mirror", "run")}
        assert shown(open_page(repository, model=f"tiny~{text}", **forged)) == usual
        assert shown(open_page(repository, model=text, kinds=text)) == usual


def test_what_cannot_be_measured_is_told(repository, reals):
    app = open_page(repository, model="tiny")
    app.pills(key="evaluate-kinds").set_value(["is"]).run()
    assert "Inception-v3 are not on this machine" in shown(app)
    app.toggle(key="evaluate-fetch").set_value(True).run()
    assert "--fetch" in shown(app) and not app.error
    app.toggle(key="evaluate-fetch").set_value(False).run()
    app = open_page(repository, model="tiny", data="/nowhere.zip")
    assert "/nowhere.zip" in shown(app) and app.error


def test_a_measurement_is_started_and_shown(repository, checkpoints, reals, tmp_path):
    (model,), _ = list_checkpoints(checkpoints)
    save_snapshot(checkpoints / "other.safetensors", G_ema=tiny_generator(seed=5), title="Other *one*", kimg=4)
    app = open_page(repository, model="tiny")
    app.select_slider(key="evaluate-count").set_value(250)
    app.pills(key="evaluate-kinds").set_value(["kid"]).run()
    words = shown(app)
    assert "--metrics kid250 " in words and str(model.path.resolve()) in words
    app.button(key="evaluate-start").click().run()
    deadline = time.monotonic() + 180
    (run,) = runs.list_runs(tmp_path / "runs", verb="metrics")
    while run.state in ("queued", "running") and time.monotonic() < deadline:
        time.sleep(0.3)
    assert run.state == "done", run.log_tail()
    app = open_page(repository)
    assert "Best: Tiny" in shown(app)
    (figure,) = [f for f in figures_of_runs(tmp_path / "runs") if not f.is_baseline]
    assert (figure.name, figure.title, figure.num_fake, figure.num_real) == ("kid250_fruit-d", "Tiny", 250, 40)
    assert list_checkpoints(checkpoints)[0][1].metrics == {"kid250_fruit-d": figure.value}
