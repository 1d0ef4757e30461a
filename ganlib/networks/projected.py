"""Projected discriminator: "Projected GANs Converge Faster" (Sauer et al. 2021), written from the paper.

Pictures are seen through a frozen network that was trained on photographs. Its maps at four scales are mixed across
channels and across scales by fixed random projections (section 3.2: CCM and CSM), and a small head judges each mixture.
A person with a few hundred pictures then trains heads that know from the start what edges, petals and trees are.

The frozen parts are no parameters and no buffers: they are neither trained, nor saved, nor part of a model's digest.
The projections are drawn from a seed that stands in the spec, so that a model that is opened again sees as it did.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganlib.base.errors import InputError
from ganlib.networks import base, bilinear, efficientnet, ops
from ganlib.networks.base import DiscriminatorKind, GeneratorSpec

FACTORS = (1, 2, 4, 8)
"""Channels of the four mixtures in multiples of the width, the finest first."""
STRIDES = (4, 8, 16, 32)
# Root mean square of the eyes' maps on paintings and watercolours at 128 px: what comes in is brought to about 1.
MAP_SCALES = (9.0, 8.0, 6.7, 2.8)
CLASS_FEATURES = 64
LEAST_SIDE, MOST_SIDE = 64, 512


class Conv2d(nn.Conv2d):
    """As `torch.nn.Conv2d`, in bfloat16 where a run says so."""

    def forward(self, input: Tensor) -> Tensor:
        """`[N, in, H, W]` → `[N, out, H', W']`."""
        (stride, _), padding = self.stride, int(self.padding[0])
        return bilinear.conv2d(input, self.weight, self.bias, stride=stride, padding=padding)


def _convolution(in_channels: int, out_channels: int, kernel: int, **options: Any) -> nn.Module:
    return spectral_norm(Conv2d(in_channels, out_channels, kernel, **options))


class Head(nn.Module):
    """Judge of one mixture (section 3.3): 4×4 convolutions with stride 2, spectral and batch normalisation and
    LeakyReLU until 4×4 places are left, then one logit; with classes, the projection of 64 features on the class's
    embedding (Miyato and Koyama 2018)."""

    def __init__(self, channels: int, side: int, most: int, label_dim: int, mbstd_group_size: int | None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        while side > 4:
            out = min(2 * channels, most)
            layers += [_convolution(channels, out, 4, stride=2, padding=1, bias=False), ops.BatchNorm2d(out)]
            layers += [nn.LeakyReLU(0.2)]
            channels, side = out, side // 2
        self.body = nn.Sequential(*layers)
        self.mbstd_group_size = mbstd_group_size
        self.out = _convolution(channels + (mbstd_group_size is not None), CLASS_FEATURES if label_dim else 1, side)
        self.embed = nn.Linear(label_dim, CLASS_FEATURES, bias=False) if label_dim else None

    def forward(self, x: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """x `[N, channels, side, side]` → logit `[N, 1]` and the last maps `[N, C, 4, 4]`."""
        maps = seen = self.body(x)
        if self.mbstd_group_size is not None:
            # Batch normalisation takes away what a whole batch has in common, so that heads cannot see that pictures
            # are all alike: how much the mixtures of a few pictures differ is told to the last layer.
            spread = ops.minibatch_std(x, self.mbstd_group_size)[:, -1:, :1, :1]
            seen = torch.cat([maps, spread.expand(-1, -1, *maps.shape[2:])], dim=1)
        judged = self.out(seen).flatten(1)
        if self.embed is not None and label is not None:
            judged = (judged * self.embed(label.to(judged.dtype))).sum(dim=1, keepdim=True) / math.sqrt(CLASS_FEATURES)
        return judged, maps


class Discriminator(base.Discriminator):
    """Picture (and label) → a logit for each of four scales.

    Feed real and generated pictures separately: batch normalisation would tell them apart by their mixture. Statistics
    are those of a round, so rounds of few pictures (`--batch-gpu`) judge more coarsely; use 8 or more."""

    def __init__(self, spec: GeneratorSpec, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.spec = spec
        self.width, self.side, self.seed = (int(params[name]) for name in ("width", "feature_side", "seed"))
        widths = [factor * self.width for factor in FACTORS]
        self.heads = nn.ModuleList(
            Head(channels, self.side // stride, widths[-1], spec.label_dim, params.get("mbstd_group_size"))
            for channels, stride in zip(widths, STRIDES, strict=True)
        )
        # No parameters and no buffers: neither trained nor saved.
        self._frozen_eyes: dict[tuple[str, bool], efficientnet.EfficientNet] = {}
        self._drawn: dict[str, tuple[list[Tensor], list[Tensor]]] = {}

    def forward(self, img: Tensor, label: Tensor | None = None, maps: list[Tensor] | None = None) -> Tensor:
        """img `[N, C, R, R]` float in [-1, 1], label `[N, label_dim]` one-hot → logits `[N, 4]` float32."""
        if self.spec.label_dim > 0 and label is None:
            raise InputError("this model has classes, and no label was given", "give every picture's class")
        mixtures = self.mixtures(img)
        if maps is not None:
            maps += mixtures
        logits = [head(x, label)[0] for head, x in zip(self.heads, mixtures, strict=True)]
        return torch.cat(logits, dim=1).float()

    def features(self, img: Tensor, label: Tensor | None = None) -> Iterator[Tensor]:
        """As `base.Discriminator.features`: the mixture of each scale, the finest first."""
        yield from self.mixtures(img)

    def mixtures(self, img: Tensor) -> list[Tensor]:
        """img `[N, C, R, R]` in [-1, 1] → four mixtures `[N, width · factor, side / stride, side / stride]`.

        Gradients flow to the picture; where it needs none, nothing is kept for them."""
        keeps = torch.is_grad_enabled() and img.requires_grad
        # The eyes' gradient was measured slower in bfloat16, what they see without one 2.6 times faster.
        rounds = bilinear.is_rounding() and not keeps
        across_channels, across_scales = self._projections(img.device)
        with torch.set_grad_enabled(keeps):
            maps = [x.float() for x in self._eyes(img.device, rounds).pyramid(self._as_seen(img))]
            mixed = [F.conv2d(x, weight) for x, weight in zip(maps, across_channels, strict=True)]
            for i in range(len(mixed) - 2, -1, -1):
                above = F.interpolate(mixed[i + 1], scale_factor=2, mode="bilinear", align_corners=False)
                mixed[i] = (mixed[i] + F.conv2d(above, across_scales[i])) * math.sqrt(0.5)
        return mixed

    def _as_seen(self, img: Tensor) -> Tensor:
        """Pictures as the eyes take them: RGB `[N, 3, side, side]` in [0, 255], channels last."""
        if img.shape[1] == 1:
            img = img.expand(-1, 3, -1, -1)
        if img.shape[-1] != self.side:
            shrinks = img.shape[-1] > self.side
            img = F.interpolate(img, (self.side, self.side), mode="bilinear", antialias=shrinks, align_corners=False)
        return ((img + 1) * 127.5).contiguous(memory_format=torch.channels_last)

    def _eyes(self, device: torch.device, rounds: bool) -> efficientnet.EfficientNet:
        """The eyes on a device, in bfloat16 or not."""
        key = str(device), rounds
        if key not in self._frozen_eyes:
            eyes = efficientnet.load_frozen(device)
            self._frozen_eyes[key] = copy.deepcopy(eyes).bfloat16() if rounds else eyes
        return self._frozen_eyes[key]

    def _projections(self, device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
        """CCM's and CSM's weights on a device; drawn when they are first needed."""
        if (found := self._drawn.get(str(device))) is None:
            generator = torch.Generator().manual_seed(self.seed)

            def draw(out: int, channels: int, scale: float) -> Tensor:
                weight = torch.randn(out, channels, 1, 1, generator=generator) / (math.sqrt(channels) * scale)
                return weight.to(device, memory_format=torch.channels_last)

            widths = [factor * self.width for factor in FACTORS]
            with torch.device("cpu"):
                channels = zip(widths, efficientnet.PYRAMID_CHANNELS, MAP_SCALES, strict=True)
                across_channels = [draw(*sizes) for sizes in channels]
                across_scales = [draw(low, high, 1.0) for low, high in pairwise(widths)]
            found = self._drawn[str(device)] = across_channels, across_scales
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_frozen_eyes": {}, "_drawn": {}}  # a copy makes them again


def make_params(
    *,
    resolution: int,
    device: str = "cpu",
    width: int | None = None,  # None: 64 on CUDA, 32 elsewhere
    feature_side: int | None = None,  # None: chosen by the resolution and the device
    seed: int = 0,
    mbstd_group_size: int | None = 4,  # None: heads are not told how much pictures differ
) -> dict[str, Any]:
    """Return the parameters of a projected discriminator for pictures of a resolution.

    `feature_side`: side in pixels at which the eyes look. On a processor twice the picture's, 128 to 256; on CUDA 256,
    which is near to what the eyes were trained on. Raises `InputError` for a side that is no power of two."""
    on_cuda = device == "cuda"
    side = feature_side or (256 if on_cuda else min(max(2 * resolution, 128), 256))
    if not LEAST_SIDE <= side <= MOST_SIDE or side & (side - 1):
        raise InputError(f"feature_side = {side} is not possible", "use 64, 128, 256 or 512")
    width = width or (64 if on_cuda else 32)
    return {"width": width, "feature_side": side, "seed": seed, "mbstd_group_size": mbstd_group_size}


PROJECTED = DiscriminatorKind(
    "projected", "Projected", "looks through eyes that know photographs; for few pictures",
    build=Discriminator, make_params=make_params, options={"d_width": "width", "feature_side": "feature_side"},
    train_defaults={
        "loss": "hinge", "gamma": 0.0, "pl_weight": 0.0, "glr": 0.002, "dlr": 0.002, "batch": 16, "aug": "diffaug",
        "reuse_fakes": True,
    },
    can_grow=False, can_freeze=False,
)  # fmt: skip
