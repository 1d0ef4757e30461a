"""Keyframes and the time between them: `LatentPath`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ganlib.errors import InputError
from ganlib.latents import STYLE_GROUPS, Recipe, style_groups
from ganlib.paths.arcs import circle_weights

if TYPE_CHECKING:
    from ganlib.networks.base import GeneratorSpec
    from ganlib.paths.walker import LatentSource

CURVES = ("linear", "slerp", "cubic", "circle", "noise")
CIRCULAR = ("circle", "noise")
"""Curves that make a loop from one keyframe."""
EASINGS = ("linear", "in", "out", "in-out")
MOVING = ("all", "coarse", "middle", "fine", "coarse+middle", "middle+fine", "coarse+fine")
MAX_KEYFRAMES = 1000
MAX_SECONDS = 3600.0  # of one segment
_ANEW = "Make the path anew on the Morph page."


@dataclass(frozen=True)
class Keyframe:
    """A picture that the path goes through."""

    recipe: Recipe
    """The picture; psi, mixing and edits are its own."""
    seconds: float = 2.0
    """Time to the next keyframe; in an open path the last one's is not used."""
    easing: str = "linear"
    """How the way to the next keyframe begins and ends: `linear`, `in` (slow at first), `out`, or `in-out`."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {"recipe": self.recipe.to_dict(), "seconds": self.seconds, "easing": self.easing}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Keyframe:
        """The inverse of `to_dict`. Raises InputError."""
        if not isinstance(data, Mapping) or set(data) - {"recipe", "seconds", "easing"} or "recipe" not in data:
            raise InputError("a keyframe is not a recipe, seconds and easing", _ANEW)
        return cls(Recipe.from_dict(data["recipe"]), data.get("seconds", 2.0), data.get("easing", "linear"))


@dataclass(frozen=True)
class LatentPath:
    """Keyframes and how they are joined."""

    keyframes: tuple[Keyframe, ...]
    """Two or more; one is enough for a loop that is a circle or noise."""
    curve: str = "cubic"
    """`linear`, `slerp`, `cubic`, `circle` or `noise`; see the package. A circle is always a loop."""
    loop: bool = True
    """Whether the last keyframe leads back to the first; the frame that would repeat the first is not emitted."""
    moving: str = "all"
    """Which style inputs move: `all`, `coarse`, `middle`, `fine`, or two joined by `+`. The rest stay the first's."""
    radius: float = 0.5
    """Of noise: how far z is turned from the keyframes, in radians, 0 to 1.6; at 1.57 nothing of them is left."""
    swings: int = 2
    """Of noise: number of harmonics, 1 to 16; more of them make a way with more turns."""
    seed: int = 0
    """Of noise, and of the plane of a circle with one keyframe."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "keyframes", tuple(self.keyframes))

    def validate(self) -> None:
        """Raise InputError for too few keyframes, odd durations, an unknown curve, or a recipe that is not valid."""
        _one_of("curve", self.curve, CURVES)
        _one_of("choice of moving styles", self.moving, MOVING)
        if not isinstance(self.loop, bool):
            raise InputError("loop is neither true nor false", "Choose one.")
        least = 1 if self.loop and self.curve in CIRCULAR else 2
        if not least <= len(self.keyframes) <= MAX_KEYFRAMES:
            count = len(self.keyframes)
            words = "1 keyframe is" if count == 1 else f"{count} keyframes are"
            alone = f"; a loop of the curve {' or '.join(CIRCULAR)} is made from one" if count == 1 else ""
            raise InputError(f"{words} no path", f"Choose {least} to {MAX_KEYFRAMES}{alone}.")
        if self.curve == "circle" and not self.loop:
            raise InputError("a circle that does not close", "Choose a loop, or another curve.")
        for name, low, high in (("radius", 0, 1.6), ("swings", 1, 16), ("seed", 0, 2**32 - 1)):
            value = getattr(self, name)
            if type(value) not in ((int, float) if name == "radius" else (int,)) or not low <= value <= high:
                raise InputError(f"{name} {str(value)[:20]} of a path", f"Choose from {low} to {high}.")
        for keyframe in self.keyframes:
            keyframe.recipe.validate()
            _one_of("easing", keyframe.easing, EASINGS)
            if type(keyframe.seconds) not in (int, float) or not 0.01 <= keyframe.seconds <= MAX_SECONDS:
                raise InputError(f"a segment of {keyframe.seconds} seconds", f"Choose from 0.01 to {MAX_SECONDS:g}.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"keyframes": [keyframe.to_dict() for keyframe in self.keyframes]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LatentPath:
        """The inverse of `to_dict`. Raises InputError."""
        if not isinstance(data, Mapping) or set(data) - {field.name for field in fields(cls)}:
            raise InputError("a path is not keyframes, curve and loop", _ANEW)
        rows = data.get("keyframes")
        if not isinstance(rows, list | tuple):
            raise InputError("a path has no list of keyframes", _ANEW)
        path = cls(**{**data, "keyframes": tuple(map(Keyframe.from_dict, rows))})
        path.validate()
        return path

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
        from ganlib.paths.walker import PathWalker

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


def _one_of(what: str, value: object, legal: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in legal:
        raise InputError(f"there is no {what} '{str(value)[:20]}'", f"Use {', '.join(legal)}.")
