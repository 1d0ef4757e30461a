"""The nearest pictures of a set: in features, and in pixels laid over each other, mirrored too.

Two spaces, because they fail differently. *Features* (Euclidean) forgive a shift, other colours and other encodings,
and may be blind to what their network never learnt. *Pixels* see everything, once one picture is moved over the other
by up to 6 % of its side: the mean square difference of small, soft copies, relative to what varies in the two
pictures, so that 0 is the same picture and about 1 another one:

    d(a, b) = min over shifts of √( mean (√g a − b / √g − o)² / (g var a + var b / g + noise) )

Somebody may have made it brighter, or richer in contrast, before: the offset o, one number a channel up to
`MOST_OFFSET`, and the gain g, one number up to `MOST_GAIN`, are those that bring the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ganlib.compare.cached_features import CachedFeatures
from ganlib.dataset.checks.alignment import SMALL_SIDE, similarities

CANDIDATES = 8  # nearest ones by each of two measures and in each orientation that are laid over the picture
REACH = 2  # pixels of the small copies that one is moved by in each direction: 6 % of the side
NOISE = 4.0  # square grey levels that rounding and JPEG add; without it, plain pictures would be far from their copies
MOST_GAIN, MOST_OFFSET = 1.25, 32.0  # of contrast, and of a channel's mean in grey levels, that are taken out
MEASURE = 2  # raised by one when distances change, so that stored ones are not mixed with new ones
SAME = 0.95  # similarity of fine structure from which on two pictures are the same one; frames alone agree up to 0.93
SAME_PIXELS = 0.05  # or less than this apart in pixels: a four-hundredth of what varies is left
_COARSE = 8  # pixels a side of the copies that candidates are chosen with
_ROWS, _COLUMNS, _PAIRS = 128, 4096, 512  # of tables that are in memory at a time


@dataclass(frozen=True, eq=False)
class Nearest:
    """For each of N pictures its nearest one of a set, in one space."""

    index: np.ndarray
    """`[N]` int64: its place in the set; -1 where the set has no other picture."""
    distance: np.ndarray
    """`[N]` float64; infinite where there is none."""
    mirrored: np.ndarray
    """`[N]` bool: whether it is nearer in a mirror."""
    similarity: np.ndarray
    """`[N]` float64, 0 to 1: how well the fine structure of the two agrees, after alignment."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """For each of N pictures the C places of a set that may be nearest, with their distances."""

    index: np.ndarray
    """`[N, C]` int64."""
    mirrored: np.ndarray
    """`[C]` bool: the picture was mirrored for these."""
    pixels: np.ndarray
    """`[N, C]` float32 distances; infinite where a place is the picture itself."""
    features: np.ndarray
    """`[N, C]` float32 distances, likewise."""


def find_candidates(
    pictures: CachedFeatures,
    training: CachedFeatures,
    *,
    own: np.ndarray | None = None,
) -> Candidates:
    """Return the nearest places in `training` by features and by coarse pixels, in both orientations, with exact
    distances.

    `pictures` are seen mirrored too. `own` `[N]` are places to pass over: those of the pictures themselves."""
    coarse = _coarse(training.small)
    squares = (training.features**2).sum(axis=1), (coarse**2).sum(axis=1)
    parts: list[list[np.ndarray]] = [[], [], []]
    flips = np.repeat([False, True], 2 * min(CANDIDATES, len(training)))
    for start in range(0, len(pictures), _ROWS):
        rows = slice(start, start + _ROWS)
        part, mine = pictures[rows], None if own is None else own[rows]
        columns = []
        for features, small in ((part.features, part.small), (part.mirrored, part.small[:, :, ::-1])):
            columns.append(_smallest(features, training.features, squares[0], mine))
            columns.append(_smallest(_coarse(small), coarse, squares[1], mine))
        index = np.concatenate(columns, axis=1)
        pixels, deep = _distances(part, training, index, flips)
        if mine is not None:
            pixels[index == mine[:, None]] = deep[index == mine[:, None]] = np.inf
        for found, values in zip(parts, (index, pixels, deep), strict=True):
            found.append(values)
    index, pixels, deep = (np.concatenate(found) for found in parts)
    return Candidates(index, flips, pixels, deep)


def choose(
    pictures: CachedFeatures, training: CachedFeatures, candidates: Candidates, *, skip_same: bool = False
) -> tuple[Nearest, Nearest, np.ndarray]:
    """Return the nearest by pixels, the nearest by features, and `[N]` whether any was passed over.

    With `skip_same`, places that show the same picture (`is_same`) are passed over: what is left is the nearest *other*
    picture."""
    count, width = candidates.index.shape
    allowed = np.ones((count, width), bool)
    similarity = np.full((count, width), np.nan)
    rows = np.arange(count)

    def pick(distances: np.ndarray) -> np.ndarray:
        at = np.where(allowed, distances, np.inf).argmin(axis=1)
        new = rows[np.isnan(similarity[rows, at])]
        for start in range(0, len(new), _PAIRS):
            some = new[start : start + _PAIRS]
            tiles, flipped = pictures.tile[some].copy(), candidates.mirrored[at[some]]
            tiles[flipped] = tiles[flipped][:, :, ::-1]
            similarity[some, at[some]] = similarities(tiles, training.tile[candidates.index[some, at[some]]])
        return at

    while True:
        places = [pick(candidates.pixels), pick(candidates.features)]
        found = [allowed[rows, at] & is_same(candidates.pixels[rows, at], similarity[rows, at]) for at in places]
        if not skip_same or not (found[0] | found[1]).any():
            break
        for at, same in zip(places, found, strict=True):
            gone = candidates.index[rows, at]
            allowed &= ~(same[:, None] & (candidates.index == gone[:, None]))
    nearest = []
    for at, distances in zip(places, (candidates.pixels, candidates.features), strict=True):
        distance = np.where(allowed[rows, at], distances[rows, at], np.inf).astype(np.float64)
        index = np.where(np.isfinite(distance), candidates.index[rows, at], -1)
        nearest.append(Nearest(index, distance, candidates.mirrored[at], similarity[rows, at]))
    return nearest[0], nearest[1], np.asarray(~allowed.all(axis=1))


def is_same(pixels: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """Return whether two pictures at this distance in pixels, with this similarity, are one picture: `[N]` bool."""
    return np.asarray((similarity >= SAME) | (pixels < SAME_PIXELS))


def _coarse(small: np.ndarray) -> np.ndarray:
    """Small copies uint8 `[N, S, S, 3]` as float32 rows too coarse for a shift to matter, each channel with
    mean 0."""
    step = SMALL_SIDE // _COARSE
    coarse = small.reshape(-1, _COARSE, step, _COARSE, step, 3).mean(axis=(2, 4), dtype=np.float32)
    rows: np.ndarray = (coarse - coarse.mean(axis=(1, 2), keepdims=True)).reshape(len(small), -1)
    return rows


def _smallest(rows: np.ndarray, others: np.ndarray, squares: np.ndarray, own: np.ndarray | None) -> np.ndarray:
    """The places `[n, CANDIDATES]` of the nearest `others` of each row, in any order, block by block; fewer where
    there are fewer."""
    best = np.zeros((len(rows), 0), np.float32)
    places = np.zeros((len(rows), 0), np.int64)
    for start in range(0, len(others), _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        distances = squares[columns] - 2 * (rows @ others[columns].T)
        if own is not None:
            mine = np.flatnonzero((own >= start) & (own < start + distances.shape[1]))
            distances[mine, own[mine] - start] = np.inf
        here = np.broadcast_to(np.arange(start, start + distances.shape[1]), distances.shape)
        best, places = np.concatenate([best, distances], axis=1), np.concatenate([places, here], axis=1)
        if best.shape[1] > CANDIDATES:
            keep = np.argpartition(best, CANDIDATES - 1, axis=1)[:, :CANDIDATES]
            best, places = np.take_along_axis(best, keep, axis=1), np.take_along_axis(places, keep, axis=1)
    return places


def _distances(
    part: CachedFeatures, training: CachedFeatures, index: np.ndarray, flips: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distances in pixels and in features, `[n, C]` each, to the places `index`; columns that are `flips` mirrored."""
    rows, columns = (axis.ravel() for axis in np.indices(index.shape))
    flat, flipped = index.ravel(), flips[columns]
    pixels, deep = (np.empty(len(flat), np.float32) for _ in range(2))
    for start in range(0, len(flat), _PAIRS):
        some = slice(start, start + _PAIRS)
        mine, turned = part.small[rows[some]].astype(np.float32), flipped[some]
        mine[turned] = mine[turned][:, :, ::-1]
        pixels[some] = _laid_over(mine, training.small[flat[some]].astype(np.float32))
        seen = np.where(turned[:, None], part.mirrored[rows[some]], part.features[rows[some]])
        deep[some] = np.linalg.norm(seen - training.features[flat[some]], axis=1)
    return pixels.reshape(index.shape), deep.reshape(index.shape)


