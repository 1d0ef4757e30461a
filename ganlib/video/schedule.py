"""When each frame of a film is on its path: evenly in time, or so that the picture changes evenly.

For even speed the path is rendered at a few places and the change between them measured, as the weighted mean of two
distances, each divided by its own mean: grey levels, and features of the picture (`features.open_extractor`). Time is
then the inverse of the change that has passed. Neither alone will do. Measured on the bundled model, loops of 3
keyframes (coefficient of variation of the change per frame, grey levels / features): plain 0.36 / 0.33 on straight
lines and 0.39 / 0.39 on arcs; by grey levels alone 0.06 / 0.22 and 0.04 / 0.22; by features alone 0.22 / 0.05 and
0.21 / 0.03; by both 0.11 / 0.11 and 0.12 / 0.11. The weight is the one by which the worse of the two gains most.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ganlib.base.errors import GanlibError
from ganlib.features.extractors import FeatureExtractor, open_extractor
from ganlib.latents.paths import LatentPath
from ganlib.media import images
from ganlib.render.renderer import Renderer
from ganlib.runs import Reporter, Stopped
from ganlib.video.frames import Rendering
from ganlib.video.job import RenderJob
from ganlib.video.sound import apply_pulse, envelopes, read_track

_PROBES = 12  # of a segment
_PROBES_PER_SWING = 28  # of noise, over the whole path
_FINE = 16  # points of the table of passed change between two probes
_SMALL = 64  # side in pixels at which grey levels are compared
_BESIDE = 3  # steps on either side that the seam's is compared with
_REACH = 8  # steps that the seam's gives time to
_SEAM = 0.9  # of the largest neighbour; coding makes a step larger or smaller by a few hundredths
_TRIES = 8
_LEAST_TURN = 0.35  # of the mean speed, where a cubic turns back
_LEAST_SPEED = 0.02  # of the mean: where nothing changes, time passes all the same


def sound_levels(job: RenderJob) -> dict[str, np.ndarray]:
    """Return the track's bands at every frame of the path, 0 to 1, float64 `[path_frames]`; empty where none is used.

    Raises DataError for a track that cannot be read."""
    if not job.sound or not (job.reactions or job.pulse):
        return {}
    at = (job.title_frames + np.arange(job.path_frames)) / job.fps
    return envelopes(read_track(Path(job.sound)), at)


def frame_times(
    job: RenderJob,
    renderer: Renderer,
    *,
    levels: dict[str, np.ndarray] | None = None,
    reporter: Reporter | None = None,
) -> np.ndarray:
    """Return the place on the path, in seconds, of each of its `job.path_frames` frames: float64, ascending.

    A loop's are a little closer before its end where the step over the seam would stand out (see docs/films.md). Even
    speed renders up to a few dozen pictures for each keyframe, the seam eight at a time. `levels` are those of the
    sound, for a job with a `pulse`. Raises Stopped when the reporter asks for it.
    """
    path, count = job.path, job.path_frames
    shares = np.arange(count) / (count if path.loop else count - 1)
    if job.pulse:
        assert levels
        shares = apply_pulse(shares, levels["loudness"], job.pulse)
    times = shares * path.seconds
    if path.curve == "cubic" and path.turns_back and not job.even_speed:
        times = _never_still(path, times)
    if job.even_speed:
        times = _even(job, renderer, shares, reporter)
    if path.loop and not job.title_frames and not job.pulse and not job.reactions:
        times = _closed(path, renderer, times, reporter)
    return times


def _never_still(path: LatentPath, times: np.ndarray) -> np.ndarray:
    """`times` changed so that a cubic that turns back at a keyframe does not come to a halt there.

    On the way to another keyframe and back it is a wave, whose frames next to the turn would be one picture. The speed
    in w is no less than `_LEAST_TURN` of its mean; time is then the inverse of the way that has passed."""
    fine = np.linspace(0, path.seconds, 256 * len(path.segment_seconds) + 1)
    way = np.linalg.norm(np.diff(path.weights(fine), axis=0), axis=1)
    speed = way / np.diff(fine)
    stretched = np.maximum(speed, _LEAST_TURN * speed.mean()) / np.maximum(speed, 1e-12)
    # Where the speed is too low, time runs faster along the path; elsewhere as it did.
    passed = np.concatenate([[0.0], np.cumsum(np.diff(fine) / stretched)])
    return np.interp(times / path.seconds * passed[-1], passed, fine)


def _even(job: RenderJob, renderer: Renderer, shares: np.ndarray, reporter: Reporter | None) -> np.ndarray:
    """The places, in seconds, at which `shares` of the way's change have passed."""
    path = job.path
    probes, passed = passed_change(job, renderer, reporter)
    if not passed[-1] > 0:
        return shares * path.seconds  # nothing moves
    knots = np.concatenate([[0.0], np.cumsum(path.segment_seconds)]) if job.beats else np.array([0.0, path.seconds])
    at_knots = np.interp(knots, probes, passed)  # keyframes on a beat stay there: each segment is even in itself
    return np.interp(np.interp(shares * path.seconds, knots, at_knots), passed, probes)


