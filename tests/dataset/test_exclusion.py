"""Exclusion lists: what a person writes is understood, what the tool writes reads back, and `prepare` obeys."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ganlib.base.errors import DataError, InputError
from ganlib.dataset import Dataset, PrepareConfig, prepare
from ganlib.dataset.exclusion import read_exclusions, write_exclusions
from ganlib.media.images import encode
from ganlib.runs import SilentReporter
from tests.dataset.test_dataset import plate, png, zipped


class Recorder(SilentReporter):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def log(self, text: str) -> None:
        self.texts.append(text)


def source(folder: Path, names: list[str]) -> Path:
    path, rng = folder / "in.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, encode(rng.integers(0, 255, (32, 32, 3), np.uint8)))
    return path


def test_a_list_by_hand_is_understood(tmp_path):
    text = '\ufeff# mine\r\n\r\n  a b.png \r\nc.png # blurred\r\nd#1.png\n"e #2.png"  # why\n#f.png\n"g".png\nc.png\n'
    (tmp_path / "list.txt").write_bytes(text.encode())
    assert read_exclusions(tmp_path / "list.txt") == {
        "a b.png": "",
        "c.png": "blurred",
        "d#1.png": "",
        "e #2.png": "why",
        '"g".png': "",
    }


def test_what_is_written_reads_back(tmp_path):
    names = {
        "a.png": "near-duplicate of b.png",
        "Zoë Ä/b c.png": "",
        "#hash.png": "x # y",
        "a #3.png": "two",
        ' "quoted" .png ': "three",
        '"whole"': "",
        "line\nbreak\x85.png": "four",
        "bad\udcff.png": "five",
        "../up.png": "six",
    }
    write_exclusions(tmp_path / "list.txt", names)
    assert read_exclusions(tmp_path / "list.txt") == names
    assert "a.png  # near-duplicate of b.png\n" in (tmp_path / "list.txt").read_text("utf-8")
    write_exclusions(tmp_path / "list.txt", {"a.png": "two\n lines"})
    assert read_exclusions(tmp_path / "list.txt") == {"a.png": "two lines"}


def test_pictures_on_the_list_are_set_aside_and_unknown_names_are_said(tmp_path):
    write_exclusions(tmp_path / "list.txt", {"b.png": "ugly", "sub/c.png": "", "gone\x1b.png": ""})
    pictures = source(tmp_path, ["a.png", "b.png", "sub/c.png", "d.png"])
    recorder = Recorder()
    config = PrepareConfig(str(pictures), str(tmp_path / "out.zip"), 16, exclude=str(tmp_path / "list.txt"))
    report = prepare(config, reporter=recorder)
    assert report.aside == {"excluded by the list": 2} and report.kept == len(Dataset.open(report.dest)) == 2
    lines = {line["name"]: line for line in map(json.loads, report.report.read_text("utf-8").splitlines())}
    assert lines["b.png"]["status"] == "aside" and lines["b.png"]["reason"] == "excluded by the list"
    warnings = [text for text in recorder.texts if text.startswith("warning")]
    assert len(warnings) == 1 and "gone?.png" in warnings[0] and "sub/c.png" not in warnings[0]


def test_a_list_of_everything_says_so(tmp_path):
    write_exclusions(tmp_path / "list.txt", {"a.png": "", "b.png": ""})
    pictures = source(tmp_path, ["a.png", "b.png"])
    with pytest.raises(DataError, match="no picture") as caught:
        prepare(PrepareConfig(str(pictures), str(tmp_path / "out.zip"), 16, exclude=str(tmp_path / "list.txt")))
    assert "--exclude" in caught.value.hint


def test_unreadable_lists_are_refused(tmp_path):
    pictures = source(tmp_path, ["a.png"])
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for name, words in (("missing.txt", "cannot be read"), ("binary.txt", "not UTF-8"), (".", "cannot be read")):
        with pytest.raises(InputError, match=words) as caught:
            prepare(PrepareConfig(str(pictures), str(tmp_path / "out.zip"), 16, exclude=str(tmp_path / name)))
        assert caught.value.hint
    assert not (tmp_path / "out.zip").exists()


def test_what_a_person_keeps_stays_whatever_speaks_against_it(tmp_path):
    grey = np.repeat(plate(0).mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    source = zipped(tmp_path / "in.zip", {f"p{i}.png": png(plate(i)) for i in range(6)} | {"grey.png": png(grey)})
    (tmp_path / "keep.txt").write_text("grey.png  # the only one of its kind\n")
    without = prepare(PrepareConfig(str(source), str(tmp_path / "a.zip"), 32, crop="subject"))
    assert [item.name for item in without.items if item.status == "aside"] == ["grey.png"]
    keep = str(tmp_path / "keep.txt")
    with_it = prepare(PrepareConfig(str(source), str(tmp_path / "b.zip"), 32, crop="subject", keep=keep))
    assert with_it.kept == without.kept + 1
    with pytest.raises(InputError, match="cannot be read") as caught:
        prepare(PrepareConfig(str(source), str(tmp_path / "c.zip"), 32, keep=str(tmp_path / "none.txt")))
    assert "--keep" in caught.value.hint
