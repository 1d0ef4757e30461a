"""A picture file of any kind → the square of pixels that a model is to find."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganlib.base.errors import DataError, InputError
from ganlib.base.filesystem import read_regular
from ganlib.dataset.crops import cut, frame_picture
from ganlib.dataset.files import PICTURE_SUFFIXES
from ganlib.dataset.letterbox import edge_colour, letterbox
from ganlib.media import images
from ganlib.networks.base import GeneratorSpec
from ganlib.projection.config import LEAST_SIDE
from ganlib.projection.crops import find_face

CROPS = ("center", "subject", "face", "whole")
MOST_BYTES = 512 * 2**20  # of a picture file
MOST_PICTURES = 1000  # in one projection
_MOST_OUTSIDE = 4.0  # a square may be this many times the picture's longer side
_LUMINANCE = (0.299, 0.587, 0.114)


def find_targets(paths: Iterable[Path]) -> list[Path]:
    """Return the picture files that `paths` name, those of a folder sorted by name. Raises `DataError` for none."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file())
            if not inside:
                raise DataError(f"the folder {path} holds no pictures", "PNG, JPEG, WebP, AVIF, GIF, TIFF or BMP")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise DataError(f"no picture at {path}", "check the path")
    if len(found) > MOST_PICTURES:
        raise DataError(f"{len(found):,} pictures at once", f"give at most {MOST_PICTURES:,}")
    return found


def read_target(path: Path) -> np.ndarray:
    """Return uint8 `[H, W, 3]` of a picture file, upright, without alpha. Raises `DataError` for what is none and for
    one under 8 pixels a side."""
    with images.room_to_read(_size(path)):
        pixels = images.decode(_read(path), name=path.name)
    _check_sides(path, pixels.shape[1], pixels.shape[0])
    return pixels


def look_at_target(path: Path) -> tuple[np.ndarray, int, int]:
    """Return what `read_target` does, smaller where it is large, and the picture's own width and height. Raises as it
    does."""
    with images.room_to_read(_size(path)):
        data = _read(path)
        pixels = images.look(data, name=path.name, least_side=None).pixels
        width, height = images.size_of(data, name=path.name)
    _check_sides(path, width, height)
    return pixels, width, height


def _size(path: Path) -> int:
    """Bytes of a file. Raises `DataError` for one that is too large or cannot be read."""
    try:
        num_bytes = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", "check its permissions") from error
    if num_bytes > MOST_BYTES:
        raise DataError(f"{path.name} has over {MOST_BYTES // 2**20} MB", "make it smaller first")
    return num_bytes


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, max_bytes=MOST_BYTES)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", "check its permissions") from error


def _check_sides(path: Path, width: int, height: int) -> None:
    if min(height, width) < LEAST_SIDE:
        hint = f"choose a picture of {LEAST_SIDE} pixels a side or more"
        raise DataError(f"{path.name} has {width}×{height} pixels, too few to find anything in", hint)


def crop_square(
    pixels: np.ndarray, side: int, *, crop: str = "center", box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """Return uint8 `[side, side, 3]` of uint8 `[H, W, 3]`, antialiased.

    `box` is x and y of the square's upper left corner, its side in pixels of the picture, and degrees by which it is
    turned clockwise about its own centre; what lies outside the picture has the median colour of its edges. Without a
    box, `crop` is `center`, `subject` (the thing on plain ground, as data sets are cut), `face` (the largest, upright)
    or `whole`. Raises `InputError` for a square that misses the picture and where no face detector is installed,
    `DataError` where no subject or face is found."""
    if box is not None:
        return _cut_box(pixels, side, *box)
    if crop == "whole":
        return letterbox(pixels, side)
    if crop == "subject":
        framing = frame_picture(pixels, "subject")
        if framing.objection:
            raise DataError(f"no subject was found: {framing.objection}", "choose the square by hand, or crop center")
        return cut(pixels, framing, side)
    if crop == "face":
        return _cut_box(pixels, side, *find_face(pixels))
    if crop != "center":
        raise InputError(f"there is no crop {crop[:20]!r}", f"choose one of: {', '.join(CROPS)}")
    height, width = pixels.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    return images.resize(pixels[top : top + short, left : left + short], side, side)


def _cut_box(pixels: np.ndarray, side: int, x: float, y: float, length: float, angle: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    hint = f"the picture has {width}×{height} pixels"
    if not LEAST_SIDE <= length <= _MOST_OUTSIDE * max(height, width):
        raise InputError(f"a square of {length:g} pixels a side cannot be cut", hint)
    if not (-length < x < width and -length < y < height):
        raise InputError(f"the square at {x:g}, {y:g} lies beside the picture", hint)
    turn = math.radians(angle)
    cosine, sine = math.cos(turn), math.sin(turn)
    # The square is taken at the picture's own scale, or at the model's where that is finer, and then made smaller.
    own = min(max(round(length), side), 8192)
    scale = length / own
    a, b = scale * cosine, -scale * sine
    middle_x, middle_y, half = x + length / 2, y + length / 2, own / 2
    matrix = (a, b, middle_x - half * (a + b), -b, a, middle_y - half * (a - b))
    red, green, blue = (round(float(value)) for value in edge_colour(pixels))
    part = Image.fromarray(pixels).transform(
        (own, own), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=(red, green, blue)
    )
    return images.resize(np.asarray(part), side, side)


def to_network(pixels: np.ndarray, spec: GeneratorSpec) -> Tensor:
    """Return the image float `[N, C, R, R]` in [-1, 1] of uint8 `[N, R, R, 3]`; luminance for a grey model."""
    image = images.from_pixels(pixels)
    if spec.img_channels == 1:
        image = (image * torch.tensor(_LUMINANCE)[:, None, None]).sum(dim=1, keepdim=True)
    return image
