"""Which pictures are copies of each other, also after resizing, re-encoding, mirroring and a slight crop.

Three steps, each of which leaves less to the next: perceptual hashes say which pairs are not too unlike; of those, each
picture's nearest by the correlation of small grey tiles are taken; those are laid over each other by moving and
stretching one of them, and what counts in the end is how well their fine structure then agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ganlib.dataset.checks.alignment import shrink, similarities, structure
from ganlib.dataset.checks.measure import Measures

HASH_DISTANCE = 14  # of 64 bits; a crop of 4 % on each side, JPEG and half the size changed at most this many
NEAREST = 10  # candidates per picture and orientation
LEAST_SIMILARITY = 0.5  # less than this is not kept; all thresholds lie above
ROWS = 256  # of the table of all pairs that are in memory at a time
PAIRS = 512  # that are aligned together
SMALL_STRUCTURE = (1.0, 3.0)  # between which two blurs candidates are compared


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
    small = shrink(tiles[unique])
    found: dict[tuple[int, int], Pair] = {}
    for mirrored in (False, True):
        candidates = _candidates(hashes, small, mirrored, told)
        for start in range(0, len(candidates), PAIRS):
            told(start, len(candidates), "comparing candidates")
            chunk = candidates[start : start + PAIRS]
            first, second = (tiles[unique[chunk[:, side]]] for side in (0, 1))
            alike = similarities(first, second[:, :, ::-1] if mirrored else second)
            for (i, j), similarity in zip(chunk, alike, strict=True):
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
    seen = structure(small, SMALL_STRUCTURE)
    flat = _unit(seen)
    others = _unit(seen[:, :, ::-1]) if mirrored else flat
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
            pairs.update((min(start + i, int(j)), max(start + i, int(j))) for j in row if correlation[i, j] > 0)
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)
