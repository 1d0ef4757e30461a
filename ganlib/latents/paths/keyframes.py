"""Keyframes and the time between them: `LatentPath`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.latents.paths.arcs import circle_weights
from ganlib.latents.recipes import STYLE_GROUPS, Recipe, style_groups

if TYPE_CHECKING:
    from ganlib.latents.paths.walker import LatentSource
    from ganlib.networks.base import GeneratorSpec


@dataclass(frozen=True)
class Curve:
    """One kind of way from keyframe to keyframe."""

    title: str
    """For people."""
    about: str
    """What it is, in a few words."""
    is_circular: bool = False
    """Whether it makes a loop from one keyframe."""


CURVES = {
    "cubic": Curve("Smooth", "a cubic spline in w"),
    "linear": Curve("Straight", "lines in w"),
    "slerp": Curve("Around", "great circles in z (slerp)"),
    "circle": Curve("Circle", "one great circle through all", is_circular=True),
    "noise": Curve("Drift", "smooth noise round the pictures; one is enough", is_circular=True),
}
CIRCULAR = tuple(name for name, curve in CURVES.items() if curve.is_circular)
"""Curves that make a loop from one keyframe."""
EASINGS = {"linear": "steady", "in-out": "rests at each", "in": "begins slowly", "out": "ends slowly"}
"""How the way to the next keyframe begins and ends → in words for people."""
MOVING = ("all", "coarse", "middle", "fine", "coarse+middle", "middle+fine", "coarse+fine")
MAX_KEYFRAMES = 1000
MAX_SECONDS = 3600.0  # of one segment
WAY = "the way"


@dataclass(frozen=True)
class Keyframe(Options):
    """A picture that the path goes through; psi, mixing and edits are its recipe's own."""

    verb = "video"

    recipe: Recipe = option(help="the picture", is_flag=False)
    seconds: float = option(2.0, "from a keyframe to the next", group=WAY, low=0.01, high=MAX_SECONDS)
    easing: str = option("linear", "how each step begins and ends", group=WAY, choices=EASINGS)


