"""ProGAN: "Progressive Growing of GANs for Improved Quality, Stability, and Variation", Karras et al. 2018
(arXiv 1710.10196).

Both networks grow from 4×4 by stages: stage 0 is 4×4, stage 1 is 8×8, and so on. While a stage fades in, `alpha` goes
from 0 to 1 and the picture is a weighted sum of the new stage's and the one before (figure 2). Stage and alpha are
buffers, so that a snapshot from the middle of a fade makes the pictures of that moment. A network is fully grown until
`grow` says otherwise, and pictures have the full resolution at every stage.

There is no mapping network: w is z on the hypersphere. A sphere has no centre to truncate towards, and psi has no
effect; blends of latents are brought back to the sphere.
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
from ganlib.networks.mapping import MappingNetwork
from ganlib.networks.ops import EqualizedConv2d, EqualizedLinear, Rng
from ganlib.networks.ops import normalize_2nd_moment as pixel_norm  # section 4.2, over the channels of every pixel

# ---- Pure functions ------------------------------------------------------------------------------------------------


def block_resolutions(resolution: int) -> list[int]:
    """Return 4, 8, … resolution; raises `ValueError` when it is no power of two from 8 up."""
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"resolution {resolution} is not a power of two from 8 up")
    return [2**i for i in range(2, resolution.bit_length())]


def channels_at(resolution: int, channel_base: int, channel_max: int) -> int:
    """Number of feature maps at a resolution: min(channel_base / resolution, channel_max) (table 2)."""
    return min(channel_base // resolution, channel_max)


def upscale(img: Tensor, side: int) -> Tensor:
    """Enlarge a picture `[N, C, H, H]` to a multiple of its side by repeating pixels."""
    return img if img.shape[-1] == side else F.interpolate(img, scale_factor=side // img.shape[-1], mode="nearest")


def downscale(img: Tensor, side: int) -> Tensor:
    """Shrink a picture `[N, C, H, H]` to a divisor of its side by averaging; undoes `upscale`. A smaller one stays."""
    return img if img.shape[-1] <= side else F.avg_pool2d(img, img.shape[-1] // side)


# ---- Growth (section 2, figure 2) ----------------------------------------------------------------------------------


class Growing(nn.Module):
    """A network with a block per resolution, of which the first `stage + 1` are in use."""

    def __init__(self, resolution: int) -> None:
        super().__init__()
        self.resolutions = block_resolutions(resolution)
        self.register_buffer("stage", torch.tensor(len(self.resolutions) - 1))
        self.register_buffer("alpha", torch.tensor(1.0))
        self.stage: Tensor
        self.alpha: Tensor
        self._read: tuple[int, float] | None = None  # the growth last read

    def grow(self, stage: int, alpha: float = 1.0) -> None:
        """Use the blocks up to `stage`, of which the last is faded in by `alpha`; raises `InputError` when there is no
        such stage or alpha is outside 0 … 1."""
        if not 0 <= stage < self.num_stages or not 0.0 <= alpha <= 1.0:
            legal = f"stages are 0 … {self.num_stages - 1}, alpha is 0 … 1"
            raise InputError(f"stage {stage} with alpha {alpha} does not exist", legal)
        self.stage.fill_(stage)
        self.alpha.fill_(alpha if stage > 0 else 1.0)

    @property
    def num_stages(self) -> int:
        """Number of stages, 4×4 included."""
        return len(self.resolutions)

    def growth(self) -> tuple[int, float]:
        """Return (stage, alpha); raises `CheckpointError` when a file brought impossible ones.

        A program that is exported has the growth of the last picture before, as a constant."""
        if torch.compiler.is_exporting() and self._read is not None:
            return self._read
        stage, alpha = int(self.stage.item()), float(self.alpha.item())
        if not 0 <= stage < self.num_stages or not 0.0 <= alpha <= 1.0:
            raise CheckpointError(f"the model says stage {stage}, alpha {alpha}", "the file was damaged; copy it again")
        self._read = stage, alpha
        return stage, alpha


# ---- Generator (table 2) -------------------------------------------------------------------------------------------


class GeneratorBlock(nn.Module):
    """Two convolutions with lrelu and pixel normalisation, after doubling; at 4×4 a fully connected layer (the table's
    4×4 convolution of a 1×1 map) takes the place of the first. `torgb` makes the picture of this resolution."""

    def __init__(self, in_channels: int, out_channels: int, img_channels: int, resolution: int) -> None:
        super().__init__()
        self.resolution = resolution
        if resolution == 4:
            self.fc = EqualizedLinear(in_channels, out_channels * 16, act="lrelu")
        else:
            self.conv0 = EqualizedConv2d(in_channels, out_channels, 3, act="lrelu")
        self.conv1 = EqualizedConv2d(out_channels, out_channels, 3, act="lrelu")
        self.torgb = EqualizedConv2d(out_channels, img_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """w `[N, I]` at 4×4, else features `[N, I, H, W]` → `[N, O, 2H, 2W]`."""
        if self.resolution == 4:
            x = pixel_norm(self.fc(x).unflatten(1, (-1, 4, 4)))
        else:
            x = pixel_norm(self.conv0(upscale(x, self.resolution)))
        return pixel_norm(self.conv1(x))


class SynthesisNetwork(Growing):
    """w → picture by the blocks in use."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec.resolution)
        widest, top = spec.params["channel_base"], spec.params["channel_max"]
        channels = spec.w_dim
        for side in self.resolutions:
            out = channels_at(side, widest, top)
            setattr(self, f"b{side}", GeneratorBlock(channels, out, spec.img_channels, side))
            channels = out

    def at_own_side(self, w_plus: Tensor) -> Tensor:
        """w_plus `[N, 1, w_dim]` → image `[N, C, r, r]` at the stage's own resolution r: what the discriminator of the
        same growth needs to see."""
        stage, alpha = self.growth()

        # Features.
        x = pixel_norm(w_plus[:, 0])
        before = None
        for side in self.resolutions[: stage + 1]:
            before, x = x, getattr(self, f"b{side}")(x)

        # Picture, in the middle of a fade the weighted sum of two.
        side = self.resolutions[stage]
        img = getattr(self, f"b{side}").torgb(x)
        if alpha < 1.0:
            assert before is not None
            img = torch.lerp(upscale(getattr(self, f"b{side // 2}").torgb(before), side), img, alpha)
        return img

    def forward(self, w_plus: Tensor, noise_mode: str = "none", rng: Rng = None) -> Tensor:
        """w_plus `[N, 1, w_dim]` → image `[N, C, R, R]` in about [-1, 1], pixels repeated where the network is not yet
        fully grown. There is no noise: `noise_mode` and `rng` do nothing."""
        return upscale(self.at_own_side(w_plus), self.resolutions[-1])


