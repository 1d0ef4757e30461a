"""What surrounds a picture without belonging to it: the scanner's black lid, a wooden or gilded frame, a mount.

The lid is looked for on a copy whose longer side is at most `LOOK_SIDE` pixels, and is black. A frame is found by two
signs that must agree on all four sides. There is a straight line along nearly the whole side, at which colours change
much more than at other depths: textures and horizons inside a painting do not do that four times over. And what lies
outside that line is told from what lies inside by its colour and texture, in the same way on all four sides. Frames
have several such lines (lips, grooves, mounts), so what is found is taken off and looked at again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from ganlib.media.images import resize

LOOK_SIDE = 192

# The scanner's lid: a line of pixels is frame when more than half of it is darker than this (of 255).
SCAN_LEVEL = 70
# What is cut away besides: sheets lie a little askew, their edges are torn and JPEG blurs them.
SCAN_INSET = 5
# A scan has the lid on at least this many sides, black along nearly the whole edge and not wide; the dark edges of
# paintings are uneven and fade inwards.
SCAN_SIDES = 3
SCAN_SOLID = 0.8
SCAN_WIDEST = 0.15  # of the picture's side
# Paper keeps at least this share of either side; less is a dark picture, not a frame.
PAGE_SHARE = 0.25

# A frame, on a copy of this size. Measured on 686 paintings without frames, and with frames drawn round them.
FRAME_LOOK = 256
FRAME_WIDEST = 0.24  # of the picture's side, for each layer
LAYERS = 3
AROUND = 10  # the depths on either side that a line is compared with
STRONGEST = 40.0  # colour differences above this are equal, so that a few outlines do not make a line
FAINTEST = 1.5  # a change smaller than this is noise
CANDIDATES = 3  # lines that are considered on each side
STRIP = 6  # of the colours outside and inside a line that are compared, in pixels
UNEVEN = 1.0  # how much is held against a frame whose sides are not equally wide
MOST_UNEVEN = 3.0  # the widest side over the narrowest: beyond, one of the lines is a table's or a horizon
LEAST_LINE, LEAST_LINES = 1.15, 1.35  # how much stronger than at other depths: each side, and on (geometric) average
LEAST_APART, LEAST_APARTS = 0.64, 0.82  # chance that the two strips' pixels are told apart: each side, and on average

Bounds = tuple[int, int, int, int]  # left, top, right, bottom


def look_copy(pixels: np.ndarray, side: int = LOOK_SIDE) -> np.ndarray:
    """Return uint8 `[H, W, 3]` with the longer side at most `side`."""
    height, width = pixels.shape[:2]
    scale = min(side / max(height, width), 1.0)
    return resize(pixels, max(round(width * scale), 1), max(round(height * scale), 1))


def inside_scan_frame(look: np.ndarray) -> Bounds:
    """Return the page inside the scanner's black frame; the whole picture if fewer than three sides are framed."""
    height, width = look.shape[:2]
    bright = look.mean(axis=2) > SCAN_LEVEL
    rows = np.flatnonzero(bright.mean(axis=1) > 0.5)
    columns = np.flatnonzero(bright.mean(axis=0) > 0.5)
    if len(rows) < PAGE_SHARE * height or len(columns) < PAGE_SHARE * width:
        return 0, 0, width, height
    first = np.array([columns[0], rows[0], width - 1 - columns[-1], height - 1 - rows[-1]])
    edges = (bright[:, 0], bright[0], bright[:, -1], bright[-1])
    solid = np.array([1 - edge.mean() > SCAN_SOLID for edge in edges])
    framed = solid & (first > 0) & (first < SCAN_WIDEST * np.array([width, height, width, height]))
    if framed.sum() < SCAN_SIDES:
        return 0, 0, width, height
    left, top, right, bottom = (int(value) for value in np.where(framed, first + SCAN_INSET, 0))
    if left + right >= width or top + bottom >= height:
        return 0, 0, width, height
    return left, top, width - right, height - bottom


def inside_picture_frame(pixels: np.ndarray) -> Bounds:
    """Return the part of uint8 `[H, W, 3]` inside a wooden or gilded frame, in its pixels; all of it without one."""
    height, width = pixels.shape[:2]
    bounds = (0, 0, width, height)
    for _ in range(LAYERS):
        left, top, right, bottom = bounds
        look = look_copy(pixels[top:bottom, left:right], FRAME_LOOK)
        depths = _innermost_of_layer(look)
        if depths is None:
            break
        x, y = (right - left) / look.shape[1], (bottom - top) / look.shape[0]
        # A line lies between two pixels of the copy; half a pixel more takes the blurred edge with it.
        first, second, third, fourth = (depth + 0.5 for depth in depths)
        bounds = (
            left + math.ceil(first * x),
            top + math.ceil(second * y),
            right - math.ceil(third * x),
            bottom - math.ceil(fourth * y),
        )
    return bounds


