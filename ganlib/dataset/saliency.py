"""Where one looks first in a picture: a small measure from three papers, without any network.

Each of the three maps sees what another misses, so they are added: the spectral residual (Hou & Zhang 2007), what is
unusual in the frequencies of the lightness; the distance of each colour from the mean (Achanta et al. 2009, section
3); and the density of edges, which is where detail is.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SPECTRUM_SIDE = 64  # of the picture of which the spectrum is taken, as in the paper
EDGE_SPREAD = 0.03  # of the longer side: edges this near one another make one busy region
CENTRED = 0.05  # what a window loses at the very edge, so that of two like ones the more central is taken


def saliency(look: np.ndarray) -> np.ndarray:
    """Return float64 `[H, W]`, 0 or more with a sum of 1, of uint8 `[H, W, 3]`; even where nothing stands out."""
    pixels = look.astype(np.float64)
    light = pixels.mean(axis=2)
    total = np.zeros(light.shape)
    for part in (_spectral_residual(light), _colour_distance(pixels), _edge_density(light)):
        part = part - np.percentile(part, 5)
        np.maximum(part, 0, out=part)
        if part.max() > 1e-9:
            total += part / part.sum()
    return total / total.sum() if total.sum() > 0 else np.full(total.shape, 1 / total.size)


def best_window(along: np.ndarray, length: int) -> int:
    """Return the first index of the window of `length` that holds most of `along` `[N]`, rather near the middle."""
    sums = np.convolve(along, np.ones(length), mode="valid")
    if len(sums) < 2:
        return 0
    off = np.abs(np.linspace(-1, 1, len(sums)))
    return int(np.argmax(sums * (1 - CENTRED * off)))


def _spectral_residual(light: np.ndarray) -> np.ndarray:
    """Equations 3 to 5 of Hou & Zhang: the part of the log amplitude that its own average does not foretell."""
    if np.ptp(light) < 1:
        return np.zeros(light.shape)  # of nothing but rounding errors
    factors = [min(SPECTRUM_SIDE / max(light.shape), 1)] * 2
    small = ndimage.zoom(ndimage.gaussian_filter(light, 0.5 / factors[0]), factors, order=1)
    spectrum = np.fft.fft2(small)
    log_amplitude = np.log(np.abs(spectrum) + 1e-9)
    residual = log_amplitude - ndimage.uniform_filter(log_amplitude, 3, mode="wrap")
    back = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    calm = ndimage.gaussian_filter(back, 2.5)
    return ndimage.zoom(calm, np.array(light.shape) / calm.shape, order=1, grid_mode=True, mode="nearest")


def _colour_distance(pixels: np.ndarray) -> np.ndarray:
    """Achanta's frequency-tuned measure, in opponent colours: a blurred pixel's distance from the mean colour."""
    red, green, blue = pixels.transpose(2, 0, 1)
    opponent = np.stack([(red + green + blue) / 3, red - green, (red + green) / 2 - blue], axis=-1)
    return np.linalg.norm(ndimage.gaussian_filter(opponent, (1, 1, 0)) - opponent.mean(axis=(0, 1)), axis=2)


def _edge_density(light: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(ndimage.gaussian_gradient_magnitude(light, 1), EDGE_SPREAD * max(light.shape))
