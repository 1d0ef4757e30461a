"""Labels of a set in all the dresses in which tools write them: what is certain is taken, the rest refused in words."""

from __future__ import annotations

import json
import os
import random
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganlib.__main__ import main
from ganlib.base.errors import DataError, GanlibError, InputError
from ganlib.dataset import Dataset, PrepareConfig, prepare
from ganlib.dataset.labels import doubts_about
from ganlib.dataset.tables import read_label_file
from ganlib.media.images import encode
from ganlib.training import TrainConfig
from ganlib.training.setup import plan
from tests.dataset.test_exclusion import Recorder

PICTURE = encode(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8))
NAMES = [f"00000/img{i:08d}.png" for i in range(6)]
CLASSES = [0, 2, 1, 0, 2, 1]
PAIRS = [[name, number] for name, number in zip(NAMES, CLASSES, strict=True)]


def zipped(path: Path, labels: bytes, names: list[str] = NAMES, *, at: str = "dataset.json", **others: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, PICTURE)
        archive.writestr(at, labels)
        for name, data in others.items():
            archive.writestr(name.replace("__", "."), data)
    return path


def said(labels: Any) -> bytes:
    return json.dumps({"labels": labels}).encode()


def both(source: Path) -> list[tuple[list[int] | None, list[str]]]:
    """Classes of the pictures and their names: of the set as it is, and of what `prepare` makes of it."""
    report = prepare(PrepareConfig(str(source), str(source.with_suffix("")) + "-made.zip", 16, crop="center"))
    sets = [Dataset.open(source), Dataset.open(report.dest)]
    return [(None if one.labels is None else one.labels.tolist(), one.class_names) for one in sets]


# --- what is certain --------------------------------------------------------------------------------------------------

# Dresses of a class among three, of a name, and of the whole file: every combination means the same.
NUMBERS: list[Callable[[int], Any]] = [
    int, float, str, lambda n: f"{n}.0", lambda n: f"0{n}", lambda n: [n], lambda n: f" {n} ",
    lambda n: [int(i == n) for i in range(3)], lambda n: [float(i == n) for i in range(3)],
    lambda n: [i == n for i in range(3)],
]  # fmt: skip
WRITTEN: list[Callable[[str], str]] = [
    str, lambda s: s.replace("/", "\\"), lambda s: f"./{s}", lambda s: f".\\{s}", lambda s: f"set/{s}",
    lambda s: f"C:\\me\\set\\{s}", lambda s: s.replace(".png", ".jpg"), lambda s: s.replace(".png", ""),
    lambda s: s.rpartition("/")[2], str.upper, lambda s: s.replace("/", "//"),
]  # fmt: skip
FILES: list[Callable[[list[list[Any]]], str]] = [
    lambda pairs: json.dumps({"labels": pairs}), lambda pairs: json.dumps({"labels": dict(map(tuple, pairs))}),
    lambda pairs: json.dumps(dict(map(tuple, pairs))), lambda pairs: json.dumps(pairs),
    lambda pairs: json.dumps({"labels": [{"file_name": name, "label": label} for name, label in pairs]}),
    lambda pairs: json.dumps({"labels": pairs}, indent=2).replace("\n  ]\n", ",\n  ],\n"),
    lambda pairs: json.dumps({"labels": pairs}, indent=1).replace("\n", "\r\n"),
]  # fmt: skip
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32")
LAYOUTS: list[Callable[[str], str]] = [
    str, lambda s: f"my set/{s}", lambda s: f"a/b/{s}", lambda s: s.replace("/", "\\"), lambda s: f"my set\\{s}"
]  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_one_set_of_labels_in_any_dress_gives_the_same_classes(tmp_path, seed):
    rng = random.Random(seed)
    number, written, file, layout = (rng.choice(dresses) for dresses in (NUMBERS, WRITTEN, FILES, LAYOUTS))
    pairs = [[written(name), number(label)] for name, label in PAIRS]
    rng.shuffle(pairs)
    pairs += rng.sample(pairs, 2)  # the same picture with the same class twice says nothing new
    mac = {"__MACOSX/._dataset.json": b"\x00\x05\x16\x07", ".DS_Store": b"x"} if rng.random() < 0.5 else {}
    source = zipped(
        tmp_path / "in.zip", file(pairs).encode(rng.choice(ENCODINGS)), [layout(name) for name in NAMES],
        at=layout("dataset.json"),
    )  # fmt: skip
    with zipfile.ZipFile(source, "a") as archive:
        for name, data in mac.items():
            archive.writestr(name, data)
    assert both(source) == [(CLASSES, ["0", "1", "2"])] * 2


