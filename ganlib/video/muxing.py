"""From the pieces of a film to its file: joined without coding again, with sound; or coded from lossless pieces."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ganlib.base.errors import GanlibError, InputError
from ganlib.media import images
from ganlib.media.ffmpeg import as_file, input_of, open_reader, run_ffmpeg
from ganlib.runs import Reporter, Stopped, write_bytes
from ganlib.video.codecs import CODECS

if TYPE_CHECKING:
    from ganlib.video.job import RenderJob

BAYER = "dither=bayer:bayer_scale=4"  # ordered dithering stands still from frame to frame; error diffusion crawls
_PALETTE_FRAMES = 48
_LEAST_SIDE = 32
# What a gif gives up, in turn, until it is small enough: (every n-th frame, share of the size, colours).
_LADDER = (
    (1, 1.0, 256), (1, 1.0, 128), (1, 0.85, 128), (2, 0.85, 128), (2, 0.7, 96), (2, 0.55, 64), (3, 0.55, 64),
    (3, 0.42, 48), (3, 0.32, 32), (4, 0.25, 32),
)  # fmt: skip


@dataclass(frozen=True)
class Pieces:
    """All pieces of a film on the disk, and what its file says."""

    job: RenderJob
    listing: Path
    """As `list_parts` writes it."""
    size: tuple[int, int]
    """Width and height."""
    title: str
    comment: str
    reporter: Reporter


def list_parts(parts: list[Path], lengths: list[int], fps: float) -> Path:
    """Write the list of pieces that ffmpeg reads as one film, beside them, and return it."""
    lines = ["ffconcat version 1.0"]
    for path, count in zip(parts, lengths, strict=True):
        lines += [f"file '{path.name}'", f"duration {count / fps:.6f}"]
    path = parts[0].with_name("parts.ffconcat")
    write_bytes(path, ("\n".join(lines) + "\n").encode(), durable=False)
    return path


def concat_options(listing: Path) -> list[str]:
    """The options by which ffmpeg reads the pieces as one input."""
    return ["-f", "concat", "-safe", "0", "-i", as_file(listing)]


def join_streamed(pieces: Pieces, dest: Path) -> None:
    """Write a file of the coded pieces, with the job's track."""
    job, listing = pieces.job, pieces.listing
    inputs, maps = concat_options(listing), ["-map", "0:v:0", "-c:v", "copy"]
    if job.sound:
        fade = min(job.fade_seconds, job.seconds)
        filters = [f"afade=t=out:st={job.seconds - fade:.4f}:d={fade:.4f}"] if fade > 0 else []
        # Silence goes on after a short track, and the film's length cuts a long one.
        inputs += input_of(Path(job.sound).absolute())
        maps += ["-map", "1:a:0", "-af", ",".join([*filters, "apad"]), "-c:a", *job.row.sound, "-ac", "2"]
        maps += ["-t", f"{job.seconds:.6f}"]
    words = ["-map_metadata", "-1", "-metadata", f"title=Latent Atelier: {pieces.title}"]
    words += ["-metadata", f"comment={pieces.comment}"]
    tag = CODECS[job.codec].tag if job.row.has_codecs else ()
    run_ffmpeg([*inputs, *maps, *tag, *words, *job.row.container, "-y", as_file(dest)])


def code_gif(pieces: Pieces, dest: Path) -> None:
    """Write a gif with one palette for the film; with a size limit, as good a one as keeps it.

    Raises InputError where even the smallest is too large."""
    job, reporter = pieces.job, pieces.reporter
    room = len(pieces.comment.encode()) * 256 // 255 + 8  # of the comment, which is put in afterwards
    most = None if job.size_limit is None else job.size_limit * 1e6 - room
    rung = 0
    while rung < len(_LADDER):
        step, share, colours = _LADDER[rung]
        if reporter.should_stop():
            raise Stopped
        sides = tuple(max(_LEAST_SIDE, round(side * share)) if share < 1 else side for side in pieces.size)
        _code_gif(job, pieces.listing, dest, (sides[0], sides[1]), step=step, colours=colours)
        if most is None or dest.stat().st_size <= most:
            if (step, share, colours) != _LADDER[0]:
                words = f"{sides[0]} × {sides[1]} px, {job.fps / step:.3g} frames per second, {colours} colours"
                reporter.log(f"To keep the gif under {job.size_limit:g} MB it has {words}.")
            return
        needed = _weight(rung) * most / dest.stat().st_size * 1.15  # rungs that have no chance are left out
        last = len(_LADDER) if rung == len(_LADDER) - 1 else len(_LADDER) - 1
        rung = next((i for i in range(rung + 1, len(_LADDER)) if _weight(i) <= needed), last)
    raise InputError(f"no gif of this film is under {job.size_limit:g} MB", "Shorten it, or allow more.")


