"""What the measures of a whole set give reason to look at. Thresholds are held against scores here and nowhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganlib.dataset.checks.duplicates import Pair, keep_largest
from ganlib.dataset.checks.measure import Measures


@dataclass(frozen=True)
class Kind:
    """A kind of finding."""

    title: str
    """For people, a few words."""
    words: str
    """What follows "pictures"."""
    excludes: bool = True
    """Whether it speaks for leaving a picture out; the preparation removes borders, and reads all modes and sizes."""
    at_least: bool = True
    """Whether there is a finding from the threshold upwards; otherwise below it."""


KINDS: dict[str, Kind] = {
    "duplicate": Kind("Copies", "copies"),
    "small": Kind("Too small", "too small", at_least=False),
    "narrow": Kind("Too narrow", "too narrow"),
    "blur": Kind("Blurred", "blurred"),
    "plain": Kind("Near one colour", "near a single colour"),
    "grey": Kind("Grey", "grey among colour", at_least=False),
    "ground": Kind("Other ground", "on another ground than the set"),
    "sparse": Kind("Little to see", "little to see: thin, small or pale things"),
    "outlier": Kind("Unlike the rest", "unlike the rest of the set"),
    "border": Kind("With a border", "with a frame or scan border", excludes=False),
    "odd_mode": Kind("Odd colour mode", "kept in another colour mode than the set", excludes=False, at_least=False),
    "odd_size": Kind("Odd size", "of quite another size than the set", excludes=False),
}
"""Each kind of finding, in the order of the report."""

FEWEST = 30  # pictures from which on one can be unlike the others
COLOUR_MAJORITY = 0.8  # share of pictures with colour that makes it a set in colour
PLAIN_SET = 0.35  # median share of one colour that makes it a set on plain ground
NEIGHBOURS = 0.1  # of the set: so far an outlier is from that many; a few of the same odd kind do not hide each other
MOST_NEIGHBOURS = 1000
MOST_DEVIATIONS = 8.0  # greater ones are equal, so that one measure cannot decide alone
LEAST_GROUND_SPREAD = 3.0  # levels of 255: grounds nearer to each other are the same


@dataclass(frozen=True)
class Finding:
    """One reason to look at a picture."""

    kind: str
    """A key of `KINDS`."""
    score: float
    threshold: float
    words: str
    """What was found, for a person."""
    partners: tuple[str, ...] = ()
    """With `duplicate`, the picture that stays."""
    mirrored: bool = False
    """With `duplicate`, whether it is the partner's mirror image."""

    def to_dict(self) -> dict[str, Any]:
        """Return what a line of the report holds; `from_dict` restores it."""
        line: dict[str, Any] = {"kind": self.kind, "score": self.score, "threshold": self.threshold}
        return line | {"words": self.words, "partners": list(self.partners), "mirrored": self.mirrored}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Finding:
        """Build from `to_dict`, also after JSON has made a list of the tuple."""
        return cls(**{**values, "partners": tuple(values["partners"])})


def scores_of(measures: Sequence[Measures]) -> list[dict[str, float]]:
    """Return, for each picture, the score of every kind but `duplicate` that can be told for this set."""
    if not measures:
        return []
    columns: dict[str, np.ndarray] = {
        "small": _column(measures, lambda m: min(m.width, m.height)),
        "narrow": _column(measures, lambda m: max(m.width, m.height) / min(m.width, m.height)),
        "blur": _column(measures, lambda m: m.blur),
        "plain": _column(measures, lambda m: m.plain),
        "grey": _column(measures, lambda m: m.tint),
        "border": _column(measures, lambda m: m.border),
    }
    if len(measures) >= FEWEST:
        modes = Counter(m.mode for m in measures)
        columns["odd_mode"] = _column(measures, lambda m: modes[m.mode] / len(measures))
        area = _column(measures, lambda m: m.width * m.height)
        columns["odd_size"] = np.exp(np.abs(np.log(area / np.median(area))))
        columns |= _unlike(measures)
    return [{kind: round(float(values[i]), 4) for kind, values in columns.items()} for i in range(len(measures))]


