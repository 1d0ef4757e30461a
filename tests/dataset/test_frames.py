"""Frames that hang round pictures are found and taken off; paintings without one are left alone."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from ganlib.dataset import Dataset, PrepareConfig, prepare
from ganlib.dataset.crops import frame_picture
from ganlib.dataset.frames import inside_picture_frame

REPOSITORY = Path(__file__).resolve().parents[2]
PAINTINGS = Path(os.environ.get("ATELIER_SHARED", REPOSITORY.parent / "shared")) / "data" / "monet_vangogh.zip"
WOODS = [(96, 60, 34), (60, 36, 22), (140, 96, 56), (172, 128, 84)]
GILTS = [(186, 150, 80), (160, 124, 60), (206, 176, 110)]


def landscape(seed: int, height: int = 200, width: int = 240) -> np.ndarray:
    """Clouds of colour with a horizon, as rough as brush strokes."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3))
    for blur in (2, 8, 30):
        layer = ndimage.gaussian_filter(rng.normal(0, 1, (height, width, 3)), (blur, blur, 0))
        pixels += layer / layer.std() * rng.uniform(10, 30)
    pixels[: rng.integers(60, 120)] += rng.uniform(-40, 60, 3)
    return np.clip(pixels + rng.uniform(90, 150, 3), 0, 255).astype(np.uint8)


def framed(picture: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A wooden or gilded frame with grooves, grain or ornament, light from one side and a shadow, saved as JPEG."""
    height, width = picture.shape[:2]
    share = rng.uniform(0.04, 0.16)
    left, top, right, bottom = (
        max(int(side * (share + rng.uniform(-0.01, 0.01))), 4) for side in (width, height, width, height)
    )
    y, x = np.mgrid[: height + top + bottom, : width + left + right]
    depths = np.stack([x / left, y / top, x[:, ::-1] / right, y[::-1] / bottom])
    side, depth = depths.argmin(axis=0), depths.min(axis=0).clip(0, 1)
    is_wood = rng.random() < 0.5
    canvas = np.ones((*x.shape, 3)) * np.array(rng.choice(WOODS if is_wood else GILTS), float)
    grooves = np.sin(depth * rng.uniform(3, 9) + rng.uniform(0, 6.3)) * rng.uniform(5, 28)
    canvas += (grooves + rng.uniform(-12, 12, 4)[side])[..., None]
    noise = rng.normal(0, 1, x.shape)
    if is_wood:
        across, down = ndimage.gaussian_filter(noise, (0.7, 12)), ndimage.gaussian_filter(noise, (12, 0.7))
        grain = np.where(side % 2 == 1, across / across.std(), down / down.std()) * rng.uniform(4, 12)
    else:
        carved = ndimage.gaussian_filter(noise, rng.uniform(1.2, 3))
        grain = carved / carved.std() * rng.uniform(8, 26)
        grain += np.sin(np.where(side % 2 == 1, x, y) * 6.28 / rng.uniform(6, 16)) * rng.uniform(0, 14)
    canvas += grain[..., None] + rng.normal(0, 2.5, canvas.shape)
    canvas[top : top + height, left : left + width] = picture
    if rng.random() < 0.5:
        canvas[top : top + height // 60 + 1, left : left + width] *= 0.75
    file = io.BytesIO()
    Image.fromarray(canvas.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file).convert("RGB")), (left, top, left + width, top + height)


def is_found(pixels: np.ndarray, box: tuple[int, ...]) -> bool:
    """Whether the inner edge is met within 3 % of the longer side everywhere."""
    return max(abs(a - b) for a, b in zip(inside_picture_frame(pixels), box, strict=True)) <= 0.03 * max(pixels.shape)


def test_drawn_frames_are_taken_off_and_pictures_without_one_are_whole():
    rng = np.random.default_rng(0)
    found = 0
    for seed in range(20):
        picture = landscape(seed, 200, 240 if seed % 2 else 160)
        assert inside_picture_frame(picture) == (0, 0, picture.shape[1], 200), seed
        found += is_found(*framed(picture, rng))
    assert found >= 18


@pytest.mark.skipif(not PAINTINGS.is_file(), reason="the paintings are not here")
def test_paintings_lose_their_frames_and_nothing_else():
    rng = np.random.default_rng(1)
    touched = found = 0
    with zipfile.ZipFile(PAINTINGS) as archive:
        names = sorted(archive.namelist())[::9]
        for name in names:
            picture = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            touched += inside_picture_frame(picture) != (0, 0, picture.shape[1], picture.shape[0])
            found += is_found(*framed(picture, rng))
    assert touched <= 0.01 * len(names) and found >= 0.9 * len(names), (touched, found, len(names))


@pytest.mark.parametrize("shape", [(1, 1), (9, 300), (41, 41), (64, 64), (3, 3)])
def test_strange_pictures_have_no_frame(shape):
    for pixels in (np.zeros((*shape, 3), np.uint8), np.random.RandomState(0).randint(0, 256, (*shape, 3), np.uint8)):
        assert inside_picture_frame(pixels) == (0, 0, shape[1], shape[0])


def test_a_set_of_paintings_loses_frames_unless_told_otherwise(tmp_path):
    rng = np.random.default_rng(3)
    boxes = {}
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for i in range(4):
            pixels, box = framed(landscape(i), rng) if i < 2 else (landscape(i), None)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            archive.writestr(f"{i}.png", file.getvalue())
            boxes[f"{i}.png"] = box
    for unframe, removed in (("auto", "picture"), ("picture", "picture"), ("scan", ""), ("none", "")):
        dest = tmp_path / f"{unframe}.zip"
        report = prepare(PrepareConfig(str(tmp_path / "in.zip"), str(dest), 64, unframe=unframe))
        lines = {line["name"]: line for line in map(json.loads, report.report.read_text("utf-8").splitlines())}
        assert [lines[f"{i}.png"].get("frame", "") for i in range(4)] == [removed, removed, "", ""]
        assert ("2 of the kept had a picture frame, removed" in " ".join(str(report).split())) is bool(removed)
        for name, box in boxes.items():
            if box and removed:
                left, top, right, bottom = lines[name]["box"]
                assert left >= box[0] - 4 and top >= box[1] - 4 and right <= box[2] + 4 and bottom <= box[3] + 4
    report = prepare(PrepareConfig(str(tmp_path / "in.zip"), str(tmp_path / "all.zip"), 64, crop="center"))
    assert not any(item.frame for item in report.items)
    report = prepare(
        PrepareConfig(str(tmp_path / "in.zip"), str(tmp_path / "b.zip"), 64, crop="center", unframe="picture")
    )
    assert sum(bool(item.frame) for item in report.items) == 2 and len(Dataset.open(report.dest)) == 4


def test_a_scan_frame_and_then_a_picture_frame_come_off():
    rng = np.random.default_rng(5)
    pixels, box = framed(landscape(3), rng)
    scan = np.pad(pixels, ((9, 9), (9, 9), (0, 0)))
    framing = frame_picture(scan, "all", picture=True)
    assert framing.removed == "scan, picture"
    inner = np.array(box) + 9
    assert np.abs(np.array(framing.box) - inner).max() <= 0.03 * max(scan.shape)
