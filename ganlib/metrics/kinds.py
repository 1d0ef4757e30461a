"""Kinds of metrics, one row each. What stands in `KINDS` is known to names, the command line, Evaluate, training and
its doctor, and cards of models; a kind is added by a row and a function that computes its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ganlib.features.extractors import FeatureExtractor
from ganlib.metrics.distances import (
    GROUPS,
    NEIGHBOURS,
    T_95,
    FeatureStats,
    frechet_distance,
    frechet_error,
    join_moments,
    kernel_distance,
    precision_recall,
    share_interval,
    stats_of,
)
from ganlib.metrics.ppl import path_length
from ganlib.metrics.scores import inception_score

# Seconds of a thread for a Fréchet distance of 1,000 numbers a picture with its jackknife; grows with their cube.
_FRECHET_SECONDS = 4.0


@dataclass(frozen=True)
class Seen:
    """What figures are computed from."""

    rows: np.ndarray
    """Features of generated pictures, float32 `[N, dim]`; of a kind that looks at steps their lengths, `[N, 1]`."""
    real: FeatureStats
    """Of real pictures; empty where the kind looks at none."""
    extractor: FeatureExtractor | None
    """What made the features; None of steps."""


@dataclass(frozen=True)
class Known:
    """A figure and its 95 % interval, None where too few pictures tell it."""

    value: float
    ci95: tuple[float, float] | None = None


@dataclass(frozen=True)
class Kind:
    """One row."""

    key: str
    """What its names begin with; small letters. No other kind's may be all of it."""
    title: str
    """For people, a few words."""
    words: str
    """What the field calls it."""
    sentence: str
    """What it tells; Markdown."""
    figures: Callable[[Seen], Mapping[str, Known]]
    """Computes them; each by what its name ends in, empty for the only one."""
    is_lower_better: bool = True
    needs_reals: bool = True
    keeps_vectors: bool = True
    """Whether each real picture's features are needed, not only their mean and covariance."""
    needs_classes: bool = False
    """Whether the network that looks must know classes of pictures."""
    features: str = ""
    """The only features that it is about, where a name asks for none; empty for the best there are."""
    of_steps: bool = False
    """Whether it looks at small steps between pictures, in a perceptual distance, and not at features of pictures."""
    enough: int = 0
    """Pictures of either kind below which its figures say more about their number than about the model."""
    doubt: str = ""
    """Why figures of fewer are not to be relied on; `{few}` stands for what there is, `{enough}` for the number."""
    advice: str = ""
    """What to do with fewer, before anything is measured; Markdown."""
    is_biased: bool = False
    """Whether figures on different numbers of pictures cannot be compared."""
    rank: int | None = None
    """Which is asked first which of a run's snapshots is best, the smallest number; None is asked last."""
    aside: tuple[str, ...] = ()
    """Ends of figures that only say how sure another one is, as its interval does."""
    stem: str = ""
    """What stands between key and number in a name."""
    usual_count: int | None = None
    """Where a name has no number."""
    after_thousands: str = ""
    """What NVIDIA's names have after the k of a number."""
    seconds: Callable[[int], float] = lambda dim: 0.0
    """About how long a thread computes figures of so many numbers a picture, where that is worth an estimate."""


def _kernel(seen: Seen) -> Mapping[str, Known]:
    assert seen.extractor is not None
    distance = kernel_distance(seen.real.vectors, seen.rows, device=seen.extractor.device)
    return {"": Known(distance.value, distance.ci95)}


def _frechet(seen: Seen) -> Mapping[str, Known]:
    groups = [stats_of(part, keep=False) for part in np.array_split(seen.rows, GROUPS) if len(part)]
    value = frechet_distance(seen.real, join_moments(groups))
    if min(group.num for group in groups) < 2:
        return {"": Known(value)}
    error = T_95 * frechet_error(seen.real, groups)
    return {"": Known(value, (max(0.0, value - error), value + error))}


def _precision_recall(seen: Seen) -> Mapping[str, Known]:
    assert seen.extractor is not None
    shares = precision_recall(seen.real.vectors, seen.rows, device=seen.extractor.device)
    found = zip(("_precision", "_recall"), shares, (len(seen.rows), seen.real.num), strict=True)
    return {end: Known(share, share_interval(share, num)) for end, share, num in found}


