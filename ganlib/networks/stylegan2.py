"""StyleGAN2: "Analyzing and Improving the Image Quality of StyleGAN", Karras et al. 2020 (arXiv 1912.04958).

Synthesis (skip, resnet, orig) and discriminator (resnet, skip, orig), with class labels. Tensors carry NVIDIA's
names, so that a snapshot of theirs and one of ours hold the same keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.base.errors import CheckpointError, InputError
from ganlib.networks import base, ops
from ganlib.networks.base import Architecture, GeneratorSpec
from ganlib.networks.mapping import MappingNetwork
from ganlib.networks.modulated import SynthesisLayer, ToRGB
from ganlib.networks.ops import EqualizedConv2d, EqualizedLinear, Rng

G_ARCHITECTURES = ("skip", "resnet", "orig")
D_ARCHITECTURES = ("resnet", "skip", "orig")
CHANNELS_LAST_LIMIT = 512  # above this side, eager channels_last was measured slower on CPUs


# ---- Pure functions ------------------------------------------------------------------------------------------------


def block_resolutions(resolution: int) -> list[int]:
    """Return 4, 8, … resolution."""
    return [2**i for i in range(2, int(math.log2(resolution)) + 1)]


def channels_at(resolution: int, channel_base: int, channel_max: int) -> int:
    """Number of feature maps at a resolution: min(channel_base / resolution, channel_max)."""
    return min(channel_base // resolution, channel_max)


# ---- Block and generator -------------------------------------------------------------------------------------------


class SynthesisBlock(nn.Module):
    """One resolution: constant or upsampling convolution, second convolution, and the way to the picture."""

    def __init__(
        self,
        in_channels: int,  # 0 in the first block, which starts from a learned constant
        out_channels: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        *,
        is_last: bool,  # the block at full resolution
        architecture: str = "skip",
        conv_clamp: float | None = None,
        resample_filter: Sequence[float] = (1, 3, 3, 1),
        use_fp16: bool = False,  # half precision, on CUDA only
    ) -> None:
        super().__init__()
        self.architecture, self.use_fp16, self.is_first = architecture, use_fp16, in_channels == 0
        options: dict[str, Any] = {"conv_clamp": conv_clamp}
        self.register_buffer("resample_filter", ops.setup_filter(resample_filter), persistent=False)
        self.resample_filter: Tensor
        if self.is_first:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(
                in_channels, out_channels, w_dim, resolution, up=2, resample_filter=resample_filter, **options
            )
        self.conv1 = SynthesisLayer(out_channels, out_channels, w_dim, resolution, **options)
        self.num_conv = 1 if self.is_first else 2
        self.has_torgb = is_last or architecture == "skip"
        if self.has_torgb:
            self.torgb = ToRGB(out_channels, img_channels, w_dim, conv_clamp=conv_clamp)
        if not self.is_first and architecture == "resnet":
            self.skip = EqualizedConv2d(in_channels, out_channels, 1, bias=False, up=2, resample_filter=resample_filter)

    def forward(
        self,
        x: Tensor | None,
        img: Tensor | None,
        ws: Tensor,
        noise_mode: str,
        rng: Rng = None,
        noise_gain: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """x features, img picture so far, ws `[N, num_conv + 1, w_dim]` → features and picture at this resolution.

        `noise_gain [N, num_conv]` multiplies the noise of the convolutions."""
        styles = ws.unbind(dim=1)
        features = self.const.expand(ws.shape[0], *self.const.shape) if x is None else x
        small = self.conv1.resolution <= CHANNELS_LAST_LIMIT
        features = features.to(
            dtype=torch.float16 if self.use_fp16 and ws.is_cuda else torch.float32,
            memory_format=torch.channels_last if small else torch.contiguous_format,
        )

        # A residual block halves the energy of both branches, so that their sum keeps the variance.
        residual = self.architecture == "resnet" and not self.is_first
        branch_gain = math.sqrt(0.5) if residual else 1.0
        shortcut = self.skip(features, gain=branch_gain) if residual else None
        if not self.is_first:
            features = self.conv0(
                features, styles[0], noise_mode, rng, noise_gain=None if noise_gain is None else noise_gain[:, 0]
            )
        own_gain = None if noise_gain is None else noise_gain[:, -1]
        features = self.conv1(
            features, styles[self.num_conv - 1], noise_mode, rng, gain=branch_gain, noise_gain=own_gain
        )
        if shortcut is not None:
            features = shortcut + features

        # The picture grows beside the features, always in float32.
        picture = None if img is None else ops.upsample2d(img, self.resample_filter)
        if self.has_torgb:
            contribution = self.torgb(features, styles[self.num_conv])
            picture = contribution if picture is None else picture + contribution
        return features, picture


class SynthesisNetwork(nn.Module):
    """w_plus → picture, coarse to fine."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        p = spec.params
        architecture = p.get("architecture", "skip")
        if architecture not in G_ARCHITECTURES:
            raise CheckpointError(
                f"unknown generator architecture {architecture!r}", f"known: {', '.join(G_ARCHITECTURES)}"
            )
        self.resolutions = block_resolutions(spec.resolution)
        self.num_ws = spec.num_ws
        table = p.get("channels") or {}
        num_fp16_res = int(p.get("num_fp16_res", 0))
        in_channels = 0
        for i, res in enumerate(self.resolutions):
            out_channels = int(table.get(str(res), 0)) or channels_at(res, p["channel_base"], p["channel_max"])
            block = SynthesisBlock(
                in_channels, out_channels, spec.w_dim, res, spec.img_channels,
                is_last=res == spec.resolution, architecture=architecture, conv_clamp=p.get("conv_clamp"),
                resample_filter=p.get("resample_filter", (1, 3, 3, 1)),
                use_fp16=i >= len(self.resolutions) - num_fp16_res,
            )  # fmt: skip
            setattr(self, f"b{res}", block)
            in_channels = out_channels

    def forward(
        self, w_plus: Tensor, noise_mode: str = "const", rng: Rng = None, noise_gain: Tensor | None = None
    ) -> Tensor:
        """w_plus `[N, num_ws, w_dim]` → image `[N, C, R, R]` float32 in about [-1, 1].

        `noise_mode`: const (stored maps), random (`rng`: one generator, one per sample, or the global one) or none.
        `noise_gain [N, num_ws]`: the noise of the convolution of a style input is multiplied by it; the last has none.
        """
        assert w_plus.ndim == 3 and w_plus.shape[1] == self.num_ws, w_plus.shape
        assert noise_mode in ("const", "random", "none"), noise_mode
        picture = self.up_to(self.resolutions[-1], w_plus, noise_mode, rng, noise_gain)
        assert picture is not None
        return picture

    def up_to(
        self, last: int, w_plus: Tensor, noise_mode: str = "const", rng: Rng = None, noise_gain: Tensor | None = None
    ) -> Tensor | None:
        """Return what the blocks up to the side `last` have made of the picture; None where it has no colours yet."""
        features = picture = None
        remaining = w_plus.float()  # a block's last style is also the next one's first
        for side in self.resolutions:
            block = getattr(self, f"b{side}")
            own = None if noise_gain is None else noise_gain[:, : block.num_conv]
            features, picture = block(features, picture, remaining[:, : block.num_conv + 1], noise_mode, rng, own)
            remaining = remaining[:, block.num_conv :]
            noise_gain = None if noise_gain is None else noise_gain[:, block.num_conv :]
            if side == last:
                break
        return picture