@pytest.mark.parametrize(("card", "names", "labels"), [
    (None, ["bird", "cat", "dog"], [1, 2, 0]), (["dog", "cat", "bird"], ["dog", "cat", "bird"], [1, 0, 2]),
    (["dog", "wolf", "cat", "bird"], ["dog", "wolf", "cat", "bird"], [2, 0, 3]),
    (["dog", "cat"], ["bird", "cat", "dog"], [1, 2, 0]),
])  # fmt: skip
def test_words_are_names_of_classes_in_the_order_of_the_card_or_the_alphabet(tmp_path, card, names, labels):
    words = ["cat", " dog", "bird"]
    others = {} if card is None else {"card__json": b"\xef\xbb\xbf" + json.dumps({"classes": card}).encode()}
    source = zipped(tmp_path / "in.zip", said(list(zip(NAMES, words, strict=False))), NAMES[:3], **others)
    assert both(source) == [(labels, names)] * 2


def test_numbers_in_words_that_the_card_knows_are_names(tmp_path):
    source = zipped(tmp_path / "in.zip", said([[NAMES[0], "1900"], [NAMES[1], "1890"]]), NAMES[:2],
                    card__json=json.dumps({"classes": ["1890", "1900"]}).encode())  # fmt: skip
    assert both(source) == [([1, 0], ["1890", "1900"])] * 2


def test_a_one_hot_list_says_how_many_classes_there_are(tmp_path):
    source = zipped(tmp_path / "in.zip", said([[name, [1, 0, 0, 0]] for name in NAMES]))
    assert both(source) == [([0] * 6, ["0", "1", "2", "3"])] * 2


def test_a_more_exact_name_comes_before_one_that_is_only_like_it(tmp_path):
    names = ["a/1.png", "b/1.png", "1.png", "b/2.jpg"]
    pairs = [["b/1.png", "b"], ["1.png", "top"], ["a/1.png", "a"], ["x/b/2.png", "deep"]]
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name in names:
            archive.writestr(name, PICTURE)
        archive.writestr("dataset.json", said(pairs))
    dataset = Dataset.open(tmp_path / "in.zip")
    assert dict(zip(dataset.names, [dataset.class_names[dataset[i][1] or 0] for i in range(4)], strict=True)) == {
        "1.png": "top", "a/1.png": "a", "b/1.png": "b", "b/2.jpg": "deep"
    }  # fmt: skip


def test_names_that_are_alike_but_for_their_folders_give_no_picture_the_class_of_another(tmp_path):
    source = zipped(tmp_path / "in.zip", said([["a/1.png", 0], ["b/1.png", 1], ["2.png", 1]]), ["1.png", "2.png"])
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, crop="center"))
    assert report.aside == {"no label": 1} and report.kept == 1