@dataclass(frozen=True)
class _Line:
    """A line along one side at a depth, and the colours outside and inside it."""

    depth: int
    strength: float
    outer: tuple[np.ndarray, np.ndarray]
    """Mean `[4]` and covariance `[4, 4]`."""
    inner: tuple[np.ndarray, np.ndarray]


def _innermost_of_layer(look: np.ndarray) -> tuple[int, ...] | None:
    """The depths of a frame's inner edge at the left, top, right and bottom; None where there is none."""
    if min(look.shape[:2]) < 4 * AROUND:
        return None
    features = _features(look)
    sides = (features.swapaxes(0, 1), features, features.swapaxes(0, 1)[::-1], features[::-1])
    lines = []
    for side in sides:
        found = _lines(side)
        if not found:
            return None
        lines.append(found)
    if math.prod(found[0].strength for found in lines) < LEAST_LINES**4:
        return None
    best, best_score = None, -math.inf
    for chosen in product(*lines):
        strength = math.prod(line.strength for line in chosen) ** 0.25
        depths = [line.depth for line in chosen]
        if strength < LEAST_LINES or max(depths) > MOST_UNEVEN * min(depths) + AROUND:
            continue
        apart = _apart(chosen)
        mean_apart = sum(apart) / 4
        if min(apart) < LEAST_APART or mean_apart < LEAST_APARTS:
            continue
        score = math.log(strength) + 2 * (mean_apart - 0.5) - UNEVEN * float(np.std(depths) / np.mean(depths))
        if score > best_score:
            best, best_score = tuple(depths), score
    return best


def _features(look: np.ndarray) -> np.ndarray:
    """float32 `[H, W, 4]`: lightness, red against green, yellow against blue, and the roughness of the lightness."""
    red, green, blue = look.astype(np.float32).transpose(2, 0, 1)
    light = (red + green + blue) / 3
    rough = ndimage.uniform_filter(light * light, 3) - ndimage.uniform_filter(light, 3) ** 2
    return np.stack(
        [light, 0.7 * (red - green), 0.7 * ((red + green) / 2 - blue), np.sqrt(np.maximum(rough, 0))], axis=-1
    )


def _lines(side: np.ndarray) -> list[_Line]:
    """The strongest lines along a side of features `[depth, along, 4]`, strongest first."""
    deepest, length = int(FRAME_WIDEST * len(side)), side.shape[1]
    colours = side[: deepest + AROUND + 4, int(0.2 * length) : int(0.8 * length), :3]  # without the corners
    pairs = (colours[1:] + colours[:-1]) / 2
    change = np.minimum(np.linalg.norm(pairs[2:] - pairs[:-2], axis=2), STRONGEST).mean(axis=1)
    change = np.concatenate([np.full(2, np.inf), change])  # at [depth]: across the line above this row
    strength = np.zeros(deepest)
    for depth in range(3, deepest):
        others = np.concatenate(
            [change[max(depth - AROUND, 2) : max(depth - 2, 2)], change[depth + 3 : depth + AROUND + 1]]
        )
        strength[depth] = change[depth] / max(float(np.median(others)), FAINTEST)
    middle = strength[1:-1]
    peaks = 1 + np.flatnonzero((middle >= strength[:-2]) & (middle >= strength[2:]) & (middle > LEAST_LINE))
    peaks = peaks[np.argsort(-strength[peaks], kind="stable")][:CANDIDATES]
    inner_part = side[:, int(0.15 * length) : int(0.85 * length)]
    found = []
    for depth in peaks.tolist():
        strip = max(min(depth - 1, STRIP), 2)
        outer, inner = inner_part[depth - strip : depth], inner_part[depth + 1 : depth + 1 + strip]
        found.append(_Line(depth, float(strength[depth]), _moments(outer), _moments(inner)))
    return found


def _moments(strip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = strip.reshape(-1, strip.shape[-1])
    mean = values.mean(axis=0)
    centred = values - mean
    return mean, centred.T @ centred / len(values)


def _apart(lines: tuple[_Line, ...]) -> list[float]:
    """For each side, the chance that a pixel inside the line and one outside are told apart by one common measure.

    The measure is Fisher's discriminant between all that is outside and all that is inside.
    """
    outer = np.mean([line.outer[0] for line in lines], axis=0)
    inner = np.mean([line.inner[0] for line in lines], axis=0)
    spread = np.eye(len(outer))
    for line in lines:
        for (mean, covariance), common in ((line.outer, outer), (line.inner, inner)):
            spread = spread + (covariance + np.outer(mean - common, mean - common)) / len(lines)
    measure = np.linalg.solve(spread, inner - outer)
    chances = []
    for line in lines:
        step = float(measure @ (line.inner[0] - line.outer[0]))
        width = math.sqrt(float(measure @ (line.outer[1] + line.inner[1]) @ measure)) + 1e-9
        chances.append((1 + math.erf(step / width / math.sqrt(2))) / 2)
    return chances
