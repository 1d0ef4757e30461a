"""From one source file to the squares that go into the set: decode, unframe, crop, resize, encode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from ganlib.base.errors import DataError
from ganlib.dataset.augment import augment, plan
from ganlib.dataset.config import PrepareConfig
from ganlib.dataset.crops import Method, cut, frame_picture, has_plain_ground
from ganlib.dataset.exclusion import read_exclusions
from ganlib.dataset.files import Files
from ganlib.dataset.letterbox import letterbox
from ganlib.dataset.report import NO_LABEL, TOO_SMALL, Item
from ganlib.dataset.text import match
from ganlib.media.headers import reduction
from ganlib.media.images import Look, colour, decode_what_is_there, encode, resize
from ganlib.runs import Stopped

PROBED = 48  # pictures that are looked at to decide how `auto` crops the set
PLAIN_MAJORITY = 0.6  # share of them on plain ground that makes it a set of subjects
LEAST_ENLARGED = 0.5  # a crop smaller than this share of the resolution would be mostly interpolation

_WHERE: dict[str, Method] = {
    "subject": "subject", "page": "page", "whole": "whole", "smart": "smart", "letterbox": "all", "squash": "all"
}  # fmt: skip

Picture = tuple[str, str | None]  # its name in the source and its class, as `Classes.of` says
Outcome = tuple[Item, bytes]  # with the PNG, or nothing where the picture is left out


@dataclass(frozen=True)
class Maker:
    """Makes all pictures of a set in the same way."""

    config: PrepareConfig
    method: str
    """How pictures are cropped; `auto` is decided."""
    scan: bool
    """Whether the black frames of scans are removed."""
    picture: bool
    """Whether wooden and gilded frames are removed."""
    kept: frozenset[str] = frozenset()
    """Names that stay, whatever speaks against them."""

    def make(self, files: Files, picture: Picture) -> list[Outcome]:
        """Return what becomes of a source file. A file that cannot be used is an outcome too, never an error."""
        config, (name, label) = self.config, picture
        if label is None:
            return [(Item(name, "aside", NO_LABEL), b"")]
        try:
            data = files.read(name)
            pixels, flaw = decode_what_is_there(
                data, name=PurePosixPath(name).name, background=colour(config.background), least_side=config.resolution
            )
            times = reduction(data, least_side=config.resolution)
        except DataError as error:
            return [(Item(name, "error", error.message), b"")]
        item, square = self.cut(Look(pixels, times, times, flaw), name, label)
        if square is None:
            return [(item, b"")]
        copies = [
            (replace(item, copy="+".join(kinds)), encode(augment(square, kinds, name=name, number=i)))
            for i, kinds in enumerate(plan(config.augment, config.copies))
        ]
        return [(item, encode(square)), *copies]

    def cut(self, look: Look, name: str, label: str = "") -> tuple[Item, np.ndarray | None]:
        """Return what becomes of a picture, and its square uint8 `[resolution, resolution, 3]`, or None where it is
        left out. One that is looked at smaller than it is decoded is cut where the other would be."""
        config, (pixels, times, decoded_times, flaw) = self.config, look
        framing = frame_picture(pixels, _WHERE[self.method], margin=config.margin, scan=self.scan, picture=self.picture)
        left, top, right, bottom = framing.box
        box = (left * times, top * times, right * times, bottom * times)  # in pixels of the source
        stays = name in self.kept
        if framing.objection and not config.keep_outliers and not stays:
            return Item(name, "aside", framing.objection, box), None
        found = max(right - left, bottom - top) * times / decoded_times
        if found < LEAST_ENLARGED * config.resolution and not stays:
            return Item(name, "aside", TOO_SMALL, box), None
        side = config.resolution
        if self.method == "letterbox":
            square = letterbox(pixels[top:bottom, left:right], side, config.fill)
        elif self.method == "squash":
            square = resize(pixels[top:bottom, left:right], side, side)
        else:
            square = cut(pixels, framing, side)
        item = Item(name, "kept", box=box, label=label, note=flaw, frame=framing.removed)
        if self.method == "squash":
            item = replace(item, aspect=round((right - left) / (bottom - top), 4))
        return item, square


def decide(
    files: Files, names: Sequence[str], config: PrepareConfig, should_stop: Callable[[], bool] = lambda: False
) -> Maker:
    """Return how the whole set is made. `auto` looks at a few pictures: one decision keeps paintings uncropped.

    Raises Stopped when `should_stop()`."""
    method = {"center": "whole"}.get(config.crop, config.crop)
    if method == "auto":
        seen = []
        for name in pick_evenly(names, PROBED):
            if should_stop():
                raise Stopped
            try:
                seen.append(has_plain_ground(files.look(name, least_side=config.resolution).pixels))
            except DataError:
                continue  # reported when its turn comes
        method = "subject" if seen and sum(seen) >= PLAIN_MAJORITY * len(seen) else "page"
    scan, picture = _FRAMES[config.unframe]
    if config.unframe == "auto":
        scan = picture = method not in ("whole", "letterbox", "squash")
        picture &= method != "subject"  # drawings on paper hang in no frame
    elif method == "whole":
        method = "page"
    kept = match(read_exclusions(config.keep, flag="--keep"), names, loosely=False)[0] if config.keep else {}
    return Maker(config, method, scan, picture, frozenset(kept))


_FRAMES = {"auto": (True, True), "scan": (True, False), "picture": (False, True), "none": (False, False)}


def pick_evenly(names: Sequence[str], most: int | None) -> list[str]:
    """Return `most` of the names, evenly spread; all of them if None."""
    if most is None or most >= len(names):
        return list(names)
    return [names[i * len(names) // most] for i in range(most)]