def find(
    names: Sequence[str],
    measures: Sequence[Measures],
    scores: Sequence[Mapping[str, float]],
    pairs: Sequence[Pair],
    thresholds: Mapping[str, float | None],
) -> list[tuple[Finding, ...]]:
    """Return the findings of each picture, in the order of `KINDS`. A threshold of None finds nothing of its kind."""
    least = thresholds["duplicate"]
    copies = {} if least is None else keep_largest(measures, pairs, least)
    wanted = {kind: limit for kind, limit in thresholds.items() if limit is not None and kind != "duplicate"}
    if sum(score["grey"] >= wanted.get("grey", 0) for score in scores) < COLOUR_MAJORITY * len(scores):
        wanted.pop("grey", None)
    result = []
    for i, item in enumerate(measures):
        found = []
        if i in copies and least is not None:
            pair = copies[i]
            found.append(
                Finding("duplicate", pair.similarity, least, _copy_words(pair), (names[pair.first],), pair.mirrored)
            )
        for kind in KINDS:
            if kind in wanted and kind in scores[i] and _is_found(kind, scores[i][kind], wanted[kind]):
                found.append(Finding(kind, scores[i][kind], wanted[kind], _words(kind, item, scores[i][kind])))
        result.append(tuple(found))
    return result


def _is_found(kind: str, score: float, threshold: float) -> bool:
    return score >= threshold if KINDS[kind].at_least else score < threshold


def _copy_words(pair: Pair) -> str:
    if pair.similarity == 1:
        return "the same pixels"
    return f"{'the mirror image' if pair.mirrored else 'near-duplicate'}, {pair.similarity:.0%} alike"


def _words(kind: str, item: Measures, score: float) -> str:
    size = f"{item.width}×{item.height}"
    return {
        "small": f"{size} pixels",
        "narrow": f"{size}: {score:.1f} times as long as wide",
        "blur": f"blur {score:.2f}",
        "plain": f"{score:.1%} of it is one colour",
        "grey": f"no colour beyond its general tint ({score:.0f})",
        "ground": f"its ground is {score:.0f} deviations from the set's",
        "sparse": f"little to see ({score:.1f})",
        "outlier": f"{score:.1f} times as far from others as is usual",
        "border": f"a band of one colour along {score:.0%} of its sides",
        "odd_mode": f"{item.mode}, as {score:.1%} of the set",
        "odd_size": f"{size} pixels, {score:.0f} times more or less than usual",
    }[kind]


# --- unlike the others ------------------------------------------------------------------------------------------------


def _column(measures: Sequence[Measures], value: Any) -> np.ndarray:
    return np.array([value(item) for item in measures], np.float64)


def _unlike(measures: Sequence[Measures]) -> dict[str, np.ndarray]:
    """The scores that tell a picture from the others: `outlier`, and on plain ground `ground` and `sparse`."""
    from sklearn.neighbors import NearestNeighbors

    ground = np.array([item.ground for item in measures], np.float64)
    thin = _deviations(np.log(_column(measures, lambda m: m.thinness + 0.5)))
    ragged = _deviations(-_column(measures, lambda m: m.solidity))
    long = _deviations(np.log(_column(measures, lambda m: m.elongation)))
    pale = _deviations(-np.log(_column(measures, lambda m: m.tint + 3)))
    even = _deviations(-np.log(_column(measures, lambda m: m.spread + 3)))
    others = [
        _deviations(np.log(_column(measures, lambda m: m.radius + 0.01))),
        _deviations(np.log(_column(measures, lambda m: m.chroma + 3))),
        _deviations(np.log(_column(measures, lambda m: m.edges + 1))),
        _deviations(ground[:, 0]),
        _deviations(np.hypot(ground[:, 1] - 128, ground[:, 2] - 128)),
    ]
    columns = np.stack([thin, ragged, long, pale, even, *others], axis=1)
    neighbours = min(max(int(NEIGHBOURS * len(columns)), 5), MOST_NEIGHBOURS)
    nearest = NearestNeighbors(n_neighbors=neighbours + 1).fit(columns)
    parts = np.array_split(columns, max(len(columns) // 1000, 1))
    distance = np.concatenate([nearest.kneighbors(part)[0][:, -1] for part in parts])
    scores = {"outlier": distance / max(float(np.median(distance)), 1e-6)}
    if np.median(_column(measures, lambda m: m.plain)) >= PLAIN_SET:
        scores["sparse"] = np.clip(columns[:, :5], 0, None).mean(axis=1)
        scores["ground"] = np.stack([np.abs(_spread(column, LEAST_GROUND_SPREAD)) for column in ground.T]).max(axis=0)
    return scores


def _deviations(values: np.ndarray) -> np.ndarray:
    return np.clip(_spread(values, 1e-3), -MOST_DEVIATIONS, MOST_DEVIATIONS)


def _spread(values: np.ndarray, least: float) -> np.ndarray:
    """Distances from the median in units of a standard deviation that outliers do not change."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return (values - middle) / max((high - low) / 1.349, least)
