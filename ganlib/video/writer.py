"""Frames that come from anywhere, written as a film in one go: what timelapses use."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

import numpy as np

from ganlib.base.errors import InputError
from ganlib.media.ffmpeg import as_file, encoder, raw_input
from ganlib.runs import Reporter, Stopped, replacing
from ganlib.video.formats import FORMATS, format_of, suffix_words

FILM_FORMATS = tuple(name for name, row in FORMATS.items() if row.at_once)
"""What `write_film` writes."""


def write_film(
    dest: Path,
    pictures: Iterable[np.ndarray],
    size: tuple[int, int],
    *,
    fps: float,
    num_frames: int,
    palette: Callable[[], Iterable[np.ndarray]],
    reporter: Reporter,
    crf: int = 18,
    loop: bool = True,
    title: str = "",
    comment: str = "",
) -> Path:
    """Write batches of frames, uint8 `[n, height, width, 3]`, as the film, of one of `FILM_FORMATS`, that `dest` names.

    `size` is (width, height), both even for an mp4. `palette` gives some pictures of one size from which a gif's
    colours are chosen, before the first frame is asked for. `comment` is kept inside the file. Raises Stopped on
    request and GanlibError with ffmpeg's last words if it fails; then `dest` is untouched.
    """
    row = format_of(dest)
    if row is None or row.at_once is None:
        raise InputError(f"cannot tell the format of '{dest}'", f"use {suffix_words(FILM_FORMATS)}")
    with tempfile.TemporaryDirectory() as folder, replacing(dest) as temporary:
        colours = []
        if row.has_palette:
            file = Path(folder) / "palette.png"
            _write_palette(palette(), file, reporter)
            colours = ["-i", as_file(file)]
        options = [*colours, *row.at_once(crf, loop, title, comment)]
        with encoder([*raw_input(size, fps), *options, "-y", as_file(temporary)]) as put:
            done = 0
            reporter.progress(0, num_frames, "frames")
            for pixels in pictures:
                if reporter.should_stop():
                    raise Stopped
                put(pixels)
                done += len(pixels)
                reporter.progress(done, num_frames, "frames")
        if comment:
            row.insert_comment(temporary, comment)
    return dest


def _write_palette(pictures: Iterable[np.ndarray], dest: Path, reporter: Reporter) -> None:
    batches = iter(pictures)
    first = next(batches)
    options = ["-vf", "palettegen=stats_mode=full:reserve_transparent=0", "-frames:v", "1", "-y", as_file(dest)]
    with encoder([*raw_input((first.shape[2], first.shape[1]), 1), *options]) as put:
        for pixels in chain([first], batches):
            if reporter.should_stop():
                raise Stopped
            put(pixels)
