"""Copies that are made beforehand: different, marked, the same each time."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ganlib.base.errors import InputError
from ganlib.dataset import Dataset, PrepareConfig, prepare
from ganlib.dataset.augment import KINDS, augment, plan
from ganlib.media.images import encode
from ganlib.runs import SilentReporter

ROWS, COLUMNS = np.mgrid[:32, :32]
RAMP = np.stack([COLUMNS * 7, np.full((32, 32), 90), ROWS * 7], axis=-1).astype(np.uint8)


class Recorder(SilentReporter):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def log(self, text: str) -> None:
        self.texts.append(text)


def test_fixed_kinds_are_exact():
    expected = {
        "mirror": RAMP[:, ::-1], "mirrory": RAMP[::-1], "rot90": RAMP.swapaxes(0, 1)[::-1],
        "rot180": RAMP[::-1, ::-1], "rot270": RAMP.swapaxes(0, 1)[:, ::-1],
    }  # fmt: skip
    for kind, pixels in expected.items():
        assert np.array_equal(augment(RAMP, [kind], name="a", number=0), pixels), kind
    both = augment(RAMP, ["mirror", "rot90"], name="a", number=0)
    assert np.array_equal(both, RAMP[:, ::-1].swapaxes(0, 1)[::-1])


@pytest.mark.parametrize("kind", ["perspective", "hue", "saturation"])
def test_chance_belongs_to_name_and_number(kind):
    one = augment(RAMP, [kind], name="a", number=0)
    assert one.shape == RAMP.shape and one.dtype == np.uint8
    assert np.array_equal(one, augment(RAMP, [kind], name="a", number=0))
    assert not np.array_equal(one, augment(RAMP, [kind], name="b", number=0))
    assert not np.array_equal(one, augment(RAMP, [kind], name="a", number=1))
    assert np.abs(one.astype(int) - RAMP).mean() > 1


def test_colours_change_and_lightness_and_greys_stay():
    luma = RAMP @ np.array([0.299, 0.587, 0.114])
    grey = np.full((8, 8, 3), 77, np.uint8)
    for kind in ("hue", "saturation"):
        calm = (RAMP // 4 + 96).astype(np.uint8)  # no colour leaves the range
        changed = augment(calm, [kind], name="a", number=3)
        assert np.abs(changed @ np.array([0.299, 0.587, 0.114]) - calm @ np.array([0.299, 0.587, 0.114])).max() < 1.5
        assert np.abs(augment(grey, [kind], name="a", number=0).astype(int) - 77).max() <= 1
    assert luma.std() > 0


def test_perspective_shows_nothing_from_beyond_the_picture():
    light = np.full((64, 64, 3), 200, np.uint8)
    for number in range(20):
        assert (augment(light, ["perspective"], name="a", number=number) == 200).all()


def test_copies_are_planned_without_repetition():
    assert plan((), None) == []
    assert plan(("mirror", "hue"), None) == [("mirror",), ("hue",)]
    assert plan(("mirror", "rot90"), 3) == [("mirror",), ("rot90",), ("mirror", "rot90")]
    turned = {augment(RAMP, kinds, name="", number=0).tobytes() for kinds in plan(("mirror", "rot90", "rot180"), 7)}
    assert len(turned) == 7 and RAMP.tobytes() not in turned
    assert plan(("mirror", "hue"), 5)[3:] == [("hue",), ("mirror", "hue")]
    for kinds, count in ((("mirror",), 2), (("rot90", "rot270"), 3), ((), 1), (("glitter",), 1), (("hue", "hue"), 1)):
        with pytest.raises(InputError) as caught:
            plan(kinds, count)
        assert caught.value.hint


def test_copies_are_in_the_set_with_their_label_and_marked(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("a/1.png", encode(RAMP))
        archive.writestr("b/2.png", encode(RAMP[::-1].copy()))
        archive.writestr("b/3.png", b"text")
    recorder = Recorder()
    config = PrepareConfig(
        str(tmp_path / "in.zip"), str(tmp_path / "out.zip"), 32, labels="folder", augment=("mirror", "saturation"),
        copies=2,
    )  # fmt: skip
    report = prepare(config, reporter=recorder)
    dataset = Dataset.open(report.dest)
    assert (report.kept, report.copies, report.errors, len(dataset)) == (2, 4, 1, 6)
    assert dataset.labels is not None and dataset.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(dataset[0][0], RAMP) and np.array_equal(dataset[1][0], RAMP[:, ::-1])
    assert (dataset.card["pictures"], dataset.card["copies"]) == (2, 4)
    assert dataset.card["settings"]["augment"] == ["mirror", "saturation"]
    lines = [json.loads(line) for line in Path(report.report).read_text("utf-8").splitlines()]
    assert [line.get("copy", "") for line in lines] == ["", "mirror", "saturation"] * 2 + [""]
    assert lines[1]["picture"] == "00000/img00000001.png" and lines[1]["name"] == "a/1.png"
    assert any("ADA" in text and text.startswith("warning") for text in recorder.texts)
    assert str(report).startswith("2 of 3 files kept") and "4 copies" in str(report)


@pytest.mark.parametrize("options", [
    {"copies": 2}, {"augment": ["mirror"], "copies": 2}, {"augment": ["glitter"]}, {"augment": "mirror"},
    {"augment": ["hue"], "copies": 101}, {"augment": ["hue"], "copies": -1},
])  # fmt: skip
def test_impossible_copies_are_refused(options):
    with pytest.raises(InputError) as caught:
        PrepareConfig.from_dict({"source": "a.zip", "dest": "b.zip"} | options)
    assert caught.value.hint
    assert set(KINDS) >= {"mirror", "hue"}