def _weight(rung: int) -> float:
    """About how large a gif of this rung is, beside others."""
    step, share, colours = _LADDER[rung]
    return share**2 / step * math.log2(colours)


def _code_gif(job: RenderJob, listing: Path, dest: Path, size: tuple[int, int], *, step: int, colours: int) -> None:
    thinned = [f"select='not(mod(n,{step}))',setpts=N*{step}/{job.fps:.6g}/TB"] if step > 1 else []
    scaled = [f"scale={size[0]}:{size[1]}:flags=lanczos"]
    chain = ",".join([*thinned, *scaled])
    palette = listing.with_name("palette.png")
    every = max(1, job.num_frames // _PALETTE_FRAMES)
    select = f"select='not(mod(n,{every}))',{scaled[0]}"
    generate = f"{select},palettegen=stats_mode=full:reserve_transparent=0:max_colors={colours}"
    run_ffmpeg([*concat_options(listing), "-vf", generate, "-frames:v", "1", "-update", "1", "-y", as_file(palette)])
    graph = f"[0:v]{chain}[film];[film][1:v]paletteuse={BAYER}"
    rate = ["-r", f"{job.fps / step:.6g}"]
    times = "0" if loops(job) else "-1"
    inputs = [*concat_options(listing), "-i", as_file(palette)]
    run_ffmpeg([*inputs, "-lavfi", graph, *rate, "-loop", times, "-f", "gif", "-y", as_file(dest)])


def code_apng(pieces: Pieces, dest: Path) -> None:
    """Write an animated PNG, lossless."""
    plays = "0" if loops(pieces.job) else "1"
    coding = ["-c:v", "apng", "-pix_fmt", "rgb24", "-pred", "mixed", "-plays", plays, "-f", "apng"]
    run_ffmpeg([*concat_options(pieces.listing), *coding, "-y", as_file(dest)])


def code_webp(pieces: Pieces, dest: Path) -> None:
    """Write an animated WebP, of the quality that crf stands for."""
    quality = round(100 - pieces.job.crf * 1.2)
    times = "0" if loops(pieces.job) else "1"
    coding = ["-c:v", "libwebp_anim", "-lossless", "0", "-quality", str(quality), "-loop", times, "-f", "webp"]
    run_ffmpeg([*concat_options(pieces.listing), *coding, "-y", as_file(dest)])


def write_pictures(pieces: Pieces, dest: Path) -> None:
    """Write every frame as a PNG into a zip, or into the folder `dest` where it is one, with `film.json`."""
    archive = None if dest.is_dir() else zipfile.ZipFile(dest, "w", zipfile.ZIP_STORED)

    def save(name: str, data: bytes) -> None:
        if archive is None:
            write_bytes(dest / name, data, durable=False)
        else:
            archive.writestr(name, data)

    try:
        save("film.json", pieces.comment.encode())
        for i, frame in enumerate(decode_frames(concat_options(pieces.listing), pieces.size)):
            if pieces.reporter.should_stop():
                raise Stopped
            save(f"frame{i:06d}.png", images.encode(frame))
    finally:
        if archive is not None:
            archive.close()


def decode_frames(source: list[str], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield every frame of an input of ffmpeg, uint8 `[height, width, 3]`, one in memory at a time."""
    num_bytes = size[0] * size[1] * 3
    raw = ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    with open_reader([*source, *raw]) as stream:
        pipe = io.BufferedReader(stream, num_bytes) if isinstance(stream, io.RawIOBase) else stream
        while len(data := pipe.read(num_bytes)) == num_bytes:
            yield np.frombuffer(data, np.uint8).reshape(size[1], size[0], 3)
    if data:
        raise GanlibError("the film ends in the middle of a frame", "Render it again.")


def loops(job: RenderJob) -> bool:
    """Whether players should begin anew at the end."""
    return job.path.loop and not job.title
