"""`ganlib.dataset`: any pictures become a square set, nothing is lost silently, and the set reads back as written."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib.base.errors import DataError, InputError
from ganlib.dataset import Dataset, PrepareConfig, prepare, run_job, workers
from ganlib.dataset.crops import cut, frame_picture, has_plain_ground
from ganlib.runs import SilentReporter, Stopped

FRUIT = Path(__file__).parents[1] / "data" / "fruit_sample.zip"
PAPER = (246, 238, 214)


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def painting(seed: int, height: int = 48, width: int = 48) -> np.ndarray:
    """Coloured patches that fill the frame, with no ground."""
    rng = np.random.default_rng(seed)
    patches = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8))
    return np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC))


def plate(seed: int, *, colour: tuple[int, int, int] = (190, 40, 30), framed: bool = True) -> np.ndarray:
    """A fruit on paper inside a scanner's black lid: `[192, 128, 3]`, the fruit in the upper half."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((192, 128, 3), np.uint8)
    pixels[:] = PAPER
    y, x = np.mgrid[:192, :128]
    radius = rng.integers(20, 28)
    centre_y, centre_x = rng.integers(55, 80), rng.integers(55, 75)
    pixels[(y - centre_y) ** 2 + (x - centre_x) ** 2 < radius**2] = colour
    pixels = np.clip(pixels + rng.integers(-4, 5, pixels.shape), 0, 255).astype(np.uint8)
    if framed:
        for side in (np.s_[:6], np.s_[-6:], np.s_[:, :5], np.s_[:, -5:]):
            pixels[side] = 12
    return pixels


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def paintings(count: int = 6) -> dict[str, bytes]:
    return {f"picture{i}.png": png(painting(i)) for i in range(count)}


def square_set(path: Path, *, labels: object = None, side: int = 16, count: int = 3) -> Path:
    files = {f"00000/img{i:08d}.png": png(painting(i, side, side)) for i in range(count)}
    return zipped(path, files | {"dataset.json": json.dumps({"labels": labels}).encode()})


def lines_of(report: Path) -> dict[str, dict]:
    return {line["name"]: line for line in map(json.loads, report.read_text("utf-8").splitlines())}


