"""Labels from a CSV, and from artists.csv beside folders of artists."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from ganlib.dataset import Dataset, PrepareConfig, prepare
from ganlib.dataset.tables import read_label_file
from ganlib.errors import DataError, InputError
from ganlib.images import encode

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
