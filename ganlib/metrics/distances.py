"""Sets of feature vectors and the distances between them; no pictures and no networks here."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganlib import runs
from ganlib.base.errors import InputError
from ganlib.base.filesystem import open_regular

NEIGHBOURS = 3  # the last of which a ball of precision and recall reaches to
ROWS = 1024  # rows of a distance matrix that exist at once
SUBSET_SIZE = 5000
Z_95 = 1.959963984540054  # 95 % of a normal distribution lie within so many standard deviations
GROUPS = 10  # that the jackknife leaves out in turn, and splits of the Inception score
T_95 = 2.2621571628  # the same as Z_95 for a deviation that ten values tell: Student's distribution, 9 degrees
_NO_CACHE = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile)  # of a missing or damaged .npz


# ---- Statistics of a set of vectors --------------------------------------------------------------------------------


class FeatureStats:
    """Number, mean and covariance of vectors that arrive in batches, in float64; on request the vectors too."""

    def __init__(self, dim: int, *, keep: bool = False) -> None:
        """`dim` is the vectors' length. `keep` also holds them all: 4 · dim bytes each."""
        self.dim, self.num = dim, 0
        self.mean = np.zeros(dim)
        self._scatter = np.zeros((dim, dim))  # Σ (x − mean)(x − mean)ᵀ
        self._kept: list[np.ndarray] | None = [] if keep else None

    def append(self, vectors: np.ndarray) -> None:
        """Add vectors `[N, dim]`."""
        vectors = np.asarray(vectors)
        assert vectors.ndim == 2 and vectors.shape[1] == self.dim, (vectors.shape, self.dim)
        for start in range(0, len(vectors), ROWS):
            part = vectors[start : start + ROWS].astype(np.float64)
            mean = part.mean(axis=0)
            self._join(len(part), mean, (part - mean).T @ (part - mean))
        if self._kept is not None:
            self._kept.append(np.asarray(vectors, np.float32))

    def merge(self, other: FeatureStats) -> None:
        """Add what another one has seen: the same as having seen its vectors after one's own."""
        assert other.dim == self.dim and (self._kept is None or other._kept is not None)
        self._join(other.num, other.mean, other._scatter)
        if self._kept is not None and other._kept is not None:
            self._kept.extend(other._kept)

    def _join(self, num: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        """Combine two groups' means and scatters (Chan, Golub and LeVeque, 1979)."""
        if num == 0:
            return
        total, delta = self.num + num, mean - self.mean
        self._scatter += scatter + np.outer(delta, delta) * (self.num * num / total)
        self.mean = self.mean + delta * (num / total)
        self.num = total

    @property
    def cov(self) -> np.ndarray:
        """The biased covariance `[dim, dim]` float64: divided by the number, not by one less."""
        return self._scatter / max(self.num, 1)

    @property
    def vectors(self) -> np.ndarray:
        """All vectors, float32 `[num, dim]`; only where they were kept."""
        assert self._kept is not None, "made without keep=True"
        if len(self._kept) != 1:
            self._kept = [np.concatenate(self._kept) if self._kept else np.zeros((0, self.dim), np.float32)]
        return self._kept[0]

    def save(self, path: Path) -> None:
        """Write an .npz that `load` reads; it appears whole."""
        arrays = {"num": np.int64(self.num), "mean": self.mean, "scatter": self._scatter}
        if self._kept is not None:
            arrays["vectors"] = self.vectors
        with runs.replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path, *, dim: int, keep: bool) -> FeatureStats | None:
        """Read what `save` wrote; None where there is no such file or it does not hold what is asked for."""
        try:
            with open_regular(path) as stream, np.load(stream, allow_pickle=False) as arrays:
                stats = cls(dim, keep=keep)
                stats.num, stats.mean, stats._scatter = int(arrays["num"]), arrays["mean"], arrays["scatter"]
                if keep:
                    stats._kept = [arrays["vectors"]]
        except _NO_CACHE:
            return None
        shapes_fit = stats.mean.shape == (dim,) and stats._scatter.shape == (dim, dim)
        return stats if shapes_fit and (not keep or stats.vectors.shape == (stats.num, dim)) else None


