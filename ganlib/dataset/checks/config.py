"""Everything that an examination is told. The command line and the page's form are made from this dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.dataset.checks.findings import KINDS

MAX_WORKERS = 64


@dataclass(frozen=True)
class ExamineConfig(Options):
    """Options of one examination; a threshold of None looks for nothing of its kind. Rules live in `validate`."""

    verb = "examine"

    source: str = option("", "a folder or zip of pictures; sub-folders are searched", is_required=True)
    outdir: str = option(
        "", "the folder for report.html, report.jsonl, exclude.txt and the scores, which are kept", is_required=True
    )
    duplicate: float | None = option(
        0.86, "how alike copies are, 0.5 to 1; 1 finds equal pixels alone", low=0.5, high=1
    )
    small: float | None = option(64.0, "a shorter side of fewer pixels is too small", low=0)
    narrow: float | None = option(2.5, "this many times as long as wide is too narrow", low=0)
    blur: float | None = option(
        0.5, "blur from 0 (sharp) to 1; one of 1.5 pixels in a picture of 200 has 0.5", low=0, high=1
    )
    plain: float | None = option(
        0.98, "share of one colour from which on there is nothing to see, 0 to 1", low=0, high=1
    )
    grey: float | None = option(
        12.0, "a picture with less colour than this is grey, where four fifths have more", low=0
    )
    ground: float | None = option(8.0, "deviations from which on a picture's ground is not the set's", low=0)
    sparse: float | None = option(
        2.4, "deviations by which things on plain ground are thinner, smaller or paler", low=0
    )
    outlier: float | None = option(3.0, "how many times as far from its neighbours as usual an outlier is", low=0)
    border: float | None = option(
        0.75, "share of three sides along which a frame or scan border runs, 0 to 1", low=0, high=1
    )
    odd_mode: float | None = option(
        0.02, "a colour mode that a smaller share of the set has is odd, 0 to 1", low=0, high=1
    )
    odd_size: float | None = option(8.0, "this many times as many or as few pixels as usual is odd", low=0)
    max_pictures: int | None = option(
        None, "look at no more than this many pictures, evenly spread over the source", low=1, high=10**9
    )
    workers: int = option(2, "processes that decode and measure", low=1, high=MAX_WORKERS)

    @property
    def thresholds(self) -> dict[str, float | None]:
        """Return the threshold of each kind of finding."""
        return {kind: getattr(self, kind) for kind in KINDS}

    def check(self) -> None:
        if not self.source:
            raise InputError("no source given", "name a folder or zip of pictures with --source")
        if not self.outdir:
            raise InputError("no folder for the report given", "name one with --outdir")
        if Path(self.outdir).exists() and not Path(self.outdir).is_dir():
            raise InputError(f"{self.outdir} is a file", "give --outdir the name of a folder")
        if Path(self.outdir).resolve() == Path(self.source).resolve():
            raise InputError("source and outdir are the same folder", "give --outdir another name")