class FinderEntry(zipfile.ZipInfo):
    """As Finder writes it: the name in UTF-8, decomposed, without the flag that says so."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return unicodedata.normalize("NFD", self.filename).encode(), self.flag_bits & ~0x800


def test_names_in_a_zip_of_finder_are_those_that_its_labels_name(tmp_path):
    names = ["Zoë Ä/日本.png", "Zoë Ä/b.png"]
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name in (*names, "__MACOSX/Zoë Ä/._b.png", ".DS_Store"):
            archive.writestr(FinderEntry(name), PICTURE)
        archive.writestr("dataset.json", said([[names[0], "x"], [names[1], "y"]]))
    with zipfile.ZipFile(tmp_path / "in.zip") as archive:
        assert names[0] not in archive.namelist()  # as Python reads them
    assert both(tmp_path / "in.zip") == [([1, 0], ["x", "y"])] * 2


@pytest.mark.parametrize("rule", ["folder", "prefix"])
def test_members_named_with_a_backslash_lie_in_folders(tmp_path, rule):
    names = ["cat\\cat_1.png", "dog\\dog_1.png", "dog\\dog_2.png", "__MACOSX\\dog\\._dog_1.png"]
    source = zipped(tmp_path / "in.zip", said(None), names)
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels=rule))
    assert report.classes == ["cat", "dog"] and report.kept == 3


ONE_HOT: list[Callable[[list[int]], str]] = [
    str, lambda row: str([float(one) for one in row]), lambda row: str(tuple(row)), lambda row: str(np.array(row)),
    lambda row: str(np.array(row, float)), lambda row: str([bool(one) for one in row]),
    lambda row: f" {json.dumps(row)} ",
]  # fmt: skip


@pytest.mark.parametrize("dress", range(len(ONE_HOT)))
def test_one_hot_lists_written_as_text_are_one_hot(tmp_path, dress):
    pairs = [(name, ONE_HOT[dress]([int(i == number) for i in range(4)])) for name, number in PAIRS]
    source = zipped(tmp_path / "in.zip", said(pairs))
    assert both(source) == [(CLASSES, ["0", "1", "2", "3"])] * 2
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n" + "".join(f'{name},"{label}"\n' for name, label in pairs))
    source = zipped(tmp_path / "in.zip", said(None))
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, crop="center", labels=str(table)))
    dataset = Dataset.open(report.dest)
    assert dataset.class_names == ["0", "1", "2", "3"] and dataset.labels is not None
    assert dataset.labels.tolist() == CLASSES


def test_words_in_brackets_stay_words(tmp_path):
    words = ["[untitled]", "(2)", "[]"]
    source = zipped(tmp_path / "in.zip", said(list(zip(NAMES, words, strict=False))), NAMES[:3])
    assert both(source)[0][1] == ["(2)", "[]", "[untitled]"]


# --- what is something else -------------------------------------------------------------------------------------------

POSE = [*([0.25] * 16), *([0.5] * 9)]


@pytest.mark.parametrize(("labels", "words"), [
    ([[name, [1, 1, 0]] for name in NAMES], f"{NAMES[0]} has the label [1, 1, 0], several labels at once"),
    ([[name, [3, 7]] for name in NAMES], "several labels at once"),
    ([[name, ["cat", "dog"]] for name in NAMES], "several labels at once"),
    ([[name, 0, 1] for name in NAMES], "2 labels at once"),
    ([[name, POSE] for name in NAMES], "25 numbers that are no class, such as a camera pose"),
    ([[NAMES[0], [0] * 25], [NAMES[1], POSE]], "25 numbers that are no class, such as a camera pose"),
    ([[name, [0.0] * 25] for name in NAMES], "25 numbers that are no class, such as a camera pose"),
    ([[NAMES[0], [0, 0, 0]], [NAMES[1], [0.5, 1, 0]]], "3 numbers that are no class"),
    ([[NAMES[0], [1, 1, 0]], [NAMES[1], [-1, 1, 0]]], f"{NAMES[0]} has the label [1, 1, 0], 3 numbers that are no"),
    ([[name, str(POSE)] for name in NAMES], "25 numbers that are no class"),
    ([[name, [10**400, 1]] for name in NAMES], "at once"),
    ([[name, [0.5, 0.5]] for name in NAMES], "2 numbers that are no class"),
    ([[NAMES[0], 0], [NAMES[1], -1]], f"{NAMES[1]} has the label -1"),
    ([[NAMES[0], 0], [NAMES[1], "-1"]], "no"),
    ([[NAMES[0], 0], [NAMES[1], 0.5]], f"{NAMES[1]} has the label 0.5, which is no whole number"),
    ([[NAMES[0], 0], [NAMES[1], float("nan")]], "no whole number"),
    ([[NAMES[0], 0], [NAMES[1], 10**9]], "classes end at"),
    ([[NAMES[0], 0], [NAMES[1], "cat"]], f"{NAMES[1]} has the label \"cat\", a word, where {NAMES[0]} has a number, 0"),
    ([[NAMES[0], [0, 1]], [NAMES[1], [0, 1, 0]]], "a list of 3"),
    ([[name, [0, 0]] for name in NAMES], "without its 1"), ([[name, {"a": 1}] for name in NAMES], "no class"),
    ([[name, ""] for name in NAMES], "an empty word"), ([0, 1, 2, 0, 2, 1], "entry 1 is 0"), (7, "pairs: 7"),
    ("text", "pairs"), ([[["a"], 1]], "entry 1 is"), ([["other.png", 1]], "no name in dataset.json"),
])  # fmt: skip
def test_what_is_no_class_is_refused_with_the_first_picture_that_has_it(tmp_path, labels, words):
    source = zipped(tmp_path / "in.zip", said(labels))
    for attempt in (lambda: prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16)),
                    lambda: Dataset.open(source)):  # fmt: skip
        with pytest.raises(DataError) as caught:
            attempt()
        assert words in caught.value.message and "--labels none" in caught.value.hint
    assert not (tmp_path / "out.zip").exists()
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels="none", crop="center"))
    assert report.kept == len(NAMES) and Dataset.open(report.dest).labels is None


@pytest.mark.parametrize(("text", "place"), [
    ('{"labels": [["a.png", 0],\n ["b.png" 1]]}', "line 2, column 11"), ('{"labels": [["a.png", 0,],\n [', "line 2"),
    ('{"labels"', "line 1, column 10"), ("", "line 1, column 1"), ('{"labels": [["a,]", 1],],}\n}', "line 2, column 1"),
    ("[" * 100_000, "nested too deeply"),
])  # fmt: skip
def test_broken_json_is_refused_with_line_and_column(tmp_path, text, place):
    source = zipped(tmp_path / "in.zip", text.encode())
    for attempt in (lambda: prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16)),
                    lambda: Dataset.open(source)):  # fmt: skip
        with pytest.raises(DataError, match="not readable JSON") as caught:
            attempt()
        assert place in caught.value.message and "--labels none" in caught.value.hint


@pytest.mark.parametrize(("data", "words"), [
    (b'{"labels": [["1.png", "Stilleben"],\n ["2.png", "Fr\xe9d\xe9ric"]]}', "line 2, column 15 (byte 0xe9)"),
    (b'\xef\xbb\xbf{"\xc3\xa4": "\xff"}', "line 1, column 8 (byte 0xff)"),
])  # fmt: skip
def test_labels_in_no_utf_8_are_refused_with_their_place_and_how_to_save_them(tmp_path, data, words):
    source = zipped(tmp_path / "in.zip", data)
    for attempt in (lambda: prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16)),
                    lambda: Dataset.open(source)):  # fmt: skip
        with pytest.raises(DataError, match="is no UTF-8 text") as caught:
            attempt()
        assert words in caught.value.message
        assert "save it as UTF-8" in caught.value.hint and "--labels none" in caught.value.hint


def link_out(at: Path) -> None:
    outside = next(folder for folder in at.parents if folder.name == "in").parent
    (outside / "elsewhere.json").write_bytes(said(PAIRS))
    at.symlink_to(outside / "elsewhere.json")


@pytest.mark.parametrize(("put", "why"), [
    (link_out, "a link out of the folder"), (os.mkfifo, "a device or pipe"),
    (lambda at: at.symlink_to("nowhere"), "a link that leads nowhere"), (lambda at: at.symlink_to(at), "leads nowhere"),
    (lambda at: at.symlink_to(at.parent), "a link to a folder"), (lambda at: at.symlink_to("/dev/zero"), "a link out"),
])  # fmt: skip
@pytest.mark.parametrize("where", [".", "set"])
def test_labels_that_are_not_read_are_not_lost_without_a_word(tmp_path, put, why, where):
    source = tmp_path / "in"
    for name in NAMES:
        (source / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (source / "set" / name).write_bytes(PICTURE)
    put(source / where / "dataset.json")
    for attempt in (lambda: prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16)),
                    lambda: Dataset.open(source)):  # fmt: skip
        with pytest.raises(DataError, match=r"dataset\.json in .* is not read") as caught:
            attempt()
        assert why in caught.value.message and "--labels none" in caught.value.hint
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels="none", crop="center"))
    assert report.kept == len(NAMES)


@pytest.mark.parametrize(("at", "key", "labels", "words"), [
    ("dataset.json", "Labels", PAIRS,
     "warning: dataset.json says nothing of labels (it has Labels): the set has no classes"),
    ("Dataset.JSON", "labels", PAIRS,
     "warning: Dataset.JSON is not read, the set has no classes: call it dataset.json"),
    ("dataset.json", "labels", None,
     'dataset.json says that there are no labels ("labels": null): the set has no classes'),
])  # fmt: skip
def test_a_set_that_has_no_classes_against_expectation_comes_with_a_warning(tmp_path, at, key, labels, words):
    recorder, source = Recorder(), zipped(tmp_path / "in.zip", json.dumps({key: labels}).encode(), at=at)
    prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, crop="center"), reporter=recorder)
    assert words in recorder.texts


def test_labels_larger_than_any_list_of_classes_are_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAMES[0], PICTURE)
        archive.writestr("dataset.json", b'{"labels": [' + b"[]," * 25_000_000 + b"[]]}")
    with pytest.raises(DataError, match="larger than 64 MiB") as caught:
        Dataset.open(tmp_path / "in.zip")
    assert "--labels none" in caught.value.hint


def test_a_file_of_another_tool_gives_no_labels_and_says_so(tmp_path):
    for content in (b'{"images": [], "annotations": []}', b'{"labels": null}', b'{"labels": []}', b"{}"):
        recorder, source = Recorder(), zipped(tmp_path / "in.zip", content)
        prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16), reporter=recorder)
        assert Dataset.open(tmp_path / "out.zip").labels is None and Dataset.open(source).labels is None
        words = "there are no labels" if b"null" in content else "says nothing of labels"
        assert any(words in text for text in recorder.texts)


def test_labels_of_a_part_of_the_pictures_are_left_out_aloud(tmp_path):
    recorder, source = Recorder(), zipped(tmp_path / "in.zip", said([["2.png", 0]]), ["1.png", "set/2.png"],
                                         at="set/dataset.json")  # fmt: skip
    prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16), reporter=recorder)
    assert Dataset.open(tmp_path / "out.zip").labels is None
    assert any(text.startswith("warning: set/dataset.json is about a part") for text in recorder.texts)
    with zipfile.ZipFile(source) as archive:
        archive.extractall(tmp_path / "unpacked")
    prepare(PrepareConfig(str(tmp_path / "unpacked" / "set"), str(tmp_path / "out.zip"), 16, crop="center"))
    assert Dataset.open(tmp_path / "out.zip").label_dim == 1


def test_a_picture_with_two_classes_is_refused_by_its_name(tmp_path):
    twice = [["./" + NAMES[2].replace("/", "\\"), 2], [NAMES[0], 1]]
    for labels in (said(PAIRS + twice), b'{"labels": {"1.png": 0, "2.png": 1, "1.png": 1}}'):
        source = zipped(tmp_path / "in.zip", labels, ["1.png", "2.png", *NAMES])
        with pytest.raises(DataError, match="twice with different classes") as caught:
            prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16))
        assert f"{NAMES[0]} as 0 and as 1" in caught.value.message or "1.png as 0 and as 1" in caught.value.message


def test_names_that_no_picture_has_are_said(tmp_path):
    recorder, source = Recorder(), zipped(tmp_path / "in.zip", said([*PAIRS, ["gone.png", 1]]))
    prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, crop="center"), reporter=recorder)
    assert "warning: labels for pictures that are not here: 1 (gone.png)" in recorder.texts


# --- advice -----------------------------------------------------------------------------------------------------------


def followed(hint: str, folder: Path) -> Path:
    """Do what a hint's command says, and return what it makes."""
    import shlex

    from ganlib.__main__ import main

    words = shlex.split(hint.split("`")[1])
    assert words[:4] == ["python", "-m", "ganlib", "prepare"]
    words[words.index("NEW.zip")] = str(folder / "NEW.zip")
    assert main(words[3:]) == 0
    return folder / "NEW.zip"


