"""DCGAN: "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks", Radford et al.
2015 (arXiv 1511.06434).

The generator doubles the picture from 4×4 with transposed convolutions or with nearest-neighbour upsampling and 3×3
convolutions; the discriminator halves it with strided convolutions; neither pools. There is no mapping network: w is
z, followed by the class's embedding where there are classes.

Synthesis uses the direction of z only: z is uniform on the hypersphere, where the paper draws it uniformly from a cube.
Almost all of either distribution lies at one distance from 0, and closer to it pictures lose their contrast: trained on
fruit at 32 px, 40 % were lost at 0.7 of the distance, which is where blends of two seeds lie, and at 0 the picture was
blank. Blends are therefore brought back to the sphere, and psi has no effect, since a sphere has no centre on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.base.errors import CheckpointError, InputError
from ganlib.networks import base, ops
from ganlib.networks.base import Architecture, GeneratorSpec
from ganlib.networks.ops import Rng

UPSAMPLING = ("transposed", "nearest")
LABEL_FEATURES = 64
WIDEST = 8  # the 4×4 layers have at most this many times the base width


# ---- Pure functions ------------------------------------------------------------------------------------------------


def block_resolutions(resolution: int) -> list[int]:
    """Return 8, 16, … resolution; raises `ValueError` when it is no power of two from 16 up."""
    if resolution < 16 or resolution & (resolution - 1):
        raise ValueError(f"resolution {resolution} is not a power of two from 16 up")
    return [2**i for i in range(3, resolution.bit_length())]


def channels_at(side: int, resolution: int, width: int) -> int:
    """Number of feature maps at a side below the resolution: `width` at half of it, twice as many at each halving, at
    most 8 · `width` (figure 1: 128, 256, 512, 1024 for 64 px)."""
    return width * min(resolution // 2 // side, WIDEST)


def init_weights(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02²), batch normalisation's scales from N(1, 0.02²), and set biases to 0 (section 4).

    Nothing is drawn on `meta`, where a network waits for stored weights."""
    if next(module.parameters(), torch.empty(0)).is_meta:
        return
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
        nn.init.normal_(module.weight, mean=1.0 if isinstance(module, nn.BatchNorm2d) else 0.0, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# ---- Small layers --------------------------------------------------------------------------------------------------


class LatentInput(nn.Module):
    """z (and label) → w: the identity, or z followed by the class's embedding, scaled to a mean square of 1."""

    def __init__(
        self,
        label_dim: int,  # number of classes; 0 is unconditional
        label_features: int,  # length of the embedding
    ) -> None:
        super().__init__()
        self.label_dim = label_dim
        if label_dim > 0:
            self.embed = nn.Linear(label_dim, label_features, bias=False)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z `[N, z_dim]`, label `[N, label_dim]` one-hot → w `[N, w_dim]` float32."""
        z = z.float()
        if not self.label_dim:
            return z
        if label is None:
            raise InputError("this model has classes, and no label was given", "choose a class")
        return torch.cat([z, ops.normalize_2nd_moment(self.embed(label.float()))], dim=1)


class UpBlock(nn.Module):
    """Twice the side: a transposed 4×4 convolution with stride 2, or nearest-neighbour and a 3×3 convolution. Both have
    all output pixels covered by equally many taps; batch normalisation and ReLU follow, except after the last block."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        upsampling: str,  # "transposed" or "nearest"
        batch_norm: bool,
        last: bool = False,  # the last block makes the picture
    ) -> None:
        super().__init__()
        self.upsampling, self.last = upsampling, last
        bias = last or not batch_norm
        self.conv: nn.Conv2d | nn.ConvTranspose2d
        if upsampling == "transposed":
            self.conv = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=bias)
        else:
            self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)
        self.norm = ops.BatchNorm2d(out_channels) if batch_norm and not last else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """x `[N, I, H, W]` → `[N, O, 2H, 2W]`."""
        if self.upsampling == "nearest":
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = self.conv(x)
        return x if self.last else F.relu(self.norm(x))


# ---- Generator (figure 1) ------------------------------------------------------------------------------------------