def _path_length(seen: Seen) -> Mapping[str, Known]:
    return {"": Known(*path_length(seen.rows))}


def _inception_score(seen: Seen) -> Mapping[str, Known]:
    assert seen.extractor is not None and seen.extractor.classifier is not None
    mean, deviation = inception_score(seen.rows, seen.extractor.classifier)
    half = T_95 * deviation / (GROUPS - 1) ** 0.5
    return {"_mean": Known(mean, (mean - half, mean + half)), "_std": Known(deviation)}


KINDS: dict[str, Kind] = {
    row.key: row
    for row in (
        Kind(
            "kid", "How near (KID)", "kernel distance",
            "**KID**, kernel distance: 0 when generated and real pictures cannot be told apart by their features. It "
            "is right on average at any number of pictures, and its interval says how sure it is.",
            _kernel, rank=1,
        ),
        # About as many as Inception-v3 has features, 2,048: with fewer pictures a covariance of them has no full rank
        # (Heusel et al., 2017).
        Kind(
            "fid", "How near (FID)", "Fréchet distance",
            "**FID**, Fréchet distance: compares averages and spreads of features; lower is nearer. The figure of most "
            "papers, there on 50,000 pictures.",
            _frechet, keeps_vectors=False, is_biased=True, rank=0, enough=2000,
            seconds=lambda dim: _FRECHET_SECONDS * (dim / 1000) ** 3,
            doubt="{few} pictures are too few for FID: it comes out too high, for a perfect model too, and the 95 % "
            "interval does not cover that; take {enough:,} or more of both, or KID, which has no such bias",
            advice="With fewer than {enough:,} pictures prefer KID. FID guesses thousands of averages and spreads from "
            "a few pictures, and what it guesses wrong adds to the distance: it grows as the pictures get fewer, for "
            "the best model too. KID has no such bias.",
        ),
        # Each is counted within the distance to its third nearest neighbour, which shrinks as pictures are added.
        # Kynkäänniemi et al., 2019, use 50,000 of both.
        Kind(
            "pr", "Quality and variety", "precision and recall",
            "**Precision**: the share of generated pictures that could be real ones. **Recall**: the share of real "
            "pictures that the model could have made. From 0 to 1.",
            _precision_recall, is_lower_better=False, enough=500, after_thousands=str(NEIGHBOURS),
            doubt="{few} pictures are too few for precision and recall: the figure depends on their number more than "
            "on the model; take {enough:,} or more of both (the paper has 50,000), and compare equal numbers only",
        ),
        Kind(
            "ppl", "Smoothness", "perceptual path length",
            "**Path length**: how much a picture changes on a small step; lower is smoother. No real pictures needed.",
            _path_length, needs_reals=False, of_steps=True, rank=2, stem="2_wend", usual_count=50_000,
        ),
        Kind(
            "is", "Inception score", "Inception score",
            "**Inception score**: how sure a classifier of photographs is of each picture, and how many kinds it sees; "
            "higher is better. It says little about paintings.",
            _inception_score, is_lower_better=False, needs_reals=False, needs_classes=True, features="inception",
            aside=("_std",),
        ),
    )
}  # fmt: skip


def kind_of(name: str) -> Kind | None:
    """Return the kind of a metric or figure by its name, such as `pr1k3_fruit-d_recall`; None where none is known."""
    return KINDS.get(max((key for key in KINDS if name.startswith(key)), key=len, default=""))


def is_lower_better(name: str) -> bool:
    """Whether a smaller value of a figure is the better one, as it is where the kind is not known."""
    kind = kind_of(name)
    return kind is None or kind.is_lower_better


def preference_key(name: str) -> tuple[float, bool, str]:
    """A key to sort names of metrics by, the one first that decides which snapshot is best: the kind's rank, and within
    it NVIDIA's full 50,000 pictures first."""
    kind = kind_of(name)
    if kind is None or kind.rank is None:
        return float("inf"), False, name
    return kind.rank, not name.startswith(f"{kind.key}50k_full"), name
