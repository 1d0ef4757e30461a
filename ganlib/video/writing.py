"""Frames that come from anywhere, written as a film in one go: what timelapses use."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

import numpy as np

from ganlib.ffmpeg import as_file, encoder, raw_input
from ganlib.runs import Reporter, Stopped, replacing
from ganlib.video.codecs import h264_options
from ganlib.video.inside import insert_comment

FILM_FORMATS = ("mp4", "gif")
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
    """Write batches of frames, uint8 `[n, height, width, 3]`, as the mp4 or gif that `dest`'s suffix names.

    `size` is (width, height), both even for an mp4. `palette` gives some pictures of one size from which a gif's
    colours are chosen, before the first frame is asked for. `comment` is kept inside the file. Raises Stopped on
    request and GanlibError with ffmpeg's last words if it fails; then `dest` is untouched.
    """
    is_gif = dest.suffix.lower() == ".gif"
    with tempfile.TemporaryDirectory() as folder, replacing(dest) as temporary:
        if is_gif:
            colours = Path(folder) / "palette.png"
            _write_palette(palette(), colours, reporter)
            # Ordered dithering stands still from frame to frame; error diffusion crawls.
            filters = ["-i", as_file(colours), "-lavfi", "paletteuse=dither=bayer:bayer_scale=4"]
            options = [*filters, "-loop", "0" if loop else "-1", "-f", "gif"]
        else:
            words = ["-metadata", f"title=Latent Atelier: {title}", "-metadata", f"comment={comment}"]
            options = ["-an", *h264_options(crf), *words, "-movflags", "+faststart", "-f", "mp4"]
        with encoder([*raw_input(size, fps), *options, "-y", as_file(temporary)]) as put:
            done = 0
            reporter.progress(0, num_frames, "frames")
            for pixels in pictures:
                if reporter.should_stop():
                    raise Stopped
                put(pixels)
                done += len(pixels)
                reporter.progress(done, num_frames, "frames")
        if is_gif and comment:
            insert_comment(temporary, comment)
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
