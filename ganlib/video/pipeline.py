"""A `RenderJob` becomes a file: the plan, the pieces, the joining. Goes on where a killed render stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganlib.base.errors import InputError
from ganlib.models.checkpoints import find_checkpoint
from ganlib.render.renderer import Renderer
from ganlib.runs import Reporter, replacing
from ganlib.runs.files import mtime
from ganlib.superres import find_model
from ganlib.video import muxing
from ganlib.video.container import description
from ganlib.video.frames import Enlarge, Framing, Rendering
from ganlib.video.job import MAX_SIDE, RenderJob
from ganlib.video.overlays import letter_warnings
from ganlib.video.schedule import frame_times, sound_levels
from ganlib.video.segments import SEGMENT_FRAMES, join_plan, make_parts, open_plan, wait_for_parts
from ganlib.video.sound import fit_to_track, read_track

_REVISION = 1  # raised by one when the same job gives other frames than before
_MAX_COMMENT = 100_000  # characters; the operating system limits one argument to 131,071 bytes
PARTS = "parts"
"""The folder of a film's pieces in a job's directory."""


def frames(
    job: RenderJob, renderer: Renderer, *, batch: int | None = None, enlarge: Enlarge | None = None
) -> Iterator[np.ndarray]:
    """Yield the film's frames in order as uint8 `[n, height, width, 3]`, `batch` at a time (None: the renderer's own).

    The noise mode and seed are those of the first keyframe, so that noise does not flicker.
    """
    job.validate()
    job = fit_to_track(job)
    levels = sound_levels(job)
    times = frame_times(job, renderer, levels=levels)
    framing = Framing(job, renderer.spec.resolution, enlarge)
    start = 0
    for pixels in _pictures(job, renderer, times, levels, range(job.num_frames), batch):
        yield framing.frames(pixels, start)
        start += len(pixels)


def _pictures(
    job: RenderJob,
    renderer: Renderer,
    times: np.ndarray,
    levels: Mapping[str, np.ndarray],
    span: range,
    batch: int | None,
) -> Iterator[np.ndarray]:
    """The pictures of a range of the film's frames; behind the card is the first one, standing still."""
    rendering = Rendering(job.path, renderer, job.reactions)
    rows = np.maximum(np.arange(span.start, span.stop) - job.title_frames, 0)
    part = {band: level[rows] for band, level in levels.items()}
    return rendering.pictures(times[rows], envelopes=part, batch=batch)


def render_video(
    job: RenderJob,
    dest: Path,
    *,
    renderer: Renderer,
    reporter: Reporter,
    parts: Path | None = None,
    enlarge: Enlarge | None = None,
    rank: int = 0,
    world: int = 1,
) -> Path:
    """Render the film to `dest`, replacing what is there when it is whole, and return `dest`.

    Every frame goes straight into ffmpeg; memory does not grow with the film. `parts` is a folder for the film's
    pieces: a later call with the same job, model and folder goes on at the frame where this one was killed, stopped or
    failed, and makes the same film. None means a hidden folder beside `dest`, which only a killed process leaves.
    `enlarge` brings pictures to the film's size; None means as the job says. Of `world` processes each renders its
    share, and rank 0 joins them: `torchrun_rank` tells both.
    Raises InputError for odd settings, Stopped on request, and GanlibError with ffmpeg's last words if it fails; then
    `dest` is untouched.
    """
    job.validate()
    dest = Path(dest)
    if dest.suffix.lower() not in job.row.suffixes:
        raise InputError(f"{dest.name} is no name for a {job.format} file", f"Let it end in {job.suffix}.")
    began = time.time()
    size = job.frame_size(renderer.spec.resolution)
    if max(size) > MAX_SIDE:
        hint = f"No side may be over {MAX_SIDE}: choose a smaller size."
        raise InputError(f"a film of {size[0]} × {size[1]} pixels", hint)
    if job.sound:
        read_track(Path(job.sound))  # before minutes are spent on pictures for a track that cannot be heard
    job = fit_to_track(job)
    if rank * SEGMENT_FRAMES >= job.num_frames:
        return dest  # there are fewer pieces than processes
    folder = dest.with_name(f".{dest.name}.{PARTS}") if parts is None else Path(parts)
    levels = sound_levels(job)
    with nullcontext() if parts is not None or rank > 0 else _removed(folder):
        suffix = job.row.piece_suffix
        framing = Framing(job, renderer.spec.resolution, enlarge)
        key = _key(job, renderer, job.row.coding(job, SEGMENT_FRAMES))
        if rank == 0:
            plan, times = open_plan(
                folder, key, num_frames=job.num_frames, batch=renderer.default_batch(), suffix=suffix,
                times=lambda: frame_times(job, renderer, levels=levels, reporter=reporter),
            )  # fmt: skip
        else:
            joined = join_plan(
                folder, key, num_frames=job.num_frames, suffix=suffix,
                is_over=lambda: (mtime(dest) or 0.0) > began,
            )  # fmt: skip
            if joined is None:
                return dest
            plan, times = joined
        make_parts(
            plan, lambda span: _pictures(job, renderer, times, levels, span, plan.batch), framing.frames,
            coding=lambda count: job.row.coding(job, count), size=size, fps=job.fps, reporter=reporter,
            rank=rank, world=world,
        )  # fmt: skip
        if rank > 0:
            return dest
        wait_for_parts(plan)
        listing = muxing.list_parts(plan.parts, [len(span) for span in plan.spans], job.fps)
        _finish(job, listing, dest, size=size, renderer=renderer, reporter=reporter)
        reporter.progress(job.num_frames, job.num_frames, "frames")
    shutil.rmtree(folder, ignore_errors=True)
    return dest