class SynthesisNetwork(nn.Module):
    """w → picture: project to 4×4, double until the resolution is reached, tanh."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        p = spec.params
        upsampling, width, batch_norm = p["upsampling"], int(p["ngf"]), bool(p["bn_G"])
        if upsampling not in UPSAMPLING:
            raise CheckpointError(f"unknown upsampling {upsampling!r}", f"known: {', '.join(UPSAMPLING)}")
        self.z_dim, self.resolutions = spec.z_dim, block_resolutions(spec.resolution)
        channels = channels_at(4, spec.resolution, width)
        self.project = nn.Linear(spec.w_dim, channels * 16, bias=not batch_norm)
        self.norm = ops.BatchNorm2d(channels) if batch_norm else nn.Identity()
        for side in self.resolutions:
            last = side == spec.resolution
            out = spec.img_channels if last else channels_at(side, spec.resolution, width)
            setattr(self, f"b{side}", UpBlock(channels, out, upsampling=upsampling, batch_norm=batch_norm, last=last))
            channels = out

    def forward(self, w_plus: Tensor, noise_mode: str = "none", rng: Rng = None) -> Tensor:
        """w_plus `[N, 1, w_dim]` → image `[N, C, R, R]` in [-1, 1]; without noise, the other arguments do nothing."""
        # Latent and class as long as in training.
        w = w_plus[:, 0]
        x = ops.normalize_2nd_moment(w[:, : self.z_dim])
        if w.shape[1] > self.z_dim:
            x = torch.cat([x, ops.normalize_2nd_moment(w[:, self.z_dim :])], dim=1)

        # 4×4.
        x = self.project(x).unflatten(1, (-1, 4, 4))
        x = F.relu(self.norm(x))

        # Double.
        for side in self.resolutions:
            x = getattr(self, f"b{side}")(x)
        return torch.tanh(x)


class Generator(base.Generator):
    """z → w → picture; see `ganlib.networks.base.Generator`."""

    network: type[nn.Module] = SynthesisNetwork

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        features = spec.w_dim - spec.z_dim
        if spec.num_ws != 1 or features < 0 or (features > 0) != (spec.label_dim > 0):
            raise ValueError(f"{spec.num_ws} latents of length {spec.w_dim} for z of length {spec.z_dim}")
        self.spec = spec
        self.synthesis = self.network(spec)
        self.mapping = LatentInput(spec.label_dim, features)
        self.apply(init_weights)

    @property
    def w_avg(self) -> Tensor:
        """Zeros `[w_dim]`, a new tensor at every call."""
        return torch.zeros(self.spec.w_dim, device=next(self.parameters()).device)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z `[N, z_dim]` → image `[N, C, R, R]`."""
        return self.synthesis(self.mapping(z, label)[:, None])


# ---- Discriminator (section 3; class projection after Miyato & Koyama 2018) ----------------------------------------


class DownBlock(nn.Module):
    """Half the side: a 4×4 convolution with stride 2, batch normalisation where asked for, lrelu 0.2."""

    def __init__(self, in_channels: int, out_channels: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1, bias=not batch_norm)
        self.norm = ops.BatchNorm2d(out_channels) if batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """x `[N, I, H, W]` → `[N, O, H/2, W/2]`."""
        return F.leaky_relu(self.norm(self.conv(x)), 0.2)


