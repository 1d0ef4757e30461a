"""How far a direction can be followed before pictures leave what the model knows, and strips that show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ganlib.base.errors import InputError
from ganlib.features.extractors import FeatureExtractor
from ganlib.latents.editing import Direction
from ganlib.render.directions.discovery import sample_w
from ganlib.render.renderer import Renderer

REACH = 6.0
"""Strengths are looked at up to so many sigmas on either side."""
STEPS = 5
NEIGHBOURS = 3
KEPT = 0.5
"""Of the share of pictures that lies among ordinary ones without any step, so much must be left at a safe strength."""
_HOME, _MOVED = 256, 32


class SafeRange:
    """Measures safe strengths in one model: its ordinary pictures are made and looked at once.

    A picture is ordinary if its features lie in a ball around those of some ordinary picture that reaches to that
    one's third nearest neighbour (the manifold of Kynkäänniemi et al., 2019). Of other ordinary pictures a share does;
    when a step along a direction leaves less than half of that share inside, pictures have left the distribution.
    """

    def __init__(self, renderer: Renderer, extractor: FeatureExtractor, *, psi: float = 0.7, seed: int = 0) -> None:
        self._renderer, self._extractor = renderer, extractor
        w = sample_w(renderer, _HOME + _MOVED, seed=seed)
        if renderer.spec.truncatable:
            centre = renderer.w_avg.cpu()
            w = centre + psi * (w - centre)
        w_plus = w[:, None].repeat(1, renderer.spec.num_ws, 1)
        self._home, self._moved = self._look(w_plus[:_HOME]), w_plus[_HOME:]
        gaps = torch.cdist(self._home, self._home)
        self._reach = gaps.kthvalue(NEIGHBOURS + 1, dim=1).values  # the nearest of all is the picture itself
        self._least = KEPT * self._inside(self._moved)

    def _look(self, w_plus: Tensor) -> Tensor:
        mode = self._renderer.spec.noise_modes[0]
        parts = [self._extractor(pixels) for pixels in self._renderer.synthesize_batches(w_plus, noise_mode=mode)]
        return torch.from_numpy(np.concatenate(parts)).double()

    def _inside(self, w_plus: Tensor) -> float:
        gaps = torch.cdist(self._look(w_plus), self._home)
        return float((gaps <= self._reach).any(dim=1).double().mean())

    def of(self, direction: Direction) -> tuple[float, float]:
        """Return the strengths `(low, high)` in sigmas, low ≤ 0 ≤ high, between which pictures stay ordinary; the ends
        are found by halving, to `REACH` · 2⁻⁵."""
        return -self._far(direction, -1.0), self._far(direction, 1.0)

    def _far(self, direction: Direction, sign: float) -> float:
        if self._inside(apply_step(self._moved, direction, sign * REACH)) >= self._least:
            return REACH
        good, bad = 0.0, REACH
        for _ in range(STEPS):
            middle = (good + bad) / 2
            if self._inside(apply_step(self._moved, direction, sign * middle)) >= self._least:
                good = middle
            else:
                bad = middle
        return round(good, 2)


def measure_safe(renderer: Renderer, direction: Direction, extractor: FeatureExtractor) -> tuple[float, float]:
    """Return `SafeRange.of` one direction; for several make one `SafeRange`."""
    return SafeRange(renderer, extractor).of(direction)


def apply_step(w_plus: Tensor, direction: Direction, strength: float) -> Tensor:
    """Return w_plus `[N, num_ws, w_dim]` moved by `strength` sigmas in the style inputs that the direction acts on."""
    last = w_plus.shape[1] - 1 if direction.last is None else direction.last
    rows = slice(direction.first, last + 1)
    vector = direction.vector if direction.vector.ndim == 1 else direction.vector[rows]
    moved = w_plus.clone()
    moved[:, rows] += strength * vector.to(moved)
    return moved


def strip(
    renderer: Renderer, direction: Direction, w_plus: Tensor, strengths: Sequence[float], *, noise_mode: str = ""
) -> np.ndarray:
    """Return uint8 `[len(strengths), R, R, 3]`: one picture, w_plus `[num_ws, w_dim]`, along a direction.

    Raises `InputError` where the direction is that of another kind of model."""
    if not direction.suits(renderer.spec):
        raise InputError(f"{direction.name} does not fit this model", "choose a direction of a model with the same w")
    rows = torch.cat([apply_step(w_plus[None].cpu(), direction, strength) for strength in strengths])
    return renderer.synthesize(rows, noise_mode=noise_mode or renderer.spec.noise_modes[0])
