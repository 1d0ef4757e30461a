"""The validator: every fault that is planted is found, and nothing else is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ganlib.base.errors import DataError
from ganlib.dataset.files import Bounds
from ganlib.media.images import contact_sheet, encode
from ganlib.nft import NftConfig, checks, make_drop, validate_drop


@pytest.fixture(scope="module")
def drop(tiny_model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drops") / "drop"
    make_drop(NftConfig(network=tiny_model, seeds="0-4", outdir=folder, device="cpu"))
    return folder


def json_of(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def repaint(path: Path) -> None:
    path.write_bytes(encode(contact_sheet(np.full((1, 16, 16, 3), 90, np.uint8), columns=1), "png"))


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json_of(path) | values), encoding="utf-8")


def without_rights(path: Path) -> None:
    item = json_of(path)
    del item["properties"]["rights"]
    path.write_text(json.dumps(item), encoding="utf-8")


def with_gap(path: Path) -> None:
    record = json_of(path)
    del record["items"][2]
    path.write_text(json.dumps(record), encoding="utf-8")


def swap_ranks(path: Path) -> None:
    data = json_of(path)
    a, b = data["pieces"][0], data["pieces"][1]
    a["rank"], b["rank"] = b["rank"], a["rank"]
    path.write_text(json.dumps(data), encoding="utf-8")


def copied(drop: Path, dest: Path) -> Path:
    shutil.copytree(drop, dest)
    return dest


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda d: (d / "2.png").unlink(), ["2.png: missing"]),
        (lambda d: repaint(d / "2.png"), ["2.png: its bytes", "folder of images"]),
        (lambda d: (d / "1.png").write_bytes((d / "0.png").read_bytes()), ["1.png: its bytes"]),
        (lambda d: change(d / "1.json", name=""), ["1.json: its bytes", "1.json: erc721: name", "_metadata.json"]),
        (lambda d: change(d / "1.json", image="ipfs://" + "b" * 59), ["1.json: image does not lead to 1.png"]),
        (lambda d: change(d / "1.json", name=json_of(d / "0.json")["name"]), ["is given 2 times"]),
        (lambda d: without_rights(d / "0.json"), ["0.json: the rights"]),
        (lambda d: (d / "1.json").write_text("{"), ["1.json: is no JSON"]),
        (
            lambda d: with_gap(d / "provenance.json"),
            ["number 2 is missing", "2.png: does not belong"],
        ),
        (lambda d: swap_ranks(d / "rarity.json"), ["rarity.json: rank or traits of piece 0"]),
        (lambda d: (d / "_metadata.json").unlink(), ["_metadata.json: missing"]),
        (lambda d: (d / "notes.txt").write_text("x"), ["notes.txt: does not belong"]),
        (lambda d: change(d / "provenance.json", provenance_hash="0" * 64), ["provenance hash"]),
        (lambda d: change(d / "provenance.json", cids={}), ["folder of images is wrong", "folder of metadata is"]),
    ],
)
def test_the_validator_finds_planted_faults(drop, tmp_path, fault, words):
    folder = copied(drop, tmp_path / "drop")
    assert validate_drop(folder) == []
    fault(folder)
    problems = validate_drop(folder)
    for word in words:
        assert any(word in problem for problem in problems), (word, problems)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"items": [], "standard": "both", "layout": "plain"}', "{" * 5000])
def test_a_folder_without_a_whole_record_is_no_collection(tmp_path, text):
    with pytest.raises(DataError, match=r"no provenance\.json"):
        validate_drop(tmp_path)
    (tmp_path / "provenance.json").write_text(text)
    with pytest.raises(DataError, match="damaged"):
        validate_drop(tmp_path)


@pytest.mark.parametrize("name", ["0.json", "rarity.json", "_metadata.json"])
@pytest.mark.parametrize("text", ["null", "[]", "7", '{"attributes": 3, "properties": [], "pieces": 2}'])
def test_odd_json_is_a_problem_and_no_crash(drop, tmp_path, name, text):
    folder = copied(drop, tmp_path / "drop")
    (folder / name).write_text(text)
    assert any(name in problem for problem in validate_drop(folder))


@pytest.mark.parametrize("key", ["items", "cids", "rights", "pieces", "start", "provenance_hash"])
@pytest.mark.parametrize("value", [None, 3, "x", [{"number": 0, "image": {"file": "../0.png"}}], {"images": 2}])
def test_an_odd_record_is_a_problem_and_no_crash(drop, tmp_path, key, value):
    folder = copied(drop, tmp_path / "drop")
    change(folder / "provenance.json", **{key: value})
    try:
        assert validate_drop(folder) != []
    except DataError as error:
        assert error.hint


def test_a_folder_that_holds_too_much_is_a_problem_and_is_not_looked_through(drop, tmp_path, monkeypatch):
    folder = copied(drop, tmp_path / "drop")
    (folder / "deep").mkdir()
    for i in range(300):
        (folder / "deep" / f"{i}.txt").touch()
    (folder / "out").symlink_to("/")
    monkeypatch.setattr(checks, "MANY", Bounds(100, 10.0))
    problems = validate_drop(folder)
    assert len(problems) < 102 and any("more than 100 files" in problem for problem in problems)
    assert "out: a link to a folder, not followed" in problems
