"""What a model's discriminator says of pictures, and where in them it objects.

The verdict is the discriminator's own number: above 0 it takes a picture for real, below for generated. It was never
calibrated; compare pictures by it, not models.

Where it objects: at the last block whose maps have `LEAST_PLACES` places a side or more, the first-order share of each
place in the verdict, gradient × activation summed over channels:

    share(y, x) = Σ_c  A_c(y, x) · ∂ verdict / ∂ A_c(y, x)

(Grad-CAM, Selvaraju et al. 2017, takes the gradient's mean over places instead.) A place with a negative share speaks
for *generated*. The map is as coarse as those places, and a share is no proof that the place is what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganlib.media import images
from ganlib.models.checkpoints import load_discriminator
from ganlib.networks.base import Discriminator, one_hot

LEAST_PLACES = 8
_RED, _BLUE = (200, 69, 45), (46, 104, 143)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the discriminator says of one picture."""

    score: float
    """Its number; above 0 real."""
    shares: np.ndarray
    """`[n, n]` float32: the share of each place in the verdict; negative ones object."""

    @property
    def probability(self) -> float:
        """The number as the training loss reads it: 0 generated, 1 real."""
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, self.score))))


class Critic:
    """A discriminator that can be asked; made by `open`."""

    def __init__(self, discriminator: Discriminator) -> None:
        self.discriminator = discriminator.eval().requires_grad_(False)
        self.spec = discriminator.spec

    @classmethod
    def open(cls, path: Path, *, device: str | torch.device = "cpu") -> Critic:
        """Load the discriminator in a model file. Raises `InputError` where it has none, `CheckpointError`."""
        return cls(load_discriminator(path, device=device))

    def judge(
        self,
        pixels: np.ndarray,
        *,
        company: np.ndarray | None = None,
        labels: Sequence[int | None] | None = None,
    ) -> list[Verdict]:
        """Return what it says of pictures uint8 `[N, H, W, 3]`, each by itself.

        Many discriminators also look at how much the pictures of a batch differ. `company` uint8 `[K, H, W, 3]`, the
        same few pictures beside each one, keeps that as it was in training; without it a picture is alone. `labels`
        are the classes of the N pictures, for a network with classes."""
        told = labels or [None] * len(pixels)
        return [self._judge(picture, company, label) for picture, label in zip(pixels, told, strict=True)]

    def _judge(self, picture: np.ndarray, company: np.ndarray | None, label: int | None) -> Verdict:
        side = self.spec.resolution
        batch = picture[None] if company is None else np.concatenate([picture[None], company])
        x = images.from_pixels(images.resize(batch, side, side))
        device = next(self.discriminator.parameters()).device
        x = x.to(device)
        if self.spec.img_channels == 1:
            x = x.mean(dim=1, keepdim=True)
        c = one_hot([label] * len(x), self.spec.label_dim).to(device) if self.spec.label_dim else None
        maps: list[Tensor] = []
        with torch.enable_grad():
            score = self.discriminator(x.requires_grad_(), c, maps)[0].mean()
            # A network without such maps is asked about the picture itself.
            seen = next((each for each in reversed(maps) if min(each.shape[2:]) >= LEAST_PLACES), x)
            (gradient,) = torch.autograd.grad(score, seen)
        shares = (seen.detach()[0] * gradient[0]).sum(dim=0)
        return Verdict(float(score.detach()), shares.float().cpu().numpy())


def heat_maps(pixels: np.ndarray, verdicts: list[Verdict], *, strength: float = 0.75) -> np.ndarray:
    """Return pictures uint8 `[N, H, W, 3]` in grey with what objects in red and what convinces in blue.

    One scale for all of them: the strongest hundredth of all places is full colour."""
    height, width = pixels.shape[1:3]
    values = [
        torch.nn.functional.interpolate(
            torch.from_numpy(verdict.shares)[None, None], (height, width), mode="bicubic", align_corners=False
        )[0, 0].numpy()
        for verdict in verdicts
    ]
    shares = np.stack(values)
    scale = max(float(np.percentile(np.abs(shares), 99)), 1e-12)
    amount = np.clip(shares / scale, -1, 1)[..., None]
    grey = pixels.astype(np.float32).mean(axis=3, keepdims=True) * 0.7 + 70
    colour = np.where(amount < 0, np.array(_RED, np.float32), np.array(_BLUE, np.float32))
    mixed = grey + (colour - grey) * np.abs(amount) * strength
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
