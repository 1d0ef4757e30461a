"""Real pictures in an order that a position alone determines."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from ganlib.dataset import Dataset
from ganlib.media import images
from ganlib.networks.base import GeneratorSpec, one_hot
from ganlib.training.config import TrainConfig

Made = TypeVar("Made")
CACHE_BYTES = 8 << 30  # larger sets are decoded when a picture is needed
PREFETCHED = 3  # batches prepared in advance by a thread


class Sampler:
    """Endless order of pictures: a new permutation for each pass, drawn from (seed, pass), so that a position is enough
    to continue. With `mirror` and `mirrory`, every picture comes once each way in a pass."""

    def __init__(self, num_images: int, *, mirror: bool, seed: int, mirrory: bool = False) -> None:
        self.num_images, self.mirror, self.mirrory, self.seed = num_images, mirror, mirrory, seed
        self.length = num_images * (2 if mirror else 1) * (2 if mirrory else 1)
        self._pass = -1
        self._order = np.zeros(0, np.int64)
        self._guard = threading.Lock()  # batches may be prepared by several threads

    def take(self, position: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return picture indices and two arrays of flags (left to right, top to bottom) of items position … position +
        count − 1."""
        items = []
        with self._guard:
            for i in range(position, position + count):
                number, offset = divmod(i, self.length)
                if number != self._pass:
                    self._order = np.random.default_rng([self.seed, number]).permutation(self.length)
                    self._pass = number
                items.append(self._order[offset])
        idx, way = np.asarray(items) % self.num_images, np.asarray(items) // self.num_images
        if not self.mirror:
            return idx, np.zeros(count, bool), way % 2 == 1
        return idx, way % 2 == 1, way // 2 == 1


class DataLoader:
    """The pictures that a run trains on, and those that it keeps out."""

    def __init__(self, dataset: Dataset, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        self.dataset, self.config, self.spec, self.device = dataset, config, spec, device
        order = np.random.default_rng(config.seed).permutation(len(dataset))
        kept = order[config.holdout :]
        self.held_out = np.sort(order[: config.holdout])
        self.chosen = np.sort(kept if config.subset is None else kept[: config.subset])
        self._sampler = Sampler(
            len(self.chosen), mirror=config.mirror, mirrory=config.mirrory, seed=config.seed
        )  # fmt: skip
        num_bytes = len(dataset) * dataset.resolution**2 * 3
        self._pixels = dataset.pixels() if num_bytes <= CACHE_BYTES else None

    def batch(self, position: int, count: int, rank: int, world: int) -> tuple[Tensor, Tensor | None]:
        """Return this process's share of a batch: pictures `[count / world, C, R, R]` in [-1, 1] and one-hot labels, of
        items position … position + count − 1. They are in main memory, pinned where that speeds up the transfer."""
        idx, across, down = (part[rank::world] for part in self._sampler.take(position, count))
        picked = self.chosen[idx]
        pixels = self._read(picked)
        pixels = np.where(across[:, None, None, None], pixels[:, :, ::-1], pixels)
        pixels = np.where(down[:, None, None, None], pixels[:, ::-1], pixels)
        return self._to_tensors(pixels, picked)

    def held_out_batch(self, count: int) -> tuple[Tensor, Tensor | None]:
        """Return the first pictures that are kept out, as `batch` does."""
        picked = self.held_out[:count]
        return self._to_tensors(self._read(picked), picked)

    def draw_labels(self, generator: torch.Generator, count: int) -> Tensor | None:
        """Return one-hot labels `[count, label_dim]` as frequent as in the training pictures, or None."""
        labels = self.dataset.labels
        if not self.spec.label_dim:
            return None
        assert labels is not None
        idx = torch.randint(len(self.chosen), [count], generator=generator).numpy()
        return one_hot([int(labels[i]) for i in self.chosen[idx]], self.spec.label_dim)

    def _read(self, picked: np.ndarray) -> np.ndarray:
        if self._pixels is not None:
            return self._pixels[picked]
        return np.stack([self.dataset[int(i)][0] for i in picked])

    def _to_tensors(self, pixels: np.ndarray, picked: np.ndarray) -> tuple[Tensor, Tensor | None]:
        real = images.from_pixels(np.ascontiguousarray(pixels))[:, : self.spec.img_channels].contiguous()
        label = None
        if self.spec.label_dim:
            assert self.dataset.labels is not None
            label = one_hot([int(self.dataset.labels[i]) for i in picked], self.spec.label_dim)
        if self.device.type == "cuda":
            real, label = real.pin_memory(), label.pin_memory() if label is not None else None
        return real, label


class Prefetcher(Generic[Made]):
    """Calls a function for items in order, some of them in advance in threads; `take` returns the results in order.

    items: an iterator of argument tuples that only `take` advances, so that the caller decides what comes next."""

    def __init__(self, make: Callable[..., Made], items: Iterator[tuple[int, ...]], *, workers: int) -> None:
        self._make, self._items = make, items
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="reals") if workers else None
        self._waiting: deque[Future[Made]] = deque()

    def take(self) -> Made:
        """Return the next result; an exception of its making is raised here."""
        if self._pool is None:
            return self._make(*next(self._items))
        while len(self._waiting) < PREFETCHED:
            self._waiting.append(self._pool.submit(self._make, *next(self._items)))
        return self._waiting.popleft().result()

    def close(self) -> None:
        """Forget what was made in advance."""
        for future in self._waiting:
            future.cancel()
        if self._pool is not None:
            self._pool.shutdown()