def training(data: Path) -> TrainConfig:
    return TrainConfig(data=str(data), cond=True, arch="dcgan", kimg=1, device="cpu", aug="noaug")


@pytest.mark.parametrize(("labels", "classes"), [
    ([[name, POSE] for name in NAMES], 0), ([[name, -1] for name in NAMES], 0), (PAIRS[:4], 3),
])  # fmt: skip
def test_the_advice_that_training_gives_can_be_followed(tmp_path, labels, classes):
    source = zipped(tmp_path / "a set.zip", said(labels))
    with pytest.raises(DataError) as caught:
        plan(training(source))
    made = followed(caught.value.hint, tmp_path)
    assert Dataset.open(made).label_dim == classes
    if classes:
        assert plan(training(made)).spec.label_dim == classes
        return
    with pytest.raises(DataError, match="no class labels") as caught:
        plan(training(made))
    assert "--labels folder" in caught.value.hint  # of the pictures it was made of
    source = zipped(tmp_path / "folders.zip", b"{}", ["cat/1.png", "dog/1.png"])
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels="folder", crop="center"))
    assert plan(training(report.dest)).spec.label_dim == 2


def test_classes_without_pictures_are_told_of_and_can_be_left_out(tmp_path):
    source = zipped(tmp_path / "in.zip", said([[name, 1000 * (i % 2)] for i, name in enumerate(NAMES)]))
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, crop="center"))
    words = "999 of 1,001 classes have no picture (1, 2, 3, 4, 5 …)"
    assert words in str(report) and len(report.classes) == 1001
    doubts = plan(training(report.dest)).doubts
    assert len(doubts) == 1 and words in doubts[0]
    made = Dataset.open(followed(doubts[0], tmp_path))
    assert made.class_names == ["0", "1000"] and made.doubts() == [] and made.class_counts == {"0": 3, "1000": 3}


