"""The track of a film: read through ffmpeg, its onsets found, its energy by bands, and a job fitted to it.

All of it is NumPy on mono sound at 22,050 Hz and the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ganlib.base.errors import DataError, GanlibError
from ganlib.latents.paths import LatentPath
from ganlib.media.ffmpeg import input_of, open_reader
from ganlib.video.job import BANDS, RenderJob

RATE = 22_050
MAX_SECONDS = 3600
_WINDOW, _HOP = 1024, 256  # samples; one hop is 11.6 ms
_HERTZ = {"bass": (20, 150), "middle": (150, 2000), "treble": (2000, 10_000), "loudness": (20, 10_000)}
_BLOCK = 4096  # windows that are transformed at once
_LEAST_BETWEEN = 0.1  # seconds between onsets
_LEAST_SEGMENT = 0.1  # seconds between keyframes that were moved to onsets
_FALL_SECONDS = 0.18  # in which an envelope falls to a third after a peak


def read_track(path: Path) -> np.ndarray:
    """Return float32 `[samples]` in about [-1, 1]: any file that ffmpeg reads, as mono at `RATE`, at most an hour.

    Raises DataError for a file without sound."""
    path = Path(path)
    hint = "Choose a file with sound, such as .mp3, .wav, .flac or .m4a."
    if not path.is_file():
        raise DataError(f"there is no sound file {path}", hint)
    try:
        options = ["-t", str(MAX_SECONDS), *input_of(path), "-map", "0:a:0", "-ac", "1", "-ar", str(RATE)]
        with open_reader([*options, "-f", "f32le", "-"]) as stream:
            samples = np.frombuffer(stream.read(), "<f4")
    except GanlibError as error:
        raise DataError(f"{path.name} has no sound that can be read: {error.message[:200]}", hint) from error
    if len(samples) < RATE // 10:
        raise DataError(f"{path.name} lasts less than a tenth of a second", hint)
    return np.nan_to_num(samples)


def onsets(samples: np.ndarray) -> np.ndarray:
    """Return the times in seconds, ascending, at which something new is heard: peaks of the rising spectral energy."""
    flux = _analysed(samples)["onset"]
    per_second = RATE / _HOP
    span = round(0.5 * per_second)
    padded = np.pad(flux, span, mode="reflect" if len(flux) > span else "edge")
    sums = np.cumsum(np.concatenate([[0.0], padded]))
    mean = (sums[2 * span + 1 :] - sums[: -2 * span - 1]) / (2 * span + 1)
    top = np.lib.stride_tricks.sliding_window_view(np.pad(flux, 3), 7).max(axis=1)
    is_peak = (flux >= top) & (flux > 1.5 * mean + 0.05 * flux.max(initial=0)) & (flux > 0)
    found: list[float] = []
    for i in np.flatnonzero(is_peak):
        at = float(i) / per_second
        if not found or at - found[-1] >= _LEAST_BETWEEN:
            found.append(at)
    return np.array(found)


def envelopes(samples: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
    """Return how loud each of `BANDS` is at `times` in seconds: float64 `[T]`, 0 in silence, 1 at the loudest.

    Each rises at once and falls slowly, as ears and meters do. After the end of the track there is silence.
    """
    per_second = RATE / _HOP
    keep = np.exp(-1 / (_FALL_SECONDS * per_second))
    found = {}
    for band, energy in _analysed(samples).items():
        top = np.quantile(energy, 0.99) if energy.any() else 0.0
        level = np.clip(energy / top, 0, 1) if top > 0 else np.zeros_like(energy)
        held, now = np.empty_like(level), 0.0
        for i, value in enumerate(level):
            now = max(float(value), now * keep)
            held[i] = now
        found[band] = np.interp(times, np.arange(len(held)) / per_second, held, right=0.0)
    assert set(found) == set(BANDS)
    return found


def fit_to_track(job: RenderJob) -> RenderJob:
    """Return the job with the durations that it will have: stretched to its track, its keyframes moved to onsets.

    A job without a track, or that asks for neither, comes back as it is. Raises DataError for a track that cannot be
    read.
    """
    if not job.sound or not (job.beats or job.length == "track"):
        return job
    samples = read_track(Path(job.sound))
    card = job.title_frames / job.fps
    if job.length == "track":
        available = max(len(samples) / RATE - card, 0.1)
        stretch = available / job.path.seconds
        frames = tuple(replace(each, seconds=each.seconds * stretch) for each in job.path.keyframes)
        job = replace(job, path=replace(job.path, keyframes=frames))
    if job.beats:
        job = replace(job, path=snap_keyframes(job.path, onsets(samples) - card))
    job.validate()
    return job


def snap_keyframes(path: LatentPath, times: np.ndarray) -> LatentPath:
    """Return the path with its inner keyframes at the nearest of `times` in seconds; the whole lasts as long as before.

    Order stays, and no segment becomes shorter than a tenth of a second: a keyframe without a time near enough to
    allow that stays where it is, as far as it can.
    """
    knots = np.concatenate([[0.0], np.cumsum(path.segment_seconds)])
    placed, total = [0.0], float(knots[-1])
    least = min(_LEAST_SEGMENT, total / (2 * len(path.segment_seconds)))
    for k in range(1, len(knots) - 1):
        low, high = placed[-1] + least, total - least * (len(knots) - 1 - k)
        choices = times[(times >= low) & (times <= high)]
        at = float(choices[np.argmin(np.abs(choices - knots[k]))]) if len(choices) else float(knots[k])
        if abs(at - knots[k]) > max(path.segment_seconds[k - 1 : k + 1]) / 2:
            at = float(knots[k])
        placed.append(min(max(at, low), high))
    seconds = np.diff([*placed, total])
    frames = [replace(each, seconds=float(s)) for each, s in zip(path.keyframes, seconds, strict=False)]
    return replace(path, keyframes=(*frames, *path.keyframes[len(frames) :]))


def apply_pulse(times: np.ndarray, level: np.ndarray, pulse: float) -> np.ndarray:
    """Return shares of the way, 0 to 1 `[T]`, for shares `times`: steps are 1 + `pulse` · `level` as long as before.

    `level`, 0 to 1 `[T]`, is that of the step that begins at each time; the ends stay.
    """
    steps = np.diff(times, append=1.0) * (1 + pulse * level)
    passed = np.concatenate([[0.0], np.cumsum(steps)])
    return passed[:-1] / passed[-1]


def _analysed(samples: np.ndarray) -> Mapping[str, np.ndarray]:
    """Root mean square of every band, and the rising energy, at every hop: float64 `[hops]` each."""
    padded = np.pad(np.asarray(samples, np.float64), _WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    shape, hertz = np.hanning(_WINDOW), np.fft.rfftfreq(_WINDOW, 1 / RATE)
    found: dict[str, list[np.ndarray]] = {band: [] for band in BANDS}
    before = None
    for start in range(0, len(windows), _BLOCK):
        power = np.abs(np.fft.rfft(windows[start : start + _BLOCK] * shape, axis=1)) ** 2
        for band, (low, high) in _HERTZ.items():
            found[band].append(np.sqrt(power[:, (hertz >= low) & (hertz < high)].mean(axis=1)))
        level = np.log1p(10 * np.sqrt(power))
        previous = np.concatenate([level[:1] if before is None else before, level[:-1]])
        found["onset"].append(np.maximum(level - previous, 0).mean(axis=1))
        before = level[-1:]
    return {band: np.concatenate(parts) for band, parts in found.items()}
