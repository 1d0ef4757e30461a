"""Everything that a preparation is told. The command line and the page's form are made from this dataclass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ganlib.errors import InputError
from ganlib.options import check_types

_CROP_HELP = (
    "auto removes black scan frames, then crops to the subject if most of the set lies on plain ground, else to the "
    "centre; center and letterbox leave frames alone"
)
_LABELS_HELP = (
    "keep takes the classes of a source that has them (dataset.json); folder takes each picture's folder, prefix its "
    "name up to the first _"
)
Crop = Literal["auto", "center", "subject", "letterbox"]
Labels = Literal["keep", "none", "folder", "prefix"]
LEAST_RESOLUTION, MOST_RESOLUTION = 8, 4096  # no network is smaller than 8 pixels
MAX_WORKERS = 64
_WHOLE_NUMBERS = (
    ("resolution", LEAST_RESOLUTION, MOST_RESOLUTION),
    ("workers", 1, MAX_WORKERS),
    ("max_pictures", 1, 10**9),
)


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class PrepareConfig:
    """Options of one preparation. Each field's meaning stands in its metadata `help`; rules live in `validate`."""

    source: str = _option("", "a folder or zip of pictures; sub-folders are searched")
    dest: str = _option("", "the data set to write, a .zip; a report is written beside it")
    resolution: int = _option(256, "side of the square pictures in pixels, a power of two")
    crop: Crop = field(default="auto", metadata={"help": _CROP_HELP})
    margin: float = _option(1.22, "side of a subject crop relative to the subject's longer side")
    keep_outliers: bool = _option(False, "keep what a subject crop sets aside (grey, sparse, no clear subject …)")
    labels: Labels = field(default="keep", metadata={"help": _LABELS_HELP})
    licence: str = _option("", "licence of the pictures, kept in the set's card")
    credit: str = _option("", "whom to credit for the pictures, kept in the set's card")
    max_pictures: int | None = _option(None, "look at no more than this many pictures, evenly spread over the source")
    workers: int = _option(2, "processes that decode and crop")

    def validate(self) -> PrepareConfig:
        """Return self, or raise `InputError` that names the option and its legal values."""
        if not self.source:
            raise InputError("no source given", "name a folder or zip of pictures with --source")
        if not self.dest or Path(self.dest).suffix.lower() != ".zip":
            raise InputError(f"the data set cannot be written to '{self.dest}'", "end --dest in .zip")
        if Path(self.dest).resolve() == Path(self.source).resolve():
            raise InputError("source and dest are the same file", "give --dest another name")
        if Path(self.dest).is_dir():
            raise InputError(f"{self.dest} is a folder", "give --dest the name of a new .zip")
        for name, low, high in _WHOLE_NUMBERS:
            value = getattr(self, name)
            if value is None and name == "max_pictures":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise InputError(f"{name} = {value!r} is not possible", f"use a whole number from {low} to {high}")
        if self.resolution & (self.resolution - 1):
            raise InputError(f"resolution = {self.resolution} is no power of two", "use 32, 64, 128, 256, 512 or 1024")
        if isinstance(self.margin, bool) or not math.isfinite(self.margin) or not 1 <= self.margin <= 4:
            raise InputError(f"margin = {self.margin!r} is not possible", "use a number from 1 to 4, such as 1.22")
        for name, values in (("crop", get_args(Crop)), ("labels", get_args(Labels))):
            if getattr(self, name) not in values:
                raise InputError(f"{name} = {getattr(self, name)!r} is unknown", f"use {', '.join(values)}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PrepareConfig:
        """Build from JSON data; raises `InputError` on unknown options and wrong types, then as `validate`."""
        return cls(**check_types(cls, values, hint="see `python -m ganlib prepare --help`")).validate()