def stats_of(vectors: np.ndarray, *, keep: bool = True) -> FeatureStats:
    """Statistics of vectors `[N, dim]`; `keep` holds the vectors too. They may lie in a file (`numpy.memmap`)."""
    stats = FeatureStats(vectors.shape[1], keep=keep)
    stats.append(vectors)
    return stats


def join_moments(groups: Sequence[FeatureStats]) -> FeatureStats:
    """Statistics of all that several groups have seen, without the vectors."""
    whole = FeatureStats(groups[0].dim)
    for group in groups:
        whole.merge(group)
    return whole


# ---- Distances between two sets ------------------------------------------------------------------------------------


def frechet_distance(a: FeatureStats, b: FeatureStats) -> float:
    """‖μa − μb‖² + tr(A + B − 2 (A B)^½) of two sets' means and biased covariances (Heusel et al., 2017).

    0 for the same set, larger for sets farther apart; biased upwards by about dim / number. With A = Sa Saᵀ, the trace
    of (A B)^½ is the sum of the singular values of Saᵀ Sb: no root of a matrix that is not symmetric is taken.
    """
    roots = [_root(stats.cov) for stats in (a, b)]
    overlap = np.linalg.svd(roots[0].T @ roots[1], compute_uv=False).sum()
    shift = float(((a.mean - b.mean) ** 2).sum())
    return max(0.0, shift + float(np.trace(a.cov) + np.trace(b.cov) - 2 * overlap))


def frechet_error(real: FeatureStats, groups: Sequence[FeatureStats]) -> float:
    """The standard error of `frechet_distance(real, join_moments(groups))` by the jackknife, a group left out in turn.

    It tells how much the figure would move with other generated pictures, as many. It does not know of the bias that
    all Fréchet distances of few pictures share, nor of the choice of real pictures."""
    root, num = _root(real.cov), len(groups)
    values = []
    for i in range(num):
        rest = join_moments([group for j, group in enumerate(groups) if j != i])
        cov = rest.cov
        overlap = np.sqrt(np.clip(np.linalg.eigvalsh(root.T @ cov @ root), 0, None)).sum()
        shift = float(((real.mean - rest.mean) ** 2).sum())
        values.append(shift + float(np.trace(real.cov) + np.trace(cov) - 2 * overlap))
    return math.sqrt((num - 1) / num * float(((np.array(values) - np.mean(values)) ** 2).sum()))


def _root(cov: np.ndarray) -> np.ndarray:
    """S with S Sᵀ = cov, for a symmetric cov that is positive but for rounding."""
    values, axes = np.linalg.eigh(cov)
    return axes * np.sqrt(np.clip(values, 0, None))


@dataclass(frozen=True)
class KernelDistance:
    """A kernel distance and how well it is known."""

    value: float
    """The unbiased estimate; it can fall below 0 when the sets are alike."""
    standard_error: float
    """Of the value, from the spread within the sets."""

    @property
    def ci95(self) -> tuple[float, float]:
        """The interval that holds the true distance in 95 % of such measurements."""
        return self.value - Z_95 * self.standard_error, self.value + Z_95 * self.standard_error


def kernel_distance(
    real: np.ndarray, fake: np.ndarray, *, subset_size: int = SUBSET_SIZE, device: str | torch.device = "cpu"
) -> KernelDistance:
    """Squared maximum mean discrepancy under (x·y / dim + 1)³ (Bińkowski et al., 2018) of vectors `[N, dim]`.

    Sets larger than `subset_size` are cut into disjoint subsets of at most that many rows, whose unbiased estimates are
    averaged, so that the cost grows with N and not with N². The standard error is that of the first-order terms of the
    U-statistic: how much the rows' own contributions vary. Raises `InputError` for fewer than two vectors in a set.
    """
    num = max(math.ceil(max(len(real), len(fake)) / subset_size), 1)
    if min(len(real), len(fake)) < 2 * num:
        sizes = f"{len(real)} and {len(fake)} pictures"
        raise InputError(f"a kernel distance needs two pictures of each kind, not {sizes}", "use more pictures")
    parts = zip(np.array_split(real, num), np.array_split(fake, num), strict=True)
    estimates = [_mmd2(*(torch.as_tensor(np.ascontiguousarray(x)).to(device).float() for x in part)) for part in parts]
    variance = sum(se**2 for _, se in estimates) / num**2
    return KernelDistance(sum(value for value, _ in estimates) / num, math.sqrt(variance))


