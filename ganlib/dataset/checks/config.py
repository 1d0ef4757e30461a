"""Everything that an examination is told. The command line and the page's form are made from this dataclass."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganlib.dataset.checks.findings import KINDS
from ganlib.errors import InputError
from ganlib.options import check_types

MAX_WORKERS = 64
SHARES = frozenset(("duplicate", "blur", "plain", "border", "odd_mode"))  # kinds with a score from 0 to 1


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class ExamineConfig:
    """Options of one examination; a threshold of None looks for nothing of its kind. Rules live in `validate`."""

    source: str = _option("", "a folder or zip of pictures; sub-folders are searched")
    outdir: str = _option("", "the folder for report.html, report.jsonl, exclude.txt and the scores, which are kept")
    duplicate: float | None = _option(0.86, "how alike copies are, 0.5 to 1; 1 finds equal pixels alone")
    small: float | None = _option(64.0, "a shorter side of fewer pixels is too small")
    narrow: float | None = _option(2.5, "this many times as long as wide is too narrow")
    blur: float | None = _option(0.5, "blur from 0 (sharp) to 1; one of 1.5 pixels in a picture of 200 has 0.5")
    plain: float | None = _option(0.98, "share of one colour from which on there is nothing to see, 0 to 1")
    grey: float | None = _option(12.0, "a picture with less colour than this is grey, where four fifths have more")
    ground: float | None = _option(8.0, "deviations from which on a picture's ground is not the set's")
    sparse: float | None = _option(2.4, "deviations by which things on plain ground are thinner, smaller or paler")
    outlier: float | None = _option(3.0, "how many times as far from its neighbours as usual an outlier is")
    border: float | None = _option(0.75, "share of three sides along which a frame or scan border runs, 0 to 1")
    odd_mode: float | None = _option(0.02, "a colour mode that a smaller share of the set has is odd, 0 to 1")
    odd_size: float | None = _option(8.0, "this many times as many or as few pixels as usual is odd")
    max_pictures: int | None = _option(None, "look at no more than this many pictures, evenly spread over the source")
    workers: int = _option(2, "processes that decode and measure")

    @property
    def thresholds(self) -> dict[str, float | None]:
        """Return the threshold of each kind of finding."""
        return {kind: getattr(self, kind) for kind in KINDS}

    def validate(self) -> ExamineConfig:
        """Return self, or raise `InputError` that names the option and its legal values."""
        if not self.source:
            raise InputError("no source given", "name a folder or zip of pictures with --source")
        if not self.outdir:
            raise InputError("no folder for the report given", "name one with --outdir")
        if Path(self.outdir).exists() and not Path(self.outdir).is_dir():
            raise InputError(f"{self.outdir} is a file", "give --outdir the name of a folder")
        if Path(self.outdir).resolve() == Path(self.source).resolve():
            raise InputError("source and outdir are the same folder", "give --outdir another name")
        for name, low, high in (("workers", 1, MAX_WORKERS), ("max_pictures", 1, 10**9)):
            value = getattr(self, name)
            if value is None and name == "max_pictures":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise InputError(f"{name} = {value!r} is not possible", f"use a whole number from {low} to {high}")
        for kind, value in self.thresholds.items():
            if value is None:
                continue
            least, most = (0.5 if kind == "duplicate" else 0.0), (1.0 if kind in SHARES else sys.float_info.max)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                words = f"from {least:g} to 1" if kind in SHARES else "of 0 or more"
                raise InputError(f"{kind} = {value!r} is not possible", f"use a number {words}, or none for no check")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExamineConfig:
        """Build from JSON data; raises `InputError` on unknown options and wrong types, then as `validate`."""
        return cls(**check_types(cls, values, hint="see `python -m ganlib examine --help`")).validate()
