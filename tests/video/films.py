"""What tests of films share: a job, a listener, and films looked at as a player shows them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from ganlib.latents.paths import Keyframe, LatentPath
from ganlib.latents.recipes import Recipe
from ganlib.runs import SilentReporter
from ganlib.video import RenderJob

QUIET = SilentReporter()


class Listener(SilentReporter):
    """Notes the progress, and asks to stop after some frames."""

    def __init__(self, stop_after: float = float("inf")) -> None:
        self.seen: list[tuple[float, float]] = []
        self.stop_after = stop_after

    def progress(self, done: float, total: float, message: str = "") -> None:
        self.seen.append((done, total))

    def should_stop(self) -> bool:
        return bool(self.seen) and self.seen[-1][0] >= self.stop_after


def job_of(curve: str = "cubic", loop: bool = True, seeds=(1, 2, 3), seconds: float = 1.0, **options) -> RenderJob:
    keyframes = tuple(Keyframe(Recipe.of_seed(seed, psi=0.8), seconds) for seed in seeds)
    return RenderJob("tiny", LatentPath(keyframes, curve, loop), **{"fps": 20, "size": 64, **options})


def ffmpeg(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", *arguments], capture_output=True)


def decoded(path: Path, width: int, height: int | None = None) -> np.ndarray:
    """Every stored frame, int64 `[F, height, width, 3]`."""
    raw = ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    result = ffmpeg("-loglevel", "error", "-i", str(path), *raw)
    assert result.returncode == 0, result.stderr
    return np.frombuffer(result.stdout, np.uint8).reshape(-1, height or width, width, 3).astype(int)


def steps(frames: np.ndarray) -> np.ndarray:
    """How far every frame is from the next, the last from the first, in grey levels."""
    return np.abs(np.roll(frames, -1, 0) - frames).mean((1, 2, 3))
