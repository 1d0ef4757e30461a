"""Labels from a CSV, and from artists.csv beside folders of artists."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from ganlib.base.errors import DataError, InputError
from ganlib.dataset import Dataset, PrepareConfig, prepare
from ganlib.dataset.report import PrepareReport
from ganlib.dataset.tables import read_label_file
from ganlib.media.images import encode

PICTURE = encode(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8))
ARTISTS = """id,name,years,genre,nationality
0,Amedeo Modigliani,1884 - 1920,Expressionism,Italian
1,Vincent van Gogh,1853 – 1890,"Post-Impressionism,Realism",Dutch
2,Albrecht Dürer,1471 - 1528,Northern Renaissance,German
"""


def zipped(path: Path, names: list[str], **others: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, PICTURE)
        for name, text in others.items():
            archive.writestr(name.replace("__", "."), text.encode())
    return path


@pytest.mark.parametrize("dress", ["table", "folder"])
def test_classes_that_differ_only_by_case_are_told_and_those_by_space_at_the_ends_are_one(tmp_path, dress):
    classes = ["Cat", "cat ", " cat", "dog"]
    names = [f"{name}/{i}.png" if dress == "folder" else f"{i}.png" for i, name in enumerate(classes)]
    table = tmp_path / "labels.csv"
    table.write_text("".join(f"{name},{word}\n" for name, word in zip(names, classes, strict=True)))
    source = zipped(tmp_path / "in.zip", names)
    rule = "folder" if dress == "folder" else str(table)
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels=rule))
    dataset = Dataset.open(report.dest)
    assert dataset.class_names == ["Cat", "cat", "dog"] and dataset.labels is not None
    assert sorted(dataset.labels.tolist()) == [0, 1, 1, 2]
    words = "the classes 'Cat' and 'cat' differ only in capital letters or spaces"
    assert words in str(report) and any(words in doubt for doubt in dataset.doubts())


@pytest.mark.parametrize("text", [
    "file,label\na/1.png,cat\n2.png,dog\n3,cat\n", "a/1.png,cat\n2.png,dog\n3,cat\n",
    "id;label;file\n7;cat;a/1.png\n8;dog;a/2.png\n9;cat;b/3\n",
    '\ufefflabel\tfilename\r\ncat\t"1.png"\r\ndog\t2\r\ncat\t3.PNG\r\n',
])  # fmt: skip
def test_a_table_of_files_and_labels(tmp_path, text):
    (tmp_path / "labels.csv").write_bytes(text.encode())
    source = zipped(tmp_path / "in.zip", ["a/1.png", "a/2.png", "b/3.png", "b/none.png"])
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels=str(tmp_path / "labels.csv")))
    dataset = Dataset.open(report.dest)
    assert dataset.class_names == ["cat", "dog"] and dataset.labels is not None
    assert dataset.labels.tolist() == [0, 1, 0] and report.aside == {"no label": 1}
    assert dataset.card["settings"]["labels"] == "labels.csv"


def made(tmp_path: Path, rule: str, labels: list[str], dress: str = "{}") -> PrepareReport:
    """A set of one picture for each label, which `rule` finds in its dress."""
    said = [dress.format(label) for label in labels]
    names = [f"{label}_{i}.png" if rule == "prefix" else f"{label}/{i}.png" for i, label in enumerate(said)]
    if rule == "csv":
        names = [f"{i}.png" for i in range(len(said))]
        rule = str(tmp_path / "labels.csv")
        Path(rule).write_text("".join(f"{name},{label}\n" for name, label in zip(names, said, strict=True)))
    elif rule == "artists:born":
        rows = "".join(f"{i},A{i},{label}\n" for i, label in enumerate(said))
        source = zipped(tmp_path / "in.zip", [f"A{i}/1.png" for i in range(len(said))],
                        artists__csv=f"id,name,born\n{rows}")  # fmt: skip
        return prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels=rule, crop="center"))
    source = zipped(tmp_path / "in.zip", names)
    return prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels=rule, crop="center"))


def labels_of(report: PrepareReport) -> dict[str, int]:
    """The number of each source picture's class."""
    dataset = Dataset.open(report.dest)
    assert dataset.labels is not None
    number = dict(zip(dataset.names, dataset.labels.tolist(), strict=True))
    return {item.name: number[item.picture] for item in report.items if item.picture}


@pytest.mark.parametrize("rule", ["csv", "folder", "prefix", "artists:born"])
@pytest.mark.parametrize("dress", ["{}", "{}.0", "0{}", "+{}"])
def test_whole_numbers_from_0_stay_the_numbers_of_their_classes(tmp_path, rule, dress):
    report = made(tmp_path, rule, [str(i) for i in range(12)], dress)
    assert Dataset.open(report.dest).class_names == report.classes == [str(i) for i in range(12)]
    assert {item.label: labels_of(report)[item.name] for item in report.items if item.picture} == {
        str(i): i for i in range(12)
    }  # fmt: skip
    assert "numbered" not in str(report)


