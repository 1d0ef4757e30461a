"""Everything that a preparation is told. The command line and the page's form are made from this dataclass."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ganlib.dataset.augment import plan
from ganlib.dataset.fitting import FILLS
from ganlib.errors import InputError
from ganlib.images import colour
from ganlib.options import check_types

_CROP_HELP = (
    "auto crops to the subject if most of the set lies on plain ground, else to the centre; smart is the square with "
    "most to look at; letterbox keeps all on --fill; squash keeps all and notes the aspect in dataset.json"
)
_UNFRAME_HELP = (
    "frames to remove: black ones of scans, wooden or gilded ones of pictures; auto removes those that it finds, but "
    "center, letterbox and squash then leave all frames alone"
)
_SOURCE_HELP = (
    "a folder or zip of pictures (sub-folders are searched), a film, hf:owner/name (a data set of the Hugging Face "
    "Hub), or a .txt of picture addresses"
)
_LABELS_HELP = (
    "keep takes the classes of a source that has them (dataset.json), used those of them that have pictures; folder "
    "takes each picture's folder, prefix its name up to the first _, FILE.csv its columns file and label; "
    "artists:genre takes that column of the source's artists.csv for the artist in whose folder a picture lies"
)
_AUGMENT_HELP = (
    "kinds of copies, such as mirror,hue; some of mirror, mirrory, rot90, rot180, rot270, perspective, hue, saturation "
    "(training with ADA does this already, better)"
)
HUB = "hf:"
Crop = Literal["auto", "center", "subject", "smart", "letterbox", "squash"]
Unframe = Literal["auto", "scan", "picture", "none"]
LABELS = ("keep", "used", "none", "folder", "prefix")
ARTISTS = "artists:"
LEAST_RESOLUTION, MOST_RESOLUTION = 8, 4096  # no network is smaller than 8 pixels
MAX_WORKERS = 64
MOST_COPIES = 100
LEAST_FPS, MOST_FPS = 0.001, 240.0
_WHOLE_NUMBERS = (
    ("resolution", LEAST_RESOLUTION, MOST_RESOLUTION),
    ("workers", 1, MAX_WORKERS),
    ("max_pictures", 1, 10**9),
    ("copies", 0, MOST_COPIES),
)


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class PrepareConfig:
    """Options of one preparation. Each field's meaning stands in its metadata `help`; rules live in `validate`."""

    source: str = _option("", _SOURCE_HELP)
    dest: str = _option("", "the data set to write, a .zip or a folder; a report is written beside it")
    resolution: int = _option(256, "side of the square pictures in pixels, a power of two")
    crop: Crop = field(default="auto", metadata={"help": _CROP_HELP})
    fill: str = _option("auto", "beside a letterboxed picture: auto (its edge's colour), blur, edge, or #rrggbb")
    unframe: Unframe = field(default="auto", metadata={"help": _UNFRAME_HELP})
    background: str = _option("#ffffff", "colour on which transparent pictures lie, #rrggbb")
    margin: float = _option(1.22, "side of a subject crop relative to the subject's longer side")
    exclude: str = _option("", "a text file of source names to leave out, one per line; # begins a comment")
    keep: str = _option("", "a text file of source names that stay, whatever speaks against them; as for --exclude")
    keep_outliers: bool = _option(False, "keep what a subject crop sets aside (grey, sparse, no clear subject …)")
    labels: str = _option("keep", _LABELS_HELP)
    licence: str = _option("", "licence of the pictures, kept in the set's card")
    credit: str = _option("", "whom to credit for the pictures, kept in the set's card")
    augment: tuple[str, ...] = _option((), _AUGMENT_HELP)
    copies: int | None = _option(None, "copies of each picture; none makes one for each kind that --augment names")
    fps: float = _option(1.0, "pictures taken per second of a film")
    i_have_the_rights: bool = _option(False, "say that you may use the pictures in a list of addresses")
    max_pictures: int | None = _option(None, "look at no more than this many pictures, evenly spread over the source")
    workers: int = _option(2, "processes that decode and crop")

    def validate(self) -> PrepareConfig:
        """Return self, or raise `InputError` that names the option and its legal values."""
        if not self.source:
            raise InputError("no source given", "name a folder, zip or film with --source")
        _check_dest(self.dest, self.source)
        for name, low, high in _WHOLE_NUMBERS:
            value = getattr(self, name)
            if value is None and name in ("max_pictures", "copies"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise InputError(f"{name} = {value!r} is not possible", f"use a whole number from {low} to {high}")
        if self.resolution & (self.resolution - 1):
            raise InputError(f"resolution = {self.resolution} is no power of two", "use 32, 64, 128, 256, 512 or 1024")
        if isinstance(self.margin, bool) or not math.isfinite(self.margin) or not 1 <= self.margin <= 4:
            raise InputError(f"margin = {self.margin!r} is not possible", "use a number from 1 to 4, such as 1.22")
        for name, values in (("crop", get_args(Crop)), ("unframe", get_args(Unframe))):
            if getattr(self, name) not in values:
                raise InputError(f"{name} = {getattr(self, name)!r} is unknown", f"use {', '.join(values)}")
        named = isinstance(self.labels, str) and (
            self.labels.lower().endswith(".csv") or self.labels.startswith(ARTISTS)
        )
        if self.labels not in LABELS and not named:
            hint = f"use {', '.join(LABELS)}, a FILE.csv, or {ARTISTS}genre"
            raise InputError(f"labels = {self.labels!r} is unknown", hint)
        if isinstance(self.fps, bool) or not LEAST_FPS <= self.fps <= MOST_FPS:
            raise InputError(f"fps = {self.fps!r} is not possible", f"use a number from {LEAST_FPS} to {MOST_FPS:g}")
        if self.copies and not self.augment:
            raise InputError("copies need a difference", "name one with --augment, such as --augment mirror")
        plan(self.augment, self.copies)
        colour(self.background)
        if self.fill not in FILLS:
            try:
                colour(self.fill)
            except InputError as error:
                raise InputError(f"fill = {self.fill!r} is unknown", f"use {', '.join(FILLS)} or #rrggbb") from error
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PrepareConfig:
        """Build from JSON data; raises `InputError` on unknown options and wrong types, then as `validate`."""
        return cls(**check_types(cls, values, hint="see `python -m ganlib prepare --help`")).validate()


def _check_dest(dest: str, source: str) -> None:
    path = Path(dest)
    is_zip = path.suffix.lower() == ".zip"
    if not dest or not (is_zip or path.is_dir() or not path.suffix or dest.endswith(("/", os.sep))):
        raise InputError(
            f"the data set cannot be written to '{dest}'", "end --dest in .zip, or in / for a folder of pictures"
        )
    if is_zip and path.is_dir():
        raise InputError(f"{dest} is a folder", "give --dest the name of a new .zip")
    if not is_zip and path.is_file():
        raise InputError(f"{dest} is a file", "give --dest the name of a new folder or .zip")
    if source.startswith(HUB):
        return
    ends = path.resolve(), Path(source).resolve()
    if ends[0] == ends[1]:
        raise InputError("source and dest are the same", "give --dest another name")
    if not is_zip and (ends[0] in ends[1].parents or ends[1] in ends[0].parents):
        raise InputError(f"{source} and {dest} lie in one another", "give --dest a folder elsewhere")
