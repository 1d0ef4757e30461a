"""What a set looks like in numbers: levels, colours, variety, classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ganlib.dataset.reader import Dataset
from ganlib.media.images import resize
from ganlib.runs import Stopped

MOST_MEASURED = 1000
SIDE = 64  # px; larger pictures are measured at this side
BINS = 64
THUMBNAIL = 16


@dataclass(frozen=True)
class SetFigures:
    """Figures of a data set, in grey levels from 0 to 255 where nothing else is said."""

    count: int
    """Pictures that were measured."""
    brightness: float
    """Mean grey level."""
    contrast: float
    """Standard deviation of the grey levels inside a picture, mean over pictures."""
    colourfulness: float
    """Hasler and Süsstrunk (2003): 0 for grey, about 60 for vivid pictures; mean over pictures."""
    variety: float
    """Root mean square difference of two pictures at 16 px."""
    histogram: np.ndarray
    """Share of pixels in each bin of red, green and blue, float `[3, 64]`; every row adds up to 1."""
    classes: dict[str, int]
    """Pictures of each class in the whole set, by its name; empty without labels."""


def measure_set(dataset: Dataset, should_stop: Callable[[], bool] = lambda: False) -> SetFigures:
    """Measure up to 1000 pictures that are spread over the set. Raises DataError for one that cannot be read, Stopped
    when `should_stop()`."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), MOST_MEASURED)).round().astype(int))
    histogram = np.zeros((3, BINS))
    brightness, contrast, colour, small = [], [], [], []
    for i in chosen.tolist():
        if should_stop():
            raise Stopped
        pixels = dataset.small(i, SIDE)
        for channel in range(3):
            histogram[channel] += np.bincount(pixels[..., channel].ravel() // (256 // BINS), minlength=BINS)
        red, green, blue = pixels.reshape(-1, 3).astype(np.float64).T
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        brightness.append(grey.mean())
        contrast.append(grey.std())
        # Opponent colours: rg = R − G, yb = (R + G) / 2 − B; M = √(σ²rg + σ²yb) + 0.3 · √(μ²rg + μ²yb).
        rg, yb = red - green, (red + green) / 2 - blue
        colour.append(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))
        side = min(THUMBNAIL, pixels.shape[0])
        small.append(resize(pixels, side, side).astype(np.float64).ravel())
    # The mean of |a − b|² over pairs of pictures is twice the variance.
    spread = np.stack(small).var(axis=0, ddof=1).mean() if len(small) > 1 else 0.0
    return SetFigures(
        len(chosen), float(np.mean(brightness)), float(np.mean(contrast)), float(np.mean(colour)),
        float(np.sqrt(2 * spread)), histogram / histogram.sum(axis=1, keepdims=True), dataset.class_counts,
    )  # fmt: skip
