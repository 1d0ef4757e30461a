"""A map of what a model can make: thousands of w in two dimensions, neighbours near each other, in clusters."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganlib.base.errors import InputError
from ganlib.latents.recipes import Recipe
from ganlib.render.renderer import Renderer

METHODS = {"pca": "straight (PCA)", "tsne": "by neighbours (t-SNE)", "umap": "by neighbours (UMAP)"}
"""Ways to draw a map, with a word for people."""
MOST = 10_000
MOST_CLUSTERS = 32
_BATCH = 1000
_FIRST_AXES = 50  # t-SNE and UMAP see w along its strongest axes; the rest is noise to them, and time


@dataclass(frozen=True, eq=False)
class LatentMap:
    """Points of pictures in the plane."""

    recipes: tuple[Recipe, ...]
    """The picture at each point."""
    xy: np.ndarray
    """`[N, 2]` float32, each axis from -1 to 1."""
    clusters: np.ndarray
    """`[N]` int, 0 … K-1, the largest cluster first."""
    centroids: np.ndarray
    """`[K, w_dim]` float32: the mean w of each cluster."""
    w: np.ndarray
    """`[N, w_dim]` float32: where the points are in w."""
    method: str

    def place(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return places `[M, 2]` and clusters `[M]` of other pictures, by w `[M, w_dim]`: the mean place of the three
        nearest points, weighted by nearness, so that a point of the map lands on itself. The map stays as it is."""
        gaps = np.linalg.norm(w[:, None] - self.w[None], axis=2)
        near = np.argsort(gaps, axis=1)[:, : min(3, len(self.w))]
        weight = 1 / (np.take_along_axis(gaps, near, axis=1) + 1e-6)
        weight /= weight.sum(axis=1, keepdims=True)
        xy = (self.xy[near] * weight[:, :, None]).sum(axis=1).astype(np.float32)
        clusters = np.linalg.norm(w[:, None] - self.centroids[None], axis=2).argmin(axis=1)
        return xy, clusters


def mean_w(renderer: Renderer, recipes: Sequence[Recipe]) -> np.ndarray:
    """Return the mean over style inputs of each picture's w_plus, `[N, w_dim]` float32."""
    parts = [
        renderer.w_plus(recipes[start : start + _BATCH]).mean(dim=1).cpu().numpy()
        for start in range(0, len(recipes), _BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, renderer.spec.w_dim), np.float32)


def methods_here() -> tuple[str, ...]:
    """The ways to draw a map that this machine has: UMAP where `umap-learn` is installed."""
    return tuple(name for name in METHODS if name != "umap" or importlib.util.find_spec("umap") is not None)


def draw_map(
    renderer: Renderer,
    seeds: Sequence[int],
    *,
    method: str = "pca",
    clusters: int = 8,
    psi: float = 0.7,
    label: int | None = None,
) -> LatentMap:
    """Return a map of the pictures of `seeds`.

    Points are placed by w, the mean over style inputs where these differ. The same arguments give the same map. Raises
    `InputError` for an unknown method, under 3 or over 10,000 points, or more clusters than 32.
    """
    if method not in methods_here():
        known = ", ".join(methods_here())
        missing = method in METHODS
        hint = "install it with: pip install umap-learn" if missing else f"choose one of: {known}"
        raise InputError(f"there is no way {method!r} to draw a map here", hint)
    recipes = tuple(Recipe.of_seed(seed, psi=psi, label=label) for seed in seeds)
    if not 3 <= len(recipes) <= MOST:
        raise InputError(f"{len(recipes)} pictures make no map", f"use 3 to {MOST}")
    if not 1 <= clusters <= MOST_CLUSTERS:
        raise InputError(f"{clusters} clusters", f"use 1 to {MOST_CLUSTERS}")
    w = mean_w(renderer, recipes).astype(np.float64)
    axes = _strongest(w, min(_FIRST_AXES, *w.shape))
    xy = axes[:, :2] if method == "pca" else _neighbours(method, axes)
    from sklearn.cluster import KMeans

    grouped = KMeans(min(clusters, len(w)), n_init=4, random_state=0).fit(axes)
    order = np.argsort(-np.bincount(grouped.labels_), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    labels = rank[grouped.labels_]
    centroids = np.stack([w[labels == k].mean(axis=0) for k in range(len(order))])
    low, high = xy.min(axis=0), xy.max(axis=0)
    xy = 2 * (xy - low) / np.maximum(high - low, 1e-9) - 1
    return LatentMap(recipes, xy.astype(np.float32), labels, centroids.astype(np.float32), w.astype(np.float32), method)


def _strongest(w: np.ndarray, count: int) -> np.ndarray:
    """Coordinates `[N, count]` along the principal axes, signs fixed."""
    centred = w - w.mean(axis=0)
    left, lengths, rows = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(rows[np.arange(count), np.abs(rows[:count]).argmax(axis=1)])
    coordinates: np.ndarray = left[:, :count] * lengths[:count] * signs
    return coordinates


def _neighbours(method: str, axes: np.ndarray) -> np.ndarray:
    placed: Any
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn of their own defaults
        if method == "umap":
            import umap

            placed = umap.UMAP(n_neighbors=min(15, len(axes) - 1), random_state=0).fit_transform(axes)
        else:
            perplexity = min(30.0, (len(axes) - 1) / 3)
            from sklearn.manifold import TSNE

            placed = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(axes)
    return np.asarray(placed, np.float64)


# --- order on a wall --------------------------------------------------------------------------------------------------


def by_colour(pixels: np.ndarray) -> list[int]:
    """Return the order of pictures uint8 `[N, H, W, 3]` by colour: the grey ones first, then round the wheel of hues
    from red, each hue from dark to light.

    A picture's hue is that of its mean colour, weighted by saturation, so that plain ground does not decide."""
    rgb = pixels.reshape(len(pixels), -1, 3).astype(np.float64) / 255
    saturation = rgb.max(axis=2) - rgb.min(axis=2)
    weight = saturation**2 + 1e-6
    red, green, blue = np.moveaxis((rgb * weight[:, :, None]).sum(axis=1) / weight.sum(axis=1, keepdims=True), 1, 0)
    hue = np.degrees(np.arctan2(3**0.5 * (green - blue), 2 * red - green - blue)) % 360
    lightness = rgb.mean(axis=(1, 2))
    is_grey = np.percentile(saturation, 98, axis=1) < 0.12
    step = np.where(is_grey, -1, np.floor(((hue + 15) % 360) / 30))
    return np.lexsort((lightness, step)).tolist()


def by_likeness(w: np.ndarray) -> list[int]:
    """Return an order of pictures by w `[N, w_dim]` in which neighbours are alike: from the first on, always the
    nearest that is left; then pairs are swapped as long as that makes the way shorter."""
    gaps = np.linalg.norm(w[:, None] - w[None], axis=2)
    left, order = set(range(1, len(w))), [0] if len(w) else []
    while left:
        nearest = min(left, key=lambda i: (gaps[order[-1], i], i))
        left.remove(nearest)
        order.append(nearest)
    is_better = True
    while is_better:  # 2-opt: turning a stretch round pays where its two new joints are shorter
        is_better = False
        for i in range(1, len(order) - 2):
            for j in range(i + 1, len(order) - 1):
                a, b, c, d = order[i - 1], order[i], order[j], order[j + 1]
                if gaps[a, c] + gaps[b, d] < gaps[a, b] + gaps[c, d] - 1e-9:
                    order[i : j + 1] = reversed(order[i : j + 1])
                    is_better = True
    return order