class Generator(base.Generator):
    """z → w → picture; see `ganlib.networks.base.Generator`."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        self.synthesis = SynthesisNetwork(spec)
        layers = int(spec.params.get("mapping_layers", 8))
        self.mapping = MappingNetwork(spec.z_dim, spec.label_dim, spec.w_dim, num_layers=layers)

    @property
    def w_avg(self) -> Tensor:
        """Running mean of w over training, `[w_dim]`."""
        return self.mapping.w_avg  # type: ignore[attr-defined]  # a buffer of the module

    def sketch(self, w_plus: Tensor, side: int) -> Tensor | None:
        """See `base.Generator.sketch`: a skip generator has a picture at every side."""
        assert isinstance(self.synthesis, SynthesisNetwork)
        if self.spec.params.get("architecture", "skip") != "skip" or side not in self.synthesis.resolutions:
            return None
        return self.synthesis.up_to(side, w_plus)

    def forward(self, z: Tensor, label: Tensor | None = None, noise_mode: str = "const", rng: Rng = None) -> Tensor:
        """z `[N, z_dim]` → image `[N, C, R, R]`, no truncation, one w for all style inputs."""
        w = self.mapping(z, label)
        return self.synthesis(w[:, None].expand(-1, self.spec.num_ws, -1), noise_mode, rng)


# ---- Discriminator (StyleGAN2, figure 7; class projection after Miyato & Koyama 2018) ------------------------------


class DiscriminatorBlock(nn.Module):
    """One resolution: from the picture where the architecture asks for it, two convolutions, half the size."""

    def __init__(
        self,
        in_channels: int,  # 0 in the first block
        mid_channels: int,
        out_channels: int,
        img_channels: int,
        *,
        architecture: str = "resnet",
        conv_clamp: float | None = None,
        resample_filter: Sequence[float] = (1, 3, 3, 1),
        use_fp16: bool = False,  # half precision, on CUDA only
    ) -> None:
        super().__init__()
        self.architecture, self.use_fp16 = architecture, use_fp16
        options: dict[str, Any] = {"conv_clamp": conv_clamp}
        self.register_buffer("resample_filter", ops.setup_filter(resample_filter), persistent=False)
        self.resample_filter: Tensor
        if in_channels == 0 or architecture == "skip":
            self.fromrgb = EqualizedConv2d(img_channels, mid_channels, 1, act="lrelu", **options)
        self.conv0 = EqualizedConv2d(mid_channels, mid_channels, 3, act="lrelu", **options)
        self.conv1 = EqualizedConv2d(
            mid_channels, out_channels, 3, act="lrelu", down=2, resample_filter=resample_filter, **options
        )
        if architecture == "resnet":
            self.skip = EqualizedConv2d(
                mid_channels, out_channels, 1, bias=False, down=2, resample_filter=resample_filter
            )

    def forward(self, x: Tensor | None, img: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """x features or None, img picture or None → both at half the size."""
        wanted: dict[str, Any] = {"dtype": torch.float32, "memory_format": torch.channels_last}
        if self.use_fp16 and (img if x is None else x).is_cuda:  # type: ignore[union-attr]  # one of them is given
            wanted["dtype"] = torch.float16
        features = None if x is None else x.to(**wanted)
        smaller = None
        if hasattr(self, "fromrgb"):
            assert img is not None
            seen = self.fromrgb(img.to(**wanted))
            features = seen if features is None else features + seen
            if self.architecture == "skip":
                smaller = ops.downsample2d(img, self.resample_filter)
        if self.architecture != "resnet":
            return self.conv1(self.conv0(features)), smaller
        shortcut = self.skip(features, gain=math.sqrt(0.5))
        return shortcut + self.conv1(self.conv0(features), gain=math.sqrt(0.5)), smaller


class DiscriminatorEpilogue(nn.Module):
    """4×4: minibatch standard deviation, one convolution, two fully connected layers, class projection."""

    def __init__(
        self,
        in_channels: int,
        img_channels: int,
        *,
        label_features: int = 0,  # length of the mapped label; 0 is unconditional
        architecture: str = "resnet",
        mbstd_group_size: int | None = 4,  # None is the whole batch
        mbstd_num_channels: int = 1,  # 0 leaves the minibatch statistic out
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.architecture, self.label_features = architecture, label_features
        self.mbstd_group_size, self.mbstd_num_channels = mbstd_group_size, mbstd_num_channels
        if architecture == "skip":
            self.fromrgb = EqualizedConv2d(img_channels, in_channels, 1, act="lrelu")
        self.conv = EqualizedConv2d(
            in_channels + mbstd_num_channels, in_channels, 3, act="lrelu", conv_clamp=conv_clamp
        )
        self.fc = EqualizedLinear(in_channels * 16, in_channels, act="lrelu")
        self.out = EqualizedLinear(in_channels, label_features or 1)

    def forward(self, x: Tensor, img: Tensor | None, label: Tensor | None) -> Tensor:
        """Features `[N, C, 4, 4]` → logits `[N, 1]` float32."""
        features = x.float()
        if self.architecture == "skip":
            features = features + self.fromrgb(img)
        if self.mbstd_num_channels > 0:
            features = ops.minibatch_std(features, self.mbstd_group_size, self.mbstd_num_channels)
        verdict = self.out(self.fc(self.conv(features).flatten(1)))
        if label is None:
            return verdict
        return torch.linalg.vecdot(verdict, label)[:, None] * self.label_features**-0.5


class Discriminator(base.Discriminator):
    """Picture (and label) → logit: large means real."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        p: dict[str, Any] = {**spec.params, **spec.params.get("D", {})}
        architecture = p.get("D_architecture", "resnet")
        if architecture not in D_ARCHITECTURES:
            raise CheckpointError(f"unknown discriminator {architecture!r}", f"known: {', '.join(D_ARCHITECTURES)}")
        self.spec = spec
        self.resolutions = block_resolutions(spec.resolution)[:0:-1]
        table = spec.params.get("D", {}).get("channels") or {}  # widths that no formula gives; not the generator's
        widths = {
            res: int(table.get(str(res), 0)) or channels_at(res, p["channel_base"], p["channel_max"])
            for res in (4, *self.resolutions)
        }
        num_fp16_res = int(p.get("num_fp16_res", 0))
        options: dict[str, Any] = {"architecture": architecture, "conv_clamp": p.get("conv_clamp")}
        for i, res in enumerate(self.resolutions):
            mid, out = widths[res], widths[res // 2]
            block = DiscriminatorBlock(
                mid if i > 0 else 0, mid, out, spec.img_channels, use_fp16=i < num_fp16_res,
                resample_filter=p.get("resample_filter", (1, 3, 3, 1)), **options,
            )  # fmt: skip
            setattr(self, f"b{res}", block)
        channels = widths[4]
        self.label_features = channels if spec.label_dim > 0 else 0
        if spec.label_dim > 0:
            layers = int(p.get("D_mapping_layers", 8))
            self.mapping = MappingNetwork(0, spec.label_dim, channels, num_layers=layers, track_w_avg=False)
        self.b4 = DiscriminatorEpilogue(
            channels, spec.img_channels, label_features=self.label_features,
            mbstd_group_size=p.get("mbstd_group_size", 4), mbstd_num_channels=p.get("mbstd_num_channels", 1), **options,
        )  # fmt: skip

    def _blocks(self, img: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield features and the picture that is left beside them after each block."""
        x: Tensor | None = None
        picture: Tensor | None = img
        for res in self.resolutions:
            x, picture = getattr(self, f"b{res}")(x, picture)
            assert x is not None
            yield x, picture

    def features(self, img: Tensor, label: Tensor | None = None) -> Iterator[Tensor]:
        """As `base.Discriminator.features`."""
        yield from (x for x, _ in self._blocks(img))

    def forward(self, img: Tensor, label: Tensor | None = None, maps: list[Tensor] | None = None) -> Tensor:
        """img `[N, C, R, R]` float in [-1, 1], label `[N, label_dim]` one-hot → logits `[N, 1]` float32."""
        x, picture = img, None
        for x, picture in self._blocks(img):  # noqa: B007 (the last one is what is left)
            if maps is not None:
                maps.append(x)
        mapped = self.mapping(None, label) if self.label_features else None
        return self.b4(x, picture, mapped)


# ---- Spec inference, conversion, defaults --------------------------------------------------------------------------


def make_spec(
    *,
    resolution: int,
    img_channels: int = 3,
    label_dim: int = 0,
    z_dim: int = 512,
    w_dim: int = 512,
    channel_base: int = 32768,
    channel_max: int = 512,
    mapping_layers: int = 8,
    architecture: str = "skip",
    conv_clamp: float | None = None,
    num_fp16_res: int = 0,
    resample_filter: Sequence[float] = (1, 3, 3, 1),
    D: Mapping[str, Any] | None = None,
) -> GeneratorSpec:
    """Return the spec of a StyleGAN2 generator; `D` holds discriminator options. Raises `InputError` on a resolution
    that is no power of two from 8 up, or on channels below 1."""
    if resolution < 8 or resolution & (resolution - 1):
        raise InputError(
            f"resolution {resolution} is not a power of two from 8 up", "use 32, 64, 128, 256, 512 or 1024"
        )
    if channel_base < resolution or channel_max < 1:
        raise InputError(
            f"channel_base {channel_base} leaves no feature map at {resolution} px", f"use at least {16 * resolution}"
        )
    params: dict[str, Any] = {
        "channel_base": channel_base, "channel_max": channel_max, "mapping_layers": mapping_layers,
        "architecture": architecture, "conv_clamp": conv_clamp, "num_fp16_res": num_fp16_res,
        "resample_filter": list(resample_filter), "D": dict(D or {}),
    }  # fmt: skip
    num_ws = 2 * int(math.log2(resolution)) - 2
    return GeneratorSpec(
        "stylegan2", resolution, img_channels, z_dim, w_dim, num_ws, label_dim,
        noise_modes=("const", "random", "none"), truncatable=True, params=params,
    )  # fmt: skip


def infer_spec(tensors: Mapping[str, Tensor]) -> GeneratorSpec:
    """Read a generator's spec off its tensors (NVIDIA's names); raises `CheckpointError` for another kind."""
    try:
        resolutions = sorted(int(k.split(".")[1][1:]) for k in tensors if k.endswith(".conv1.weight"))
        channels = {str(r): int(tensors[f"synthesis.b{r}.conv1.weight"].shape[0]) for r in resolutions}
        last = resolutions[-1]
        has_skip = f"synthesis.b{last}.skip.weight" in tensors
        skip_rgb = "synthesis.b4.torgb.weight" in tensors
        layers = sum(k.startswith("mapping.fc") and k.endswith(".weight") for k in tensors)
        w_dim = int(tensors["mapping.w_avg"].shape[0])
        label_dim = int(tensors["mapping.embed.weight"].shape[1]) if "mapping.embed.weight" in tensors else 0
        z_dim = int(tensors["mapping.fc0.weight"].shape[1]) - (w_dim if label_dim else 0)
        img_channels = int(tensors[f"synthesis.b{last}.torgb.weight"].shape[0])
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(
            f"these tensors are no StyleGAN2 generator ({error})", "check which tool wrote the file"
        ) from error
    spec = make_spec(
        resolution=last, img_channels=img_channels, label_dim=label_dim, z_dim=z_dim, w_dim=w_dim,
        channel_base=channels[str(last)] * last, channel_max=max(channels.values()), mapping_layers=layers,
        architecture="resnet" if has_skip else "skip" if skip_rgb else "orig",
    )  # fmt: skip
    computed = {str(r): channels_at(r, spec.params["channel_base"], spec.params["channel_max"]) for r in resolutions}
    if computed == channels:
        return spec
    return GeneratorSpec.from_dict({**spec.to_dict(), "params": {**spec.params, "channels": channels}})


def style_weights(G: base.Generator) -> dict[str, Tensor]:
    """Return each style layer's affine weight `[channels, w_dim]` in the order of use, for SeFa."""
    return {name: p for name, p in G.named_parameters() if name.endswith("affine.weight")}


def style_inputs(G: base.Generator) -> dict[str, int]:
    """Return the style input of each layer of `style_weights`: a convolution takes the next one, toRGB that of the
    convolution which follows."""
    inputs, convolutions = {}, 0
    for name in style_weights(G):
        inputs[name] = convolutions
        convolutions += ".torgb." not in name
    return inputs


def nvidia_arguments(spec: GeneratorSpec) -> dict[str, dict[str, Any]]:
    """Return the arguments by which StyleGAN2-ADA's classes for PyTorch make `G_ema` and `D`.

    Widths that no `channel_base` gives cannot be said there."""
    shared = {"c_dim": spec.label_dim, "img_resolution": spec.resolution, "img_channels": spec.img_channels}
    widths = ("channel_base", "channel_max", "num_fp16_res", "conv_clamp")
    p: dict[str, Any] = dict(spec.params)
    d: dict[str, Any] = p | dict(p.get("D", {}))
    taps = {"resample_filter": list(p.get("resample_filter", (1, 3, 3, 1)))}
    return {
        "G_ema": {
            "class_name": "training.networks.Generator", "z_dim": spec.z_dim, "w_dim": spec.w_dim, **shared,
            "mapping_kwargs": {"num_layers": p.get("mapping_layers", 8)},
            "synthesis_kwargs": {name: p.get(name) for name in widths} | taps
            | {"architecture": p.get("architecture", "skip")},
        },
        "D": {
            "class_name": "training.networks.Discriminator", **shared, **{name: d.get(name) for name in widths},
            "architecture": d.get("D_architecture", "resnet"),
            "block_kwargs": {"resample_filter": list(d.get("resample_filter", (1, 3, 3, 1)))},
            "mapping_kwargs": {"num_layers": d.get("D_mapping_layers", 8)},
            "epilogue_kwargs": {
                "mbstd_group_size": d.get("mbstd_group_size", 4), "mbstd_num_channels": d.get("mbstd_num_channels", 1),
            },
        },
    }  # fmt: skip


STYLEGAN2 = Architecture(
    name="stylegan2",
    title="StyleGAN2",
    signature_key="synthesis.b4.const",
    trainable=True,
    build_G=Generator,
    build_D=Discriminator,
    make_spec=make_spec,
    infer_spec=infer_spec,
    style_weights=style_weights,
    style_inputs=style_inputs,
    train_defaults={
        "loss": "logistic", "glr": 2.5e-3, "dlr": 2.5e-3, "betas": (0.0, 0.99), "batch": 16, "aug": "ada",
        "cbase": 16384, "cmax": 512, "z_dim": 512, "w_dim": 512, "map_depth": 2,
    },
    tiny=lambda: make_spec(
        resolution=16, z_dim=32, w_dim=32, channel_base=256, channel_max=16, mapping_layers=2,
        D={"mbstd_group_size": 4},
    ),
    nvidia_arguments=nvidia_arguments,
)  # fmt: skip