def test_classes_numbered_from_one_keep_their_numbers_and_are_told_of(tmp_path):
    source = zipped(tmp_path / "in.zip", said([[name, 1 + i % 2] for i, name in enumerate(NAMES)]))
    assert both(source) == [([1, 2, 1, 2, 1, 2], ["0", "1", "2"])] * 2
    assert "1 of 3 classes has no picture (0)" in Dataset.open(source).doubts()[0]


def test_both_dry_runs_tell_of_classes_without_pictures(tmp_path, capsys):
    source = zipped(tmp_path / "in.zip", said([[name, 1 + i % 2] for i, name in enumerate(NAMES)]))
    assert main(["prepare", "--source", str(source), "--dest", str(tmp_path / "out.zip"), "--dry-run"]) == 0
    assert "warning: 1 of 3 classes has no picture (0)" in capsys.readouterr().out
    train = ["train", "--data", str(source), "--arch", "dcgan", "--kimg", "1", "--device", "cpu", "--aug", "noaug"]
    assert main([*train, "--cond", "--dry-run"]) == 0
    assert "warning: 1 of 3 classes has no picture (0)" in capsys.readouterr().out
    assert main([*train, "--dry-run"]) == 0
    assert "warning" not in capsys.readouterr().out
    labels = said([[name, POSE] for name in NAMES])
    for command in (["prepare", "--source", str(zipped(source, labels)), "--dest", str(tmp_path / "out.zip")], train):
        assert main([*command, "--dry-run"]) == 2
        assert "camera pose" in capsys.readouterr().err