def passed_change(
    job: RenderJob, renderer: Renderer, reporter: Reporter | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return times in seconds from the path's beginning to its end, and how much the picture has changed until then.

    Both float64 `[P]`, strictly ascending unless nothing changes at all.
    """
    path, segments = job.path, len(job.path.segment_seconds)
    each = _PROBES
    if path.curve == "noise":
        each = max(each, math.ceil(_PROBES_PER_SWING * path.swings / segments))
    knots = np.concatenate([[0.0], np.cumsum(path.segment_seconds)])
    probes = np.interp(np.arange(segments * each + 1) / each, np.arange(segments + 1), knots)
    grey, perceived = _changes(path, renderer, probes, _extractor(renderer), reporter)
    widths = np.diff(probes)
    speed = _mixed(grey / widths, perceived / widths, widths)
    if not speed.any():
        return probes, np.zeros_like(probes)
    return _table(probes, np.maximum(speed, _LEAST_SPEED * speed.mean()), each)


def _changes(
    path: LatentPath,
    renderer: Renderer,
    times: np.ndarray,
    extractor: FeatureExtractor | None,
    reporter: Reporter | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Change of the picture from each of `times` `[P]` to the next, by grey levels and by features: float64 `[P - 1]`.

    Where there is no extractor, both are of grey levels. Memory does not grow with P.
    """
    grey, perceived, last = [], [], None
    for pixels in Rendering(path, renderer).pictures(times):
        if reporter is not None and reporter.should_stop():
            raise Stopped
        side = min(_SMALL, pixels.shape[1])
        small = images.resize(pixels, side, side).astype(np.float32)
        seen = small.reshape(len(small), -1) if extractor is None else extractor(pixels)
        now = (small, seen)
        if last is not None:
            now = (np.concatenate([last[0], small]), np.concatenate([last[1], seen]))
        grey.append(np.abs(np.diff(now[0], axis=0)).mean(axis=(1, 2, 3)))
        perceived.append(np.linalg.norm(np.diff(now[1], axis=0), axis=1))
        last = (small[-1:], seen[-1:])
    return np.concatenate(grey).astype(np.float64), np.concatenate(perceived).astype(np.float64)


def _closed(path: LatentPath, renderer: Renderer, times: np.ndarray, reporter: Reporter | None) -> np.ndarray:
    """`times` of a loop, the last few moved towards its end where the step over the seam would be the largest.

    Seen again and again, the seam is the one step that must not stand out. Both distances of the steps near it are
    measured between the film's own frames; while it is more than `_SEAM` of the largest of its `_BESIDE` neighbours on
    either side, it is shortened, and what it loses is shared out among the steps before it, back to the last keyframe.
    """
    count = len(times)
    reach = min(_REACH, count - 2, int(np.count_nonzero(times > path.seconds - path.segment_seconds[-1])) - 1)
    if reach < 1:
        return times
    beside, extractor, times = min(_BESIDE, (count - 1) // 2), _extractor(renderer), times.copy()
    for _ in range(_TRIES):
        near = np.concatenate([times[-beside - 1 :], path.seconds + times[: beside + 1]])
        seam, largest = 0.0, 1.0
        for change in _changes(path, renderer, near, extractor, reporter):
            others = float(np.delete(change, beside).max())
            if others > 0 and change[beside] / others > seam / largest:
                seam, largest = float(change[beside]), others
        if seam <= _SEAM * largest:
            break
        gained = (path.seconds - times[-1]) * (1 - max(0.5, 0.98 * _SEAM * largest / seam))
        times[-reach:] += gained * np.arange(1, reach + 1) / reach
    return times


def _mixed(grey: np.ndarray, perceived: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """One speed `[P]` of two, with the weight that leaves both as even as can be when time follows it."""
    both = [speed / max(float(np.average(speed, weights=widths)), 1e-12) for speed in (grey, perceived)]
    plain = [_variation(speed, widths) for speed in both]
    best, least = both[0], math.inf
    for weight in np.linspace(0.2, 0.8, 13):
        speed = weight * both[0] + (1 - weight) * both[1]
        slow = np.maximum(speed, _LEAST_SPEED)
        left = [_variation(each / slow, widths * slow) for each in both]
        worst = max(after / max(before, 1e-12) for after, before in zip(left, plain, strict=True))
        if worst < least:
            best, least = speed, worst
    return best


def _variation(speed: np.ndarray, widths: np.ndarray) -> float:
    """Standard deviation over mean."""
    mean = float(np.average(speed, weights=widths))
    return math.sqrt(float(np.average((speed - mean) ** 2, weights=widths))) / max(mean, 1e-12)


def _table(probes: np.ndarray, speed: np.ndarray, each: int) -> tuple[np.ndarray, np.ndarray]:
    """A finer table of times and passed change: within a segment the speed is joined by straight lines."""
    times = np.interp(np.arange((len(probes) - 1) * _FINE + 1) / _FINE, np.arange(len(probes)), probes)
    middles = (times[1:] + times[:-1]) / 2
    centres = (probes[1:] + probes[:-1]) / 2
    fine = np.empty(len(middles))
    for first in range(0, len(speed), each):  # the speed may jump at a keyframe
        part, near = slice(first * _FINE, (first + each) * _FINE), slice(first, first + each)
        fine[part] = np.interp(middles[part], centres[near], speed[near])
    return times, np.concatenate([[0.0], np.cumsum(fine * np.diff(times))])


def _extractor(renderer: Renderer) -> FeatureExtractor | None:
    """The bundled features, on the renderer's device; None, for pixels alone, where they cannot be had."""
    try:
        return open_extractor("embedded", device=renderer.device)
    except GanlibError:
        return None
