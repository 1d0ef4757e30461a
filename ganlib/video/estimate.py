"""How long a film will take and how large it will be, from a trial of a few frames."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganlib.media.ffmpeg import as_file, encoder, raw_input
from ganlib.render.renderer import Renderer
from ganlib.video.frames import Framing, Rendering
from ganlib.video.job import RenderJob
from ganlib.video.segments import SEGMENT_FRAMES
from ganlib.video.sound import fit_to_track

_TRIAL = 8  # frames in a row
_SOUND_BYTES = 24_000  # of a second


@dataclass(frozen=True)
class Estimate:
    """What a film will cost on this machine, as far as a trial can tell."""

    seconds: float
    """Time to render it."""
    megabytes: float
    """Size of its file."""


def estimate(job: RenderJob, renderer: Renderer) -> Estimate:
    """Render and code a few frames from the middle of the path and reckon the rest from them.

    Takes as long as about a dozen frames. The size of a gif, apng or webp is only its order of magnitude. Raises what
    `render_video` does for odd settings.
    """
    job.validate()
    job = fit_to_track(job)
    framing = Framing(job, renderer.spec.resolution)
    coding, suffix = job.row.coding(job, SEGMENT_FRAMES), job.row.piece_suffix
    count = min(_TRIAL, job.path_frames)
    first = max(0, job.path_frames // 2 - count)
    times = (first + np.arange(count)) / job.path_frames * job.path.seconds
    rendering = Rendering(job.path, renderer)
    for _ in rendering.pictures(times[:1]):  # the first picture warms up what is slow only once
        pass
    began = time.perf_counter()
    pixels = np.concatenate(list(rendering.pictures(times)))
    rendered = time.perf_counter()
    frames = framing.frames(pixels, job.title_frames)
    with tempfile.TemporaryDirectory() as folder:
        sizes = []
        spent = []
        for part in (frames[:1], frames):
            file = Path(folder) / f"trial{len(part)}{suffix}"
            started = time.perf_counter()
            with encoder([*raw_input(framing.size, job.fps), *coding, "-y", as_file(file)]) as put:
                put(part)
            spent.append(time.perf_counter() - started)
            sizes.append(file.stat().st_size)
    alone = sizes[0]
    between = max((sizes[1] - alone) / max(count - 1, 1), 0.0)
    pieces = -(-job.num_frames // SEGMENT_FRAMES)
    num_bytes = pieces * alone + (job.num_frames - pieces) * between
    if job.bitrate is not None:
        num_bytes = job.bitrate * 1e6 / 8 * job.seconds
    if job.sound and job.row.sound:
        num_bytes += _SOUND_BYTES * job.seconds
    num_bytes *= job.row.share
    if job.size_limit is not None:
        num_bytes = min(num_bytes, job.size_limit * 1e6)
    render_each = (rendered - began) / count
    code_each = max((spent[1] - spent[0]) / max(count - 1, 1), 0.0) + (started - rendered) / (2 * count)
    overlapping = max(render_each, code_each) + 0.3 * min(render_each, code_each)
    probes = 12 * len(job.path.segment_seconds) if job.even_speed else 0
    seconds = overlapping * job.num_frames + probes * render_each + spent[0] * pieces
    return Estimate(seconds, num_bytes / 1e6)