def test_rare_classes_are_told_of_beyond_one_to_nine():
    assert doubts_about({"a": 9, "b": 1}) == [] and doubts_about({}) == [] and doubts_about({"a": 0}) == []
    said = doubts_about({"a": 10, "b\nx": 1, "c": 0})
    assert len(said) == 2 and "1 of 3 classes has no picture (c)" in said[0]
    assert "class a has 10 pictures and class b\N{REPLACEMENT CHARACTER}x 1" in said[1]


# --- tables and lists -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252", "mac-roman"])
@pytest.mark.parametrize("dress", range(len(WRITTEN)))
def test_a_table_in_any_encoding_and_with_names_in_any_dress_gives_the_same_classes(tmp_path, encoding, dress):
    rows = "".join(f"{WRITTEN[dress](name)},{'abç'[label]}\r\n" for name, label in PAIRS)
    (tmp_path / "labels.csv").write_bytes(f"file,label\r\n{rows}".encode(encoding))
    source = zipped(tmp_path / "in.zip", said(None))
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels=str(tmp_path / "labels.csv")))
    dataset = Dataset.open(report.dest)
    assert dataset.class_names == ["a", "b", "ç"] and dataset.labels is not None
    assert dataset.labels.tolist() == CLASSES


@pytest.mark.parametrize("encoding", ["cp1252", "mac-roman"])
@pytest.mark.parametrize("words", ["Dürer,Cézanne,Händel", "l’été,naïf,Gauß", "œuvre complète,façade", "Año,Peña"])
def test_a_table_of_an_older_spreadsheet_keeps_its_accents(tmp_path, encoding, words):
    names = words.split(",")
    rows = "".join(f"{i}.png,{name}\n" for i, name in enumerate(names))
    (tmp_path / "labels.csv").write_bytes(f"file,label\n{rows}".encode(encoding))
    assert list(read_label_file(tmp_path / "labels.csv")[0].values()) == names