def _finish(
    job: RenderJob, listing: Path, dest: Path, *, size: tuple[int, int], renderer: Renderer, reporter: Reporter
) -> None:
    comment = json.dumps(description(job, renderer), separators=(",", ":"))
    if len(comment) > _MAX_COMMENT and job.row.is_streamed:
        reporter.log("The film is too long to keep its recipe inside; job.json has it.")
        comment = ""
    pieces = muxing.Pieces(job, listing, size, renderer.name, comment, reporter)
    if not dest.suffix:
        dest.mkdir(parents=True, exist_ok=True)
        job.row.finish(pieces, dest)
        return
    with replacing(dest) as temporary:
        job.row.finish(pieces, temporary)
        job.row.insert_comment(temporary, comment)


def _key(job: RenderJob, renderer: Renderer, coding: list[str]) -> str:
    """A digest of all that decides the frames of the pieces; what is only done in the end is left out."""
    left_out = ("network", "device", "size_limit", "fade_seconds")
    settings = {name: value for name, value in job.to_dict().items() if name not in left_out}
    upscaler = str(find_model(job.upscaler)) if job.upscaler else ""
    files = [_stamp(Path(name)) for name in (job.sound, job.logo, upscaler) if name]
    text = json.dumps([_REVISION, renderer.digest, renderer.spec.resolution, settings, coding, files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


@contextmanager
def _removed(folder: Path) -> Iterator[None]:
    """Remove the folder when the body raises; a killed process leaves it."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job with the verb `video`: `config` is RenderJob.to_dict(); the film is `run_dir/morph.mp4`, or as its
    format is called. Run again, it goes on where it stopped."""
    job = RenderJob.from_dict(config)
    for words in letter_warnings(job):
        reporter.log(f"warning: {words}")
    renderer = Renderer.open(find_checkpoint(job.network), device=own_device(job.device))
    dest = run_dir / f"morph{job.suffix}"
    rank, world = torchrun_rank()
    parts = run_dir / PARTS
    film = render_video(job, dest, renderer=renderer, reporter=reporter, parts=parts, rank=rank, world=world)
    reporter.artefact(film)


def torchrun_rank() -> tuple[int, int]:
    """Return the number of this process and how many there are, as `torchrun` says; 0 and 1 without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def own_device(name: str) -> str:
    """Return the device of this process: under `torchrun`, `auto` and `cuda` are the graphics card of its own."""
    local = os.environ.get("LOCAL_RANK")
    if local is None or name not in ("auto", "cuda") or not torch.cuda.is_available():
        return name
    return f"cuda:{int(local) % torch.cuda.device_count()}"