@pytest.mark.parametrize("rule", ["csv", "folder", "prefix", "artists:born"])
@pytest.mark.parametrize(("labels", "words"), [
    (["10.0", "2.0", "10.0"], "classes 2, 10 are numbered 0, 1"),
    (["998", "2004", "1998"], "classes 998, 1998, 2004 are numbered 0, 1, 2"),
    (["5", "01"], "classes 1, 5 are numbered 0, 1"), (["7"], "class 7 is numbered 0"),
    ([str(i) for i in range(1, 8)], "classes 1, 2, 3, 4, 5 … are numbered 0, 1, 2, 3, 4 …"),
])  # fmt: skip
def test_other_whole_numbers_are_names_in_their_order_and_it_is_said(tmp_path, rule, labels, words):
    report = made(tmp_path, rule, labels)
    assert report.classes == [str(n) for n in sorted({int(float(label)) for label in labels})]
    assert words in str(report).splitlines()


def test_a_number_without_a_picture_that_can_be_used_moves_no_other_class(tmp_path):
    source = zipped(tmp_path / "in.zip", ["0/1.png", "2/1.png"])
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("1/1.png", b"no picture")
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels="folder", crop="center"))
    assert report.classes == ["0", "1", "2"] and labels_of(report) == {"0/1.png": 0, "2/1.png": 2}
    assert "1 of 3 classes has no picture (1)" in str(report)


def test_numbers_among_words_are_words(tmp_path):
    assert made(tmp_path, "csv", ["10", "2", "2b"]).classes == ["10", "2", "2b"]


@pytest.mark.parametrize(("labels", "words"), [
    (["1", "-1"], "1.png has the label -1, and classes are counted from 0"),
    (["1", "2.5"], "1.png has the label 2.5, which is no whole number"),
])  # fmt: skip
def test_numbers_in_a_table_that_are_no_class_are_refused(tmp_path, labels, words):
    with pytest.raises(DataError) as caught:
        made(tmp_path, "csv", labels)
    assert words in caught.value.message and caught.value.hint


@pytest.mark.parametrize("text", ["", "\n\n", "only\none\n", "file,label\n", "a,\n", "\0,\0\n"])
def test_what_is_no_table_is_refused(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_label_file(tmp_path / "labels.csv")
    assert caught.value.hint
    with pytest.raises(InputError, match="cannot be read"):
        read_label_file(tmp_path / "missing.csv")


def test_a_table_of_other_files_says_so(tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\nx.png,cat\n")
    source = zipped(tmp_path / "in.zip", ["a.png"])
    with pytest.raises(DataError, match="no picture") as caught:
        prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels=str(tmp_path / "labels.csv")))
    assert "a.png" in caught.value.hint


@pytest.mark.parametrize(("column", "classes", "labels"), [
    ("genre", ["Expressionism", "Northern Renaissance", "Post-Impressionism"], [1, 0, 2, 2]),
    ("", ["Albrecht Dürer", "Amedeo Modigliani", "Vincent van Gogh"], [0, 1, 2, 2]),
])  # fmt: skip
def test_artists_have_folders_or_file_names(tmp_path, column, classes, labels):
    names = [
        "images/images/Albrecht_Du\u0308rer/Albrecht_Dürer_1.jpg", "images/images/Amedeo_Modigliani/x.png",
        "images/images/Vincent_van_Gogh/Vincent_van_Gogh_1.jpg", "resized/resized/Vincent_van_Gogh_12.jpg",
        "images/images/Unknown/1.jpg",
    ]  # fmt: skip
    source = zipped(tmp_path / "in.zip", names, artists__csv=ARTISTS)
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels=f"artists:{column}"))
    dataset = Dataset.open(report.dest)
    assert dataset.class_names == classes and dataset.labels is not None and dataset.labels.tolist() == labels
    assert report.aside == {"no label": 1, "not a picture file": 1}


def test_missing_artists_and_columns_are_named(tmp_path):
    source = zipped(tmp_path / "in.zip", ["a/1.png"])
    with pytest.raises(DataError, match=r"no artists\.csv"):
        prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels="artists:genre"))
    source = zipped(tmp_path / "in.zip", ["a/1.png"], artists__csv=ARTISTS)
    with pytest.raises(InputError, match="no column height") as caught:
        prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels="artists:height"))
    assert "nationality" in caught.value.hint
