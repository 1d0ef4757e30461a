"""Real pictures in an order that a position alone determines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ganlib import images
from ganlib.dataset import Dataset
from ganlib.networks.base import GeneratorSpec, one_hot
from ganlib.training.config import TrainConfig


class Sampler:
    """Endless order of pictures: a new permutation for each pass, drawn from (seed, pass), so that a position is enough
    to continue. With `mirror`, every picture comes once plain and once mirrored in a pass."""

    def __init__(self, num_images: int, *, mirror: bool, seed: int) -> None:
        self.num_images, self.mirror, self.seed = num_images, mirror, seed
        self.length = num_images * (2 if mirror else 1)
        self._pass = -1
        self._order = np.zeros(0, np.int64)

    def take(self, position: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return picture indices and mirror flags of items position … position + count − 1."""
        items = []
        for i in range(position, position + count):
            number, offset = divmod(i, self.length)
            if number != self._pass:
                self._order = np.random.default_rng([self.seed, number]).permutation(self.length)
                self._pass = number
            items.append(self._order[offset])
        chosen = np.asarray(items)
        return chosen % self.num_images, chosen >= self.num_images


def batches(
    dataset: Dataset, config: TrainConfig, spec: GeneratorSpec, device: torch.device, start: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield real pictures `[batch, C, R, R]` in [-1, 1] and one-hot labels, from the given position on."""
    pixels = dataset.pixels()
    chosen = np.arange(len(dataset))
    if config.subset is not None and config.subset < len(chosen):
        chosen = np.sort(np.random.default_rng(config.seed).permutation(len(chosen))[: config.subset])
    sampler = Sampler(len(chosen), mirror=config.mirror, seed=config.seed)
    labels = dataset.labels
    position = start
    while True:
        idx, mirrored = sampler.take(position, config.batch)
        batch = pixels[chosen[idx]]
        batch = np.where(mirrored[:, None, None, None], batch[:, :, ::-1], batch)
        real = images.from_pixels(batch)[:, : spec.img_channels].to(device, non_blocking=True)
        label = None
        if spec.label_dim:
            assert labels is not None
            label = one_hot([int(labels[i]) for i in chosen[idx]], spec.label_dim).to(device)
        yield real, label
        position += config.batch
