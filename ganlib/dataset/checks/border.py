"""Is there a border round a picture: a scanner's lid, a frame, a passe-partout, white margins?

A side of the picture has a border when, seen from the edge inwards, nearly every line meets one and the same colour
for about the same distance and then something else. A plain ground goes on for too long, or ends here sooner and there
later, where the subject begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR = 40  # of 255: a pixel whose channels all are this near to the side's colour belongs to the band
WIDEST = 0.2  # of the picture's side; what goes on for longer is a ground
LEAST_LINES = 0.5  # of a side must end in time before its depth is measured
STRAIGHT = 0.025, 1.5  # how far a line may end from the straight edge: of the picture's side, and in pixels at least
INSET = 0.02  # of the picture's longer side, cut away besides: sheets lie askew and JPEG blurs their edges
STEP = 24  # of 255: least difference between the band and what is behind it
CUT_SHARE = 0.75  # a side with less of a band is not cut


@dataclass(frozen=True)
class Border:
    """What surrounds a picture, in the order left, top, right, bottom."""

    shares: tuple[float, float, float, float]
    """The part of each side along which there is a straight band of one colour, 0 to 1."""
    depths: tuple[int, int, int, int]
    """How much lies outside of the band's inner edge, in pixels; 0 on a side without one."""

    @property
    def score(self) -> float:
        """Return 0 to 1: the share of the third most bordered side. One or two bands are a horizon or a shadow."""
        return sorted(self.shares)[1]

    def inside(self, height: int, width: int) -> tuple[slice, slice]:
        """Return rows and columns within the bands, each side for itself: a crop may have left one of a border."""
        inset = round(INSET * max(height, width))
        bands = zip(self.shares, self.depths, strict=True)
        left, top, right, bottom = (depth + inset if share >= CUT_SHARE else 0 for share, depth in bands)
        return slice(top, height - bottom), slice(left, width - right)


def find_border(pixels: np.ndarray) -> Border:
    """Return the border of uint8 `[H, W, 3]`; pictures under 16 pixels have none."""
    if min(pixels.shape[:2]) < 16:
        return Border((0.0, 0.0, 0.0, 0.0), (0, 0, 0, 0))
    values = pixels.astype(np.int16)
    turned = values.swapaxes(0, 1)
    found = [_side(view) for view in (turned, values, turned[::-1], values[::-1])]
    shares, depths = zip(*found, strict=True)
    return Border(shares, depths)


def _side(values: np.ndarray) -> tuple[float, int]:
    """The share and the depth of a band along the first row of `[H, W, 3]`."""
    height, width = values.shape[:2]
    most = max(int(WIDEST * height), 2)
    colour = np.median(values[0], axis=0)
    near = (np.abs(values[: most + 1] - colour) <= NEAR).all(axis=2)
    depths = np.where(near.all(axis=0), most + 1, np.argmin(near, axis=0))
    ends = (depths > 0) & (depths <= most)
    if ends.mean() < LEAST_LINES:
        return 0.0, 0
    x = np.arange(width)
    slope, start = _line(x[ends], depths[ends])
    straight = ends & (np.abs(depths - (start + slope * x)) <= max(STRAIGHT[0] * height, STRAIGHT[1]))
    if not straight.any():
        return 0.0, 0
    behind = values[np.minimum(depths[straight] + 2, height - 1), x[straight]]
    if np.abs(np.median(behind, axis=0) - colour).max() < STEP:
        return 0.0, 0
    return float(straight.mean()), int(np.ceil(depths[straight].max()))


def _line(x: np.ndarray, depths: np.ndarray) -> tuple[float, float]:
    """Slope and start of the straight line through most of the points: the medians of two halves give the slope."""
    half = len(x) // 2
    if half < 4:
        return 0.0, float(np.median(depths))
    first, second = slice(0, half), slice(len(x) - half, None)
    run = float(np.median(x[second]) - np.median(x[first]))
    slope = (float(np.median(depths[second])) - float(np.median(depths[first]))) / max(run, 1.0)
    slope = float(np.clip(slope, -0.05, 0.05))
    return slope, float(np.median(depths - slope * x))