def _mmd2(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The unbiased estimate and its standard error."""
    m, n = len(x), len(y)
    within_x, within_y = (_kernel_row_sums(v, v, skip_diagonal=True) / (len(v) - 1) for v in (x, y))
    x_to_y, y_to_x = _kernel_row_sums(x, y) / n, _kernel_row_sums(y, x) / m
    value = within_x.mean() + within_y.mean() - x_to_y.mean() - y_to_x.mean()
    variance = 4 * (within_x - x_to_y).var() / m + 4 * (within_y - y_to_x).var() / n
    return float(value), float(variance.sqrt())


def _kernel_row_sums(x: Tensor, y: Tensor, *, skip_diagonal: bool = False) -> Tensor:
    """Σ_j k(x_i, y_j) for every i, `[len(x)]` in float64, a few rows at a time."""
    sums = []
    for rows in x.split(ROWS):
        sums.append(_kernel(rows @ y.T, x.shape[1]).sum(dim=1, dtype=torch.float64))
    total = torch.cat(sums)
    return total - _kernel(x.square().sum(dim=1), x.shape[1]).double() if skip_diagonal else total


def _kernel(products: Tensor, dim: int) -> Tensor:
    return (products / dim + 1) ** 3


def precision_recall(
    real: np.ndarray, fake: np.ndarray, *, k: int = NEIGHBOURS, device: str | torch.device = "cpu"
) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al., 2019) of vectors `[N, dim]`, each from 0 to 1.

    Precision: the share of generated vectors that lie within the distance from some real vector to its k-th nearest
    other real one. Recall: the same with the roles exchanged. Raises `InputError` for fewer than k + 1 vectors.
    """
    if min(len(real), len(fake)) <= k:
        sizes = f"{len(real)} and {len(fake)}"
        raise InputError(f"precision and recall need more than {k} pictures of each kind, not {sizes}", "use more")
    centre = stats_of(real, keep=False).mean
    x, y = (_Centred(vectors, centre, _double_device(device)) for vectors in (real, fake))
    return _share_inside(y, x, k), _share_inside(x, y, k)


class _Centred:
    """Vectors about a centre in float64, a block at a time: at once they would be large."""

    def __init__(self, vectors: np.ndarray, centre: np.ndarray, device: torch.device) -> None:
        self.vectors, self.centre, self.device = vectors, centre, device

    def blocks(self) -> Iterator[Tensor]:
        for start in range(0, len(self.vectors), ROWS):
            part = self.vectors[start : start + ROWS].astype(np.float64) - self.centre
            yield torch.from_numpy(part).to(self.device)


def _double_device(device: str | torch.device) -> torch.device:
    """Apple's GPUs have no float64."""
    device = torch.device(device)
    return device if device.type != "mps" else torch.device("cpu")


def _share_inside(points: _Centred, centres: _Centred, k: int) -> float:
    """The share of points that lie in a ball around some centre, reaching to the centre's k-th nearest neighbour."""
    square = torch.cat([rows.square().sum(dim=1) for rows in centres.blocks()]).mean()
    slack = 1e-10 * float(square)  # of rounding: a point is inside a ball at its own place
    reach = torch.cat([_squared_distances(rows, centres).kthvalue(k + 1).values for rows in centres.blocks()])
    inside = [(_squared_distances(rows, centres) <= reach + slack).any(dim=1) for rows in points.blocks()]
    return float(torch.cat(inside).double().mean())


def _squared_distances(x: Tensor, others: _Centred) -> Tensor:
    square = x.square().sum(dim=1)[:, None]
    return torch.cat([square + y.square().sum(dim=1) - 2 * x @ y.T for y in others.blocks()], dim=1)


def share_interval(share: float, num: int) -> tuple[float, float]:
    """The 95 % interval of a share that was counted on `num` pictures (Wilson, 1927)."""
    z2 = Z_95**2
    middle = (share + z2 / (2 * num)) / (1 + z2 / num)
    half = Z_95 / (1 + z2 / num) * math.sqrt(share * (1 - share) / num + z2 / (4 * num**2))
    return max(0.0, middle - half), min(1.0, middle + half)
