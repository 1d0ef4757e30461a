"""Where a search begins: the average picture, or the nearest of several; and the nearest class."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ganlib.base.errors import InputError
from ganlib.features.perceptual import Distance
from ganlib.networks.base import Generator
from ganlib.projection.config import ProjectConfig
from ganlib.projection.prior import Prior, cluster_centroids, map_z, measure_prior

_TRIES_PER_CLASS = 8  # random pictures of a class, beside its average, when the nearest class is looked for
_MOST_CLASSES = 64  # of a model with more, only those with the nearest averages are looked at closely
_CLASS_SAMPLES = 1000  # w drawn for the average of a class
_BATCH = 16


@torch.no_grad()
def distances(generator: Generator, distance: Distance, targets: Tensor, w: Tensor) -> Tensor:
    """Distances `[N, M]` of target vectors `[N, D]` to the pictures of w `[M, w_dim]`."""
    mode = "const" if "const" in generator.spec.noise_modes else generator.spec.noise_modes[0]
    found = []
    for part in w.split(_BATCH):
        image = generator.synthesis(part[:, None].expand(-1, generator.spec.num_ws, -1), noise_mode=mode)
        embedded = distance.embed(image)
        found.append(torch.stack([(embedded - row).square().sum(dim=1) for row in targets]))
    return torch.cat(found, dim=1)


def choose_labels(generator: Generator, distance: Distance, targets: Tensor, config: ProjectConfig) -> list[int | None]:
    """Return the class of each target: the one that was asked for, or the nearest by the average of the distances of
    the class's average picture and its nearest random one. Raises `InputError` for a class that does not exist."""
    classes = generator.spec.label_dim
    if config.label is not None and config.label >= classes:
        known = f"this model has classes 0 … {classes - 1}" if classes else "this model has no classes: leave it out"
        raise InputError(f"class {config.label} does not exist", known)
    if not classes or config.label is not None:
        return [config.label] * len(targets)
    z = torch.from_numpy(np.random.RandomState(config.seed).randn(_CLASS_SAMPLES, generator.spec.z_dim)).float()
    averages = torch.stack([torch.cat(list(map_z(generator, z, label))).mean(dim=0) for label in range(classes)])
    near = distances(generator, distance, targets, averages)
    looked = sorted(set(near.topk(min(classes, _MOST_CLASSES), largest=False).indices.flatten().tolist()))
    score = torch.full_like(near, torch.inf)
    for label in looked:
        tries = torch.cat(list(map_z(generator, z[:_TRIES_PER_CLASS], label)))
        score[:, label] = near[:, label] + distances(generator, distance, targets, tries).min(dim=1).values
    return [int(label) for label in score.argmin(dim=1)]


def priors_of(generator: Generator, labels: list[int | None]) -> list[Prior]:
    """The statistics that belong to each label; each class is measured once."""
    known = {label: measure_prior(generator, label) for label in sorted(set(labels), key=str)}
    return [known[label] for label in labels]


def choose_starts(
    generator: Generator,
    distance: Distance,
    targets: Tensor,
    labels: list[int | None],
    priors: list[Prior],
    config: ProjectConfig,
) -> Tensor:
    """Return where the search for each target begins: w `[N, w_dim]`, or z `[N, z_dim]` in the space z."""
    way = config.start
    if config.space == "z":
        return _nearest_z(generator, distance, targets, labels, config)
    if way == "auto":
        way = "average" if generator.spec.truncatable else "random"
    rows = []
    for row, prior in zip(targets, priors, strict=True):
        if way == "average":
            rows.append(prior.w_avg)
            continue
        if way == "kmeans":
            candidates = cluster_centroids(prior.samples, config.starts, seed=config.seed)
        else:
            order = torch.from_numpy(np.random.RandomState(config.seed).permutation(len(prior.samples)))
            candidates = prior.samples[order[: config.starts].to(prior.samples.device)]
        if generator.spec.truncatable:
            candidates = torch.cat([prior.w_avg[None], candidates])
        rows.append(candidates[distances(generator, distance, row[None], candidates)[0].argmin()])
    return torch.stack(rows)


def _nearest_z(
    generator: Generator, distance: Distance, targets: Tensor, labels: list[int | None], config: ProjectConfig
) -> Tensor:
    """The nearest of some random z: there is no average picture to begin from."""
    z = torch.from_numpy(np.random.RandomState(config.seed).randn(config.starts, generator.spec.z_dim)).float()
    rows = []
    for row, label in zip(targets, labels, strict=True):
        w = torch.cat(list(map_z(generator, z, label)))
        rows.append(z[int(distances(generator, distance, row[None], w)[0].argmin())])
    return torch.stack(rows).to(targets.device)
