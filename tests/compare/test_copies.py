"""The copy check: planted copies are found, honest pictures are not accused, a stopped check goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ganlib import runs
from ganlib.__main__ import main
from ganlib.base.errors import DataError, GanlibError, InputError
from ganlib.compare import CopiesConfig, CopyCheck, check_copies
from ganlib.compare.cached_features import look
from ganlib.compare.copies import Limits
from ganlib.compare.nearest import choose, find_candidates
from ganlib.compare.report import because, sentences
from ganlib.dataset import Dataset
from ganlib.features.extractors import open_extractor
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.render.renderer import Renderer
from ganlib.runs import SilentReporter, Stopped
from tests.compare.conftest import brighter, disguised, squares, write_set

POMOLOGICAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "pomological.zip"


def folder_of(path: Path, pixels: list[np.ndarray]) -> Path:
    path.mkdir(parents=True)
    for i, picture in enumerate(pixels):
        (path / f"{i:03d}.png").write_bytes(images.encode(picture, "png"))
    return path


class Keeps(SilentReporter):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_disguised_training_pictures_are_found_and_others_are_not_accused(fruit, fruit_set, cache, tmp_path):
    planted = [disguised(fruit[i], i) for i in range(6)]
    source = folder_of(tmp_path / "pictures", [*planted, *fruit[14:]])
    found = check_copies(CopiesConfig(fruit_set, source=source, outdir=tmp_path / "out"), cache=cache)
    assert [row["verdict"] for row in found.rows[:6]] == ["copy"] * 6
    assert [row["pixels"]["index"] for row in found.rows[:6]] == list(range(6))
    assert [row["pixels"]["mirrored"] for row in found.rows[:6]] == [False, True] * 3
    assert "copy" not in [row["verdict"] for row in found.rows[6:]]
    assert found.summary["copy"] == 6 and str(found).startswith("6 of 14 pictures are copies")
    again = CopyCheck.load(tmp_path / "out")
    assert (again.rows, again.summary, again.reals) == (found.rows, found.summary, found.reals)
    copied = {row["index"]: row for row in found.reals}
    assert copied[3]["pixels"]["nearest"] == "003.png" and copied[3]["pixels"]["times"] < 0.5
    page = (tmp_path / "out" / "report.html").read_text()
    assert "6 of 14 pictures are copies of a training picture." in page and "data:image/jpeg;base64," in page
    assert all(f"<small>{because(row)}</small>" in page for row in found.rows if row["verdict"] == "copy")
    assert "structure</em> agrees to 0.95 or more" in page
    assert all(bool(row["reason"]) == (row["verdict"] != "own") for row in found.rows)
    assert "<script" not in page and "default-src 'none'" in page


def test_brightened_training_pictures_are_found_and_others_are_not_accused(fruit, fruit_set, cache, tmp_path):
    gains = (1.04, 1.06, 1.08, 0.92, 1.1, 1.06)
    planted = [disguised(brighter(fruit[i], gain), i) for i, gain in enumerate(gains)]
    source = folder_of(tmp_path / "pictures", [*planted, *fruit[14:]])
    found = check_copies(CopiesConfig(fruit_set, source=source, outdir=tmp_path / "out"), cache=cache)
    assert [row["pixels"]["index"] for row in found.rows[:6]] == list(range(6))
    assert [row["verdict"] for row in found.rows[:6]] == ["copy"] * 6
    assert "copy" not in [row["verdict"] for row in found.rows[6:]]


def test_brightness_and_contrast_are_taken_out_of_pixels_up_to_a_limit(fruit):
    extractor = open_extractor("embedded")
    training = look(fruit, extractor)

    def distances(pixels: np.ndarray) -> np.ndarray:
        seen = look(np.clip(pixels + 0.5, 0, 255).astype(np.uint8), extractor, mirrored=True)
        return choose(seen, training, find_candidates(seen, training))[0].distance

    soft = 128 + (fruit.astype(np.float32) - 128) * 0.5  # nothing is cut off at black or white
    training = look((soft + 0.5).astype(np.uint8), extractor)
    assert distances(soft + np.array([20, -10, 15], np.float32)).max() < 0.06
    assert distances(128 + (soft - 128) * 1.15).max() < 0.06
    assert np.median(distances(soft + 62)) > 0.3 and np.median(distances(128 + (soft - 128) * 1.9)) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("gain", [1, 1.08])
@pytest.mark.skipif(not POMOLOGICAL.is_file(), reason=f"{POMOLOGICAL} is not there")
def test_twenty_planted_copies_among_two_hundred_pictures_with_one_false_alarm(repository, cache, tmp_path, gain):
    training = squares(POMOLOGICAL, 320, seed=4)
    data = write_set(tmp_path / "set", training[:240])
    renderer = Renderer.open(repository / "checkpoints" / "fruit.safetensors")
    fakes = list(renderer.render([Recipe.of_seed(seed) for seed in range(100)]))
    honest = [*fakes, *training[240:]]  # real pictures that are not in the set may not be accused either
    chosen = np.random.default_rng(0).choice(240, 20, replace=False)
    planted = [disguised(brighter(training[j], gain), i) for i, j in enumerate(chosen)]
    source = folder_of(tmp_path / "pictures", [*planted, *honest])
    config = CopiesConfig(data, source=source, outdir=tmp_path / "out", features="embedded")
    found = check_copies(config, cache=cache)
    assert len(found.rows) == 200
    assert [row["verdict"] for row in found.rows[:20]] == ["copy"] * 20
    assert [row["pixels"]["index"] for row in found.rows[:20]] == chosen.tolist()
    assert sum(row["verdict"] == "copy" for row in found.rows[20:]) <= 1


def test_copies_inside_the_set_do_not_set_the_measure(fruit, cache, tmp_path):
    twice = np.concatenate([fruit[:12], np.stack([disguised(fruit[i], i) for i in range(12)])])
    data = write_set(tmp_path / "set", twice)
    source = folder_of(tmp_path / "pictures", [disguised(fruit[2], 2), fruit[20]])
    config = CopiesConfig(data, source=source, outdir=tmp_path / "out", sample=24)
    found = check_copies(config, cache=cache)
    assert found.summary["sample_with_copies"] >= 22
    assert found.summary["limits"]["usual"]["pixels"] > 0.15
    assert found.rows[0]["verdict"] == "copy" and found.rows[1]["verdict"] != "copy"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_smallest_sets_accuse_nobody_but_copies(fruit, cache, tmp_path, count):
    data = write_set(tmp_path / "set", np.repeat(fruit[:1], 3, axis=0) if count == 3 else fruit[:count])
    source = folder_of(tmp_path / "pictures", [disguised(fruit[0], 0), fruit[20]])
    found = check_copies(CopiesConfig(data, source=source, outdir=tmp_path / "out"), cache=cache)
    assert [row["verdict"] for row in found.rows] == ["copy", "own"]


def test_pictures_of_any_shape_are_checked(fruit, fruit_set, cache, tmp_path):
    large = images.resize(fruit[4], 300, 300)
    wide = images.resize(fruit[5], 90, 64)
    source = folder_of(tmp_path / "pictures", [large, wide, np.zeros((5, 9, 3), np.uint8)])
    found = check_copies(CopiesConfig(fruit_set, source=source, outdir=tmp_path / "out"), cache=cache)
    assert [row["verdict"] for row in found.rows] == ["copy", "copy", "own"]
    assert [row["pixels"]["index"] for row in found.rows[:2]] == [4, 5]


@pytest.mark.parametrize("bad", [["b.png"], ["b.png", "c.png", "d.png", "e.png", "f.png"]])
def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_checked(
    fruit, fruit_set, cache, tmp_path, monkeypatch, bad
):
    monkeypatch.setattr("ganlib.compare.copies.BLOCK", 2)  # the second case: a block of which nothing can be read
    source = folder_of(tmp_path / "pictures", [disguised(fruit[0], 1), fruit[20]])
    for name in bad:
        (source / name).write_bytes(images.encode(fruit[1], "png")[:200])
    (source / "000.png").rename(source / "z.png")
    config = CopiesConfig(fruit_set, source=source, outdir=tmp_path / "out")
    for _ in range(2):  # the second time from what the first one kept
        reporter = Keeps()
        found = check_copies(config, reporter, cache=cache)
        assert [row["name"] for row in found.rows] == ["001.png", "z.png"]
        assert found.rows[1]["verdict"] == "copy" and found.rows[1]["pixels"]["index"] == 0
        assert list(found.summary["unread"]) == bad and found.summary["pictures"] == 2
        assert [line.split()[0] for line in reporter.lines] == bad
        page = (tmp_path / "out" / "report.html").read_text()
        assert "Not checked" in page and "b.png: " in page
    many = "1 picture is not checked" if len(bad) == 1 else "5 pictures are not checked"
    assert many in str(found) and "b.png" in str(found)


def test_a_folder_of_damaged_pictures_alone_is_told(fruit_set, cache, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"none of 1 pictures can be read: a\.png"):
        check_copies(CopiesConfig(fruit_set, source=tmp_path / "in", outdir=tmp_path / "out"), cache=cache)


def test_the_command_says_the_answer(fruit, fruit_set, cache, tmp_path, capsys):
    source = folder_of(tmp_path / "drop" / "images", [disguised(fruit[0], 1)])
    (tmp_path / "drop" / "cover.png").write_bytes(b"not a picture")
    words = ["copies", "--data", str(fruit_set), "--source", str(source.parent), "--cache", str(cache)]
    assert main([*words, "--outdir", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("1 of 1 pictures is a copy of a training picture.")
    assert main([*words, "--outdir", str(tmp_path / "out"), "--seeds", "1"]) == 2
    assert "error: it is not clear" in capsys.readouterr().err


def test_seeds_and_favourites_of_a_model(fruit_set, tiny_model, cache, tmp_path):
    config = CopiesConfig(fruit_set, network=tiny_model, seeds="3-5", psi=0.7, outdir=tmp_path / "out")
    found = check_copies(config, cache=cache)
    assert [row["name"] for row in found.rows] == [Recipe.of_seed(s, psi=0.7).caption() for s in (3, 4, 5)]
    assert [Recipe.from_dict(row["recipe"]) for row in found.rows] == [Recipe.of_seed(s, psi=0.7) for s in (3, 4, 5)]
    with pytest.raises(InputError, match="no favourites"):
        check_copies(CopiesConfig(fruit_set, network=tiny_model, favourites=True, outdir=tmp_path / "no"), cache=cache)


def test_all_classes_of_a_model_are_checked_in_turn(fruit_set, tiny_labelled_model, cache, tmp_path):
    config = CopiesConfig(fruit_set, network=tiny_labelled_model, seeds="3-6", outdir=tmp_path / "out")
    found = check_copies(config, cache=cache)
    assert [Recipe.from_dict(row["recipe"]).label for row in found.rows] == [0, 1, 2, 0]


def test_the_report_says_what_makes_a_copy():
    limits = Limits((0.3, 4.0), (0.15, 2.0), (0.09, 1.7))
    assert limits.verdict(0.24, 3.2, 0.97) == ("copy", ["structure"])
    assert limits.verdict(0.08, 1.6, 0.99) == ("copy", ["pixels", "features", "structure"])
    assert limits.verdict(0.1, 1.9, 0.94) == ("close", ["pixels", "features"])
    assert limits.verdict(0.2, 1.9, 0.5) == ("close", ["features"])
    assert limits.verdict(0.3, 4.0, 0.9) == ("own", [])
    no_limits = Limits((1, 1), (0, 0), (0, 0))  # nothing is known of the set
    assert no_limits.verdict(0.04, 1.0, 0.2) == ("copy", ["pixels"])
    row = {"verdict": "copy", "reason": ["pixels", "structure"], "similarity": 0.967}
    assert because(row) == "copy by pixels and structure (0.97)"
    assert because({"verdict": "own", "reason": []}) == "" == because({"verdict": "copy"})


def test_one_and_several_are_counted_in_good_english():
    space = {"lowest": 1, "median": 1}
    summary = {"pictures": 9, "copy": 0, "close": 1, "times": {"pixels": space, "features": space}, "features": "f",
               "sample": 9, "training_pictures": 9, "data": "set", "sample_with_copies": 0}  # fmt: skip
    assert sentences(summary)[1] == "1 is close to a training picture: look at it."
    assert sentences(summary | {"close": 2})[1] == "2 are close to a training picture: look at them."


class StopsAfter(SilentReporter):
    """Asks to stop after so many questions."""

    def __init__(self, asked: int) -> None:
        self.left = asked

    def should_stop(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_stopped_check_goes_on_to_the_same_bytes(fruit, fruit_set, tmp_path):
    source = folder_of(tmp_path / "pictures", list(fruit[10:16]))
    config = CopiesConfig(fruit_set, source=source, outdir=tmp_path / "a", sample=14)
    whole = check_copies(config, cache=tmp_path / "one")
    config = CopiesConfig(fruit_set, source=source, outdir=tmp_path / "b", sample=14)
    for asked in range(3):
        with pytest.raises(Stopped):
            check_copies(config, StopsAfter(asked), cache=tmp_path / "two")
        assert not (tmp_path / "b" / "summary.json").exists()
    check_copies(config, StopsAfter(10), cache=tmp_path / "two")
    for name in ("copies.jsonl", "reals.jsonl", "summary.json", "report.html"):
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()
    assert whole.summary["pictures"] == 6


def test_it_is_a_job(fruit, fruit_set, tmp_path, monkeypatch):
    monkeypatch.setenv("GANLIB_CACHE", str(tmp_path / "cache"))
    from ganlib.commands.run import do_job

    source = folder_of(tmp_path / "pictures", [fruit[1]])
    config = CopiesConfig(fruit_set, source=source).to_dict()
    run = runs.create_run(tmp_path / "runs", "copies", "test", json.loads(json.dumps(config)))
    assert do_job(run) == 0
    assert run.state == "done" and CopyCheck.load(run.path).summary["copy"] == 1
    assert [path.name for path in run.artefacts] == ["report.html", "copies.jsonl"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "not clear"),
        ({"seeds": "1", "source": Path()}, "not clear"),
        ({"seeds": "1"}, "no model is named"),
        ({"source": Path(), "sample": 3}, "sample = 3"),
        ({"source": Path(), "copy_percent": 2.0}, "above close"),
        ({"source": Path(), "label": -1}, "class = -1"),
    ],
)
def test_what_cannot_be_is_told(options, words):
    with pytest.raises(InputError, match=words):
        CopiesConfig(Path("set"), **options).validate()


def test_places_without_pictures_and_damaged_reports_are_told(fruit_set, cache, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        check_copies(CopiesConfig(fruit_set, source=tmp_path / "empty", outdir=tmp_path / "out"), cache=cache)
    with pytest.raises(GanlibError):
        CopyCheck.load(tmp_path)
    (tmp_path / "summary.json").write_text("[1")
    with pytest.raises(DataError, match="no copy check"):
        CopyCheck.load(tmp_path)


def test_a_shift_between_two_pixels_costs_little(fruit):
    """A picture that lies half a pixel off on the small copies is still nearer than any other one."""
    extractor = open_extractor("embedded")
    large = images.resize(fruit, 640, 640)
    moved = images.resize(np.ascontiguousarray(np.roll(large, (10, 10), axis=(1, 2))), 64, 64)
    training, queries = look(fruit, extractor), look(moved, extractor, mirrored=True)
    near, _, _ = choose(queries, training, find_candidates(queries, training))
    assert near.index.tolist() == list(range(22))
    assert np.median(near.distance) < 0.12 and near.distance.max() < 0.3


def test_blocks_agree_with_a_plain_search(fruit_set):
    """The nearest by features, found in blocks of candidates, is that of the whole table of distances."""
    pixels = np.stack([picture for picture, _ in (Dataset.open(fruit_set)[i] for i in range(14))])
    extractor = open_extractor("embedded")
    training, queries = look(pixels, extractor), look(pixels[::-1][:5] // 2 + 40, extractor, mirrored=True)
    _, deep, _ = choose(queries, training, find_candidates(queries, training))
    tables = [
        np.linalg.norm(rows[:, None] - training.features[None], axis=2) for rows in (queries.features, queries.mirrored)
    ]
    assert deep.index.tolist() == np.minimum(*tables).argmin(axis=1).tolist()
    assert np.allclose(deep.distance, np.minimum(*tables).min(axis=1), rtol=1e-4)
