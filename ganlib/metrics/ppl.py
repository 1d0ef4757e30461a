"""Perceptual path length: how evenly pictures change on the way from one w to another."""

from __future__ import annotations

import numpy as np
import torch

from ganlib.base.workspace import cache_root
from ganlib.features import extractors
from ganlib.features.perceptual import BACKBONES, Distance, open_distance
from ganlib.models import checkpoints
from ganlib.networks.base import Generator, one_hot

EPSILON = 1e-4  # of the way from one w to another
REJECTED = 0.01  # the shortest and the longest steps, which are left out
_RESAMPLES = 300


class PathSteps:
    """Small steps between random pictures ("A Style-Based Generator Architecture", Karras et al. 2018, section 4.1)."""

    def __init__(self, G_ema: Generator, distance: Distance, *, labels: np.ndarray | None, seed: int) -> None:
        """`labels`: the classes of the data set's pictures, sorted, for a model with classes."""
        self.generator, self.distance, self.labels, self.seed = G_ema, distance, labels, seed
        self.noise_mode = "const" if "const" in G_ema.spec.noise_modes else G_ema.spec.noise_modes[-1]

    @torch.no_grad()
    def __call__(self, start: int, stop: int) -> np.ndarray:
        """Squared distances over `EPSILON`² of paths start … stop − 1, float32 `[n, 1]`: each from the picture of one w
        a step towards another w. A path depends on (seed, its number) alone."""
        spec, device = self.generator.spec, self.generator.w_avg.device
        rngs = [np.random.default_rng([self.seed, 1, i]) for i in range(start, stop)]
        z = np.stack([rng.standard_normal((2, spec.z_dim), dtype=np.float32) for rng in rngs])
        label = None
        if spec.label_dim and self.labels is not None:
            label = one_hot([int(rng.choice(self.labels)) for rng in rngs], spec.label_dim).to(device)
        ends = [self.generator.mapping(torch.from_numpy(z[:, i].copy()).to(device), label) for i in range(2)]
        w = torch.cat([ends[0], torch.lerp(ends[0], ends[1], EPSILON)])
        images = self.generator.synthesis(w[:, None].expand(-1, spec.num_ws, -1), noise_mode=self.noise_mode)
        first, second = self.distance.embed(images).chunk(2)
        return ((first - second).double().square().sum(dim=1, keepdim=True) / EPSILON**2).float().cpu().numpy()


def path_length(steps: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The mean of steps `[N, 1]` without the lowest and highest hundredth, and its 95 % interval by the bootstrap."""
    steps = np.sort(np.asarray(steps, np.float64).ravel())
    rng = np.random.default_rng(0)
    found = [_trimmed(np.sort(rng.choice(steps, len(steps)))) for _ in range(_RESAMPLES)]
    low, high = np.percentile(found, [2.5, 97.5])
    return _trimmed(steps), (float(low), float(high))


def _trimmed(steps: np.ndarray) -> float:
    low = np.percentile(steps, 100 * REJECTED, method="lower")
    high = np.percentile(steps, 100 * (1 - REJECTED), method="higher")
    return float(steps[(steps >= low) & (steps <= high)].mean())


def open_path_distance(name: str | None = None, *, device: str | torch.device = "cpu") -> tuple[str, str, Distance]:
    """The distance that steps are measured in: its short name, a digest of its weights, and itself.

    None is `lpips-vgg`, the distance of published figures, where its weights are in the cache folder; else the embedded
    one, on the bundled model's discriminator; else `pixels`. Raises `InputError` for another name or missing weights.
    """
    embedded = extractors.embedded_name()
    if name is None:
        row = BACKBONES["lpips-vgg"]
        has_lpips = all((cache_root() / file).is_file() for file in (row.file, row.lin_file))
        name = "lpips-vgg" if has_lpips else "embedded" if extractors.bundled_model().is_file() else "pixels"
    if name == embedded:
        name = "embedded"
    distance = open_distance(name, device=device)
    if name == "embedded":
        return embedded, checkpoints.read_card(extractors.bundled_model()).digest, distance
    if name in BACKBONES:
        return name, BACKBONES[name].file.rpartition("-")[2].removesuffix(".pth"), distance
    return name, extractors.SQUEEZENET_SHA256 if name == "squeezenet" else "", distance
