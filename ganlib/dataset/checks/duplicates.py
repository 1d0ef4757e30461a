"""Which pictures are copies of each other, also after resizing, re-encoding, mirroring and a slight crop.

Three steps, each of which leaves less to the next: perceptual hashes say which pairs are not too unlike; of those, each
picture's nearest by the correlation of small grey tiles are taken; those are laid over each other by moving and
stretching one of them, and what counts in the end is how well their fine structure then agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ganlib.dataset.checks.measure import TILE_SIDE, Measures

HASH_DISTANCE = 14  # of 64 bits; a crop of 4 % on each side, JPEG and half the size changed at most this many
NEAREST = 10  # candidates per picture and orientation
SMALL_SIDE = 32  # of the tiles that candidates are chosen with
PROMISING = 0.65  # correlation of the small tiles, once aligned, from which on the full tiles are compared
LEAST_SIMILARITY = 0.5  # less than this is not kept; all thresholds lie above
ROWS = 256  # of the table of all pairs that are in memory at a time
PAIRS = 512  # that are aligned together
STEPS = 5  # of the alignment at each blur
MOST_STRETCH, MOST_SHIFT = 0.25, 0.25  # of the tile's half side; beyond, the alignment has gone astray
BLURS = (1.5, 0.8)  # in pixels: tiles are aligned at each in turn, as small ones were before at SMALL_BLUR
SMALL_BLUR = 1.5
SMALL_STRUCTURE, FINE_STRUCTURE = (1.0, 3.0), (0.5, 1.2)  # between which two blurs structure is seen
BLOCK = 8  # pixels of a tile's side that are compared for themselves
WORST = 0.2  # share of the structure that may agree less than the similarity says: copies agree everywhere


@dataclass(frozen=True)
class Pair:
    """Two pictures, by their numbers in the set, that show the same."""

    first: int
    second: int
    similarity: float
    """0 to 1: the correlation of their fine structure, once aligned; 1 for equal pixels."""
    mirrored: bool = False


def find_pairs(
    measures: Sequence[Measures],
    tiles: np.ndarray,
    *,
    told: Callable[[float, float, str], None] = lambda done, total, words: None,
) -> list[Pair]:
    """Return the pairs of at least `LEAST_SIMILARITY` among pictures with these measures and tiles uint8 `[N, S, S]`.

    Of exact copies, only the first is compared with others. `told(done, total, words)` hears of the progress.
    """
    first_of: dict[str, int] = {}
    pairs = []
    for i, item in enumerate(measures):
        first = first_of.setdefault(item.digest, i)
        if first != i:
            pairs.append(Pair(first, i, 1.0))
    unique = np.array(sorted(first_of.values()))
    if len(unique) < 2:
        return pairs
    hashes = np.array([[int(text, 16) for text in measures[i].hashes] for i in unique], np.uint64)
    small = _small(tiles[unique])
    found: dict[tuple[int, int], Pair] = {}
    for mirrored in (False, True):
        candidates = _candidates(hashes, small, mirrored, told)
        for start in range(0, len(candidates), PAIRS):
            told(start, len(candidates), "comparing candidates")
            chunk = candidates[start : start + PAIRS]
            for (i, j), similarity in zip(chunk, _similarities(tiles, small, unique, chunk, mirrored), strict=True):
                key = int(unique[i]), int(unique[j])
                if similarity >= LEAST_SIMILARITY and (key not in found or found[key].similarity < similarity):
                    found[key] = Pair(*key, round(float(similarity), 4), mirrored)
    return pairs + [found[key] for key in sorted(found)]


def keep_largest(measures: Sequence[Measures], pairs: Sequence[Pair], least: float) -> dict[int, Pair]:
    """Return, for each copy that is to go, its pair with the picture that stays: copy number → `Pair(kept, copy, …)`.

    Pairs of at least this similarity make groups. The picture with most pixels stays, of several the largest file, then
    the first. A copy that is not itself compared with it has the lowest similarity on its way there.
    """
    links: dict[int, list[Pair]] = {}
    for pair in pairs:
        if pair.similarity >= least:
            links.setdefault(pair.first, []).append(pair)
            links.setdefault(pair.second, []).append(pair)
    kept: dict[int, Pair] = {}
    seen: set[int] = set()
    order = sorted(links, key=lambda i: (-measures[i].width * measures[i].height, -measures[i].num_bytes, i))
    for best in order:
        if best in seen:
            continue
        reached = {best: Pair(best, best, 1.0)}
        while True:  # the strongest link out of the group is taken first
            edges = [(pair, i) for i in reached for pair in links[i] if {pair.first, pair.second} - reached.keys()]
            if not edges:
                break
            pair, i = max(edges, key=lambda edge: (edge[0].similarity, -edge[0].first, -edge[0].second))
            other = pair.second if pair.first == i else pair.first
            before = reached[i]
            reached[other] = Pair(
                best, other, min(before.similarity, pair.similarity), before.mirrored != pair.mirrored
            )
        seen |= reached.keys()
        kept |= {i: pair for i, pair in reached.items() if i != best}
    return kept


# --- candidates -------------------------------------------------------------------------------------------------------


def _small(tiles: np.ndarray) -> np.ndarray:
    """float32 `[N, SMALL_SIDE, SMALL_SIDE]` of tiles uint8 `[N, S, S]`."""
    step = TILE_SIDE // SMALL_SIDE
    return tiles.reshape(-1, SMALL_SIDE, step, SMALL_SIDE, step).mean(axis=(2, 4), dtype=np.float32)


def _structure(pictures: np.ndarray, blurs: tuple[float, float]) -> np.ndarray:
    """What of `[N, S, S]` is left by the lesser blur and taken away by the greater one."""
    return _blurred(pictures, blurs[0]) - _blurred(pictures, blurs[1])


def _blurred(pictures: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(pictures, (0, sigma, sigma))


def _unit(pictures: np.ndarray) -> np.ndarray:
    """Rows `[N, S · S]` with mean 0 and norm 1; all 0 for pictures without contrast."""
    rows = pictures.reshape(len(pictures), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(norm > 1, rows / np.maximum(norm, 1), 0)


def _candidates(
    hashes: np.ndarray, small: np.ndarray, mirrored: bool, told: Callable[[float, float, str], None]
) -> np.ndarray:
    """Pairs of rows `[P, 2]`, the first one smaller, in order: for each row, its nearest that the hashes allow."""
    count = len(hashes)
    structure = _structure(small, SMALL_STRUCTURE)
    flat = _unit(structure)
    others = _unit(structure[:, :, ::-1]) if mirrored else flat
    theirs = hashes[:, 2:] if mirrored else hashes[:, :2]
    pairs = set[tuple[int, int]]()
    for start in range(0, count, ROWS):
        told(start, count, "looking for candidates")
        rows = slice(start, min(start + ROWS, count))
        correlation = flat[rows] @ others.T
        bits = [np.bitwise_count(hashes[rows, None, k] ^ theirs[None, :, k]) for k in (0, 1)]
        correlation[np.minimum(bits[0], bits[1]) > HASH_DISTANCE] = -1
        correlation[np.arange(rows.stop - start), np.arange(start, rows.stop)] = -1
        nearest = np.argpartition(-correlation, min(NEAREST, count - 1), axis=1)[:, :NEAREST]
        for i, row in enumerate(nearest):
            pairs.update(
                (min(start + i, int(j)), max(start + i, int(j)))
                for j in row
                if correlation[i, j] > 0
            )
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


# --- alignment --------------------------------------------------------------------------------------------------------


def _similarities(
    tiles: np.ndarray, small: np.ndarray, unique: np.ndarray, pairs: np.ndarray, mirrored: bool
) -> np.ndarray:
    """For each pair of rows, the correlation of the fine structure after alignment; 0 where the coarse one is low."""
    result = np.zeros(len(pairs))
    fixed, moving = small[pairs[:, 0]], small[pairs[:, 1]]
    if mirrored:
        moving = moving[:, :, ::-1]
    warp = np.zeros((len(pairs), 4), np.float32)
    warp = _align(_blurred(fixed, SMALL_BLUR), _blurred(moving, SMALL_BLUR), warp)
    fixed, moving = _structure(fixed, FINE_STRUCTURE), _structure(moving, FINE_STRUCTURE)
    promising = np.flatnonzero(_agreement(fixed, *_warped(moving, warp), fixed.shape[1]) >= PROMISING)
    if len(promising) == 0:
        return result
    fixed, moving = (tiles[unique[pairs[promising, side]]].astype(np.float32) for side in (0, 1))
    if mirrored:
        moving = moving[:, :, ::-1]
    warp = warp[promising]
    for sigma in BLURS:
        warp = _align(_blurred(fixed, sigma), _blurred(moving, sigma), warp)
    seen, weight = _warped(_structure(moving, FINE_STRUCTURE), warp)
    similarity = _agreement(_structure(fixed, FINE_STRUCTURE), seen, weight, BLOCK)
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
