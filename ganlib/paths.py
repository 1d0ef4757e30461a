"""A way through latent space: keyframes, and the curve that joins them. Pure mathematics on w.

linear   the keyframes' finished w_plus (blended, mixed, truncated, edited) joined by straight lines
cubic    the same points joined by the interpolating cubic spline with continuous acceleration: natural at the ends
         of an open path, periodic in a loop
slerp    great circles in z between the keyframes' seeds, mapped to w at every frame, then truncated and edited
         with amounts that change linearly. What two blends have of a seed in common stays. A segment that touches a
             saved w_plus, which has no z, is linear in w
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ganlib.errors import InputError
from ganlib.latents import Recipe, seed_z, truncate
from ganlib.networks.base import GeneratorSpec

CURVES = ("linear", "slerp", "cubic")
MAX_KEYFRAMES = 1000
MAX_SECONDS = 3600.0  # of one segment

Blend = tuple[tuple[int, float], ...]  # (seed, weight), weights adding up to 1


class LatentSource(Protocol):
    """What a path needs of a renderer."""

    spec: GeneratorSpec
    w_avg: Tensor

    def mapping(self, z: np.ndarray, labels: Sequence[int | None] | None = None) -> Tensor: ...

    def w_plus(self, recipes: Sequence[Recipe]) -> Tensor: ...


@dataclass(frozen=True)
class Keyframe:
    """A picture that the path goes through."""

    recipe: Recipe
    """The picture; psi, mixing and edits are its own."""
    seconds: float = 2.0
    """Time to the next keyframe; in an open path the last one's is not used."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {"recipe": self.recipe.to_dict(), "seconds": self.seconds}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Keyframe:
        """The inverse of `to_dict`. Raises InputError."""
        if not isinstance(data, Mapping) or set(data) - {"recipe", "seconds"} or "recipe" not in data:
            raise InputError("a keyframe is not a recipe and seconds", "Make the path anew on the Morph page.")
        return cls(Recipe.from_dict(data["recipe"]), data.get("seconds", 2.0))


@dataclass(frozen=True)
class LatentPath:
    """Keyframes and how they are joined."""

    keyframes: tuple[Keyframe, ...]
    """Two or more."""
    curve: str = "cubic"
    """`linear`, `slerp` or `cubic`; see the module."""
    loop: bool = True
    """Whether the last keyframe leads back to the first; the frame that would repeat the first is not emitted."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "keyframes", tuple(self.keyframes))

    def validate(self) -> None:
        """Raise InputError for too few keyframes, odd durations, an unknown curve, or a recipe that is not valid."""
        if not 2 <= len(self.keyframes) <= MAX_KEYFRAMES:
            count = len(self.keyframes)
            words = "1 keyframe is" if count == 1 else f"{count} keyframes are"
            raise InputError(f"{words} no path", f"Choose 2 to {MAX_KEYFRAMES}.")
        if self.curve not in CURVES:
            raise InputError(f"there is no curve '{str(self.curve)[:20]}'", f"Use {', '.join(CURVES)}.")
        if not isinstance(self.loop, bool):
            raise InputError("loop is neither true nor false", "Choose one.")
        for keyframe in self.keyframes:
            keyframe.recipe.validate()
            if type(keyframe.seconds) not in (int, float) or not 0.01 <= keyframe.seconds <= MAX_SECONDS:
                raise InputError(f"a segment of {keyframe.seconds} seconds", f"Choose from 0.01 to {MAX_SECONDS:g}.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        keyframes = [keyframe.to_dict() for keyframe in self.keyframes]
        return {"keyframes": keyframes, "curve": self.curve, "loop": self.loop}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LatentPath:
        """The inverse of `to_dict`. Raises InputError."""
        if not isinstance(data, Mapping) or set(data) - {"keyframes", "curve", "loop"}:
            raise InputError("a path is not keyframes, curve and loop", "Make the path anew on the Morph page.")
        rows = data.get("keyframes")
        if not isinstance(rows, list | tuple):
            raise InputError("a path has no list of keyframes", "Make the path anew on the Morph page.")
        path = cls(tuple(map(Keyframe.from_dict, rows)), data.get("curve", "cubic"), data.get("loop", True))
        path.validate()
        return path

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

    def times(self, fps: float, indices: Sequence[int] | None = None) -> np.ndarray:
        """Return the seconds, float64, of frames (None means all): evenly spaced, very nearly 1/fps apart.

        A loop's frame F would be at the end exactly, where the path is at its start again; an open path's last one is.
        """
        count = self.num_frames(fps)
        chosen = np.arange(count) if indices is None else np.asarray(indices, dtype=np.int64)
        return chosen * (self.seconds / (count if self.loop else count - 1))

    def segments(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (segment index, share of it that has passed, 0 to 1) of every time; a loop's times wrap around."""
        knots = np.concatenate([[0.0], np.cumsum(self.segment_seconds)])
        times = np.mod(times, self.seconds) if self.loop else np.clip(times, 0.0, self.seconds)
        segment = np.clip(np.searchsorted(knots, times, side="right") - 1, 0, len(knots) - 2)
        return segment, np.clip((times - knots[segment]) / np.diff(knots)[segment], 0.0, 1.0)

    def weights(self, times: np.ndarray) -> np.ndarray:
        """Return float64 `[T, N]`: the point at every time as weights, adding up to 1, of the N keyframes.

        For `linear` and `cubic`; for `slerp`, the linear weights of its segments without z.
        """
        segment, share = self.segments(times)
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
        return PathWalker(self, source).w_plus(self.times(fps, indices))


