"""Everything that a preparation is told. The command line and the page's form are made from this dataclass."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.dataset.augment import KINDS, plan
from ganlib.dataset.letterbox import FILLS
from ganlib.media.images import colour

HUB = "hf:"
CROPS = {
    "auto": "let the studio decide",
    "center": "the centre",
    "subject": "the subject on its plain ground",
    "smart": "where there is most to look at",
    "letterbox": "nothing: whole pictures on a ground",
    "squash": "nothing: whole pictures, squashed to a square",
}
"""What is cut out of a picture, in words."""
UNFRAMES = {
    "auto": "where they are found",
    "scan": "black ones of scans",
    "picture": "wooden and gilded ones",
    "none": "none",
}
"""Frames that are taken off, in words."""
LABELS = {
    "keep": "as the source has them",
    "used": "as the source has them, only those with pictures",
    "none": "no classes",
    "folder": "a class for each folder",
    "prefix": "a class for each beginning of the name, up to _ (or type the path of a CSV)",
}
"""Where a picture's class comes from, in words."""
ARTISTS = "artists:"
LEAST_RESOLUTION, MOST_RESOLUTION = 8, 4096  # no network is smaller than 8 pixels
MAX_WORKERS = 64
MOST_COPIES = 100
LEAST_FPS, MOST_FPS = 0.001, 240.0


@dataclass(frozen=True)
class PrepareConfig(Options):
    """Options of one preparation. Each field's meaning stands in its metadata `help`; rules live in `validate`."""

    verb = "prepare"

    source: str = option(
        "",
        "a folder or zip of pictures (sub-folders are searched), a film, hf:owner/name (a data set of the Hugging "
        "Face Hub), or a .txt of picture addresses",
        is_required=True,
    )
    dest: str = option("", "the data set to write, a .zip or a folder; a report is written beside it", is_required=True)
    resolution: int = option(
        256, "side of the square pictures in pixels, a power of two", low=LEAST_RESOLUTION, high=MOST_RESOLUTION
    )
    crop: str = option(
        "auto",
        "auto crops to the subject if most of the set lies on plain ground, else to the centre; smart is the "
        "square with most to look at; letterbox keeps all on --fill; squash keeps all and notes the aspect in "
        "dataset.json",
        choices=CROPS,
    )
    fill: str = option("auto", "beside a letterboxed picture: auto (its edge's colour), blur, edge, or #rrggbb")
    unframe: str = option(
        "auto",
        "frames to remove: black ones of scans, wooden or gilded ones of pictures; auto removes those that it "
        "finds, but center, letterbox and squash then leave all frames alone",
        choices=UNFRAMES,
    )
    background: str = option("#ffffff", "colour on which transparent pictures lie, #rrggbb")
    margin: float = option(
        1.22, "side of a subject crop relative to the subject's longer side", low=1, high=4, usual=(1, 2)
    )
    exclude: str = option("", "a text file of source names to leave out, one per line; # begins a comment")
    keep: str = option("", "a text file of source names that stay, whatever speaks against them; as for --exclude")
    keep_outliers: bool = option(False, "keep what a subject crop sets aside (grey, sparse, no clear subject …)")
    labels: str = option(
        "keep",
        "keep takes the classes of a source that has them (dataset.json), used those of them that have pictures; "
        "folder takes each picture's folder, prefix its name up to the first _, FILE.csv its columns file and "
        "label; artists:genre takes that column of the source's artists.csv for the artist in whose folder a "
        "picture lies",
    )
    licence: str = option("", "licence of the pictures, kept in the set's card")
    credit: str = option("", "whom to credit for the pictures, kept in the set's card")
    augment: tuple[str, ...] = option(
        (),
        "kinds of copies, such as mirror,hue (training with ADA does this already, better)",
        made_of=KINDS,
    )
    copies: int | None = option(
        None, "copies of each picture; none makes one for each kind that --augment names", low=0, high=MOST_COPIES
    )
    fps: float = option(1.0, "pictures taken per second of a film", low=LEAST_FPS, high=MOST_FPS)
    i_have_the_rights: bool = option(False, "say that you may use the pictures in a list of addresses")
    max_pictures: int | None = option(
        None, "look at no more than this many pictures, evenly spread over the source", low=1, high=10**9
    )
    workers: int = option(2, "processes that decode and crop", low=1, high=MAX_WORKERS, is_expert=True)

    def check(self) -> None:
        if not self.source:
            raise InputError("no source given", "name a folder, zip or film with --source")
        _check_dest(self.dest, self.source)
        if self.resolution & (self.resolution - 1):
            raise InputError(f"resolution = {self.resolution} is no power of two", "use 32, 64, 128, 256, 512 or 1024")
        named = self.labels.lower().endswith(".csv") or self.labels.startswith(ARTISTS)
        if self.labels not in LABELS and not named:
            hint = f"use {', '.join(LABELS)}, a FILE.csv, or {ARTISTS}genre"
            raise InputError(f"labels = {self.labels!r} is unknown", hint)
        if self.copies and not self.augment:
            raise InputError("copies need a difference", "name one with --augment, such as --augment mirror")
        plan(self.augment, self.copies)
        colour(self.background)
        if self.fill not in FILLS:
            try:
                colour(self.fill)
            except InputError as error:
                raise InputError(f"fill = {self.fill!r} is unknown", f"use {', '.join(FILLS)} or #rrggbb") from error


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