class Generator(base.Generator):
    """z → w → picture; see `ganlib.networks.base.Generator`."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        if spec.num_ws != 1 or spec.w_dim != spec.z_dim * (2 if spec.label_dim else 1):
            raise ValueError(f"{spec.num_ws} latents of length {spec.w_dim} for z of length {spec.z_dim}")
        self.spec = spec
        self.synthesis: SynthesisNetwork = SynthesisNetwork(spec)
        # No layers: z on the hypersphere, and with classes their normalised embedding, as long as z, behind it.
        self.mapping = MappingNetwork(spec.z_dim, spec.label_dim, spec.z_dim, num_layers=0, track_w_avg=False)

    @property
    def w_avg(self) -> Tensor:
        """Zeros `[w_dim]`: the sphere's centre, which is not on the sphere; a new tensor at every call."""
        return torch.zeros(self.spec.w_dim, device=self.synthesis.alpha.device)

    @property
    def num_stages(self) -> int:
        """Number of stages, 4×4 included."""
        return self.synthesis.num_stages

    def grow(self, stage: int, alpha: float = 1.0) -> None:
        """Set the stage in use and how far it is faded in; raises as `Growing.grow`."""
        self.synthesis.grow(stage, alpha)

    def growth(self) -> tuple[int, float]:
        """Return (stage, alpha)."""
        return self.synthesis.growth()

    def training_images(self, w_plus: Tensor, rng: Rng = None) -> Tensor:
        """w_plus `[N, 1, w_dim]` → image `[N, C, r, r]` at the stage's own side r."""
        return self.synthesis.at_own_side(w_plus)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z `[N, z_dim]` → image `[N, C, R, R]`."""
        return self.synthesis(self.mapping(z, label)[:, None])


# ---- Discriminator (table 2; class projection after Miyato & Koyama 2018) ------------------------------------------


class DiscriminatorBlock(nn.Module):
    """Two convolutions with lrelu, then half the side by averaging. `fromrgb` takes in a picture of this resolution."""

    def __init__(self, in_channels: int, out_channels: int, img_channels: int) -> None:
        super().__init__()
        self.fromrgb = EqualizedConv2d(img_channels, in_channels, 1, act="lrelu")
        self.conv0 = EqualizedConv2d(in_channels, in_channels, 3, act="lrelu")
        self.conv1 = EqualizedConv2d(in_channels, out_channels, 3, act="lrelu")

    def forward(self, x: Tensor) -> Tensor:
        """Features `[N, I, H, W]` → `[N, O, H/2, W/2]`."""
        return F.avg_pool2d(self.conv1(self.conv0(x)), 2)


class DiscriminatorEpilogue(nn.Module):
    """4×4: minibatch standard deviation, a 3×3 and a 4×4 convolution, a linear output, class projection."""

    def __init__(
        self,
        channels: int,
        img_channels: int,
        *,
        label_dim: int = 0,  # number of classes; 0 is unconditional
        mbstd_group_size: int | None = 4,  # None is the whole batch
    ) -> None:
        super().__init__()
        self.mbstd_group_size, self.label_dim = mbstd_group_size, label_dim
        self.fromrgb = EqualizedConv2d(img_channels, channels, 1, act="lrelu")
        self.conv = EqualizedConv2d(channels + 1, channels, 3, act="lrelu")
        self.fc = EqualizedLinear(channels * 16, channels, act="lrelu")
        self.out = EqualizedLinear(channels, 1)
        if label_dim > 0:
            self.mapping = MappingNetwork(0, label_dim, channels, num_layers=0, track_w_avg=False)

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Features `[N, C, 4, 4]`, label `[N, label_dim]` → logits `[N, 1]`."""
        x = self.conv(ops.minibatch_std(x, self.mbstd_group_size))
        x = self.fc(x.flatten(1))
        logits = self.out(x)
        if self.label_dim > 0:
            logits = logits + (x * self.mapping(None, label)).sum(dim=1, keepdim=True) / x.shape[1] ** 0.5
        return logits


