"""Copies of a square picture that differ as another photograph of the same thing would: mirrored, turned, recoloured.

Training with ADA does all of this by itself, differently each time and only as far as it helps, so copies are for other
trainers and for sets of a few dozen pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from PIL import Image

from ganlib.base.errors import InputError

PERSPECTIVE = 0.12  # of the side: how far corners move inwards at most
HUE_DEGREES = (12.0, 40.0)  # turned by so much, either way
SATURATIONS = ((0.5, 0.8), (1.25, 1.6))  # the factor lies in one of these ranges
_LUMA = np.array([0.299, 0.587, 0.114])
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def plan(kinds: Sequence[str], count: int | None) -> list[tuple[str, ...]]:
    """Return what each of `count` copies of a picture is made by: first each kind alone, then two together, and so on.

    None means one copy for each kind. Combinations that give the picture itself, or the same as an earlier one, are
    left out; when no more are left, those with chance in them (perspective, hue, saturation) come again. Raises
    InputError for an unknown kind, and for more copies than there are different ones.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"augment = {kind} is unknown", f"use some of {', '.join(KINDS)}")
    if len(set(kinds)) < len(kinds):
        raise InputError("augment names a kind twice", f"use some of {', '.join(KINDS)}")
    wanted = len(kinds) if count is None else count
    marker = np.arange(4).reshape(2, 2)
    seen = {marker.tobytes()}
    possible: list[tuple[str, ...]] = []
    for size in range(1, len(kinds) + 1):
        for chosen in combinations(kinds, size):
            turned = marker
            for kind in chosen:
                turned = fixed(turned) if (fixed := KINDS[kind].fixed) else turned
            by_chance = ",".join(kind for kind in chosen if KINDS[kind].by_chance)
            key = turned.tobytes() + by_chance.encode()
            if key not in seen:
                seen.add(key)
                possible.append(chosen)
    by_chance_too = [chosen for chosen in possible if any(KINDS[kind].by_chance for kind in chosen)]
    if wanted > len(possible) and not by_chance_too:
        raise InputError(
            f"copies = {wanted} is not possible", f"{', '.join(kinds) or 'no augmentation'} gives {len(possible)}"
        )
    rounds = possible
    while len(rounds) < wanted:
        rounds = rounds + by_chance_too
    return rounds[:wanted]


def augment(pixels: np.ndarray, kinds: Sequence[str], *, name: str, number: int) -> np.ndarray:
    """Return a copy of uint8 `[S, S, 3]` made by all of `kinds`; chance is a function of `name` and `number` alone."""
    seed = int.from_bytes(hashlib.sha256(f"{number} {name}".encode("utf-8", "surrogatepass")).digest()[:8], "little")
    rng = np.random.default_rng(seed)
    for kind in kinds:
        row = KINDS[kind]
        pixels = row.by_chance(pixels, rng) if row.by_chance else row.fixed(pixels) if row.fixed else pixels
    return np.ascontiguousarray(pixels)


def _perspective(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture seen from a little aside, cut so that nothing beyond its edges shows."""
    side = len(pixels)
    inset = rng.uniform(0, PERSPECTIVE, (4, 2)) * side
    corners = np.array([[0, 0], [0, side], [side, side], [side, 0]]) + inset * [[1, 1], [1, -1], [-1, -1], [-1, 1]]
    targets = np.array([[0, 0], [0, side], [side, side], [side, 0]])
    rows = []
    for (x, y), (u, v) in zip(targets, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    coefficients = np.linalg.solve(np.array(rows, float), corners.ravel())
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    size, bicubic = (side, side), Image.Resampling.BICUBIC
    return np.asarray(picture.transform(size, Image.Transform.PERSPECTIVE, coefficients.tolist(), bicubic))


def _hue(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All colours turned round the grey axis, in YIQ, so that lightness stays."""
    angle = np.deg2rad(rng.uniform(*HUE_DEGREES) * rng.choice((-1, 1)))
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return _rounded(pixels @ (np.linalg.inv(_TO_YIQ) @ turn @ _TO_YIQ).T)


def _saturation(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grey = (pixels @ _LUMA)[..., None]
    return _rounded(grey + (pixels - grey) * rng.uniform(*SATURATIONS[rng.integers(2)]))


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Kind:
    """A way to make a copy."""

    title: str
    """For people, what becomes of the picture."""
    fixed: Callable[[np.ndarray], np.ndarray] | None = None
    """Pixels `[R, R, …]` → the copy, always the same; None where chance decides."""
    by_chance: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None
    """Pixels `[R, R, 3]` and a generator of chance → the copy."""


KINDS: dict[str, Kind] = {
    "mirror": Kind("mirrored", lambda pixels: pixels[:, ::-1]),
    "mirrory": Kind("upside down", lambda pixels: pixels[::-1]),
    "rot90": Kind("turned left", lambda pixels: np.rot90(pixels, 1)),
    "rot180": Kind("turned round", lambda pixels: np.rot90(pixels, 2)),
    "rot270": Kind("turned right", lambda pixels: np.rot90(pixels, 3)),
    "perspective": Kind("in perspective", by_chance=_perspective),
    "hue": Kind("other hue", by_chance=_hue),
    "saturation": Kind("more or less vivid", by_chance=_saturation),
}
