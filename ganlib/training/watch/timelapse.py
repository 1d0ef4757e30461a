"""A film of a run's samples: how the same latents looked from the first sheet to the last."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ganlib.base.errors import InputError, RunError
from ganlib.base.options import Options, option
from ganlib.media import images
from ganlib.media.lettering import Letters
from ganlib.runs import Reporter
from ganlib.training.watch.folder import Sheet, TrainingFolder, sheet_pictures
from ganlib.video import FILM_FORMATS, FORMATS, write_film

_PALETTE_SHEETS = 24
_BATCH = 16  # frames handed to the encoder at once


@dataclass(frozen=True)
class TimelapseJob(Options):
    """Everything that decides a timelapse."""

    verb = "timelapse"

    run: str = option("", "the training run's directory", is_flag=False)
    format: str = option("mp4", "kind of file", is_flag=False, choices=FILM_FORMATS)
    seconds: float = option(12.0, "length of the film without its last picture", low=0.5, high=600)
    hold: float = option(2.0, "seconds for which the last picture stands still", low=0, high=60)
    fps: float = option(25.0, "frames per second", low=1, high=60)
    fade: bool = option(True, "cross-fade from sheet to sheet")
    columns: int = option(4, "pictures side by side", low=1, high=32)
    rows: int = option(3, "pictures below each other", low=1, high=32)
    width: int = option(960, "width of the film in pixels, at most", low=32, high=4096)
    caption: bool = option(True, "write the kimg into a corner")
    font: str = option("", "font file of the caption, before the bundled one")

    def check(self) -> None:
        if not self.run:
            raise InputError("no run given", "Name a training run's directory.")
        FORMATS[self.format].check_fps(self.fps)

    @property
    def num_frames(self) -> int:
        """Number of frames of the film."""
        return max(2, round(self.seconds * self.fps)) + round(self.hold * self.fps)


class Reel:
    """The frames of one timelapse. All sheets have the same size and the same latents in the same places."""

    def __init__(self, job: TimelapseJob) -> None:
        """Look at the run's sheets. Raises InputError, and RunError when there are fewer than two sheets."""
        self._job = job.validate()
        self._letters = Letters(Path(job.font) if job.font else None)
        self._folder = TrainingFolder.open(Path(job.run))
        self.sheets: list[Sheet] = self._folder.sheets()
        if len(self.sheets) < 2:
            raise RunError(
                f"{self._folder.path.name} has {len(self.sheets)} sheets of samples: no film yet",
                "Wait for the next snapshot.",
            )
        newest = self.sheets[-1].path
        tile = self._folder.tile(newest)
        count = len(sheet_pictures(self._folder, newest, job.columns * job.rows))
        columns = min(job.columns, count)
        # Enlarged a whole number of times where that fits: single pixels stay square.
        across = job.width // columns
        self.side = across // tile * tile if across >= tile else across
        self.count, self.columns = count, columns
        self.size = tuple(n * self.side + n * self.side % 2 for n in (columns, -(-count // columns)))

    def warnings(self) -> list[str]:
        """What to say of captions that cannot be drawn as they should be."""
        return self._letters.warnings(" ".join(sheet.words for sheet in self.sheets)) if self._job.caption else []

    def picture(self, sheet: Sheet) -> np.ndarray:
        """One sheet as it appears in the film, uint8 `[height, width, 3]`, without its caption."""
        pictures = sheet_pictures(self._folder, sheet.path, self.count)
        whole = images.contact_sheet(
            images.resize(pictures, self.side, self.side), columns=self.columns, gap=0, background=(22, 20, 18)
        )
        width, height = self.size
        below, right = height - whole.shape[0], width - whole.shape[1]
        if below < 0 or right < 0:
            raise RunError(f"{sheet.path.name} has more pictures than the newest sheet", "Remove it from the run.")
        return np.pad(whole, ((0, below), (0, right), (0, 0)), mode="edge" if max(below, right) < 2 else "constant")

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the frames in order as uint8 `[n, height, width, 3]`; two sheets are in memory at a time."""
        moving = max(2, round(self._job.seconds * self._job.fps))
        last = len(self.sheets) - 1
        at, now, after = -1, np.empty(0), np.empty(0)
        batch: list[np.ndarray] = []
        for frame in range(self._job.num_frames):
            place = min(frame / (moving - 1), 1.0) * last
            idx = min(math.floor(place), last - 1)
            if idx != at:
                now = after if idx == at + 1 and at >= 0 else self.picture(self.sheets[idx])
                after, at = self.picture(self.sheets[idx + 1]), idx
            share = place - idx
            # A sheet stands still for the first half of its time and fades in the second.
            share = min(max(2 * share - 1, 0.0), 1.0) if self._job.fade else float(share >= 1)
            mixed = now if share == 0 else after if share == 1 else _mixed(now, after, share)
            batch.append(self._captioned(mixed, self.sheets[idx + (share >= 0.5)].words))
            if len(batch) == _BATCH:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)

    def palette(self) -> Iterator[np.ndarray]:
        """Pictures spread over the film, `[1, height, width, 3]` each, from which a gif's colours are chosen."""
        step = max(1, len(self.sheets) // _PALETTE_SHEETS)
        for sheet in self.sheets[::-1][::step][::-1]:
            yield self._captioned(self.picture(sheet), sheet.words)[None]

    def _captioned(self, pixels: np.ndarray, words: str) -> np.ndarray:
        if not self._job.caption:
            return pixels
        picture = Image.fromarray(pixels)
        height = picture.height
        block = self._letters.draw([words], max(9, min(22, height // 12)), (237, 231, 221))
        room = max(3, block.width // max(len(words), 1))
        top = height - block.height - 2 * room
        ImageDraw.Draw(picture).rectangle((0, top, block.width + 2 * room, height), fill=(22, 20, 18))
        picture.paste(block, (room, top + room), block)
        return np.asarray(picture)


def make_timelapse(job: TimelapseJob, dest: Path, reporter: Reporter) -> Path:
    """Write the film to `dest`, replacing what is there when it is whole, and return `dest`.

    Raises InputError and RunError as `Reel`, DataError for a damaged sheet, Stopped on request, and GanlibError if
    ffmpeg fails; then `dest` is untouched.
    """
    job.validate()
    if dest.suffix.lower() != f".{job.format}":
        raise InputError(f"{dest.name} is no name for a {job.format} file", f"Let it end in .{job.format}.")
    reel = Reel(job)
    width, height = reel.size
    for words in reel.warnings():
        reporter.log(f"warning: {words}")
    return write_film(
        dest, reel.frames(), (width, height), fps=job.fps, num_frames=job.num_frames, palette=reel.palette,
        reporter=reporter, title=f"timelapse of {Path(job.run).name}",
    )  # fmt: skip


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job with the verb `timelapse`: the film is `run_dir/timelapse.mp4`, or as its format is called."""
    job = TimelapseJob.from_dict(config)
    reporter.artefact(make_timelapse(job, run_dir / f"timelapse.{job.format}", reporter))


def _mixed(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return (one * (1 - share) + other * share + 0.5).astype(np.uint8)
