"""The models that come with the studio: small, in half precision, honest about themselves, and trainable on."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors

from ganlib.__main__ import build_parser
from ganlib.commands.flags import values_from_flags
from ganlib.features.extractors import BUNDLED
from ganlib.latents.editing import list_directions
from ganlib.models.checkpoints import Checkpoint, list_checkpoints, read_card
from ganlib.models.rights import read_licence
from ganlib.runs import SilentReporter
from ganlib.training import TrainConfig, train
from ganlib.training.presets import with_preset
from ganlib.training.setup import plan
from tests.training.conftest import write_set

REPOSITORY = Path(__file__).resolve().parents[2]
WORDS = json.loads((REPOSITORY / "benchmarks" / "bundled.json").read_text("utf-8"))
NAMES = sorted(WORDS)
WITH_DIRECTIONS = ("fruit", "impressions")


def card_of(name: str) -> Checkpoint:
    path = REPOSITORY / "checkpoints" / f"{name}.safetensors"
    if not path.is_file():
        pytest.skip(f"{path.name} is absent")
    return read_card(path)


def config_of(command: str, **changes: object) -> TrainConfig:
    """The options that a documented command stands for."""
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "ganlib", "train"]
    args = build_parser("train").parse_args(words[3:])
    given = values_from_flags(TrainConfig, args) | changes
    return with_preset(args.preset, given) if args.preset else TrainConfig.from_dict(given)


def test_they_are_small_together():
    assert tuple(WORDS) == BUNDLED
    cards, problems = list_checkpoints(REPOSITORY / "checkpoints")
    assert problems == []
    assert sum(card.bytes for card in cards if card.name in WORDS) < 80e6
    if {card.name for card in cards} >= set(WORDS):
        assert next(card.name for card in cards if card.name in WORDS) == "fruit", "the first picture of all"


@pytest.mark.parametrize("name", NAMES)
def test_each_is_in_half_precision_with_its_discriminator(name):
    card = card_of(name)
    assert card.bytes < 25e6 and card.has_discriminator
    with safetensors.safe_open(card.path, framework="pt") as stream:
        kinds = {stream.get_slice(key).get_dtype() for key in stream.keys()}  # noqa: SIM118
    assert "F16" in kinds and "F32" not in kinds


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_it_is(name):
    card = card_of(name)
    assert card.licence == "CC0-1.0" and read_licence(card.licence).commercial
    assert "public domain" in card.data
    assert card.title == WORDS[name]["title"] and card.about == WORDS[name]["about"] and "Weak:" in card.about
    assert card.training["command"] == WORDS[name]["command"]
    assert card.training["hardware"] and float(card.training["seconds"]) > 600 and card.kimg > 10
    for kind in ("kid", "fid", "pr"):
        assert any(metric.startswith(kind) for metric in card.metrics), kind
    assert "copies in seeds 0-499" in card.metrics
    if card.spec.label_dim:
        assert len(card.classes) == card.spec.label_dim
    about = (REPOSITORY / "docs" / "collection.md").read_text("utf-8")
    for command in (WORDS[name]["command"], *WORDS[name].get("before", ())):
        assert command in " ".join(about.replace("\\\n", " ").split())
    for psi in ("1", "0.7") if card.spec.truncatable else ("1",):
        assert f"{name}-psi{psi}.webp" in about and (REPOSITORY / "docs" / f"{name}-psi{psi}.webp").is_file()


@pytest.fixture
def stand_in(tmp_path):
    """A set of the size and with the classes that a model was trained on."""

    def make(card: Checkpoint) -> Path:
        rng = np.random.default_rng(0)
        side, kinds = card.spec.resolution, card.spec.label_dim
        pixels = rng.integers(0, 255, (8, side, side, 3), dtype=np.uint8)
        return write_set(tmp_path / "set.zip", pixels, np.arange(8) % kinds if kinds else None)

    return make


@pytest.mark.parametrize("name", NAMES)
def test_the_documented_command_trains_such_a_network_and_goes_on_from_the_model(name, stand_in, tmp_path, monkeypatch):
    card = card_of(name)
    monkeypatch.chdir(REPOSITORY)  # a command may start from another bundled model
    data = str(stand_in(card))
    for command in (*WORDS[name].get("before", ()), WORDS[name]["command"]):
        given = config_of(command, data=data, device="cpu", resume_kimg=0.0)
        if given.resume and given.resume.startswith("runs/"):  # an earlier part: the model itself has the same shape
            given = replace(given, resume=str(card.path))
        planned = plan(given)
    assert planned.spec == card.spec
    further = config_of(
        WORDS[name]["command"], data=data, device="cpu", resume=str(card.path), kimg=card.kimg + 0.008, batch=4,
        phase_batches=(), workers=0,
    )  # fmt: skip
    last = train(further, tmp_path / "run", SilentReporter())
    assert last is not None and read_card(last).kimg == pytest.approx(card.kimg + 0.008, abs=0.005)


@pytest.mark.parametrize("name", NAMES)
def test_the_documented_way_to_go_on_starts_where_the_model_is(name, stand_in, monkeypatch):
    card = card_of(name)
    monkeypatch.chdir(REPOSITORY)
    block = (REPOSITORY / "docs" / "collection.md").read_text("utf-8").split("## Going on")[1].split("```")[1]
    lines = block.removeprefix("bash").replace("\\\n", " ").strip().splitlines()
    (command,) = [line for line in lines if f"checkpoints/{name}.safetensors" in line]
    planned = plan(config_of(command, data=str(stand_in(card)), device="cpu"))
    assert planned.spec == card.spec and planned.start.path == Path(f"checkpoints/{name}.safetensors")
    assert planned.images_seen == pytest.approx(card.kimg * 1000, abs=1)
    assert card.kimg + 2 <= planned.config.kimg <= card.kimg + 4


@pytest.mark.parametrize("name", WITH_DIRECTIONS)
def test_their_directions_have_names_and_fit(name):
    card = card_of(name)
    found, problems = list_directions(card.folder)
    ours = [direction for direction in found if direction.model == card.digest]
    assert problems == [] and len(ours) >= 4
    assert all(direction.title and direction.suits(card.spec) and direction.safe for direction in ours)
