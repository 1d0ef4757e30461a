"""`examine`: everything is measured once, nothing is changed, and what it writes can be read, edited and applied."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from planting import planted

from ganlib.base.errors import DataError, InputError
from ganlib.dataset import PrepareConfig, prepare
from ganlib.dataset.checks import examination as written
from ganlib.dataset.checks.config import ExamineConfig
from ganlib.dataset.checks.examination import Examination
from ganlib.dataset.checks.findings import KINDS
from ganlib.dataset.checks.page import as_page
from ganlib.dataset.examine import examine, find_duplicates, run_job
from ganlib.dataset.exclusion import read_exclusions, write_exclusions
from ganlib.media.images import encode
from ganlib.runs import SilentReporter, Stopped

FRUIT = Path(__file__).parents[2] / "data" / "fruit_sample.zip"
OWN = sys.modules[examine.__module__]


def noise(seed: int, height: int = 96, width: int = 96) -> Image.Image:
    """A picture with coarse and fine structure in colour."""
    rng = np.random.default_rng(seed)
    patches = Image.fromarray(rng.integers(0, 255, (12, 12, 3), np.uint8))
    coarse = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC))
    return picture_of(coarse + rng.integers(-30, 31, (height, width, 1)))


def picture_of(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def folder_of(path: Path, pictures: dict[str, Image.Image]) -> Path:
    path.mkdir()
    for name, picture in pictures.items():
        picture.save(path / name)
    return path


def examined(source: Path, outdir: Path, **options: object) -> Examination:
    return examine(ExamineConfig(str(source), str(outdir), **options))


def kinds_of(examination: Examination) -> dict[str, set[str]]:
    return {kind: {name for name, _ in found} for kind, found in examination.groups().items()}


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("report.jsonl", "report.html", "exclude.txt")}


class Stopper(SilentReporter):
    """Asks to stop after some pictures, and counts."""

    def __init__(self, after: int) -> None:
        self.after, self.calls = after, 0

    def progress(self, done: float, total: float, message: str = "") -> None:
        self.calls += 1

    def should_stop(self) -> bool:
        return self.calls > self.after


# --- each kind --------------------------------------------------------------------------------------------------------


def test_each_kind_finds_its_own(tmp_path):
    pictures = {f"p{i:02d}.png": noise(i) for i in range(40)}
    pictures |= {
        "tiny.png": noise(90, 40, 40),
        "long.png": noise(91, 80, 300),
        "soft.png": noise(92).filter(ImageFilter.GaussianBlur(3)),
        "flat.png": Image.new("RGB", (96, 96), (120, 60, 30)),
        "grey.png": noise(93).convert("L").convert("RGB"),
        "huge.png": noise(94, 400, 400),
        "palette.png": noise(95).quantize(64),
        "framed.png": noise(96),
        "twin.png": pictures["p03.png"],
        "wide-twin.png": pictures["p05.png"].resize((120, 118)),
        "mirror.png": pictures["p07.png"].transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    }
    for box in ((0, 0, 96, 7), (0, 89, 96, 96), (0, 0, 7, 96), (89, 0, 96, 96)):
        pictures["framed.png"].paste((12, 12, 12), box)
    result = examined(folder_of(tmp_path / "in", pictures), tmp_path / "out", odd_mode=0.03, outlier=None)
    found = kinds_of(result)
    assert found["small"] == {"tiny.png"} and found["narrow"] == {"long.png"}
    assert {"soft.png"} <= found["blur"] <= {"soft.png", "flat.png"}
    assert found["plain"] == {"flat.png"} and found["border"] == {"framed.png"}
    assert found["grey"] == {"grey.png", "flat.png"}
    assert found["odd_size"] == {"huge.png"} and found["odd_mode"] == {"palette.png"}
    copies = {name: (f.partners[0], f.mirrored, f.score) for name, f in result.groups()["duplicate"]}
    assert copies.keys() == {"twin.png", "p05.png", "mirror.png"} or copies.keys() == {"twin.png", "p05.png", "p07.png"}
    assert copies["twin.png"] == ("p03.png", False, 1.0)
    assert copies["p05.png"][:2] == ("wide-twin.png", False)  # the larger one stays
    assert next(mirrored for name, (_, mirrored, _) in copies.items() if name in ("mirror.png", "p07.png"))


def test_an_outlier_is_unlike_the_rest(tmp_path):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    pictures = {}
    for i in range(60):
        pixels = np.full((96, 96, 3), (240, 234, 214), np.uint8)
        centre, radius = rng.integers(40, 56, 2), rng.integers(18, 26)
        disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        pixels[disc] = rng.integers((150, 20, 10), (220, 120, 60))
        pictures[f"p{i:02d}.png"] = picture_of(pixels + rng.integers(-4, 5, pixels.shape))
    twig = np.full((96, 96, 3), (240, 234, 214), np.uint8)
    twig[10:86, 46:50] = (110, 100, 80)
    board = np.asarray(pictures["p00.png"]).copy()
    board[:24] = board[-24:] = board[:, :24] = board[:, -24:] = (150, 145, 140)
    pictures |= {"twig.png": Image.fromarray(twig), "board.png": Image.fromarray(board)}
    found = kinds_of(examined(folder_of(tmp_path / "in", pictures), tmp_path / "out", duplicate=None))
    assert found["sparse"] == {"twig.png"} and "twig.png" in found["outlier"]
    assert found["ground"] == {"board.png"}
    assert len(found["outlier"]) <= 6  # of 62, the two among them


def test_none_looks_for_nothing(tmp_path):
    source = folder_of(tmp_path / "in", {"a.png": noise(0, 20, 90), "b.png": noise(0, 20, 90)})
    off = dict.fromkeys(KINDS)
    assert examined(source, tmp_path / "out", **off).groups() == {}


# --- copies -----------------------------------------------------------------------------------------------------------


def test_copies_of_scans_are_found_and_nothing_else(tmp_path):
    truth = planted(FRUIT, tmp_path / "in.zip", pictures=22, copies=12)
    result = examined(tmp_path / "in.zip", tmp_path / "out")
    pairs = {frozenset((name, f.partners[0])): f.mirrored for name, f in result.groups()["duplicate"]}
    assert pairs == {frozenset((copy, name)): mirrored for copy, (name, mirrored) in truth.items()}
    kept = find_duplicates(tmp_path / "in.zip", scores=tmp_path / "out", workers=1)
    assert {frozenset(pair) for pair in kept.items()} == pairs.keys()
    assert find_duplicates(tmp_path / "in.zip", ["copy-000.jpg", truth["copy-000.jpg"][0]], workers=1)
    assert find_duplicates(tmp_path / "in.zip", ["copy-000.jpg", "copy-001.webp"], workers=1) == {}


# --- what is written --------------------------------------------------------------------------------------------------


def test_other_thresholds_decode_nothing(tmp_path, monkeypatch):
    first = examined(FRUIT, tmp_path / "out")
    monkeypatch.setattr(OWN, "measure", lambda *args, **options: pytest.fail("measured again"))
    again = examined(FRUIT, tmp_path / "out")
    assert again == first
    assert len(kinds_of(examined(FRUIT, tmp_path / "out", small=500.0))["small"]) == 22


def test_a_changed_file_is_measured_again(tmp_path):
    source = folder_of(tmp_path / "in", {"a.png": noise(0), "b.png": noise(1)})
    assert "small" not in kinds_of(examined(source, tmp_path / "out"))
    noise(2, 30, 30).save(source / "a.png")
    assert kinds_of(examined(source, tmp_path / "out"))["small"] == {"a.png"}


def test_the_same_pictures_give_the_same_report(tmp_path, monkeypatch):
    from ganlib.dataset import workers

    examined(FRUIT, tmp_path / "one", workers=1)
    monkeypatch.setattr(workers, "PARALLEL_FROM", 1)
    examined(FRUIT, tmp_path / "two", workers=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_a_stopped_examination_goes_on(tmp_path, monkeypatch):
    with pytest.raises(Stopped):
        examine(ExamineConfig(str(FRUIT), str(tmp_path / "out"), workers=1), Stopper(9))
    assert not (tmp_path / "out" / "report.html").exists()
    measured = []
    real = OWN.measure
    monkeypatch.setattr(OWN, "measure", lambda data, name: measured.append(name) or real(data, name=name))
    examined(FRUIT, tmp_path / "out", workers=1)
    examined(FRUIT, tmp_path / "whole", workers=1)
    assert len(measured) == 22 - 9 + 22
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_the_report_reads_back(tmp_path):
    first = examined(FRUIT, tmp_path / "out")
    loaded = Examination.load(tmp_path / "out")
    assert loaded == first
    lines = [json.loads(line) for line in (tmp_path / "out" / "report.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 22 and {"blur", "border", "grey"} <= lines[0]["scores"].keys()
    with Image.open(io.BytesIO(loaded.thumbnail(lines[0]["name"]))) as picture:
        assert max(picture.size) == 160
    with pytest.raises(DataError, match="thumbnail"):
        loaded.thumbnail("nobody.jpg")


def test_the_list_can_be_edited_and_applied(tmp_path):
    truth = planted(FRUIT, tmp_path / "in.zip", pictures=22, copies=6)
    result = examined(tmp_path / "in.zip", tmp_path / "out")
    listed = read_exclusions(tmp_path / "out" / "exclude.txt")
    assert listed.keys() == result.exclusions().keys()
    assert sum("copies" in reason for reason in listed.values()) == 6
    assert not any("border" in reason for reason in listed.values())  # the preparation removes them
    accepted = {name for name, _ in result.groups()["duplicate"]}
    write_exclusions(tmp_path / "mine.txt", result.exclusions(accepted))
    options = {"resolution": 32, "keep_outliers": True, "exclude": str(tmp_path / "mine.txt")}
    report = prepare(PrepareConfig(str(tmp_path / "in.zip"), str(tmp_path / "set.zip"), **options))
    assert report.kept == 22 and len(truth) == 6


def test_unreadable_pictures_are_survived_and_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name, data in {"empty.png": b"", "text.jpg": b"hello", "../up.png": b"\x89PNG\r\n"}.items():
            archive.writestr(name, data)
        buffer = io.BytesIO()
        noise(0).save(buffer, "PNG")
        archive.writestr("good <b>\n&.png", buffer.getvalue())
        archive.writestr("cut.png", buffer.getvalue()[:500])
    result = examined(tmp_path / "in.zip", tmp_path / "out")
    assert result.unreadable.keys() == {"empty.png", "text.jpg", "../up.png", "cut.png"}
    assert all(result.unreadable.values())
    assert not (tmp_path / "up.png").exists()
    assert Examination.load(tmp_path / "out").unreadable == result.unreadable


def test_the_page_is_safe_and_needs_nothing_else(tmp_path):
    name = "<script>alert(1)</script>\"'\n\x1b[31m\udcff.png"
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        buffer = io.BytesIO()
        noise(0, 20, 90).save(buffer, "PNG")
        archive.writestr("<img src=x onerror=alert(1)>.png", buffer.getvalue())
        archive.writestr("b.png", buffer.getvalue())
    examined(tmp_path / "in.zip", tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<img src=x" not in text and "&lt;img src=x onerror=alert(1)&gt;.png" in text
    found = Examination.load(tmp_path / "out").groups()["small"][0][1]
    page = as_page(name, 1, {"small": [(name, found)]}, {name: name}, lambda wanted: b"x")
    page.encode()
    assert "<script" not in page and "\x1b" not in page
    for address in re.findall(r'(?:src|href)="([^"]*)"', text):
        assert address.startswith(("data:image/jpeg;base64,", "#"))


def test_a_job_reports_its_files(tmp_path):
    class Recorder(SilentReporter):
        def __init__(self) -> None:
            self.artefacts: list[str] = []

        def artefact(self, path: Path) -> None:
            self.artefacts.append(path.name)

    recorder = Recorder()
    run_job({"source": str(FRUIT), "outdir": "", "workers": 1}, tmp_path, recorder)
    assert recorder.artefacts == ["report.jsonl", "report.html", "exclude.txt", "examination.json"]
    assert len(Examination.load(tmp_path).pictures) == 22


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"duplicate": 0.2}, "duplicate"),
        ({"blur": -1.0}, "blur"),
        ({"workers": 0}, "workers"),
        ({"max_pictures": 0}, "max_pictures"),
        ({"outdir": ""}, "folder"),
        ({"source": ""}, "source"),
    ],
)
def test_impossible_settings_are_named(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        ExamineConfig(**{"source": "a", "outdir": str(tmp_path), **options}).validate()


def test_damaged_results_are_explained(tmp_path):
    examined(FRUIT, tmp_path / "out")
    (tmp_path / "out" / "report.jsonl").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        Examination.load(tmp_path / "out")
    (tmp_path / "out" / "scores.sqlite").write_bytes(b"no base of data" * 100)
    with pytest.raises(DataError, match="damaged"):
        examined(FRUIT, tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(DataError, match="no examination"):
        Examination.load(tmp_path / "out")
    assert written.REPORT_NAME == "report.jsonl"


def test_a_picture_changed_in_a_zip_with_backslashes_is_looked_at_again(tmp_path):
    widths = []
    for side in (32, 48):
        with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
            archive.writestr("a\\b.png", encode(np.full((32, side, 3), side, np.uint8)))
        item = examined(tmp_path / "in.zip", tmp_path / "out").pictures[0]
        assert item.name == "a/b.png" and item.measures is not None
        widths.append(item.measures.width)
    assert widths == [32, 48]
