"""What a model's own w look like: their centre, their spread, and how ordinary another w is among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganlib.networks.base import Generator, one_hot

SAMPLES = 10_000
SEED = 0  # of the statistics, so that they are the model's own and do not change with a projection's seed
_LEAST_AXIS = 0.05  # of the widest axis's deviation: narrower ones would turn a little rounding into many sigmas
_ORDINARY = 99.0  # percentile of the model's own w
# Sigmas are alike among a model's own w, so that their 99th percentile is near the median; these many times it were
# seen to tell the bundled model's own pictures, projected, from photographs of other things.
_INSIDE_TIMES, _EDGE_TIMES = 1.5, 2.0
INSIDE = "inside what this model knows"
EDGE = "at the edge of what this model knows: edit it gently"
OUTSIDE = "outside what this model knows: expect artefacts when it is edited"


@dataclass(frozen=True)
class Prior:
    """Statistics of the w of one class, or of a model without classes."""

    w_avg: Tensor
    """Mean, `[w_dim]`."""
    std: float
    """Root of the mean squared distance from the mean: the length of an ordinary step away from it."""
    samples: Tensor
    """The w drawn, `[SAMPLES, w_dim]`."""
    axes: Tensor
    """Principal axes as columns, `[w_dim, w_dim]`, divided by the deviation along each."""
    ordinary: float
    """Sigmas that 99 of 100 of the samples stay under."""

    def sigmas(self, w: Tensor) -> Tensor:
        """Root mean square, over the principal axes, of the deviation of w `[..., w_dim]` in units of the samples' own
        (Mahalanobis distance / √w_dim): about 1 for an ordinary w."""
        return ((w.to(self.axes) - self.w_avg) @ self.axes).square().mean(dim=-1).sqrt()

    def verdict(self, sigmas: float) -> str:
        """What a number of sigmas means, in plain words."""
        if sigmas <= _INSIDE_TIMES * self.ordinary:
            return INSIDE
        return EDGE if sigmas <= _EDGE_TIMES * self.ordinary else OUTSIDE


def measure_prior(generator: Generator, label: int | None = None, *, samples: int = SAMPLES) -> Prior:
    """Draw w from a generator and measure them; the same for every call with the same model and class."""
    drawn = np.random.RandomState(SEED).randn(samples, generator.spec.z_dim).astype(np.float32)
    w = torch.cat(list(map_z(generator, torch.from_numpy(drawn), label))).cpu()
    wide = w.double()
    mean = wide.mean(dim=0)
    centred = wide - mean
    variances, axes = torch.linalg.eigh(centred.T @ centred / len(w))
    deviations = variances.clamp(min=0).sqrt()
    floor = max(float(deviations.max()) * _LEAST_AXIS, 1e-8)
    device = generator.w_avg.device
    prior = Prior(
        mean.float().to(device), float(centred.square().sum(dim=1).mean().sqrt()), w.to(device),
        (axes / deviations.clamp(min=floor)).float().to(device), 0.0,
    )  # fmt: skip
    ordinary = float(np.percentile(prior.sigmas(prior.samples).cpu().numpy(), _ORDINARY))
    return Prior(prior.w_avg, prior.std, prior.samples, prior.axes, ordinary)


@torch.no_grad()
def map_z(generator: Generator, z: Tensor, label: int | None = None, *, batch: int = 1000) -> Iterator[Tensor]:
    """Yield w `[n, w_dim]` of z `[N, z_dim]`, all of one class."""
    device = generator.w_avg.device
    for start in range(0, len(z), batch):
        part = z[start : start + batch].to(device)
        yield generator.mapping(part, labels_of(generator, [label] * len(part)))


def labels_of(generator: Generator, labels: Sequence[int | None]) -> Tensor | None:
    """Classes as `[N, label_dim]` on the generator's device; None for a model without."""
    if not generator.spec.label_dim:
        return None
    return one_hot(labels, generator.spec.label_dim).to(generator.w_avg.device)


def cluster_centroids(w: Tensor, count: int, *, seed: int, rounds: int = 12) -> Tensor:
    """Return `[count, w_dim]`: centroids of w `[N, w_dim]` by Lloyd's k-means from `count` of them, in order."""
    rng = np.random.RandomState(seed)
    count = min(count, len(w))
    centroids = w[torch.from_numpy(rng.permutation(len(w))[:count]).to(w.device)].clone()
    for _ in range(rounds):
        nearest = torch.cdist(w, centroids).argmin(dim=1)
        sums = torch.zeros_like(centroids).index_add_(0, nearest, w)
        sizes = torch.bincount(nearest, minlength=count)[:, None]
        centroids = torch.where(sizes > 0, sums / sizes.clamp(min=1), centroids)  # an empty one stays where it is
    return centroids