class Discriminator(Growing, base.Discriminator):
    """Picture (and label) → logit: large means real. It looks at pictures at the side of its own stage."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec.resolution)
        p: dict[str, Any] = {**spec.params, **spec.params.get("D", {})}
        self.spec = spec
        widest, top = p["channel_base"], p["channel_max"]
        for side in self.resolutions[:0:-1]:
            channels, out = channels_at(side, widest, top), channels_at(side // 2, widest, top)
            setattr(self, f"b{side}", DiscriminatorBlock(channels, out, spec.img_channels))
        self.b4 = DiscriminatorEpilogue(
            channels_at(4, widest, top), spec.img_channels, label_dim=spec.label_dim,
            mbstd_group_size=p.get("mbstd_group_size", 4),
        )  # fmt: skip

    @torch.no_grad()
    def match_real(self, img: Tensor) -> Tensor:
        """Return real pictures `[N, C, R, R]` as this growth should see them, `[N, C, r, r]` at the stage's side r: in
        a fade, their detail is blended in by alpha as it is in generated pictures (caption of figure 2)."""
        stage, alpha = self.growth()
        side = self.resolutions[stage]
        img = downscale(img, side)
        return img if alpha == 1.0 else torch.lerp(upscale(downscale(img, side // 2), side), img, alpha)

    def features(self, img: Tensor, label: Tensor | None = None) -> Iterator[Tensor]:
        """As `base.Discriminator.features`, of the blocks up to the stage; none at the first stage."""
        stage, alpha = self.growth()
        if stage == 0:
            return
        side = self.resolutions[stage]
        img = downscale(img, side)

        # The newest block, in the middle of a fade beside the smaller picture.
        x = getattr(self, f"b{side}")(getattr(self, f"b{side}").fromrgb(img))
        if alpha < 1.0:
            x = torch.lerp(getattr(self, f"b{side // 2}").fromrgb(downscale(img, side // 2)), x, alpha)
        yield x

        # The older ones.
        for older in self.resolutions[stage - 1 : 0 : -1]:
            x = getattr(self, f"b{older}")(x)
            yield x

    def forward(self, img: Tensor, label: Tensor | None = None, maps: list[Tensor] | None = None) -> Tensor:
        """img `[N, C, R, R]`, or of a smaller side down to the stage's own, float in [-1, 1], label `[N, label_dim]`
        one-hot → logits `[N, 1]`."""
        if self.growth()[0] == 0:
            return self.b4(self.b4.fromrgb(downscale(img, 4)), label)
        x = img
        for x in self.features(img):
            if maps is not None:
                maps.append(x)
        return self.b4(x, label)


# ---- Spec inference, defaults --------------------------------------------------------------------------------------


def make_spec(
    *,
    resolution: int,
    img_channels: int = 3,
    label_dim: int = 0,
    z_dim: int = 512,
    channel_base: int = 16384,
    channel_max: int = 512,
    D: Mapping[str, Any] | None = None,
) -> GeneratorSpec:
    """Return the spec of a ProGAN generator, by default of the paper's widths; `D` holds discriminator options
    (`mbstd_group_size`). Raises `InputError` on a resolution that is no power of two from 8 up, or channels below 1."""
    try:
        block_resolutions(resolution)
    except ValueError as error:
        raise InputError(str(error), "use 32, 64, 128, 256, 512 or 1024") from error
    if channel_base < resolution or channel_max < 1:
        raise InputError(
            f"channel_base {channel_base} leaves no feature map at {resolution} px", f"use at least {16 * resolution}"
        )
    params = {"channel_base": channel_base, "channel_max": channel_max, "D": dict(D or {})}
    w_dim = z_dim * (2 if label_dim else 1)
    return GeneratorSpec(
        "progan", resolution, img_channels, z_dim, w_dim, 1, label_dim,
        noise_modes=("none",), truncatable=False, params=params,
    )  # fmt: skip


def infer_spec(tensors: Mapping[str, Tensor]) -> GeneratorSpec:
    """Read a generator's spec off its tensors; raises `CheckpointError` for another kind."""
    try:
        pattern = re.compile(r"synthesis\.b(\d+)\.conv1\.weight")
        channels = {int(m[1]): int(t.shape[0]) for k, t in tensors.items() if (m := pattern.fullmatch(k))}
        resolution, top = max(channels), max(channels.values())
        widest = max(side * count for side, count in channels.items())
        img_channels = int(tensors[f"synthesis.b{resolution}.torgb.weight"].shape[0])
        w_dim = int(tensors["synthesis.b4.fc.weight"].shape[1])
        embed = tensors.get("mapping.embed.weight")
        label_dim = 0 if embed is None else int(embed.shape[1])
        z_dim = w_dim if embed is None else int(embed.shape[0])
        computed = {side: channels_at(side, widest, top) for side in block_resolutions(resolution)}
        if computed != channels or "synthesis.stage" not in tensors:
            raise ValueError(f"feature maps {channels}")
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(
            f"these tensors are no ProGAN generator ({error})", "check which tool wrote the file"
        ) from error
    return make_spec(
        resolution=resolution, img_channels=img_channels, label_dim=label_dim,
        z_dim=z_dim, channel_base=widest, channel_max=top,
    )  # fmt: skip


PROGAN = Architecture(
    name="progan",
    title="ProGAN",
    signature_key="",
    trainable=True,
    build_G=Generator,
    build_D=Discriminator,
    make_spec=make_spec,
    infer_spec=infer_spec,
    style_weights=lambda G: {},
    train_defaults={
        "loss": "wgan-gp", "glr": 1e-3, "dlr": 1e-3, "betas": (0.0, 0.99), "batch": 16, "gp_weight": 10.0,
        "drift": 1e-3, "gamma": 0.0, "aug": "noaug", "ema_kimg": 10.0,
    },
    tiny=lambda: make_spec(resolution=16, z_dim=16, channel_base=128, channel_max=16),
)  # fmt: skip
