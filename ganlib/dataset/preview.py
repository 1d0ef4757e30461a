"""What a preparation would do, on a dozen pictures of the source: nothing is written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from ganlib.base.errors import DataError
from ganlib.dataset.config import PrepareConfig
from ganlib.dataset.files import ALL, GLANCE, Files
from ganlib.dataset.pipeline import decide, pick_evenly
from ganlib.dataset.reader import Dataset
from ganlib.media.images import encode, resize
from ganlib.runs import Stopped

LOOK_SECONDS = 6.0  # in which the pictures of a mosaic are decoded
LOOK_PIXELS = 1024 * 1024  # of what a small picture is made from
SIDE = 192  # px of either half
GROUND = (235, 230, 221)
OUTLINE = (200, 69, 45)


@dataclass(frozen=True)
class Preview:
    """One picture before and after."""

    name: str
    """In the source."""
    words: str
    """Why it is set aside; empty where it is kept."""
    pair: bytes
    """WebP, twice as wide as high: the picture with the crop outlined, and the square that comes of it, or nothing."""


def preview(
    config: PrepareConfig,
    *,
    count: int = 12,
    without: Collection[str] = (),
    only: Sequence[str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Preview]:
    """Return what becomes of `count` pictures, evenly spread over the source, or of the pictures named in `only`.

    `without` names pictures that are left out by hand.

    Of a source beyond `GLANCE` it is the part that was looked at. `config.dest` may be anything. Raises DataError for a
    source that cannot be read, InputError for an unknown colour, Stopped when `should_stop()`.
    """
    bounds = GLANCE if only is None else ALL  # names come from an examination of all
    with Files(Path(config.source), bounds=bounds, may_be_part=only is None, should_stop=should_stop) as files:
        left_out = set(without)
        names = [name for name in files.pictures if name not in left_out]
        maker = decide(files, names, config, should_stop)
        found = []
        known = set(names)
        for name in pick_evenly(names, count) if only is None else [name for name in only if name in known]:
            if should_stop():
                raise Stopped
            try:
                look = files.look(
                    name, title=PurePosixPath(name).name, least_side=config.resolution, background=config.background,
                    look_pixels=LOOK_PIXELS,
                )  # fmt: skip
            except DataError as error:
                empty = np.full((SIDE, SIDE, 3), GROUND, np.uint8)
                found.append(Preview(name, error.message, encode(_pair(empty, None, 1, None), "webp")))
                continue
            item, made = maker.cut(look, name)
            found.append(Preview(name, item.reason, encode(_pair(look.pixels, item.box, look.times, made), "webp")))
        return found


def thumbnail(dataset: Dataset, index: int) -> bytes:
    """Return a picture of a set as WebP, at most 192 pixels wide. Raises DataError for one that cannot be read."""
    return encode(dataset.small(index, SIDE), "webp")


class Mosaic(NamedTuple):
    """A look at a source."""

    found: int
    """How many pictures there are, as far as was looked."""
    picture: bytes
    """Some of them, evenly spread, whole on a ground, as one WebP."""
    left_out: str
    """What was not looked into, in words; empty where nothing was left out."""


def mosaic(
    source: Path | str,
    *,
    count: int = 24,
    columns: int = 12,
    side: int = 96,
    should_stop: Callable[[], bool] = lambda: False,
) -> Mosaic:
    """Look at a source within `GLANCE`, and at `count` of its pictures, or as many as `LOOK_SECONDS` allow.

    Raises DataError for a source that cannot be read or has no pictures, Stopped when `should_stop()`."""
    until = time.monotonic() + LOOK_SECONDS
    with Files(Path(source), bounds=GLANCE, may_be_part=True, should_stop=should_stop) as files:
        names, left_out = files.pictures, "; ".join(filter(None, (files.unfinished, _words(files.skipped))))
        if not names:
            hint = "It should hold PNG, JPEG, WebP, GIF, BMP or TIFF files."
            raise DataError(f"{source} has no pictures{f': {left_out}' if left_out else ''}", hint)
        cells: list[np.ndarray] = []
        for name in pick_evenly(names, count):
            if should_stop():
                raise Stopped
            if cells and time.monotonic() > until:
                break
            try:
                cells.append(_whole(files.look(name, least_side=side, look_pixels=LOOK_PIXELS).pixels, side)[0])
            except DataError:
                continue
        if not cells:
            raise DataError(
                f"no picture of {source} can be read", "Give a folder or zip of PNG, JPEG or WebP pictures."
            )
    cells += [np.full((side, side, 3), GROUND, np.uint8)] * (-len(cells) % min(columns, len(cells)))
    grid = np.stack(cells).reshape(-1, min(columns, len(cells)), side, side, 3)
    rows, width = grid.shape[:2]
    picture = encode(grid.transpose(0, 2, 1, 3, 4).reshape(rows * side, width * side, 3), "webp")
    return Mosaic(len(names), picture, left_out)


def _words(skipped: Mapping[str, str]) -> str:
    """What was left out, by its reasons: `12 × a link to a folder, not followed, such as a/b`."""
    reasons = Counter(skipped.values())
    first = {reason: name for name, reason in reversed(list(skipped.items()))}
    return "; ".join(f"{n} × {reason}, such as {first[reason][:80]}" for reason, n in reasons.most_common(3))


def _whole(pixels: np.ndarray, side: int) -> tuple[np.ndarray, float, int, int]:
    """The picture as large as fits into a square, the scale, and the offsets from left and top."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    small = resize(pixels, max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (side - small.shape[1]) // 2, (side - small.shape[0]) // 2
    square = np.full((side, side, 3), GROUND, np.uint8)
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    return square, scale, left, top


def _pair(pixels: np.ndarray, box: tuple[int, int, int, int] | None, times: int, made: np.ndarray | None) -> np.ndarray:
    """Both halves; `pixels` are `times` smaller than the file in which the box is measured."""
    before, scale, left, top = _whole(pixels, SIDE)
    if box is not None:
        picture = Image.fromarray(before)
        scale /= times
        corners = [round(value * scale) + offset for value, offset in zip(box, (left, top, left, top), strict=True)]
        low, high = (np.clip(part, 0, SIDE - 1).tolist() for part in (corners[:2], corners[2:]))
        ImageDraw.Draw(picture).rectangle([*low, *high], outline=OUTLINE, width=2)
        before = np.asarray(picture)
    after = np.full((SIDE, SIDE, 3), GROUND, np.uint8) if made is None else resize(made, SIDE, SIDE)
    return np.concatenate([before, after], axis=1)
