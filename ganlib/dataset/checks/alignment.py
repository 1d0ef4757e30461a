"""How alike the fine structure of two pictures is, once one of them is laid over the other by moving and stretching it.

Pictures come as tiles: their lightness on a small square. A shift or a slight crop, another size and another encoding
leave copies alike; a mirrored copy is mirrored back first.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ganlib.dataset.checks.measure import TILE_SIDE

SMALL_SIDE = 32  # of the tiles that promising pairs are found on
PROMISING = 0.65  # correlation of the small tiles, once aligned, from which on the full tiles are compared
STEPS = 5  # of the alignment at each blur
MOST_STRETCH, MOST_SHIFT = 0.25, 0.25  # of the tile's half side; beyond, the alignment has gone astray
BLURS = (1.5, 0.8)  # in pixels: tiles are aligned at each in turn, as small ones were before at SMALL_BLUR
SMALL_BLUR = 1.5
FINE_STRUCTURE = (0.5, 1.2)  # between which two blurs structure is seen
BLOCK = 8  # pixels of a tile's side that are compared for themselves
WORST = 0.2  # share of the structure that may agree less than the similarity says: copies agree everywhere


def shrink(tiles: np.ndarray) -> np.ndarray:
    """Return float32 `[N, SMALL_SIDE, SMALL_SIDE]` of tiles uint8 `[N, S, S]`."""
    step = TILE_SIDE // SMALL_SIDE
    return tiles.reshape(-1, SMALL_SIDE, step, SMALL_SIDE, step).mean(axis=(2, 4), dtype=np.float32)


def structure(pictures: np.ndarray, blurs: tuple[float, float]) -> np.ndarray:
    """Return what of `[N, S, S]` is left by the lesser blur and taken away by the greater one."""
    return _blurred(pictures, blurs[0]) - _blurred(pictures, blurs[1])


def _blurred(pictures: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(pictures, (0, sigma, sigma))


def similarities(tiles: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each pair of tiles, uint8 `[P, S, S]` twice, how well their fine structure correlates after alignment:
    `[P]`, 1 for equal pictures, 0 where the coarse structure agrees too little to go on."""
    result = np.zeros(len(tiles))
    fixed, moving = shrink(tiles), shrink(others)
    warp = np.zeros((len(tiles), 4), np.float32)
    warp = _align(_blurred(fixed, SMALL_BLUR), _blurred(moving, SMALL_BLUR), warp)
    fixed, moving = structure(fixed, FINE_STRUCTURE), structure(moving, FINE_STRUCTURE)
    promising = np.flatnonzero(_agreement(fixed, *_warped(moving, warp), fixed.shape[1]) >= PROMISING)
    if len(promising) == 0:
        return result
    fixed, moving = (stack[promising].astype(np.float32) for stack in (tiles, others))
    warp = warp[promising]
    for sigma in BLURS:
        warp = _align(_blurred(fixed, sigma), _blurred(moving, sigma), warp)
    seen, weight = _warped(structure(moving, FINE_STRUCTURE), warp)
    similarity = _agreement(structure(fixed, FINE_STRUCTURE), seen, weight, BLOCK)
    gone = (np.abs(warp[:, :2]) > MOST_STRETCH).any(axis=1) | (np.abs(warp[:, 2:]) > MOST_SHIFT).any(axis=1)
    result[promising] = np.where(gone, 0.0, np.clip(similarity, 0, 1))
    return result


def _agreement(fixed: np.ndarray, seen: np.ndarray, weight: np.ndarray, block: int) -> np.ndarray:
    """How well two stacks `[P, S, S]` correlate, block by block, where `weight` is 1: `[P]`.

    All but the `WORST` of the structure agrees at least so well; a single block has one correlation.
    """
    count, side = fixed.shape[:2]
    num = side // block

    def sums(values: np.ndarray) -> np.ndarray:
        return values.reshape(count, num, block, num, block).sum(axis=(2, 4)).reshape(count, num * num)

    products, ours, theirs = sums(fixed * seen * weight), sums(fixed**2 * weight), sums(seen**2 * weight)
    correlation = products / np.sqrt(ours * theirs + 1e-6)
    order = np.argsort(correlation, axis=1)
    amount = np.cumsum(np.take_along_axis(ours + theirs, order, axis=1), axis=1)
    at = (amount > WORST * amount[:, -1:]).argmax(axis=1)
    return np.take_along_axis(correlation, order, axis=1)[np.arange(count), at]


def _align(fixed: np.ndarray, moving: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Stretch and shift `[P, 4]` (x, y, x, y; of the half side) that lay `moving` over `fixed`, both `[P, S, S]`.

    Gauss-Newton on the squared difference of the normalised pictures (Lucas and Kanade, 1981), all pairs at once.
    """
    side = fixed.shape[1]
    grid = np.linspace(-1, 1, side, dtype=np.float32)
    fixed = _normalised(fixed)
    moving = _normalised(moving)
    warp = warp.copy()
    for _ in range(STEPS):
        seen, weight = _warped(moving, warp)
        down, across = np.gradient(seen, axis=(1, 2))
        scale = (side - 1) / 2  # pixels per half side
        steep = np.stack([across * grid, down * grid[:, None], across, down]) * (scale * weight)
        error = (fixed - seen) * weight
        hessian = np.einsum("kpyx,lpyx->pkl", steep, steep, optimize=True)
        damping = 1e-3 * np.trace(hessian, axis1=1, axis2=2) + 1e-6
        hessian += damping[:, None, None] * np.eye(4, dtype=np.float32)
        right = np.einsum("kpyx,pyx->pk", steep, error, optimize=True)
        step = np.linalg.solve(hessian, right[..., None])[..., 0]
        warp = np.clip(warp + np.clip(step, -0.1, 0.1), -0.5, 0.5).astype(np.float32)
    return warp


def _normalised(pictures: np.ndarray) -> np.ndarray:
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    return (centred / (centred.std(axis=(1, 2), keepdims=True) + 1e-6)).astype(np.float32)


def _warped(pictures: np.ndarray, warp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`[P, S, S]` sampled where `warp` says, and 1 or 0 for whether that is inside of it; bilinear in each direction.

    Stretch and shift do not turn, so that rows and columns are sampled one after the other.
    """
    count, side = pictures.shape[:2]
    grid = np.linspace(-1, 1, side, dtype=np.float32)
    x = ((grid * (1 + warp[:, 0:1]) + warp[:, 2:3]) + 1) * ((side - 1) / 2)
    y = ((grid * (1 + warp[:, 1:2]) + warp[:, 3:4]) + 1) * ((side - 1) / 2)
    inside = ((y >= 0) & (y <= side - 1))[:, :, None] & ((x >= 0) & (x <= side - 1))[:, None, :]
    p = np.arange(count)[:, None]
    y0, x0 = (np.clip(np.floor(v), 0, side - 2).astype(np.int64) for v in (y, x))
    part = np.clip(y - y0, 0, 1)[:, :, None]
    rows = pictures[p, y0] * (1 - part) + pictures[p, y0 + 1] * part
    rows = rows.swapaxes(1, 2)
    part = np.clip(x - x0, 0, 1)[:, :, None]
    sampled = rows[p, x0] * (1 - part) + rows[p, x0 + 1] * part
    return sampled.swapaxes(1, 2).astype(np.float32), inside.astype(np.float32)