@dataclass(frozen=True)
class LatentPath(Options):
    """Keyframes and how they are joined; a loop's frame that would repeat its first is not emitted."""

    verb = "video"

    keyframes: tuple[Keyframe, ...] = option(help="two or more, or one for a circle or noise in a loop", is_flag=False)
    curve: str = option(
        "cubic",
        "; ".join(f"{name}: {curve.about.replace(';', ',')}" for name, curve in CURVES.items()),
        group=WAY,
        choices=CURVES,
    )
    loop: bool = option(True, "end where it begins", group=WAY)
    moving: str = option("all", "which styles leave the first picture's", group=WAY, choices=MOVING)
    radius: float = option(0.5, "of noise: radians from the keyframes; 1.57 forgets them", group=WAY, low=0, high=1.6)
    swings: int = option(2, "of noise: number of harmonics; more make more turns", group=WAY, low=1, high=16)
    seed: int = option(0, "of noise, and of one keyframe's circle", group=WAY, flag="path-seed", low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keyframes", tuple(self.keyframes))

    def check(self) -> None:
        least = 1 if self.loop and self.curve in CIRCULAR else 2
        if not least <= len(self.keyframes) <= MAX_KEYFRAMES:
            count = len(self.keyframes)
            words = "1 keyframe is" if count == 1 else f"{count} keyframes are"
            alone = f"; a loop of the curve {' or '.join(CIRCULAR)} is made from one" if count == 1 else ""
            raise InputError(f"{words} no path", f"Choose {least} to {MAX_KEYFRAMES}{alone}.")
        if self.curve == "circle" and not self.loop:
            raise InputError("a circle that does not close", "Choose a loop, or another curve.")

    def class_warning(self, spec: GeneratorSpec) -> str:
        """What to say of the way from class to class in a model whose w is not learned; empty where there is nothing.

        A mapping network leads every class into one w; elsewhere w holds the class itself beside z."""
        labels = {keyframe.recipe.label for keyframe in self.keyframes if keyframe.recipe.base is None}
        if spec.truncatable or len(labels) < 2:
            return ""
        return "between two classes this model draws mixtures of both, which it never saw in training"

    @property
    def segment_seconds(self) -> tuple[float, ...]:
        """Duration of every segment: as many as keyframes in a loop, one fewer in an open path."""
        seconds = tuple(float(keyframe.seconds) for keyframe in self.keyframes)
        return seconds if self.loop else seconds[:-1]

    @property
    def seconds(self) -> float:
        """Duration of the whole path."""
        return math.fsum(self.segment_seconds)

    def num_frames(self, fps: float) -> int:
        """Number of frames at `fps`: round(seconds·fps), at least 2; one more, the last keyframe, in an open path.

        Where the path turns back at a keyframe, the frames before and after it may be one picture, as at half of a
        loop of two with an odd number of frames; then there is a frame more, or as many as it takes.
        """
        count = max(2, round(self.seconds * fps)) + (0 if self.loop else 1)
        return next((n for n in range(count, count + 4) if not self._repeats_a_frame(n)), count)

    def _repeats_a_frame(self, count: int) -> bool:
        """Whether two of `count` frames in a row are equally far from a keyframe that the path turns back at."""
        seconds, between = self.segment_seconds, count if self.loop else count - 1
        for knot, before, after in self._turns:
            place = knot / self.seconds * between  # of the turn, in frames
            passed = place - math.floor(place)
            shares = passed * seconds[after], (1 - passed) * seconds[before]
            if passed > 1e-6 and math.isclose(*shares, rel_tol=1e-6):
                return True
        return False

    @cached_property
    def _turns(self) -> tuple[tuple[float, int, int], ...]:
        """(seconds, segment before, segment after) of every keyframe whose neighbours are one picture, not its own."""
        recipes, knots = [keyframe.recipe for keyframe in self.keyframes], np.cumsum([0.0, *self.segment_seconds])
        last = len(recipes) - 1  # a loop's first keyframe has a frame of its own
        return tuple(
            (float(knots[k]), k - 1, k)
            for k in range(1, last + 1 if self.loop else last)
            if recipes[k - 1] == recipes[(k + 1) % (last + 1)] != recipes[k]
        )

    @property
    def turns_back(self) -> bool:
        """Whether there is a keyframe whose neighbours are one picture, so that the way from it is the way to it."""
        return bool(self._turns) and self.curve in ("linear", "slerp", "cubic")

    def times(self, fps: float, indices: Sequence[int] | None = None) -> np.ndarray:
        """Return the seconds, float64, of frames (None means all): evenly spaced, very nearly 1/fps apart.

        A loop's frame F would be at the end exactly, where the path is at its start again; an open path's last one is.
        """
        count = self.num_frames(fps)
        chosen = np.arange(count) if indices is None else np.asarray(indices, dtype=np.int64)
        return chosen * (self.seconds / (count if self.loop else count - 1))

    def segments(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (segment index, eased share of it that has passed, 0 to 1) of every time; a loop's times wrap."""
        knots = np.concatenate([[0.0], np.cumsum(self.segment_seconds)])
        times = np.mod(times, self.seconds) if self.loop else np.clip(times, 0.0, self.seconds)
        segment = np.clip(np.searchsorted(knots, times, side="right") - 1, 0, len(knots) - 2)
        share = np.clip((times - knots[segment]) / np.diff(knots)[segment], 0.0, 1.0)
        for kind in {keyframe.easing for keyframe in self.keyframes} - {"linear"}:
            eased = np.array([keyframe.easing == kind for keyframe in self.keyframes])[segment]
            share[eased] = ease(kind, share[eased])
        return segment, share

    def weights(self, times: np.ndarray) -> np.ndarray:
        """Return float64 `[T, N]`: the point at every time as weights, adding up to 1, of the N keyframes.

        For `linear`, `cubic` and a `circle` in w; for `slerp` and `noise`, the linear weights of their segments.
        """
        segment, share = self.segments(times)
        if self.curve == "circle" and len(self.keyframes) > 2:
            return circle_weights(len(self.keyframes), segment + share)
        rows, following = np.arange(len(segment)), (segment + 1) % len(self.keyframes)
        weights = np.zeros((len(segment), len(self.keyframes)))
        weights[rows, segment] += 1 - share
        weights[rows, following] += share
        if self.curve != "cubic":
            return weights
        # A cubic is the straight line plus a bend that is set by the second derivatives at its two ends.
        bends, width = self._second_derivatives, np.asarray(self.segment_seconds)[segment]
        a, b = 1 - share, share
        weights += ((a**3 - a) * width**2 / 6)[:, None] * bends[segment]
        weights += ((b**3 - b) * width**2 / 6)[:, None] * bends[following]
        return weights

    @cached_property
    def _second_derivatives(self) -> np.ndarray:
        """`[N, N]`: the spline's second derivative at every keyframe as weights of the keyframes."""
        count, width = len(self.keyframes), np.asarray(self.segment_seconds)
        left, right = np.zeros((count, count)), np.zeros((count, count))
        for k in range(count):
            if not self.loop and k in (0, count - 1):
                left[k, k] = 1.0  # natural: no bend at an open end
                continue
            before, after = (k - 1) % count, (k + 1) % count  # the same keyframe in a loop of two
            h_before, h_after = width[before], width[k]
            left[k, before] += h_before
            left[k, k] += 2 * (h_before + h_after)
            left[k, after] += h_after
            right[k, before] += 6 / h_before
            right[k, k] -= 6 / h_before + 6 / h_after
            right[k, after] += 6 / h_after
        return np.linalg.solve(left, right)

    def frame_w_plus(self, source: LatentSource, fps: float, indices: Sequence[int] | None = None) -> Tensor:
        """Return w_plus `[T, num_ws, w_dim]` of the frames `indices` (None means all) on the source's device."""
        from ganlib.latents.paths.walker import PathWalker

        return PathWalker(self, source).w_plus(self.times(fps, indices))

    def moving_styles(self, num_ws: int) -> np.ndarray:
        """Return bool `[num_ws]`: which style inputs of a model leave the first keyframe's w."""
        groups = dict(zip(STYLE_GROUPS, style_groups(num_ws), strict=True))
        chosen = groups if self.moving == "all" else self.moving.split("+")
        return np.isin(np.arange(num_ws), [layer for name in chosen for layer in groups[name]])


def ease(kind: str, share: np.ndarray) -> np.ndarray:
    """Return the share of the way that is gone after `share` of the time; both begin at 0 and end at 1."""
    if kind == "in":
        return share**2
    if kind == "out":
        return share * (2 - share)
    return share * share * (3 - 2 * share) if kind == "in-out" else share
