"""Curves in z: the great circle between two points, circles through many, smooth noise; and which seed goes where."""

from __future__ import annotations

import math

import numpy as np

Blend = tuple[tuple[int, float], ...]
"""(seed, weight), weights adding up to 1."""


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


def circle_weights(count: int, place: np.ndarray) -> np.ndarray:
    """Return float64 `[T, count]`: the trigonometric curve through `count` points, which it meets at 0, 1, …, as
    weights of the points; they add up to 1. `place` `[T]` goes round once from 0 to `count`."""
    angle = (place[:, None] - np.arange(count)) * (2 * np.pi / count)
    half = np.sin(angle / 2)
    meets = np.abs(half) < 1e-9
    half = np.where(meets, 1.0, half)
    weights = np.sin(count * angle / 2) / (count * half)
    if count % 2 == 0:
        weights = weights * np.cos(angle / 2)
    return np.where(meets, 1.0, weights)


def circle(points: np.ndarray, place: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return `[T, z_dim]`: the closed circle through `points` `[N, z_dim]` at `place`, 0 to N for once round.

    One point: the great circle through it in a plane that `seed` decides. Two: the great circle through both, the
    short way first. More: no great circle meets them all, so the trigonometric curve through them. The length goes from
    each point's to the next one's.
    """
    count = len(points)
    segment = np.clip(np.floor(place).astype(int), 0, count - 1)
    share = (place - segment)[:, None]
    lengths = np.linalg.norm(points, axis=1)
    length = lengths[segment][:, None] * (1 - share) + lengths[(segment + 1) % count][:, None] * share
    if count > 2:
        curve = circle_weights(count, place) @ points
        return curve * (length / np.maximum(np.linalg.norm(curve, axis=1, keepdims=True), 1e-9))
    first = points[0] / lengths[0]
    other = points[1] / lengths[1] if count == 2 else first
    angle = math.acos(float(np.clip(first @ other, -1, 1)))
    side = other - first * (first @ other)
    if np.linalg.norm(side) < 1e-6:
        side = np.random.RandomState(seed).randn(points.shape[1])
        side -= first * (first @ side)
    side /= np.linalg.norm(side)
    if count == 1:
        turned = 2 * np.pi * share
    else:
        turned = np.where(segment[:, None] == 0, angle * share, angle + (2 * np.pi - angle) * share)
    return length * (np.cos(turned) * first + np.sin(turned) * side)


def wander(share: np.ndarray, z_dim: int, *, swings: int, seed: int) -> np.ndarray:
    """Return `[T, z_dim]`, standard normal at every `share` `[T]` of the way, the same at 0 and at 1: `swings`
    harmonics with random amplitudes."""
    amplitudes = np.random.RandomState(seed).randn(2, swings, z_dim) / math.sqrt(swings)
    angles = 2 * np.pi * share[:, None] * np.arange(1, swings + 1)
    return np.cos(angles) @ amplitudes[0] + np.sin(angles) @ amplitudes[1]
