"""“The same from a terminal”: the command that a page shows is read to the options that the page would submit."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import agreed
from streamlit.testing.v1 import AppTest

from ganlib import runs
from ganlib.__main__ import build_parser
from ganlib.commands.flags import read_options, values_from_flags
from ganlib.commands.verbs import VERBS
from ganlib.media import images
from ganlib.models.checkpoints import change_card, list_checkpoints
from ganlib.training.presets import with_preset
from tests.metrics.test_metrics import write_set
from tests.pages.conftest import snippets

ODD = '-it\'s a "set" $HOME; *'
"""A name with a leading dash, spaces, both quotes and what a shell would expand."""


@pytest.fixture
def submitted(monkeypatch) -> list[tuple[str, dict[str, Any]]]:
    """What pages submit, which is not begun."""
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(runs, "submit", lambda root, verb, name, config, **more: found.append((verb, dict(config))))
    return found


@pytest.fixture
def data(checkpoints, tmp_path, monkeypatch) -> Path:
    """A set with an odd name, where pages look for sets; a terminal stands where the models' folder is."""
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return write_set(tmp_path / "data" / f"{ODD}.zip")


def open_page(repository: Path, name: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(repository / "pages" / f"{name}.py"), default_timeout=180)
    for key, value in query.items():
        app.query_params[key] = value
    return agreed(app.run())


def command_of(app: AppTest) -> str:
    assert not app.exception, app.exception
    (command,) = [each.value for each in snippets(app) if each.value.startswith("python -m ganlib")]
    return command


def parsed(command: str) -> argparse.Namespace:
    """The flags as a shell and the program read them."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "ganlib"]
    return build_parser(words[3]).parse_args(words[3:])


def read(command: str) -> dict[str, Any]:
    args = parsed(command)
    return resolved(read_options(VERBS[args.verb].options_class(), args).to_dict())


def resolved(config: dict[str, Any]) -> dict[str, Any]:
    """Options with the whole path of the model; where results go is each one's own."""
    config = dict(config)
    if isinstance(network := config.get("network"), str):
        config["network"] = str(Path(network).resolve())
    return {name: value for name, value in config.items() if name not in ("outdir", "dest", "layout")}


def test_drop(repository, data, checkpoints, submitted):
    (model,), _ = list_checkpoints(checkpoints)
    change_card(model.path, licence="CC0-1.0")
    app = open_page(repository, "drop", seeds="3-9")
    app.number_input(key="drop-count").set_value(3)
    app.slider(key="drop-floor").set_value(0.05)
    app.text_input(key="drop-collection").set_value(ODD)
    app.text_input(key="drop-name").set_value('-{collection} "{number}"')
    app.text_area(key="drop-description").set_value("--it's\none {Main colour} of $PATH")
    app.text_input(key="drop-groups").set_value("-Or'chard, Hedge row")
    app.text_area(key="drop-targets").set_value("Cluster=-Or'chard:30%\nMain colour=red:0.5")
    app.multiselect(key="drop-traits").set_value(["cluster", "palette"])
    app.text_input(key="drop-creators").set_value("0xabc:60, 0xdef:40").run()
    command = command_of(app)
    app.button(key="drop-start").click().run()
    ((verb, config),) = submitted
    assert verb == "nft" and read(command) == resolved(config)


def test_upscale(repository, data, tmp_path, submitted):
    folder = tmp_path / "pictures" / ODD
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(images.encode(np.zeros((8, 8, 3), np.uint8)))
    app = open_page(repository, "upscale")
    app.segmented_control(key="upscale-way").set_value("A folder").run()
    app.text_input(key="upscale-path").set_value(str(folder)).run()
    assert not app.exception and not app.error, [e.value for e in app.error]
    app.segmented_control(key="upscale-scale").set_value("size").run()
    app.text_input(key="upscale-size").set_value("64x48")
    app.selectbox(key="upscale-fit").set_value("stretch")
    app.segmented_control(key="upscale-format").set_value("webp").run()
    said = read(command_of(app))
    app.button(key="upscale-start").click().run()
    ((_, config),) = submitted
    config = resolved(config)
    assert Path(config.pop("model")).stem == said.pop("model") and said == config


def test_evaluate(repository, data, submitted):
    app = open_page(repository, "evaluate", model="tiny", data=str(data), kinds="pr~ppl", count="250")
    app.toggle(key="evaluate-mirror").set_value(True)
    app.toggle(key="evaluate-card").set_value(False)
    app.selectbox(key="evaluate-features").set_value("efficientnet").run()
    command = command_of(app)
    app.button(key="evaluate-start").click().run()
    ((_, config),) = submitted
    assert read(command) == resolved(config) and config["data"] == str(data)


@pytest.mark.parametrize(("view", "key"), [("copies", "copies"), ("statistics", "statistics")])
def test_compare(repository, data, submitted, view, key):
    app = open_page(repository, "compare", view=view, data=str(data), model="tiny")
    app.slider(key=f"{key}-psi").set_value(0.35)
    if view == "copies":
        app.text_input(key="copies-seeds").set_value("1, 5, 9-12")
    app.run()
    command = command_of(app)
    app.button(key=f"{key}-start").click().run()
    ((_, config),) = submitted
    assert read(command) == resolved(config) and config["psi"] == 0.35


def test_train(repository, data, tmp_path, submitted, monkeypatch):
    app = open_page(
        repository, "train", preset="dcgan-bn-g", data=str(data), title=ODD, snap="0.125", betas="[0.5, 0.99]"
    )
    assert not app.error, [e.value for e in app.error]
    command = command_of(app)
    monkeypatch.setattr(runs, "create_run", lambda *args, **more: pytest.fail("not begun"))
    args = parsed(command)
    config = with_preset(args.preset, values_from_flags(VERBS["train"].options_class(), args))
    app.button(key="start").click().run()
    ((verb, values),) = submitted
    assert verb == "train" and config.to_dict() == values and config.title == ODD