def _laid_over(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """`d` of the module's text for pairs float32 `[P, S, S, 3]`: `[P]`."""
    pictures, others = _softened(pictures), _softened(others)
    inner = slice(REACH, SMALL_SIDE - REACH)
    middle, span, steps = pictures[:, inner, inner], SMALL_SIDE - 2 * REACH, 2 * REACH + 1
    mean = middle.mean(axis=(1, 2))
    middle, spread = middle - mean[:, None, None], _variance(middle)[:, None, None]
    common = np.empty((len(pictures), steps, steps), np.float32)
    for down in range(steps):
        for across in range(steps):
            other = others[:, down : down + span, across : across + span]
            common[:, down, across] = np.einsum("pyxc,pyxc->p", middle, other) / (span * span * 3)
    means = _window_means(others, span)
    theirs = np.maximum(_window_means(others**2, span).mean(axis=3) - (means**2).mean(axis=3), 0)
    excess = np.maximum(np.abs(means - mean[:, None, None]) - MOST_OFFSET, 0)
    gain = np.clip(np.sqrt((theirs + NOISE) / (spread + NOISE)), 1 / MOST_GAIN, MOST_GAIN)
    total = gain * spread + theirs / gain  # half of the gain on each side: the measure is the same both ways
    gaps = np.maximum(total - 2 * common + (excess**2).mean(axis=3), 0) / (total + NOISE)
    return np.sqrt(_between(gaps))


def _window_means(pictures: np.ndarray, span: int) -> np.ndarray:
    """Means over all squares of `span` pixels a side in `[P, S, S, 3]`: float32 `[P, K, K, 3]`, K = S - span + 1."""
    sums = np.pad(pictures.cumsum(axis=1, dtype=np.float64), ((0, 0), (1, 0), (0, 0), (0, 0)))
    sums = (sums[:, span:] - sums[:, :-span]).cumsum(axis=2)
    sums = np.pad(sums, ((0, 0), (0, 0), (1, 0), (0, 0)))
    means: np.ndarray = ((sums[:, :, span:] - sums[:, :, :-span]) / span**2).astype(np.float32)
    return means


def _softened(pictures: np.ndarray) -> np.ndarray:
    """`[P, S, S, 3]` blurred by 1 2 1 in both directions: what is left changes smoothly from shift to shift."""
    wide = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    wide = (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4
    soft: np.ndarray = (wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]) / 4
    return soft


def _between(gaps: np.ndarray) -> np.ndarray:
    """The least of `[P, K, K]`, where shifts between whole pixels count too: by a parabola in each direction through
    the least one and its neighbours. `[P]`, 0 or more."""
    count, side, _ = gaps.shape
    rows, at = np.arange(count), gaps.reshape(count, -1).argmin(axis=1)
    y, x = at // side + 1, at % side + 1
    wide = np.pad(gaps, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    least = wide[rows, y, x]
    below = np.zeros_like(least)
    for one, other in ((wide[rows, y - 1, x], wide[rows, y + 1, x]), (wide[rows, y, x - 1], wide[rows, y, x + 1])):
        below += (one - other) ** 2 / (8 * np.maximum(one + other - 2 * least, 1e-9))
    return np.maximum(least - below, 0)


def _variance(pictures: np.ndarray) -> np.ndarray:
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    return np.einsum("pyxc,pyxc->p", centred, centred) / centred[0].size
