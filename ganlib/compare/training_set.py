"""What is known of a training set: the features of each picture, and how far its pictures are from each other."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from ganlib.base.filesystem import open_regular
from ganlib.compare.cached_features import VERSION, CachedFeatures, look
from ganlib.compare.nearest import MEASURE, choose, find_candidates
from ganlib.dataset import Dataset
from ganlib.features.extractors import FeatureExtractor
from ganlib.runs import Reporter, Stopped, write_bytes

BLOCK = 256  # pictures that are looked at, and kept, together
SOME = 96  # whose nearest generated picture is looked for
_MOST_PIXELS = 2**22  # of pictures that are decoded at a time
_ENOUGH = 2  # pictures of the sample under a limit that is read off it
Told = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Reference:
    """How far training pictures are from their nearest other ones, copies among them passed over."""

    pixels: np.ndarray
    """`[M]` float64 distances of the sample, in order."""
    features: np.ndarray
    """`[M]` float64."""
    num_same: int
    """How many of the sample have a copy in the set."""

    def limits(self, percent: float) -> tuple[float, float]:
        """Return the distances in pixels and in features that this percentage of training pictures is under.

        A sample too small to show so rare a distance is taken for log-normal, and the limit is where the next picture
        falls below with this probability (Student's t): the nearest of a few pictures would accuse one honest picture
        in as many."""
        return _quantile(self.pixels, percent), _quantile(self.features, percent)


class Training:
    """A training set that can be compared with; what was seen of it is kept below `cache`."""

    def __init__(self, dataset: Dataset, extractor: FeatureExtractor, cache: Path) -> None:
        self.dataset, self.extractor = dataset, extractor
        self.folder = cache / f"{dataset.digest[:24]}-{extractor.key}-{VERSION}"

    def look(self, told: Told, reporter: Reporter) -> CachedFeatures:
        """Return the features of every picture; what an earlier call has seen is read. Raises `Stopped`."""
        parts = []
        for start in range(0, len(self.dataset), BLOCK):
            stop_if_asked(reporter)
            idx = range(start, min(start + BLOCK, len(self.dataset)))
            told(start, "looking at the training set")
            path = self.folder / f"{start:07d}.npz"
            part = CachedFeatures.load(path, len(idx), self.extractor.dim)
            if part is None:
                part = self._look(list(idx))
                part.save(path)
            parts.append(part)
        return CachedFeatures.join(parts)

    def measure(self, training: CachedFeatures, sample: int, told: Told, reporter: Reporter) -> Reference:
        """Return how far `sample` of the pictures, always the same ones, are from the rest. Raises `Stopped`."""
        path = self.folder / f"distances-{MEASURE}-{sample}.npz"
        if (known := _load(path)) is not None:
            return known
        chosen = np.sort(np.random.default_rng(0).permutation(len(training))[:sample])
        pixels, features, num_same = [], [], 0
        for start in range(0, len(chosen), BLOCK):
            stop_if_asked(reporter)
            told(start, "measuring training pictures against each other")
            idx = chosen[start : start + BLOCK]
            part = self._look(idx.tolist(), mirrored=True)
            near, deep, passed = choose(part, training, find_candidates(part, training, own=idx), skip_same=True)
            pixels.append(near.distance)
            features.append(deep.distance)
            num_same += int(passed.sum())
        found = [np.concatenate(parts) for parts in (pixels, features)]
        found = [np.sort(each[np.isfinite(each)]) for each in found]
        if any(len(each) == 0 for each in found):
            found = [np.ones(1), np.ones(1)]  # one picture, and its copies: nothing can be said of the usual distance
        buffer = BytesIO()
        np.savez(buffer, pixels=found[0], features=found[1], num_same=num_same)
        write_bytes(path, buffer.getvalue(), durable=False)
        return Reference(found[0], found[1], num_same)

    def some(self, reporter: Reporter) -> tuple[list[int], CachedFeatures]:
        """Return `SOME` places of the set, always the same ones, and the features of their pictures, mirrored too."""
        idx = np.sort(np.random.default_rng(0).permutation(len(self.dataset))[:SOME]).tolist()
        path = self.folder / f"some-{SOME}.npz"
        seen = CachedFeatures.load(path, len(idx), self.extractor.dim)
        if seen is None:
            stop_if_asked(reporter)
            seen = self._look(idx, mirrored=True)
            seen.save(path)
        return idx, seen

    def _look(self, idx: list[int], *, mirrored: bool = False) -> CachedFeatures:
        step = max(1, _MOST_PIXELS // self.dataset.resolution**2)
        parts = [idx[start : start + step] for start in range(0, len(idx), step)]
        return CachedFeatures.join(
            [look(np.stack([self.dataset[i][0] for i in p]), self.extractor, mirrored=mirrored) for p in parts]
        )


def _quantile(distances: np.ndarray, percent: float) -> float:
    seen = float(np.percentile(distances, percent))
    if len(distances) * percent >= 100 * _ENOUGH:
        return seen
    logs = np.log(np.maximum(distances, 1e-9))
    count = len(logs)
    if count < 3:
        return 0.0  # nothing is known of the spread; only what is the same picture is found
    from scipy.stats import t as student

    rare = float(student.ppf(max(percent, 1e-4) / 100, count - 1)) * math.sqrt(1 + 1 / count)
    return min(seen, float(np.exp(logs.mean() + rare * logs.std(ddof=1))))


def _load(path: Path) -> Reference | None:
    try:
        with open_regular(path) as stream, np.load(stream, allow_pickle=False) as arrays:
            return Reference(arrays["pixels"], arrays["features"], int(arrays["num_same"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def stop_if_asked(reporter: Reporter) -> None:
    """Raise `Stopped` where the reporter says so."""
    if reporter.should_stop():
        raise Stopped