class PathWalker:
    """A path over one model: what is the same for all frames is computed once."""

    def __init__(self, path: LatentPath, source: LatentSource) -> None:
        path.validate()
        self._path, self._source = path, source
        self._recipes = [keyframe.recipe for keyframe in path.keyframes]
        self._points = source.w_plus(self._recipes)  # [N, num_ws, w_dim]
        self._steps: Tensor | None = None  # what the edits add to every keyframe
        if path.curve == "slerp":
            bare = [replace(recipe, edits=()) for recipe in self._recipes]
            self._steps = (
                self._points - source.w_plus(bare) if bare != self._recipes else torch.zeros_like(self._points)
            )

    def w_plus(self, times: np.ndarray) -> Tensor:
        """Return w_plus `[T, num_ws, w_dim]` at `times` in seconds."""
        weights = self._path.weights(times)
        frames = self._combine(weights, self._points)
        if self._path.curve != "slerp":
            return frames
        segment, share = self._path.segments(times)
        for k in np.unique(segment):
            start, end = self._recipes[k], self._recipes[(k + 1) % len(self._recipes)]
            if start.base is None and end.base is None:
                chosen = np.flatnonzero(segment == k)
                frames[torch.from_numpy(chosen).to(frames.device)] = self._arc(
                    start, end, share[chosen], weights[chosen]
                )
        return frames

    def places(self, times: np.ndarray) -> list[tuple[tuple[float, float], float]]:
        """Return translation and rotation of the picture at `times` in seconds, on the curve of the keyframes'."""
        recipes = self._recipes
        rows = self._path.weights(times) @ np.array([(*recipe.translate, recipe.rotate) for recipe in recipes])
        return [((float(across), float(down)), float(turn)) for across, down, turn in rows]

    def _combine(self, weights: np.ndarray, points: Tensor) -> Tensor:
        matrix = torch.from_numpy(weights).to(points.device, points.dtype)
        return torch.einsum("tn,nlw->tlw", matrix, points)

    def _arc(self, start: Recipe, end: Recipe, share: np.ndarray, weights: np.ndarray) -> Tensor:
        """w_plus `[T, num_ws, w_dim]` on the way from one keyframe of seeds to the next."""
        spec, num_ws = self._source.spec, self._source.spec.num_ws
        # Every style input has its own pair of blends, but few pairs differ.
        pairs = list(zip(_blends(start, num_ws), _blends(end, num_ws), strict=True))
        w_of = {pair: self._blend_arc(*pair, start.label, end.label, share) for pair in set(pairs)}
        frames = torch.stack([w_of[pair] for pair in pairs], dim=1)
        if spec.truncatable:
            psi = np.outer(1 - share, _psi_of_layers(start, num_ws)) + np.outer(share, _psi_of_layers(end, num_ws))
            frames = truncate(
                frames, self._source.w_avg, torch.from_numpy(psi).to(frames.device, frames.dtype)[..., None]
            )
        assert self._steps is not None
        return frames + self._combine(weights, self._steps)

    def _blend_arc(
        self, start: Blend, end: Blend, label: int | None, end_label: int | None, share: np.ndarray
    ) -> Tensor:
        """w `[T, w_dim]`: the weighted sum of the arcs between the seeds of both ends."""
        z_dim, arcs = self._source.spec.z_dim, []
        for (seed, end_seed), weight in coupling(start, end).items():
            z = slerp(seed_z(seed, z_dim), seed_z(end_seed, z_dim), share[:, None])
            w = self._source.mapping(z, [label] * len(z))
            if label != end_label:
                passed = torch.from_numpy(share).to(w.device, w.dtype)[:, None]
                w = torch.lerp(w, self._source.mapping(z, [end_label] * len(z)), passed)
            arcs.append(w * weight)
        return torch.stack(arcs).sum(dim=0)


