"""Squares from pictures that are none: smart, letterboxed on three grounds, squashed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib.base.errors import InputError
from ganlib.dataset import Dataset, PrepareConfig, prepare
from ganlib.dataset.crops import frame_picture
from ganlib.dataset.letterbox import letterbox
from ganlib.dataset.saliency import best_window, saliency
from ganlib.media.images import encode


def sky(height: int, width: int, *, at: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A calm sky with a red, patterned balloon whose centre is `at` (y, x)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([120 + 0 * x, 150 + y * 40 / height, 200 - y * 20 / height], axis=-1)
    disc = (y - at[0]) ** 2 + (x - at[1]) ** 2 < (min(height, width) / 5) ** 2
    pixels[disc] = (200, 50, 40)
    pixels[disc & ((x // 5 + y // 5) % 2 == 0)] = (240, 200, 60)
    return np.clip(pixels + rng.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)


def zipped(path: Path, pictures: dict[str, np.ndarray]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, pixels in pictures.items():
            archive.writestr(name, encode(pixels))
    return path


@pytest.mark.parametrize(("shape", "at"), [
    ((100, 300), (50, 40)), ((100, 300), (50, 262)), ((300, 100), (45, 50)), ((300, 100), (255, 50)),
    ((600, 1500), (300, 1250)),
])  # fmt: skip
def test_smart_squares_hold_what_one_looks_at(shape, at):
    left, top, right, bottom = frame_picture(sky(*shape, at=at), "smart").box
    assert right - left == bottom - top == min(shape) and left >= 0 and top >= 0
    assert right <= shape[1] and bottom <= shape[0]
    radius = min(shape) / 5 * 0.95
    assert left <= at[1] - radius and right >= at[1] + radius and top <= at[0] - radius and bottom >= at[0] + radius


def test_without_anything_to_look_at_the_centre_is_taken():
    flat = np.full((50, 150, 3), 90, np.uint8)
    assert frame_picture(flat, "smart").box == (50, 0, 100, 50)
    measure = saliency(flat)
    assert measure.shape == (50, 150) and measure.sum() == pytest.approx(1)
    assert best_window(np.ones(9), 3) == 3 and best_window(np.eye(9)[7], 3) in (5, 6, 7)
    for shape in ((1, 1), (1, 9), (400, 2)):
        assert saliency(np.zeros((*shape, 3), np.uint8)).shape == shape


def test_letterbox_grounds():
    picture = np.random.default_rng(0).integers(0, 255, (16, 32, 3), np.uint8)
    for fill in ("auto", "blur", "edge", "#102030"):
        square = letterbox(picture, 32, fill)
        assert square.shape == (32, 32, 3) and square.dtype == np.uint8 and np.array_equal(square[8:24], picture)
    assert (letterbox(picture, 32, "#102030")[:8] == (16, 32, 48)).all()
    edge = letterbox(picture, 32, "edge")
    assert (edge[:8] == picture[0]).all() and (edge[24:] == picture[-1]).all()
    upright = letterbox(picture.swapaxes(0, 1), 32, "edge")
    assert (upright[:, :8] == picture.swapaxes(0, 1)[:, :1]).all()
    assert len(np.unique(letterbox(picture, 32, "auto")[:8].reshape(-1, 3), axis=0)) == 1
    assert letterbox(picture, 32, "blur")[:8].std() < picture.std() / 2
    assert letterbox(np.zeros((1, 300, 3), np.uint8), 16, "edge").shape == (16, 16, 3)
    with pytest.raises(InputError):
        letterbox(picture, 32, "glitter")


def test_squashed_pictures_remember_their_aspect_where_other_readers_do_not_look(tmp_path):
    wide, tall = sky(40, 60, at=(20, 30)), sky(90, 40, at=(20, 20))
    source = zipped(tmp_path / "in.zip", {"a/wide.png": wide, "b/tall.png": tall})
    report = prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 32, crop="squash", labels="folder"))
    with zipfile.ZipFile(report.dest) as archive:
        meta = json.loads(archive.read("dataset.json"))
    names = [f"00000/img{i:08d}.png" for i in range(2)]
    assert meta == {"labels": [[names[0], 0], [names[1], 1]], "aspects": [[names[0], 1.5], [names[1], 0.4444]]}
    dataset = Dataset.open(report.dest)
    assert dataset.aspects is not None and dataset.aspects.tolist() == [1.5, 0.4444]
    expected = np.asarray(Image.fromarray(wide).resize((32, 32), Image.Resampling.LANCZOS))
    assert np.array_equal(dataset[0][0], expected)
    plain = prepare(PrepareConfig(str(source), str(tmp_path / "plain.zip"), 32, crop="center"))
    assert Dataset.open(plain.dest).aspects is None


@pytest.mark.parametrize("options", [{"fill": "glitter"}, {"fill": "#12"}, {"unframe": "gold"}, {"fill": ""}])
def test_impossible_framings_are_refused(options):
    with pytest.raises(InputError) as caught:
        PrepareConfig.from_dict({"source": "a.zip", "dest": "b.zip", "crop": "letterbox"} | options)
    assert caught.value.hint
