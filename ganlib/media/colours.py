"""The main colours of a picture, in words."""

from __future__ import annotations

import numpy as np

from ganlib.media import images

NAMED = {
    "black": "#111111", "charcoal": "#3a3a3c", "grey": "#808080", "silver": "#bfbfbf", "white": "#f7f7f5",
    "ivory": "#f3ead3", "beige": "#d9c6a5", "tan": "#c19a6b", "brown": "#7a4a26", "chocolate": "#45291a",
    "maroon": "#6e1423", "red": "#d01f2e", "coral": "#ef6f5e", "salmon": "#f4a58a", "orange": "#ee7d1b",
    "amber": "#f2ae1c", "gold": "#c9a227", "yellow": "#f4e04d", "olive": "#7d7b2a", "lime": "#a8cf38",
    "green": "#2f9e44", "forest": "#1f4d2b", "mint": "#a9dfc0", "teal": "#16857f", "turquoise": "#3fc8c0",
    "sky": "#8ec9f0", "blue": "#2566cf", "navy": "#16264f", "indigo": "#4a3a9c", "violet": "#8a4fc7",
    "lavender": "#c3b1e4", "magenta": "#c8338f", "pink": "#f3a9c4", "plum": "#5f2a54",
}  # fmt: skip
"""Words for colours, sRGB."""
WORDS = tuple(NAMED)
_SIDE = 32  # pixels; a picture's main colours are those of its thumbnail
_GROUPS = 6
_ROUNDS = 8
_GROUND_REACH, _GROUND_SHARE = 16.0, 0.7  # in ΔE of 1976; of the edge
_LEAST_SHARE = 0.04  # of the picture, for a colour to be named
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                    [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* (D65) `[…, 3]` float64 of sRGB `[…, 3]`, 0 to 255."""
    values = np.asarray(rgb, np.float64) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _TO_XYZ.T / _WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_LAB = to_lab(np.array([images.colour(value) for value in NAMED.values()]))


def name_of(lab: np.ndarray) -> int:
    """Return the place in `WORDS` of the named colour nearest to one L*a*b*."""
    return int(np.square(_LAB - lab).sum(axis=1).argmin())


def subject_of(lab: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return where in L*a*b* `[H, W, 3]` the subject is, bool `[H, W]`, and whether it lies on plain ground: a colour
    that most of the edge has. Without one, or where little else is left, everything is the subject."""
    edge = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    ground = np.median(edge, axis=0)
    everything = np.ones(lab.shape[:2], bool)
    if (np.linalg.norm(edge - ground, axis=1) < _GROUND_REACH).mean() < _GROUND_SHARE:
        return everything, False
    subject = np.linalg.norm(lab - ground, axis=-1) >= _GROUND_REACH
    return (subject, True) if subject.mean() >= _LEAST_SHARE else (everything, False)


def main_colours(pixels: np.ndarray, count: int = 3) -> list[int]:
    """Return places in `WORDS` of the `count` main colours of a picture uint8 `[H, W, 3]`, the largest first; -1 where
    there are fewer.

    k-means in L*a*b* on a thumbnail, from the points farthest from each other; groups of one name are one colour. Plain
    ground, the colour that most of the edge has, does not count.
    """
    lab = to_lab(images.resize(pixels, _SIDE, _SIDE))
    points = lab[subject_of(lab)[0]]
    centroids = [points.mean(axis=0)]
    gaps = np.square(points - centroids[0]).sum(axis=1)
    for _ in range(_GROUPS - 1):
        centroids.append(points[gaps.argmax()])
        gaps = np.minimum(gaps, np.square(points - centroids[-1]).sum(axis=1))
    places = np.array(centroids)
    for _ in range(_ROUNDS):
        group = np.square(points[:, None] - places).sum(axis=2).argmin(axis=1)
        for k in np.unique(group):
            places[k] = points[group == k].mean(axis=0)
    share: dict[int, float] = {}
    for k, size in zip(*np.unique(group, return_counts=True), strict=True):
        name = name_of(places[k])
        share[name] = share.get(name, 0.0) + size / len(points)
    found = sorted(share, key=lambda name: (-share[name], name))
    found = [name for i, name in enumerate(found) if i == 0 or share[name] >= _LEAST_SHARE][:count]
    return found + [-1] * (count - len(found))
