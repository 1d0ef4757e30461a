"""A finished set as others read it, and as a part of it or mirrored."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib.base.errors import InputError
from ganlib.dataset import Dataset, PrepareConfig, files, prepare
from ganlib.dataset.checks.measure import measure
from ganlib.dataset.preview import OUTLINE, preview
from ganlib.media.images import decode, encode
from ganlib.runs import Stopped


def labelled(folder: Path, count: int = 7) -> Path:
    path = folder / "in.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(count):
            pixels = np.random.default_rng(i).integers(0, 255, (40, 50, 3), np.uint8)
            archive.writestr(f"{'abc'[i % 3]}/{i}.png", encode(pixels))
    return path


def as_published(path: Path) -> tuple[list[np.ndarray], list[int] | None]:
    """NVIDIA's layout, from its description: sorted picture names, `labels` by name, pictures as channels first."""
    with zipfile.ZipFile(path) as archive:
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        Image.init()
        names = sorted(n for n in archive.namelist() if Path(n).suffix.lower() in Image.EXTENSION)
        labels = json.loads(archive.read("dataset.json"))["labels"]
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names]
    if labels is None:
        return pictures, None
    by_name = dict(labels)
    return pictures, [by_name[name.replace("\\", "/")] for name in names]


@pytest.mark.parametrize("options", [
    {"labels": "folder"}, {}, {"labels": "folder", "crop": "squash"},
    {"labels": "folder", "augment": ("mirror", "hue"), "copies": 3},
])  # fmt: skip
def test_a_set_reads_back_by_the_published_description(tmp_path, options):
    report = prepare(PrepareConfig(str(labelled(tmp_path)), str(tmp_path / "out.zip"), 32, **options))
    pictures, labels = as_published(report.dest)
    dataset = Dataset.open(report.dest)
    assert len(pictures) == report.kept + report.copies == len(dataset)
    for i, pixels in enumerate(pictures):
        assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8 and np.array_equal(pixels, dataset[i][0])
    expected = None if dataset.labels is None else dataset.labels.tolist()
    assert labels == expected and (labels is None or sorted(set(labels)) == [0, 1, 2])
    assert dataset.names == [f"{i // 1000:05d}/img{i:08d}.png" for i in range(len(pictures))]


@pytest.mark.parametrize("dest", ["out.zip", "out"])
def test_a_part_of_a_set_keeps_its_classes_and_order(tmp_path, dest):
    prepare(PrepareConfig(str(labelled(tmp_path)), str(tmp_path / dest), 32, labels="folder"))
    whole = Dataset.open(tmp_path / dest)
    part = Dataset.open(tmp_path / dest, subset=3, seed=5)
    assert len(part) == 3 and part.names == sorted(part.names) and set(part.names) < set(whole.names)
    assert part.label_dim == 3 and part.class_names == ["a", "b", "c"]
    for i, name in enumerate(part.names):
        pixels, label = whole[whole.names.index(name)]
        assert np.array_equal(part[i][0], pixels) and part[i][1] == label
    assert Dataset.open(tmp_path / dest, subset=3, seed=5).digest == part.digest != whole.digest
    assert {tuple(Dataset.open(tmp_path / dest, subset=3, seed=i).names) for i in range(9)} != {tuple(part.names)}
    assert Dataset.open(tmp_path / dest, subset=99).names == whole.names
    for subset in (0, -1):
        with pytest.raises(InputError):
            Dataset.open(tmp_path / dest, subset=subset)


def test_a_mirrored_set_has_every_picture_twice(tmp_path):
    prepare(PrepareConfig(str(labelled(tmp_path)), str(tmp_path / "out.zip"), 32, labels="folder"))
    whole, both = Dataset.open(tmp_path / "out.zip"), Dataset.open(tmp_path / "out.zip", mirror=True)
    assert len(both) == len(both.names) == 14 and both.labels is not None and len(both.labels) == 14
    for i in range(7):
        assert np.array_equal(both[i][0], whole[i][0]) and np.array_equal(both[i + 7][0], whole[i][0][:, ::-1])
        assert both[i][1] == both[i + 7][1] == whole[i][1]
    assert np.array_equal(both[-1][0], both[13][0]) and np.array_equal(both.pixels()[9], both[9][0])
    assert both.digest not in (whole.digest, Dataset.open(tmp_path / "out.zip", subset=6).digest)
    assert len(Dataset.open(tmp_path / "out.zip", mirror=True, subset=2)) == 4
    with pytest.raises(IndexError):
        both[14]


def test_a_photograph_of_a_hundred_megapixels_is_prepared_and_looked_at(tmp_path):
    photograph = Image.linear_gradient("L").resize((10_400, 10_000))  # dark above, light below
    (tmp_path / "in").mkdir()
    photograph.save(tmp_path / "in" / "a.jpg", quality=80)
    report = prepare(PrepareConfig(str(tmp_path / "in"), str(tmp_path / "out.zip"), 16, crop="center", workers=1))
    assert report.kept == 1 and report.items[0].box == (200, 0, 10_200, 10_000)
    dataset = Dataset.open(report.dest)
    assert dataset[0][0][:, 8, 0] == pytest.approx(np.linspace(8, 247, 16), abs=3)
    measures = measure((tmp_path / "in" / "a.jpg").read_bytes()).measures
    assert (measures.width, measures.height, measures.mode) == (10_400, 10_000, "L")
    config = PrepareConfig(str(tmp_path / "in"), "x.zip", 16, crop="center")
    before = decode(preview(config)[0].pair)[:, :192].astype(int)
    reds = np.abs(before - np.array(OUTLINE)).sum(axis=2) < 150
    assert reds[96].nonzero()[0].min() < 8 and reds[96].nonzero()[0].max() > 184  # the crop, outlined where it is


def test_the_report_says_how_a_picture_over_the_limit_passes(tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("L", (32, 32), 128).save(tmp_path / "in" / "a.png")
    data = encode(np.zeros((8, 8), np.uint8))
    header = data[12:16] + struct.pack(">II", 8192, 8192) + data[24:29]  # 67 megapixels, by its header
    forged = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    (tmp_path / "in" / "large.png").write_bytes(forged)
    report = prepare(PrepareConfig(str(tmp_path / "in"), str(tmp_path / "out.zip"), 16, crop="center"))
    (failed,) = [item for item in report.items if item.status == "error"]
    assert failed.reason == "large.png has 8192×8192 pixels; 64,000,000 are allowed, and more in a JPEG"


def test_deciding_how_a_set_is_cropped_ends_when_a_stop_is_asked_for(tmp_path, monkeypatch):
    for i in range(40):
        (tmp_path / f"{i}.png").write_bytes(encode(np.full((32, 32, 3), i, np.uint8)))
    asked = []
    config = PrepareConfig(str(tmp_path), "x.zip", 32)
    decoded = []
    real = files.look
    monkeypatch.setattr(files, "look", lambda *args, **options: decoded.append(args) or real(*args, **options))
    with pytest.raises(Stopped):
        preview(config, should_stop=lambda: asked.append(1) or len(asked) > 3)
    assert len(decoded) <= 3