class Recorder(SilentReporter):
    """Keeps what is said, and asks to stop after some progress."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.texts: list[str] = []
        self.artefacts: list[Path] = []
        self.calls = 0
        self.last = (0.0, 0.0)
        self._stop_after = stop_after

    def progress(self, done: float, total: float, message: str = "") -> None:
        self.calls += 1
        self.last = (done, total)

    def log(self, text: str) -> None:
        self.texts.append(text)

    def artefact(self, path: Path) -> None:
        self.artefacts.append(path)

    def should_stop(self) -> bool:
        return self._stop_after is not None and self.calls >= self._stop_after


# --- writing and reading back -----------------------------------------------------------------------------------------


def test_the_set_has_the_published_layout(tmp_path):
    source, dest = zipped(tmp_path / "in.zip", paintings(3)), tmp_path / "new" / "out.zip"
    report = prepare(PrepareConfig(str(source), str(dest), 16, licence="CC0", credit="nobody"), reporter=Recorder())
    with zipfile.ZipFile(dest) as archive:
        names = [f"00000/img{i:08d}.png" for i in range(3)]
        assert archive.namelist() == [*names, "dataset.json", "card.json"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert json.loads(archive.read("dataset.json")) == {"labels": None}
    dataset = Dataset.open(dest)
    assert (len(dataset), dataset.resolution, dataset.label_dim, dataset.num_channels) == (3, 16, 0, 3)
    assert dataset.names == names and dataset.labels is None
    assert (
        dataset.card["credit"] == "nobody" and dataset.card["licence"] == "CC0" and dataset.card["source"] == "in.zip"
    )
    assert report.kept == 3 and report.report == tmp_path / "new" / "out.report.jsonl"
    pixels, label = dataset[1]
    assert pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8 and label is None
    assert np.array_equal(dataset.pixels()[1], pixels)
    expected = np.asarray(Image.fromarray(painting(1)).resize((16, 16), Image.Resampling.LANCZOS))
    assert np.array_equal(pixels, expected)


def test_the_same_source_gives_the_same_bytes(tmp_path, monkeypatch):
    source = zipped(tmp_path / "in.zip", {f"p{i}.png": png(plate(i)) for i in range(20)} | {"x.png": b"x"})
    for name in ("a", "b"):
        prepare(PrepareConfig(str(source), str(tmp_path / f"{name}.zip"), 32, workers=1))
    monkeypatch.setattr(workers, "PARALLEL_FROM", 1)  # even so few go to worker processes
    prepare(PrepareConfig(str(source), str(tmp_path / "two.zip"), 32, workers=2))
    for name in ("b", "two"):
        assert (tmp_path / "a.zip").read_bytes() == (tmp_path / f"{name}.zip").read_bytes()
        assert (tmp_path / "a.report.jsonl").read_bytes() == (tmp_path / f"{name}.report.jsonl").read_bytes()


def test_a_folder_and_its_zip_are_the_same_set(tmp_path):
    square_set(tmp_path / "a.zip", labels=[[f"00000/img{i:08d}.png", i] for i in range(3)])
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "a")
    zip_set, folder_set = Dataset.open(tmp_path / "a.zip"), Dataset.open(tmp_path / "a")
    assert zip_set.digest == folder_set.digest
    assert zip_set.names == folder_set.names
    assert np.array_equal(zip_set.pixels(), folder_set.pixels())
    square_set(tmp_path / "b.zip", labels=[[f"00000/img{i:08d}.png", 0] for i in range(3)])
    assert Dataset.open(tmp_path / "b.zip").digest != zip_set.digest


def test_folders_and_prefixes_become_classes(tmp_path):
    files = {"a/b/monet_1.png": png(painting(1)), "a/Zoë Ä/van_2.png": png(painting(2)), "a/b/3.png": png(painting(3))}
    source = zipped(tmp_path / "in.zip", files)
    prepare(PrepareConfig(str(source), str(tmp_path / "folder.zip"), 16, labels="folder"))
    dataset = Dataset.open(tmp_path / "folder.zip")
    assert dataset.class_names == ["Zoë Ä", "b"] and dataset.label_dim == 2
    assert dataset.labels is not None and dataset.labels.dtype == np.int64 and dataset.labels.tolist() == [0, 1, 1]
    assert dataset[2][1] == 1
    report = prepare(PrepareConfig(str(source), str(tmp_path / "prefix.zip"), 16, labels="prefix"))
    assert report.aside == {"no label": 1} and report.classes == ["monet", "van"]
    assert Dataset.open(tmp_path / "prefix.zip").label_dim == 2


def test_labels_of_a_set_are_kept_with_their_numbers_names_and_rights(tmp_path):
    labels = [["00000/img00000000.png", 2], ["00000/img00000002.png", 0]]
    source = square_set(tmp_path / "in.zip", labels=labels)
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("card.json", json.dumps({"classes": ["a", "b", "c"], "licence": "CC0", "credit": "someone"}))
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16))
    assert report.aside == {"no label": 1}
    dataset = Dataset.open(tmp_path / "out.zip")
    assert dataset.labels is not None and dataset.labels.tolist() == [2, 0]
    assert dataset.class_names == ["a", "b", "c"] and dataset.label_dim == 3
    assert (dataset.card["licence"], dataset.card["credit"]) == ("CC0", "someone")
    prepare(PrepareConfig(str(source), str(tmp_path / "none.zip"), 16, labels="none", licence="MIT"))
    without = Dataset.open(tmp_path / "none.zip")
    assert without.labels is None and len(without) == 3 and without.card["licence"] == "MIT"


@pytest.mark.parametrize("rule", ["prefix", "folder"])
def test_without_any_class_the_names_are_shown(tmp_path, rule):
    source = zipped(tmp_path / "in.zip", paintings(4))
    with pytest.raises(DataError) as caught:
        prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16, labels=rule))
    assert "picture0.png" in caught.value.hint and "--labels none" in caught.value.hint


def test_grey_sets_have_one_channel_and_still_give_rgb(tmp_path):
    grey = {f"{i}.png": png(painting(i, 16, 16)[..., 0]) for i in range(2)}
    dataset = Dataset.open(zipped(tmp_path / "grey.zip", grey))
    assert dataset.num_channels == 1
    assert dataset[0][0].shape == (16, 16, 3)


# --- hostile and unusable files ---------------------------------------------------------------------------------------


def test_unreadable_files_are_survived_and_reported(tmp_path):
    good = png(painting(0))
    files = paintings(4) | {
        "text.png": b"this is not a picture",
        "empty.jpg": b"",
        "cut off.png": good[: len(good) // 2],
        "notes\x1b[2J\n.txt": b"hello",
        "../up.png": png(painting(9)),
        "__MACOSX/._picture0.png": b"resource fork",
        ".hidden.png": b"x",
    }
    recorder, dest = Recorder(), tmp_path / "sub" / "out.zip"
    report = prepare(PrepareConfig(str(zipped(tmp_path / "in.zip", files)), str(dest), 16), reporter=recorder)
    lines = lines_of(report.report)
    assert report.kept == len(Dataset.open(dest)) == 5 and report.errors == 3
    assert report.aside == {"not a picture file": 1}
    assert {name for name, line in lines.items() if line["status"] == "error"} == {
        "text.png",
        "empty.jpg",
        "cut off.png",
    }
    assert "text" in lines["text.png"]["reason"] and "empty" in lines["empty.jpg"]["reason"]
    assert lines["picture1.png"]["box"] == [0, 0, 48, 48]
    assert ".hidden.png" not in lines and len(lines) == 9
    assert any("text.png" in text for text in recorder.texts)
    assert all(text.isprintable() for text in recorder.texts)
    assert {path.name for path in tmp_path.iterdir()} == {"in.zip", "sub"}
    assert recorder.last[0] == recorder.last[1] == 8


def test_what_is_not_looked_into_is_reported(tmp_path, monkeypatch):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.png").write_bytes(png(painting(0)))
    (folder / "link").symlink_to(folder / "sub", target_is_directory=True)
    (folder / "b.png").symlink_to(folder / "sub" / "a.png")
    (folder / "gone.png").symlink_to(folder / "nothing.png")
    report = prepare(PrepareConfig(str(folder), str(tmp_path / "out.zip"), 16))
    assert report.kept == 2
    assert report.aside == {"a link to a folder, not followed": 1, "a link that leads nowhere": 1}
    scan = os.scandir

    def scandir(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report = prepare(PrepareConfig(str(folder), str(tmp_path / "out.zip"), 16))
    assert report.kept == 1 and report.aside["cannot be read: Permission denied"] == 1


def test_zips_in_a_zip_are_pointed_out(tmp_path):
    inner = zipped(tmp_path / "inner.zip", paintings(2)).read_bytes()
    with pytest.raises(DataError, match="further zips") as caught:
        prepare(PrepareConfig(str(zipped(tmp_path / "in.zip", {"a/inner.zip": inner})), str(tmp_path / "out.zip"), 16))
    assert "Unpack" in caught.value.hint


def test_a_destination_that_cannot_be_made_is_refused(tmp_path):
    source = zipped(tmp_path / "in.zip", paintings(2))
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be made"):
        prepare(PrepareConfig(str(source), str(tmp_path / "file" / "sub" / "out.zip"), 16))


def test_thousands_of_other_files_do_not_flood_the_log(tmp_path):
    files = paintings(2) | {f"note{i}.txt": b"x" for i in range(300)}
    recorder = Recorder()
    report = prepare(
        PrepareConfig(str(zipped(tmp_path / "in.zip", files)), str(tmp_path / "out.zip"), 16), reporter=recorder
    )
    assert report.aside == {"not a picture file": 300} and len(lines_of(report.report)) == 302
    assert len(recorder.texts) < 30 and "280 more" in recorder.texts[-1]


def test_small_pictures_are_set_aside(tmp_path):
    files = {"half.png": png(painting(0, 16, 16)), "less.png": png(painting(1, 15, 40)), **paintings(1)}
    source, dest = zipped(tmp_path / "in.zip", files), tmp_path / "out.zip"
    assert prepare(PrepareConfig(str(source), str(dest), 32)).aside == {"too small": 1}
    with pytest.raises(DataError, match="no picture") as caught:
        prepare(PrepareConfig(str(source), str(tmp_path / "none.zip"), 1024))
    assert "--resolution 16" in caught.value.hint
    assert not (tmp_path / "none.zip").exists() and not (tmp_path / "none.report.jsonl").exists()


def test_unusable_sources_are_refused(tmp_path):
    (tmp_path / "empty.zip").write_bytes(b"")
    (tmp_path / "text.zip").write_text("this is no zip")
    (tmp_path / "cut.zip").write_bytes(zipped(tmp_path / "in.zip", paintings()).read_bytes()[:500])
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "picture.png").write_text("text")
    for name, words in (
        ("missing.zip", "does not exist"),
        ("empty.zip", "0 bytes"),
        ("text.zip", "not a zip"),
        ("cut.zip", "damaged or cut off"),
        ("folder", "no picture"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            prepare(PrepareConfig(str(tmp_path / name), str(tmp_path / "out.zip"), 16))
        assert caught.value.hint
        assert not (tmp_path / "out.zip").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"source": ""},
        {"dest": "out.png"},
        {"resolution": 48},
        {"resolution": 0},
        {"margin": float("nan")},
        {"margin": 0.5},
        {"crop": "clever"},
        {"background": "#12"},
        {"labels": "csv"},
        {"workers": 0},
        {"max_pictures": 0},
        {"dest": "in.zip"},
        {"colour": "red"},
        {"resolution": 4},
        {"resolution": 64.5},
        {"resolution": "64"},
        {"keep_outliers": "no"},
        {"margin": True},
        {"max_pictures": "all"},
        {"source": "a\0b"},
        {"dest": 3},
        {"labels": ["folder"]},
        {"workers": None},
    ],
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(InputError) as caught:
        PrepareConfig.from_dict({"source": "in.zip", "dest": "out.zip"} | changes)
    assert caught.value.hint


def test_settings_survive_json():
    config = PrepareConfig("in.zip", "out.zip", 64, crop="subject", max_pictures=5)
    assert PrepareConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_stopping_leaves_the_old_set(tmp_path):
    source, dest = zipped(tmp_path / "in.zip", paintings()), tmp_path / "out.zip"
    dest.write_bytes(b"old")
    with pytest.raises(Stopped):
        prepare(PrepareConfig(str(source), str(dest), 16), reporter=Recorder(stop_after=2))
    assert dest.read_bytes() == b"old"
    beside = {".out.zip.partial", ".out.zip.partial.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == {"in.zip", "out.zip"} | beside


def test_a_job_leaves_set_report_and_sheet(tmp_path):
    config = PrepareConfig(str(zipped(tmp_path / "in.zip", paintings())), str(tmp_path / "out.zip"), 16, max_pictures=4)
    (tmp_path / "run").mkdir()
    recorder = Recorder()
    run_job(config.to_dict(), tmp_path / "run", recorder)
    assert [path.name for path in recorder.artefacts] == ["out.zip", "out.report.jsonl", "sheet.png"]
    assert all(path.is_file() for path in recorder.artefacts)
    assert len(Dataset.open(tmp_path / "out.zip")) == 4


# --- framing ----------------------------------------------------------------------------------------------------------


def test_real_plates_lose_their_frame_and_are_centred_on_the_fruit(tmp_path):
    report = prepare(PrepareConfig(str(FRUIT), str(tmp_path / "fruit.zip"), 64))
    assert report.method == "subject" and report.kept >= 16
    assert any(reason.startswith("grey") for reason in report.aside), report.aside
    pixels = Dataset.open(tmp_path / "fruit.zip").pixels().astype(int)
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    dark = (border.mean(axis=2) < 70).mean(axis=1)
    assert dark.max() < 0.2 and dark.mean() < 0.02
    with zipfile.ZipFile(FRUIT) as archive:
        raw = np.asarray(Image.open(io.BytesIO(archive.read(archive.namelist()[0]))).convert("L"))
    assert (np.concatenate([raw[0], raw[-1], raw[:, 0], raw[:, -1]]) < 70).mean() > 0.9


def test_a_subject_fills_its_square_but_for_the_margin():
    pixels = plate(3)
    framing = frame_picture(pixels, "subject", margin=1.22)
    assert framing.objection == ""
    square = cut(pixels, framing, 64).astype(int)
    red = square[..., 0] - square[..., 2] > 80
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    for found in (rows, columns):
        assert abs(found[0] + found[-1] - 63) <= 4
        assert 64 / 1.45 < len(found) < 64 / 1.1
    assert square.min(axis=2)[~red].min() > 60


def test_a_crop_beyond_the_page_is_filled_with_paper():
    pixels = plate(0)
    pixels[6:186, 5:123] = PAPER
    y, x = np.mgrid[:192, :128]
    pixels[(y - 38) ** 2 + (x - 40) ** 2 < 24**2] = (190, 40, 30)
    framing = frame_picture(pixels, "subject", margin=2.0)
    assert framing.objection == "" and framing.box[0] < 0
    corner = cut(pixels, framing, 64)[:8, :8].reshape(-1, 3).astype(int)
    assert np.abs(corner - np.array(PAPER)).max() <= 4


def test_grey_photographs_are_set_aside_unless_outliers_are_kept(tmp_path):
    files = {f"{i}.png": png(plate(i)) for i in range(5)} | {"grey.png": png(plate(7, colour=(90, 90, 90)))}
    source = zipped(tmp_path / "in.zip", files)
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 32))
    assert report.kept == 5
    assert lines_of(report.report)["grey.png"]["reason"].startswith("grey")
    report = prepare(PrepareConfig(str(source), str(tmp_path / "all.zip"), 32, keep_outliers=True))
    assert report.kept == 6 and report.aside == {}


def test_a_plate_on_a_mount_is_found():
    mount = np.full((192, 128, 3), 150, np.uint8)
    mount[40:160, 30:98] = PAPER
    y, x = np.mgrid[:192, :128]
    mount[(y - 90) ** 2 + (x - 64) ** 2 < 20**2] = (60, 120, 40)
    framing = frame_picture(mount, "subject", margin=2.0)
    assert framing.objection == ""
    square = cut(mount, framing, 64).astype(int)
    assert np.abs(square - 150).max(axis=2).min() > 8  # no mount is left


def test_paintings_are_not_cropped_into(tmp_path):
    dark_edges = painting(5).copy()
    dark_edges[:4], dark_edges[:, :9], dark_edges[:, -14:] = 40, 30, 50
    files = paintings(8) | {"dark.png": png(dark_edges), "night.png": png(painting(8) // 5)}
    report = prepare(PrepareConfig(str(zipped(tmp_path / "in.zip", files)), str(tmp_path / "out.zip"), 32))
    assert report.kept == 10 and report.method == "page"
    boxes = {name: line["box"] for name, line in lines_of(report.report).items()}
    assert boxes["night.png"] == boxes["picture3.png"] == [0, 0, 48, 48]


def test_plain_ground_is_told_from_paintings():
    assert all(has_plain_ground(plate(i)) for i in range(3))
    assert not any(has_plain_ground(painting(i)) for i in range(3))


def test_letterbox_keeps_the_whole_picture(tmp_path):
    source = zipped(tmp_path / "in.zip", {"wide.png": png(painting(1, 24, 48))})
    prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 32, crop="letterbox"))
    pixels = Dataset.open(tmp_path / "out.zip")[0][0]
    expected = np.asarray(Image.fromarray(painting(1, 24, 48)).resize((32, 16), Image.Resampling.LANCZOS))
    assert np.array_equal(pixels[8:24], expected)
    assert len(np.unique(pixels[:8].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 5), (700, 9)])
@pytest.mark.parametrize("method", ["subject", "page", "whole"])
def test_strange_shapes_are_survived(shape, method):
    pixels = np.zeros((*shape, 3), np.uint8)
    assert cut(pixels, frame_picture(pixels, method), 16).shape == (16, 16, 3)
    assert has_plain_ground(pixels) in (True, False)


# --- sets that are not usable -----------------------------------------------------------------------------------------


def test_unusable_sets_are_refused_with_a_reason(tmp_path):
    (tmp_path / "empty.zip").write_bytes(b"")
    (tmp_path / "text.zip").write_text("this is no zip")
    (tmp_path / "bare").mkdir()
    zipped(tmp_path / "wide.zip", {"0.png": png(painting(0, 16, 32))})
    zipped(tmp_path / "mixed.zip", {"0.png": png(painting(0, 16, 16)), "1.png": png(painting(1, 32, 32))})
    square_set(tmp_path / "odd.zip", side=24)
    square_set(tmp_path / "few.zip", labels=[["00000/img00000000.png", 1]])
    square_set(tmp_path / "vectors.zip", labels=[[f"00000/img{i:08d}.png", [0.5, 0.5]] for i in range(3)])
    square_set(tmp_path / "strange.zip", labels=[1, 2, 3])
    zipped(tmp_path / "json.zip", {"0.png": png(painting(0, 16, 16)), "dataset.json": b"{"})
    for name, words in (
        ("missing.zip", "does not exist"),
        ("empty.zip", "0 bytes"),
        ("text.zip", "not a zip"),
        ("bare", "no pictures"),
        ("wide.zip", "not square"),
        ("mixed.zip", "differs from the first"),
        ("odd.zip", "no power of two"),
        ("few.zip", "no label"),
        ("vectors.zip", "label"),
        ("strange.zip", "pairs"),
        ("json.zip", "JSON"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            Dataset.open(tmp_path / name)
        assert caught.value.hint


def test_a_damaged_picture_is_named(tmp_path):
    good = png(painting(0, 16, 16))
    path = zipped(tmp_path / "a.zip", {"0.png": good, "1.png": good[:60]})
    dataset = Dataset.open(path)
    assert dataset[0][0].shape == (16, 16, 3)
    with pytest.raises(DataError, match=r"1\.png in a\.zip"):
        dataset.pixels()
