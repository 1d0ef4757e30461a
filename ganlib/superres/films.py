"""A film, frame by frame through an upscaling network, its sound kept; goes on where it was stopped.

Frames are read from one ffmpeg and written to another; one is in memory at a time. A piece of `PART_FRAMES` frames that
is finished is not made again: the frames before it are read and dropped, which costs little beside the network.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from ganlib.base.errors import DataError
from ganlib.media.ffmpeg import TO_YUV, as_file, encoder, input_of, look, open_reader, raw_input, run_ffmpeg
from ganlib.runs import Reporter, Stopped, replacing, write_bytes, write_json
from ganlib.runs.files import read_json
from ganlib.superres.upscaler import Target, Upscaler

SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".wmv", ".ogv"))
PART_FRAMES = 48
MOST_SIDE = 8192  # of a film; players refuse larger ones
_CODING = ["-vf", TO_YUV, "-c:v", "libx264", "-preset", "medium", "-crf", "16"]
_COPIED = ("aac", "mp3", "opus", "flac", "ac3", "alac")  # what players find in an mp4; other sound is coded as AAC


@dataclass(frozen=True)
class Film:
    """What a film's header says."""

    path: Path
    width: int
    height: int
    fps: float
    seconds: float
    """0 where it does not say."""
    sound: str
    """The codec of its sound, as ffmpeg calls it; empty for a silent film."""

    @property
    def frames(self) -> int:
        """About how many there are."""
        return max(1, round(self.seconds * self.fps))


def probe(path: Path) -> Film:
    """Return what the header of a film and its first frame say. Raises DataError for what is no film, GanlibError
    without ffmpeg."""
    hint = "Try it in a player, or convert it to mp4."
    # The first frame as Y4M: its header has the size after any rotation, and the exact rate.
    options = [*input_of(path.resolve()), "-map", "0:v:0", "-frames:v", "1", "-pix_fmt", "yuv444p"]
    out, said = look(["-loglevel", "info", *options, "-f", "yuv4mpegpipe", "-"], most_bytes=200)
    head = re.match(rb"YUV4MPEG2 W(\d+) H(\d+) F(\d+):(\d+)", out)
    length = re.search(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", said)
    if head is None:
        words = said.strip().splitlines()
        raise DataError(f"{path.name} is no film that can be read: {words[-1][:200] if words else 'no words'}", hint)
    width, height, over, under = (int(number) for number in head.groups())
    fps = over / max(1, under)
    # A film that was streamed may not say how long it is; then only the progress is wrong.
    seconds = int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3]) if length else 0.0
    if width < 1 or height < 1 or not 0 < fps <= 1000:
        raise DataError(f"{path.name} says {width}×{height} pixels, {fps:g} frames a second", hint)
    sound = re.search(r"Stream #\S+: Audio: (\w+)", said)
    return Film(path, width, height, fps, seconds, sound[1] if sound else "")


def upscale_film(
    film: Film, dest: Path, upscaler: Upscaler, target: Target, *, parts: Path, words: str, reporter: Reporter,
    done: float = 0.0, total: float = 0.0,
) -> Path:  # fmt: skip
    """Write `film` at the target's size to `dest`, an mp4 (H.264), with the sound of the film, and return `dest`.

    `parts` is a folder for the pieces; a later call with the same film, model and target goes on from them. `words` go
    into the file's description. Progress is told as `done` and so much of `total` as this film is. Raises Stopped, and
    GanlibError with ffmpeg's last words; then `dest` is untouched."""
    key = _key(film, upscaler, target)
    begun = _open_parts(parts, key)
    each = target.work(upscaler.scale)
    finished = begun
    with open_reader(_reading_options(film)) as stream:
        _skip(stream, film, begun * PART_FRAMES)
        frames = _frames(stream, film)
        while (first := next(frames, None)) is not None:
            at = finished * PART_FRAMES
            path = parts / f"part-{finished:05d}.mp4"
            size = (target.width, target.height)
            coding = [*raw_input(size, film.fps), "-an", *_CODING, "-f", "mp4"]
            with replacing(path) as temporary, encoder([*coding, "-y", as_file(temporary)]) as put:
                for number, frame in enumerate(_some(first, frames)):
                    if reporter.should_stop():
                        raise Stopped
                    put(upscaler.to_size(frame, target)[None])
                    share = done + (at + number + 1) * each
                    words_now = f"{film.path.name}: frame {at + number + 1} of about {film.frames}"
                    reporter.progress(min(share, total), total, words_now)
            finished += 1
    if finished == 0:
        raise DataError(f"{film.path.name} has no frames", "Try it in a player, or convert it to mp4.")
    _join(parts, finished, film, dest, words)
    shutil.rmtree(parts, ignore_errors=True)
    return dest


def _reading_options(film: Film) -> list[str]:
    source = [*input_of(film.path.resolve()), "-map", "0:v:0", "-fps_mode", "cfr"]
    return [*source, "-r", f"{film.fps:.6g}", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]


def _key(film: Film, upscaler: Upscaler, target: Target) -> str:
    status = film.path.stat()
    facts = [film.path.name, status.st_size, status.st_mtime_ns, film.fps, PART_FRAMES, _CODING]
    facts += [upscaler.digest, target.width, target.height, list(target.box)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _open_parts(parts: Path, key: str) -> int:
    """How many pieces in a row are there already; what belongs to another film or size is removed."""
    plan = parts / "plan.json"
    try:
        is_same = read_json(plan)["key"] == key
    except (OSError, ValueError, KeyError, TypeError):
        is_same = False
    if not is_same:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        write_json(plan, {"key": key})
    count = 0
    while (parts / f"part-{count:05d}.mp4").is_file():
        count += 1
    # The last piece may be the shorter one at the film's end, or not: it is made again.
    return max(0, count - 1)


def _skip(stream: IO[bytes], film: Film, count: int) -> None:
    for _ in range(count):
        stream.read(film.width * film.height * 3)


def _frames(stream: IO[bytes], film: Film) -> Iterator[np.ndarray]:
    num_bytes = film.width * film.height * 3
    while len(data := stream.read(num_bytes)) == num_bytes:
        yield np.frombuffer(data, np.uint8).reshape(film.height, film.width, 3)


def _some(first: np.ndarray, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    for _, frame in zip(range(PART_FRAMES - 1), frames, strict=False):
        yield frame


def _join(parts: Path, count: int, film: Film, dest: Path, words: str) -> None:
    listing = parts / "parts.ffconcat"
    lines = ["ffconcat version 1.0", *(f"file 'part-{i:05d}.mp4'" for i in range(count))]
    write_bytes(listing, ("\n".join(lines) + "\n").encode(), durable=False)
    inputs = ["-f", "concat", "-safe", "0", "-i", as_file(listing)]
    inputs += input_of(film.path.resolve())
    maps = ["-map", "0:v:0", "-c:v", "copy", "-map_metadata", "1", "-metadata", f"description={words}"]
    ends = ["-movflags", "+faststart", "-f", "mp4"]
    if film.sound in _COPIED:
        sound = ["-map", "1:a:0", "-c:a", "copy"]
    else:
        sound = ["-map", "1:a:0", "-c:a", "aac", "-b:a", "192k"] if film.sound else ["-an"]
    with replacing(dest) as temporary:
        run_ffmpeg([*inputs, *maps, *sound, *ends, "-y", as_file(temporary)])
