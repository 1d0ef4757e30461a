"""Augmentation with gradients: "Differentiable Augmentation for Data-Efficient GAN Training" (Zhao et al. 2020), its
kinds colour, translation and cutout, all of them always on, real and generated alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TRANSLATION = 1 / 8  # furthest shift in picture sides (section 4)
CUTOUT = 1 / 5  # side of the grey square; the paper's half hides too much of what small sets have
_NUMBERS = 7  # drawn for each picture


class DiffAugment(nn.Module):
    """Pictures `[N, C, H, W]` in about [-1, 1] → the same, each augmented in its own way, with gradients."""

    def forward(self, img: Tensor, *, rng: torch.Generator | Sequence[torch.Generator] | None = None) -> Tensor:
        """rng: one generator, or one for each picture, on the CPU."""
        u = _uniform(len(img), rng).to(img.device, img.dtype)
        return cut_out(translate(recolour(img, u[:, :3]), u[:, 3:5]), u[:, 5:7])


def _uniform(count: int, rng: torch.Generator | Sequence[torch.Generator] | None) -> Tensor:
    if rng is None or isinstance(rng, torch.Generator):
        return torch.rand(count, _NUMBERS, generator=rng)
    return torch.stack([torch.rand(_NUMBERS, generator=each) for each in rng])


def recolour(img: Tensor, u: Tensor) -> Tensor:
    """Brightness ± 0.5, saturation times 0 to 2, contrast times 0.5 to 1.5; u `[N, 3]` in [0, 1)."""
    brightness, saturation, contrast = (column[:, None, None, None] for column in u.unbind(dim=1))
    img = img + (brightness - 0.5)
    grey = img.mean(dim=1, keepdim=True)
    img = grey + (img - grey) * (2 * saturation)
    mean = img.mean(dim=[1, 2, 3], keepdim=True)
    return mean + (img - mean) * (contrast + 0.5)


def translate(img: Tensor, u: Tensor) -> Tensor:
    """Shift by whole pixels, up to `TRANSLATION` of a side either way; grey comes in. u `[N, 2]` in [0, 1)."""
    count, _, height, width = img.shape
    down, across = round(height * TRANSLATION), round(width * TRANSLATION)
    padded = F.pad(img, (across, across, down, down))
    y = (u[:, 0] * (2 * down + 1)).long()[:, None] + torch.arange(height, device=img.device)
    x = (u[:, 1] * (2 * across + 1)).long()[:, None] + torch.arange(width, device=img.device)
    n = torch.arange(count, device=img.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[n, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def cut_out(img: Tensor, u: Tensor) -> Tensor:
    """A grey square with its middle anywhere in the picture. u `[N, 2]` in [0, 1)."""

    def outside(size: int, place: Tensor) -> Tensor:
        half = size * CUTOUT / 2
        return (torch.arange(size, device=img.device) + 0.5 - place[:, None] * size).abs() > half

    rows, columns = outside(img.shape[2], u[:, 0]), outside(img.shape[3], u[:, 1])
    return img * (rows[:, None, :, None] | columns[:, None, None, :])
