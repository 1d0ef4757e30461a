"""FastGAN's generator in its light form: "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image
Synthesis" (Liu et al. 2021), as it is used with projected discriminators (Sauer et al. 2021, section 4.1).

There is no mapping network: w is z, on a sphere, followed by a class's embedding, and one input serves all layers. So
there is no truncation and no mixing of styles. Its weights are few and its steps cheap, and from few pictures it keeps
more of their variety than a generator with styles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.base.errors import CheckpointError, InputError
from ganlib.networks import base, dcgan, ops
from ganlib.networks.base import Architecture, GeneratorSpec
from ganlib.networks.dcgan import LABEL_FEATURES, block_resolutions
from ganlib.networks.ops import Rng

# Feature maps at each side in multiples of the width (appendix of the paper).
FACTORS = {4: 16.0, 8: 8.0, 16: 4.0, 32: 2.0, 64: 2.0, 128: 1.0, 256: 0.5, 512: 0.25, 1024: 0.125}
EXCITED = {64: 4, 128: 8, 256: 16}
"""Side of the maps that are excited → side of those that excite them (figure 3)."""


def channels_at(side: int, width: int) -> int:
    """Return the number of feature maps at a side."""
    return max(int(FACTORS[side] * width), 4)


# ---- Layers (figures 3 and 4) ----------------------------------------------------------------------------------------


class InitBlock(nn.Module):
    """w → 4×4: a transposed convolution, batch normalisation, a gated linear unit."""

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(w_dim, 2 * channels, 4, bias=False)
        self.norm = ops.BatchNorm2d(2 * channels)

    def forward(self, w: Tensor) -> Tensor:
        """w `[N, w_dim]` → `[N, channels, 4, 4]`."""
        return F.glu(self.norm(self.conv(w[:, :, None, None])), dim=1)


class UpBlock(nn.Module):
    """Twice the side: nearest neighbour, a 3×3 convolution, batch normalisation, a gated linear unit."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 2 * out_channels, 3, padding=1, bias=False)
        self.norm = ops.BatchNorm2d(2 * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, I, H, W]` → `[N, O, 2H, 2W]`."""
        return F.glu(self.norm(self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))), dim=1)


class Excitation(nn.Module):
    """Skip-layer excitation (equation 1): small maps say how strong each channel of large ones is."""

    def __init__(self, small: int, large: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(small, large, 4, bias=False)
        self.excite = nn.Conv2d(large, large, 1, bias=False)

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        """small `[N, S, h, w]`, large `[N, L, H, W]` → `[N, L, H, W]`."""
        gate = self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(small, 4))))
        return large * gate.sigmoid()


# ---- Generator -------------------------------------------------------------------------------------------------------


class SynthesisNetwork(nn.Module):
    """w → picture."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        width = int(spec.params["ngf"])
        self.z_dim, self.resolutions = spec.z_dim, block_resolutions(spec.resolution)
        self.b4 = InitBlock(spec.w_dim, channels_at(4, width))
        for side in self.resolutions:
            channels = channels_at(side, width)
            setattr(self, f"b{side}", UpBlock(channels_at(side // 2, width), channels))
            if side in EXCITED:
                setattr(self, f"excite{side}", Excitation(channels_at(EXCITED[side], width), channels))
        self.torgb = nn.Conv2d(channels_at(spec.resolution, width), spec.img_channels, 3, padding=1)

    def forward(self, w_plus: Tensor, noise_mode: str = "none", rng: Rng = None) -> Tensor:
        """w_plus `[N, 1, w_dim]` → image `[N, C, R, R]` in [-1, 1]; without noise, the other arguments do nothing."""
        # Latent and class as long as in training.
        w = w_plus[:, 0]
        parts = [w[:, : self.z_dim], w[:, self.z_dim :]]
        x = self.b4(torch.cat([ops.normalize_2nd_moment(part) for part in parts if part.shape[1]], dim=1))
        kept = {4: x}
        for side in self.resolutions:
            x = getattr(self, f"b{side}")(x)
            if side in EXCITED:
                x = getattr(self, f"excite{side}")(kept[EXCITED[side]], x)
            kept[side] = x
        return torch.tanh(self.torgb(x))


class Generator(dcgan.Generator):
    """As DCGAN's, with the network above."""

    network = SynthesisNetwork


# ---- Spec inference, defaults ----------------------------------------------------------------------------------------


def make_spec(
    *,
    resolution: int,
    img_channels: int = 3,
    label_dim: int = 0,
    z_dim: int = 256,
    ngf: int = 64,
    ndf: int = 64,
) -> GeneratorSpec:
    """Return the spec of a generator. `ngf`: the width, half of the feature maps at 64 pixels; the paper has 128.
    `ndf`: of its own discriminator, DCGAN's. Raises `InputError` on a resolution that is no power of two from 16 to
    1024, and on a width below 1."""
    if not 16 <= resolution <= max(FACTORS) or resolution & (resolution - 1):
        raise InputError(f"FastGAN makes no pictures of {resolution} pixels", "use 16, 32, 64, 128, 256, 512 or 1024")
    if ngf < 1 or ndf < 1:
        raise InputError(f"ngf {ngf}, ndf {ndf} leave no feature map", "use 1 or more; 32 to 128 are usual")
    params = {"ngf": ngf, "ndf": ndf, "bn_D": False}
    w_dim = z_dim + (LABEL_FEATURES if label_dim else 0)
    return GeneratorSpec("fastgan", resolution, img_channels, z_dim, w_dim, 1, label_dim, params=params)


def infer_spec(tensors: Mapping[str, Tensor]) -> GeneratorSpec:
    """Read a generator's spec off its tensors; raises `CheckpointError` for another kind."""
    try:
        sides = sorted(int(m[1]) for k in tensors if (m := re.fullmatch(r"synthesis\.b(\d+)\.conv\.weight", k)))
        resolution = sides[-1]
        embed = tensors.get("mapping.embed.weight")
        label_dim, features = (0, 0) if embed is None else (int(embed.shape[1]), int(embed.shape[0]))
        w_dim, double = (int(n) for n in tensors["synthesis.b4.conv.weight"].shape[:2])
        if sides[1:] != block_resolutions(resolution) or features not in (0, LABEL_FEATURES):
            raise ValueError(f"blocks {sides}, {features} label features")
        img_channels = int(tensors["synthesis.torgb.weight"].shape[0])
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(
            f"these tensors are no FastGAN generator ({error})", "check which tool wrote the file"
        ) from error
    return make_spec(
        resolution=resolution, img_channels=img_channels, label_dim=label_dim, z_dim=w_dim - features,
        ngf=round(double / 2 / FACTORS[4]),
    )  # fmt: skip


def tensor_side(name: str) -> int | None:
    """Return the side in pixels at which a generator's tensor works; None for the class's embedding and the output."""
    if (found := re.match(r"synthesis\.excite(\d+)\.", name)) is not None:
        return int(found[1])
    return base.block_side(name)


FASTGAN = Architecture(
    name="fastgan",
    title="FastGAN",
    signature_key="",
    trainable=True,
    build_G=Generator,
    build_D=dcgan.Discriminator,
    make_spec=make_spec,
    infer_spec=infer_spec,
    style_weights=lambda G: {},
    train_defaults={
        "discriminator": "projected", "loss": "hinge", "glr": 2e-4, "dlr": 2e-4, "betas": (0.0, 0.99), "batch": 16,
        "gamma": 0.0, "aug": "diffaug",
    },
    tiny=lambda: make_spec(resolution=16, z_dim=16, ngf=1, ndf=8),
    tensor_side=tensor_side,
)  # fmt: skip