def coupling(start: Blend, end: Blend) -> dict[tuple[int, int], float]:
    """Return how much of every seed of one blend goes to every seed of the other, as {(seed, end seed): weight}.

    The sums over either side are the blends themselves. What both have of a seed stays with it, so that equal blends do
    not move; the rest is spread in proportion, which between single seeds is the one arc from the first to the second.
    """
    left, right = _total_by_seed(start), _total_by_seed(end)
    stays = {seed: min(left[seed], right[seed], key=abs) for seed in left if left[seed] * right.get(seed, 0.0) > 0}
    rest = 1.0 - math.fsum(stays.values())
    leaving = {seed: weight - stays.get(seed, 0.0) for seed, weight in left.items()}
    if max(map(abs, leaving.values())) > 4 * abs(rest) + 1e-9:  # weights of opposite sign cancel: spread everything
        stays, rest, leaving = {}, 1.0, left
    arcs = {(seed, seed): weight for seed, weight in stays.items()}
    for seed, leaves in leaving.items():
        for end_seed, weight in right.items():
            arrives = weight - stays.get(end_seed, 0.0)
            if leaves and arrives and rest:
                arcs[seed, end_seed] = arcs.get((seed, end_seed), 0.0) + leaves * arrives / rest
    return arcs


def _total_by_seed(blend: Blend) -> dict[int, float]:
    total: dict[int, float] = {}
    for seed, weight in blend:
        total[seed] = total.get(seed, 0.0) + weight
    return total


def slerp(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the point on the great circle from `a` to `b` `[…, z_dim]` at `share` of the angle; 0 gives a, 1 gives b.

    The length goes from one's to the other's. Where both point the same way, or exactly apart, it is a straight line.
    """
    cosine = np.sum(a * b, -1, keepdims=True) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))[..., None]
    angle = np.arccos(np.clip(cosine, -1, 1))
    sine = np.sin(angle)
    straight = sine < 1e-6
    sine = np.where(straight, 1.0, sine)
    first = np.where(straight, 1 - share, np.sin((1 - share) * angle) / sine)
    second = np.where(straight, share, np.sin(share * angle) / sine)
    return first * a + second * b


def _blends(recipe: Recipe, num_ws: int) -> list[Blend]:
    """The blend of seeds that every style input of a recipe takes its w from."""
    blend: Blend = tuple((seed, weight) for (seed, _), weight in zip(recipe.seeds, recipe.blend_weights, strict=True))
    mixed = dict(recipe.mix)
    return [((mixed[layer], 1.0),) if layer in mixed else blend for layer in range(num_ws)]


def _psi_of_layers(recipe: Recipe, num_ws: int) -> np.ndarray:
    """The truncation of every style input: psi up to the cutoff, 1 from there."""
    cutoff = num_ws if recipe.cutoff is None else recipe.cutoff
    return np.where(np.arange(num_ws) < cutoff, recipe.psi, 1.0)
