"""A film in pieces on the disk, so that a killed render goes on at the frame where it stopped.

    plan.npz            the places of all frames on the path; with the job's digest and the batch size in its name
    part-00003.mp4      a finished piece: `SEGMENT_FRAMES` frames, coded so that it refers to nothing outside
    part-00003.spool    pictures of the piece under way, at the model's size, batch by batch with a checksum each

Coding begins anew in a piece that was cut off; its pictures, which are what takes time, are read back. Batches lie on
the same grid as in a render that was not cut off, so both give the same frames. Under `torchrun` each rank makes every
n-th piece.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ganlib.base.errors import RunError
from ganlib.base.filesystem import open_regular
from ganlib.media.ffmpeg import as_file, encoder, raw_input
from ganlib.runs import Reporter, Stopped, replacing

SEGMENT_FRAMES = 120
PATIENCE_SECONDS = 24 * 3600.0  # for pieces of other ranks
_HEAD = struct.Struct("<II")  # pictures in the batch, CRC-32 of their bytes


@dataclass(frozen=True)
class Plan:
    """What all pieces of a film have in common."""

    folder: Path
    num_frames: int
    """Of the film."""
    batch: int
    """Pictures rendered at once."""
    suffix: str
    """Of the pieces' files."""

    @property
    def spans(self) -> list[range]:
        """The film's frames in every piece."""
        starts = range(0, self.num_frames, SEGMENT_FRAMES)
        return [range(start, min(start + SEGMENT_FRAMES, self.num_frames)) for start in starts]

    def part(self, index: int) -> Path:
        """The file of a piece."""
        return self.folder / f"part-{index:05d}{self.suffix}"

    @property
    def parts(self) -> list[Path]:
        """The files of all pieces, in order."""
        return [self.part(i) for i in range(len(self.spans))]


def open_plan(
    folder: Path, key: str, *, num_frames: int, batch: int, suffix: str, times: Callable[[], np.ndarray]
) -> tuple[Plan, np.ndarray]:
    """Return the plan in `folder` and the places of the path's frames, made by `times` where there is no plan yet.

    Everything in the folder that belongs to a film with another `key` is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "plan.npz"
    found = _read_plan(file, key)
    if found is None:
        for path in folder.iterdir():
            if path.name == "plan.npz" or path.name.startswith("part-"):
                path.unlink()
        found = batch, times()
        with replacing(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, key=np.array(key), batch=np.array(batch), times=found[1])
    return Plan(folder, num_frames, found[0], suffix), found[1]


def join_plan(
    folder: Path, key: str, *, num_frames: int, suffix: str, is_over: Callable[[], bool]
) -> tuple[Plan, np.ndarray] | None:
    """Return the plan that rank 0 makes, waiting for it; None once `is_over`, when the film was finished meanwhile."""
    found: tuple[int, np.ndarray] | None = None

    def is_there() -> bool:
        nonlocal found
        found = _read_plan(folder / "plan.npz", key)
        return found is not None or is_over()

    _wait(is_there)
    return None if found is None else (Plan(folder, num_frames, found[0], suffix), found[1])


def _read_plan(file: Path, key: str) -> tuple[int, np.ndarray] | None:
    try:
        with open_regular(file) as stream, np.load(stream, allow_pickle=False) as plan:
            return (int(plan["batch"]), plan["times"]) if str(plan["key"]) == key else None
    except (OSError, ValueError, KeyError, EOFError):
        return None


def make_parts(
    plan: Plan,
    pictures: Callable[[range], Iterator[np.ndarray]],
    frames: Callable[[np.ndarray, int], np.ndarray],
    *,
    coding: Callable[[int], Sequence[str]],
    size: tuple[int, int],
    fps: float,
    reporter: Reporter,
    rank: int = 0,
    world: int = 1,
) -> None:
    """Make every piece of this rank that is not there. Raises Stopped on request, GanlibError if ffmpeg fails.

    `pictures` gives batches, uint8 `[n, R, R, 3]`, of a range of the film's frames; `frames` makes frames
    `[n, H, W, 3]` of a batch that begins at a frame; `coding` ffmpeg's options for a
    piece of so many frames.
    """
    mine = [(i, span) for i, span in enumerate(plan.spans) if i % world == rank]
    total = sum(len(span) for _, span in mine)
    done = 0
    reporter.progress(0, total, "frames")
    for index, span in mine:
        dest = plan.part(index)
        if not dest.exists():
            spool = dest.with_suffix(".spool")
            at = span.start

            def framed(pixels: np.ndarray) -> np.ndarray:
                nonlocal at
                ready = frames(pixels, at)
                at += len(pixels)
                return ready

            arguments = [*raw_input(size, fps), "-an", *coding(len(span))]
            with replacing(dest) as temporary, encoder([*arguments, "-y", as_file(temporary)], framed) as put:
                before = done
                for pixels in _spooled(spool, span, plan.batch, pictures):
                    if reporter.should_stop():
                        raise Stopped
                    put(pixels)
                    before += len(pixels)
                    reporter.progress(min(before, total), total, "frames")
            spool.unlink(missing_ok=True)
        done += len(span)
        reporter.progress(done, total, "frames")


def wait_for_parts(plan: Plan) -> None:
    """Wait until the pieces of all ranks are there."""
    _wait(lambda: all(path.exists() for path in plan.parts))


def _wait(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        if time.monotonic() > until:
            raise RunError("the other processes did not finish their part of the film", "Run the same command again.")
        time.sleep(0.05)


def _spooled(
    spool: Path, span: range, batch: int, pictures: Callable[[range], Iterator[np.ndarray]]
) -> Iterator[np.ndarray]:
    """The pictures of a piece: first those that an earlier render left, then the others, which are left for a later."""
    count, whole = 0, 0
    if spool.exists():
        with open_regular(spool) as file:
            shape = _shape(file.read(12))
            whole = 12
            while shape is not None and (pixels := _next(file, shape)) is not None:
                if len(pixels) != min(batch, len(span) - count):
                    break
                count, whole = count + len(pixels), file.tell()
                yield pixels
                if count == len(span):
                    return
        if count == 0:
            whole = 0
    with spool.open("r+b" if whole else "wb") as file:
        file.seek(whole)
        file.truncate()
        for pixels in pictures(span[count:]):
            if file.tell() == 0:
                file.write(struct.pack("<III", *pixels.shape[1:]))
            data = np.ascontiguousarray(pixels).data
            # A full disk ends the film at its own files; the spool can do without.
            with suppress(OSError):
                file.write(_HEAD.pack(len(pixels), zlib.crc32(data)))
                file.write(data)
                file.flush()
            yield pixels


def _shape(head: bytes) -> tuple[int, int, int] | None:
    if len(head) < 12:
        return None
    height, width, channels = struct.unpack("<III", head)
    return (height, width, channels) if 0 < height <= 8192 and 0 < width <= 8192 and channels == 3 else None


def _next(file: BinaryIO, shape: tuple[int, int, int]) -> np.ndarray | None:
    """The next batch, or None at the end and where the file was cut off or damaged."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    count, checksum = _HEAD.unpack(head)
    num_bytes = count * shape[0] * shape[1] * shape[2]
    if not 0 < count <= SEGMENT_FRAMES:
        return None
    data = file.read(num_bytes)
    if len(data) < num_bytes or zlib.crc32(data) != checksum:
        return None
    return np.frombuffer(data, np.uint8).reshape(count, *shape)