def test_a_table_with_two_classes_for_a_picture_is_refused_by_its_name(tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\na/1.png,dog\na/2.png,cat\na\\1.png,bird\na/2.png,cat\n")
    source = zipped(tmp_path / "in.zip", said(None), ["a/1.png", "a/2.png"])
    with pytest.raises(GanlibError, match="a picture twice") as caught:
        prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels=str(tmp_path / "labels.csv")))
    assert "a/1.png as dog and as bird" in caught.value.message


def test_a_table_that_cannot_be_text_says_how_to_save_it(tmp_path):
    (tmp_path / "labels.csv").write_bytes("я,кот\n".encode("utf-16-le"))  # nothing says that it is UTF-16
    with pytest.raises(InputError, match="save it as text in UTF-8"):
        prepare(PrepareConfig(str(zipped(tmp_path / "in.zip", said(None))), str(tmp_path / "out.zip"), 16,
                              labels=str(tmp_path / "labels.csv")))  # fmt: skip


@pytest.mark.parametrize("flag", ["exclude", "keep"])
@pytest.mark.parametrize("written", ["b\\2.png", "./b/2.png", ".\\b\\2.png", "B/2.PNG"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_lists_name_pictures_with_backslashes_too(tmp_path, flag, written, encoding):
    (tmp_path / "list.txt").write_bytes(f"# mine\n{written}\n".encode(encoding))
    names = ["a/1.png", "b/2.png", "b/2.jpg.png", "c/b/2.png"]
    recorder, source = Recorder(), zipped(tmp_path / "in.zip", said(None), names)
    options: dict[str, Any] = {flag: str(tmp_path / "list.txt")}
    config = PrepareConfig(str(source), str(tmp_path / "out.zip"), 64, crop="center", **options)
    if flag == "keep":  # 16 px are too small for 64, unless a picture is to stay
        report = prepare(config, reporter=recorder)
        assert [item.name for item in report.items if item.status == "kept"] == ["b/2.png"]
    else:
        config = PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, crop="center", **options)
        report = prepare(config, reporter=recorder)
        assert [item.name for item in report.items if item.reason == "excluded by the list"] == ["b/2.png"]
    assert not any(text.startswith("warning") for text in recorder.texts)
