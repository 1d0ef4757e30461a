"""Sample sheets of a run: the same latents at every snapshot, so that one picture can be followed through training."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ganlib import runs
from ganlib.latents import recipes
from ganlib.media import images
from ganlib.networks.base import Generator, GeneratorSpec, one_hot
from ganlib.training.data_loader import DataLoader

AT_ONCE = 16  # pictures rendered together
PATIENCE_SECONDS = 2.0  # of rendering for which a run that is to stop still waits


def grid_size(resolution: int) -> tuple[int, int]:
    """Return columns and rows of a sheet, near 960×640 pixels."""
    return max(4, min(16, 960 // resolution)), max(3, min(10, 640 // resolution))


class Samples:
    """Latents and labels of a run's sheet."""

    def __init__(self, spec: GeneratorSpec, device: torch.device) -> None:
        self.columns, rows = grid_size(spec.resolution)
        count = self.columns * rows
        self._seconds = 0.0  # that a picture took lately
        z = np.concatenate([recipes.seed_z(s, spec.z_dim) for s in range(count)])
        self.z = torch.from_numpy(z).float().to(device)
        self.label = None
        if spec.label_dim:
            self.label = one_hot([i % spec.label_dim for i in range(count)], spec.label_dim).to(device)

    @torch.no_grad()
    def render(
        self, G_ema: Generator, count: int | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> np.ndarray | None:
        """Return the first `count` (all) samples as uint8 `[N, R, R, C]`; None where `should_stop()` and the rest would
        take longer than `PATIENCE_SECONDS`, at the speed of the last ones."""
        parts = []
        total = len(self.z) if count is None else min(count, len(self.z))
        for start in range(0, total, AT_ONCE):
            stop = min(start + AT_ONCE, total)
            if self._seconds * (total - start) > PATIENCE_SECONDS and should_stop():
                return None
            begun = time.perf_counter()
            label = None if self.label is None else self.label[start:stop]
            w = G_ema.mapping(self.z[start:stop], label)
            mode = G_ema.spec.noise_modes[0]
            w_plus = w[:, None].expand(-1, G_ema.spec.num_ws, -1)
            parts.append(images.to_pixels(G_ema.synthesis(w_plus, noise_mode=mode)))
            self._seconds = (time.perf_counter() - begun) / (stop - start)
        return np.concatenate(parts)

    def save(self, path: Path, pixels: np.ndarray) -> None:
        """Write a sheet."""
        runs.write_bytes(path, images.encode(images.contact_sheet(pixels, columns=self.columns, gap=0)))


def pick_reals(reals: DataLoader, count: int, seed: int) -> np.ndarray:
    """Return training pictures for the sheet beside the samples, uint8 `[N, R, R, 3]`, `count` or all of them."""
    shown = np.random.default_rng(seed).permutation(len(reals.chosen))[:count]
    return np.stack([reals.dataset[int(i)][0] for i in reals.chosen[np.sort(shown)]])