class Discriminator(base.Discriminator):
    """Picture (and label) → logit: large means real. With `bn_D`, feed real and generated pictures separately."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        p: dict[str, Any] = {**spec.params, **spec.params.get("D", {})}
        width, batch_norm = int(p["ndf"]), bool(p["bn_D"])
        self.spec = spec
        self.sides = [4, *block_resolutions(spec.resolution)[:-1]][::-1]  # of the blocks' outputs
        channels = spec.img_channels
        for i, side in enumerate(self.sides):
            out = channels_at(side, spec.resolution, width)
            # No batch normalisation on the discriminator's input layer (section 3).
            setattr(self, f"b{side}", DownBlock(channels, out, batch_norm=batch_norm and i > 0))
            channels = out
        self.out = nn.Conv2d(channels, 1, 4)
        if spec.label_dim > 0:
            self.embed = nn.Linear(spec.label_dim, channels, bias=False)
        self.apply(init_weights)

    def features(self, img: Tensor, label: Tensor | None = None) -> Iterator[Tensor]:
        """As `base.Discriminator.features`."""
        for side in self.sides:
            img = getattr(self, f"b{side}")(img)
            yield img

    def forward(self, img: Tensor, label: Tensor | None = None, maps: list[Tensor] | None = None) -> Tensor:
        """img `[N, C, R, R]` float in [-1, 1], label `[N, label_dim]` one-hot → logits `[N, 1]`."""
        x = img
        for x in self.features(img):
            if maps is not None:
                maps.append(x)
        logits = self.out(x).flatten(1)
        if self.spec.label_dim > 0:
            if label is None:
                raise InputError("this model has classes, and no label was given", "give every picture's class")
            logits = logits + (x.sum(dim=[2, 3]) * self.embed(label.to(x.dtype))).sum(dim=1, keepdim=True)
        return logits


# ---- Spec inference, defaults --------------------------------------------------------------------------------------


def make_spec(
    *,
    resolution: int,
    img_channels: int = 3,
    label_dim: int = 0,
    z_dim: int = 100,
    ngf: int = 64,
    ndf: int = 64,
    bn_G: bool = True,
    bn_D: bool = False,
    upsampling: str = "transposed",
) -> GeneratorSpec:
    """Return the spec of a DCGAN generator. `ngf`, `ndf`: feature maps of generator and discriminator at half the
    resolution; the paper's figure has 128. `bn_G`, `bn_D`: batch normalisation; the paper has both, but on small data
    sets the one in the discriminator tends to end in collapse. `upsampling`: "transposed" or "nearest".

    Raises `InputError` on a resolution that is no power of two from 16 up, a width below 1, another upsampling."""
    try:
        block_resolutions(resolution)
    except ValueError as error:
        raise InputError(str(error), "use 16, 32, 64, 128, 256 or 512") from error
    if ngf < 1 or ndf < 1:
        raise InputError(f"ngf {ngf}, ndf {ndf} leave no feature map", "use 1 or more; 64 is usual")
    if upsampling not in UPSAMPLING:
        raise InputError(f"unknown upsampling {upsampling!r}", f"use {' or '.join(UPSAMPLING)}")
    params = {"ngf": ngf, "ndf": ndf, "bn_G": bn_G, "bn_D": bn_D, "upsampling": upsampling}
    w_dim = z_dim + (LABEL_FEATURES if label_dim else 0)
    return GeneratorSpec(
        "dcgan", resolution, img_channels, z_dim, w_dim, 1, label_dim,
        noise_modes=("none",), truncatable=False, params=params,
    )  # fmt: skip


def infer_spec(tensors: Mapping[str, Tensor]) -> GeneratorSpec:
    """Read a generator's spec off its tensors; raises `CheckpointError` for another kind. What only the discriminator
    knows is guessed: `ndf` as `ngf`, `bn_D` by default."""
    try:
        named = {int(m[1]): t for k, t in tensors.items() if (m := re.fullmatch(r"synthesis\.b(\d+)\.conv\.weight", k))}
        resolution = max(named)
        conv = named[resolution]
        transposed = conv.shape[-1] == 4
        width, img_channels = (int(n) for n in (conv.shape[:2] if transposed else conv.shape[:2][::-1]))
        embed = tensors.get("mapping.embed.weight")
        label_dim, features = (0, 0) if embed is None else (int(embed.shape[1]), int(embed.shape[0]))
        z_dim = int(tensors["synthesis.project.weight"].shape[1]) - features
        if sorted(named) != block_resolutions(resolution) or features not in (0, LABEL_FEATURES):
            raise ValueError(f"blocks {sorted(named)}, {features} label features")
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(
            f"these tensors are no DCGAN generator ({error})", "check which tool wrote the file"
        ) from error
    return make_spec(
        resolution=resolution, img_channels=img_channels, label_dim=label_dim, z_dim=z_dim, ngf=width, ndf=width,
        bn_G="synthesis.norm.weight" in tensors, upsampling="transposed" if transposed else "nearest",
    )  # fmt: skip


def tensor_side(name: str) -> int | None:
    """Return the side in pixels at which a generator's tensor works; None for the class's embedding."""
    return 4 if name.startswith(("synthesis.project.", "synthesis.norm.")) else base.block_side(name)


DCGAN = Architecture(
    name="dcgan",
    title="DCGAN",
    signature_key="",
    trainable=True,
    build_G=Generator,
    build_D=Discriminator,
    make_spec=make_spec,
    infer_spec=infer_spec,
    style_weights=lambda G: {},
    train_defaults={
        "loss": "bce", "glr": 2e-4, "dlr": 2e-4, "betas": (0.5, 0.999), "batch": 64, "gamma": 0.0, "aug": "noaug",
    },
    tiny=lambda: make_spec(resolution=16, z_dim=16, ngf=8, ndf=8),
    tensor_side=tensor_side,
)  # fmt: skip
