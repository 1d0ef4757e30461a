"""A path over one model: w_plus and places of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ganlib.latents.paths.arcs import Blend, circle, coupling, slerp, wander
from ganlib.latents.paths.keyframes import LatentPath
from ganlib.latents.recipes import Recipe, noise_strengths_of, seed_z, truncate
from ganlib.networks.base import GeneratorSpec

_IN_Z = ("slerp", "noise", "circle")


class LatentSource(Protocol):
    """What a path needs of a renderer."""

    spec: GeneratorSpec
    w_avg: Tensor

    def mapping(self, z: np.ndarray, labels: Sequence[int | None] | None = None) -> Tensor: ...

    def w_plus(self, recipes: Sequence[Recipe]) -> Tensor: ...


class PathWalker:
    """A path over one model: what is the same for all frames is computed once."""

    def __init__(self, path: LatentPath, source: LatentSource) -> None:
        path.validate()
        self._path, self._source = path, source
        self._recipes = [keyframe.recipe for keyframe in path.keyframes]
        self._points = source.w_plus(self._recipes)  # [N, num_ws, w_dim]
        self._steps: Tensor | None = None  # what the edits add to every keyframe
        if path.curve in _IN_Z:
            bare = [replace(recipe, edits=()) for recipe in self._recipes]
            self._steps = (
                self._points - source.w_plus(bare) if bare != self._recipes else torch.zeros_like(self._points)
            )

    def w_plus(self, times: np.ndarray) -> Tensor:
        """Return w_plus `[T, num_ws, w_dim]` at `times` in seconds."""
        path = self._path
        if path.curve == "circle" and self._seeds_only():
            frames = self._circle(times)
        else:
            frames = self._combine(path.weights(times), self._points)
            if path.curve in ("slerp", "noise"):
                self._bend(frames, times)
        if path.moving != "all":
            stays = torch.from_numpy(~path.moving_styles(self._source.spec.num_ws))
            frames[:, stays] = self._points[:1, stays]
        return frames

    def _bend(self, frames: Tensor, times: np.ndarray) -> None:
        """Put frames `[T, num_ws, w_dim]` of segments between seeds on their arcs, and all that wander off them."""
        path, source = self._path, self._source
        weights = path.weights(times)
        noise = None
        if path.curve == "noise":
            noise = wander(times / path.seconds, source.spec.z_dim, swings=path.swings, seed=path.seed)
        segment, share = path.segments(times)
        for k in np.unique(segment):
            start, end = self._recipes[k], self._recipes[(k + 1) % len(self._recipes)]
            chosen = np.flatnonzero(segment == k)
            rows = torch.from_numpy(chosen).to(frames.device)
            drift = None if noise is None else noise[chosen]
            if start.base is None and end.base is None:
                frames[rows] = self._arc(start, end, share[chosen], weights[chosen], drift)
            elif drift is not None:  # a saved w_plus has no z: it is moved as a seed is from the average
                labels = [start.label] * len(drift)
                moved = (source.mapping(drift, labels) - source.w_avg) * np.sin(path.radius)
                frames[rows] += moved[:, None]

    def _seeds_only(self) -> bool:
        return all(recipe.base is None and len(recipe.seeds) == 1 for recipe in self._recipes)

    def _circle(self, times: np.ndarray) -> Tensor:
        """w_plus `[T, num_ws, w_dim]` on the circle in z through the keyframes' seeds."""
        path, spec, count = self._path, self._source.spec, len(self._recipes)
        segment, share = path.segments(times)
        labels = [[self._recipes[k % count].label for k in segment + step] for step in (0, 1)]
        seeds_of_layers = list(zip(*(_blends(recipe, spec.num_ws) for recipe in self._recipes), strict=True))
        w_of = {}
        for blends in set(seeds_of_layers):
            points = np.concatenate([seed_z(blend[0][0], spec.z_dim) for blend in blends])
            z = circle(points, segment + share, seed=path.seed)
            w = self._source.mapping(z, labels[0])
            if labels[0] != labels[1]:
                passed = torch.from_numpy(share).to(w.device, w.dtype)[:, None]
                w = torch.lerp(w, self._source.mapping(z, labels[1]), passed)
            w_of[blends] = w
        frames = torch.stack([w_of[blends] for blends in seeds_of_layers], dim=1)
        weights = np.zeros((len(times), count))
        np.add.at(weights, (np.arange(len(times)), segment), 1 - share)
        np.add.at(weights, (np.arange(len(times)), (segment + 1) % count), share)
        return self._finish(frames, weights)

    def _finish(self, frames: Tensor, weights: np.ndarray) -> Tensor:
        """Truncate and edit frames by amounts that are the weighted sums of the keyframes'."""
        spec = self._source.spec
        if spec.truncatable:
            psi = weights @ np.stack([_psi_of_layers(recipe, spec.num_ws) for recipe in self._recipes])
            amounts = torch.from_numpy(psi).to(frames.device, frames.dtype)[..., None]
            frames = truncate(frames, self._source.w_avg, amounts)
        assert self._steps is not None
        return frames + self._combine(weights, self._steps)

    def places(self, times: np.ndarray) -> list[tuple[tuple[float, float], float]]:
        """Return translation and rotation of the picture at `times` in seconds, on the curve of the keyframes'."""
        recipes = self._recipes
        rows = self._path.weights(times) @ np.array([(*recipe.translate, recipe.rotate) for recipe in recipes])
        return [((float(across), float(down)), float(turn)) for across, down, turn in rows]

    def noise_strengths(self, times: np.ndarray) -> np.ndarray | None:
        """Return what noise is multiplied by at `times`, float64 `[T, num_ws]`, between the keyframes' own; None where
        no keyframe changes it."""
        spec = self._source.spec
        noise_strengths = noise_strengths_of(self._recipes, spec.num_ws) if len(spec.noise_modes) > 1 else None
        return None if noise_strengths is None else np.maximum(self._path.weights(times) @ noise_strengths, 0)

    def _combine(self, weights: np.ndarray, points: Tensor) -> Tensor:
        matrix = torch.from_numpy(weights).to(points.device, points.dtype)
        return torch.einsum("tn,nlw->tlw", matrix, points)

    def _arc(
        self, start: Recipe, end: Recipe, share: np.ndarray, weights: np.ndarray, noise: np.ndarray | None
    ) -> Tensor:
        """w_plus `[T, num_ws, w_dim]` on the way from one keyframe of seeds to the next."""
        num_ws = self._source.spec.num_ws
        # Every style input has its own pair of blends, but few pairs differ.
        pairs = list(zip(_blends(start, num_ws), _blends(end, num_ws), strict=True))
        w_of = {pair: self._blend_arc(*pair, start.label, end.label, share, noise) for pair in set(pairs)}
        frames = torch.stack([w_of[pair] for pair in pairs], dim=1)
        return self._finish(frames, weights)

    def _blend_arc(
        self,
        start: Blend,
        end: Blend,
        label: int | None,
        end_label: int | None,
        share: np.ndarray,
        noise: np.ndarray | None,
    ) -> Tensor:
        """w `[T, w_dim]`: the weighted sum of the arcs between the seeds of both ends."""
        z_dim, arcs = self._source.spec.z_dim, []
        for (seed, end_seed), weight in coupling(start, end).items():
            z = slerp(seed_z(seed, z_dim), seed_z(end_seed, z_dim), share[:, None])
            if noise is not None:
                z = np.cos(self._path.radius) * z + np.sin(self._path.radius) * noise
            w = self._source.mapping(z, [label] * len(z))
            if label != end_label:
                passed = torch.from_numpy(share).to(w.device, w.dtype)[:, None]
                w = torch.lerp(w, self._source.mapping(z, [end_label] * len(z)), passed)
            arcs.append(w * weight)
        return torch.stack(arcs).sum(dim=0)


def _blends(recipe: Recipe, num_ws: int) -> list[Blend]:
    """The blend of seeds that every style input of a recipe takes its w from."""
    blend: Blend = tuple((seed, weight) for (seed, _), weight in zip(recipe.seeds, recipe.blend_weights, strict=True))
    mixed = dict(recipe.mix)
    return [((mixed[layer], 1.0),) if layer in mixed else blend for layer in range(num_ws)]


def _psi_of_layers(recipe: Recipe, num_ws: int) -> np.ndarray:
    """The truncation of every style input: psi up to the cutoff, 1 from there."""
    cutoff = num_ws if recipe.cutoff is None else recipe.cutoff
    return np.where(np.arange(num_ws) < cutoff, recipe.psi, 1.0)
