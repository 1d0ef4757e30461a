"""A picture of any shape in a square, whole: on a colour, on its own blurred or stretched edges, or squashed."""

from __future__ import annotations

import numpy as np

from ganlib.media.images import colour, resize, surround

FILLS = {"auto": "the colour of its edge", "blur": "the picture itself, blurred", "edge": "its edge, stretched"}
"""Besides colours: the median colour of the picture's edge, the picture blurred, its outermost pixels continued."""


def letterbox(pixels: np.ndarray, side: int, fill: str = "auto") -> np.ndarray:
    """Return uint8 `[side, side, 3]` with the whole of uint8 `[H, W, 3]` in its middle.

    The rest is `fill`: one of `FILLS`, or a colour such as `#faf7f2`. Raises InputError for another word.
    """
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    fitted = resize(pixels, max(round(width * scale), 1), max(round(height * scale), 1))
    if fill == "blur":
        return surround(fitted[None], side, side, background="blur")[0]
    above, before = (side - fitted.shape[0]) // 2, (side - fitted.shape[1]) // 2
    below, behind = side - fitted.shape[0] - above, side - fitted.shape[1] - before
    if fill == "edge":
        return np.pad(fitted, ((above, below), (before, behind), (0, 0)), mode="edge")
    square = np.empty((side, side, 3), np.uint8)
    square[:] = edge_colour(pixels) if fill == "auto" else colour(fill)
    square[above : side - below, before : side - behind] = fitted
    return square


def edge_colour(pixels: np.ndarray) -> np.ndarray:
    """Return the median colour along the edges of uint8 `[H, W, 3]`: float64 `[3]`."""
    return np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]), axis=0)
