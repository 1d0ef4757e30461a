"""A small set of real pictures, and what people do to pictures before they pass them on."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlib.dataset.files import Files
from ganlib.media import images

SIDE = 64


def squares(path: Path, count: int, seed: int = 0) -> np.ndarray:
    """uint8 `[count, SIDE, SIDE, 3]`: middles of pictures in a zip, drawn by chance."""
    with Files(path) as files:
        names = [files.pictures[i] for i in np.random.default_rng(seed).permutation(len(files.pictures))[:count]]
        found = []
        for name in names:
            pixels = images.decode(files.read(name), name=name)
            side = min(pixels.shape[:2])
            top, left = ((length - side) // 2 for length in pixels.shape[:2])
            found.append(images.resize(np.ascontiguousarray(pixels[top : top + side, left : left + side]), SIDE, SIDE))
    return np.stack(found)


def write_set(folder: Path, pixels: np.ndarray) -> Path:
    """A data set in a folder."""
    folder.mkdir(parents=True)
    for i, picture in enumerate(pixels):
        (folder / f"img{i:05d}.png").write_bytes(images.encode(picture, "png"))
    (folder / "dataset.json").write_text(json.dumps({"labels": None}))
    return folder


def disguised(picture: np.ndarray, how: int) -> np.ndarray:
    """A picture moved by 3 % of its side, every second one mirrored, and encoded again as JPEG."""
    side = picture.shape[0]
    by = max(1, round(0.03 * side))
    down, across = [(by, 0), (0, by), (-by, by), (by, -by)][how % 4]
    turned = picture[:, ::-1] if how % 2 else picture
    wide = np.pad(turned, ((by, by), (by, by), (0, 0)), mode="edge")
    moved = np.ascontiguousarray(wide[by + down : by + down + side, by + across : by + across + side])
    out = BytesIO()
    Image.fromarray(moved).save(out, "JPEG", quality=75)
    return np.asarray(Image.open(BytesIO(out.getvalue())).convert("RGB"))


def brighter(picture: np.ndarray, gain: float) -> np.ndarray:
    """A picture whose values are `gain` times as high, those above white cut off."""
    return np.clip(picture * gain + 0.5, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def fruit(repository: Path) -> np.ndarray:
    """22 real pictures, uint8 `[22, 64, 64, 3]`."""
    return squares(repository / "tests" / "data" / "fruit_sample.zip", 22)


@pytest.fixture(scope="session")
def fruit_set(fruit: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of the first 14 of them."""
    return write_set(tmp_path_factory.mktemp("fruit") / "set", fruit[:14])
