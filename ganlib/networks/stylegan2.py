"""StyleGAN2: "Analyzing and Improving the Image Quality of StyleGAN", Karras et al. 2020 (arXiv 1912.04958).

Synthesis (skip, resnet, orig) and discriminator (resnet, skip, orig), with class labels. Tensors carry NVIDIA's
names, so that a snapshot of theirs and one of ours hold the same keys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.errors import CheckpointError, InputError
from ganlib.networks import base, ops
from ganlib.networks.base import Architecture, GeneratorSpec
from ganlib.networks.mapping import MappingNetwork
from ganlib.networks.ops import SQRT2, EqualizedConv2d, EqualizedLinear, Rng

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


# ---- Small layers of the synthesis network -------------------------------------------------------------------------


class SynthesisLayer(nn.Module):
    """Modulated 3×3 convolution, noise, bias, lrelu (StyleGAN2, figure 2c)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,  # side of the output
        *,
        up: int = 1,  # 2 doubles the picture
        conv_clamp: float | None = None,  # None leaves activations unclamped
        resample_filter: Sequence[float] = (1, 3, 3, 1),
    ) -> None:
        super().__init__()
        self.resolution, self.up, self.conv_clamp = resolution, up, conv_clamp
        self._cache: tuple[Any, Tensor, Tensor] | None = None
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight: Tensor = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", ops.setup_filter(resample_filter), persistent=False)
        self.noise_const: Tensor
        self.resample_filter: Tensor

    def _prepared(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the weight as the convolution wants it and Σ_k w² `[O, I]`, kept between calls without gradients.

        Half precision overflows unless the weight is scaled to at most 1/√(I·k²); demodulation undoes any scale. The
        layout matters on CPUs: oneDNN reorders a weight of 512×512×3×3 in as long as it convolves a 32×32 picture."""
        weight = self.weight
        if dtype == torch.float16:
            weight = weight / (weight.abs().amax(dim=[1, 2, 3], keepdim=True) * math.sqrt(weight[0].numel()))
        if torch.is_grad_enabled():
            return weight, ops.energy(weight)
        key = (self.weight.data_ptr(), self.weight._version, dtype)
        if self._cache is None or self._cache[0] != key:
            layout = weight.to(dtype) if self.up == 1 else weight.to(dtype).transpose(0, 1)
            layout = layout.contiguous(memory_format=torch.channels_last)
            self._cache = (key, layout if self.up == 1 else layout.transpose(0, 1), ops.energy(weight))
        return self._cache[1:]

    def forward(self, x: Tensor, w: Tensor, noise_mode: str, rng: Rng = None, gain: float = 1.0) -> Tensor:
        """x `[N, I, H, W]`, w `[N, w_dim]` → `[N, O, H·up, W·up]` in the dtype of x."""
        # Styles and demodulation, in float32.
        styles = self.affine(w)
        if x.dtype == torch.float16:
            styles = styles / styles.abs().amax(dim=1, keepdim=True)
        weight, energy = self._prepared(x.dtype)
        act_gain = SQRT2 * gain
        d = ops.demodulation(energy, styles) * act_gain

        # Noise and bias, the activation's √2 folded in; their sum is made channels-last, as the picture is.
        bias, noise = self.bias * act_gain, None
        if noise_mode == "const":
            noise = self.noise_const[None, :, :, None] * (self.noise_strength * act_gain)
        elif noise_mode == "random":
            noise = ops.draw_noise((len(x), 1, self.resolution, self.resolution), rng, x.device).permute(0, 2, 3, 1)
            noise = noise * (self.noise_strength * act_gain)

        if len(x) == 1 and weight[0].numel() < self.resolution**2 and not torch.is_grad_enabled():
            # One picture with more pixels than a filter has weights: scaling the weights is the smaller pass.
            own = weight * (styles[0, :, None, None] * d[0, :, None, None, None]).to(x.dtype)
            y = ops.biased_conv2d(x, own, bias.to(x.dtype), self.resample_filter, up=self.up)
            y = y if noise is None else y.add_(noise.permute(0, 3, 1, 2))
        else:
            # Convolution; then scale, noise and bias in one pass.
            y = ops.scaled_conv2d(x, weight, styles, self.resample_filter, up=self.up)
            shift = bias[None, None, None] if noise is None else bias + noise
            y = torch.addcmul(shift.permute(0, 3, 1, 2).to(y.dtype), y, d.to(y.dtype)[:, :, None, None])
        y = F.leaky_relu(y, 0.2) if torch.is_grad_enabled() else F.leaky_relu_(y, 0.2)
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp * gain, self.conv_clamp * gain)


class ToRGB(nn.Module):
    """Modulated 1×1 convolution to the picture's channels, without demodulation (StyleGAN2, figure 7)."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, *, conv_clamp: float | None = None) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1.0 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x `[N, I, H, W]`, w `[N, w_dim]` → `[N, img_channels, H, W]` float32."""
        # Three output channels: per-sample weights are tiny, and a matrix product reads x once instead of twice.
        styles = self.affine(w) * self.weight_gain
        kernel = (self.weight[:, :, 0, 0] * styles[:, None, :]).to(x.dtype)
        n, c, height, width = x.shape
        y = torch.matmul(x.permute(0, 2, 3, 1).reshape(n, height * width, c), kernel.transpose(1, 2))
        y = y.reshape(n, height, width, -1).permute(0, 3, 1, 2) + self.bias.to(x.dtype)[:, None, None]
        return (y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)).float()


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
        options: dict[str, Any] = {"conv_clamp": conv_clamp, "resample_filter": resample_filter}
        self.register_buffer("resample_filter", ops.setup_filter(resample_filter), persistent=False)
        self.resample_filter: Tensor
        if self.is_first:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(in_channels, out_channels, w_dim, resolution, up=2, **options)
        self.conv1 = SynthesisLayer(out_channels, out_channels, w_dim, resolution, **options)
        self.num_conv = 1 if self.is_first else 2
        self.has_torgb = is_last or architecture == "skip"
        if self.has_torgb:
            self.torgb = ToRGB(out_channels, img_channels, w_dim, conv_clamp=conv_clamp)
        if not self.is_first and architecture == "resnet":
            self.skip = EqualizedConv2d(in_channels, out_channels, 1, bias=False, up=2, resample_filter=resample_filter)

    def forward(
        self, x: Tensor | None, img: Tensor | None, ws: Tensor, noise_mode: str, rng: Rng = None
    ) -> tuple[Tensor, Tensor | None]:
        """x features, img picture so far, ws `[N, num_conv + 1, w_dim]` → features and picture at this resolution."""
        # Input.
        dtype = torch.float16 if self.use_fp16 and ws.is_cuda else torch.float32
        layout = torch.channels_last if self.conv1.resolution <= CHANNELS_LAST_LIMIT else torch.contiguous_format
        if x is None:
            x = self.const[None].expand(len(ws), -1, -1, -1)
        x = x.to(dtype=dtype, memory_format=layout)

        # Convolutions.
        if self.is_first:
            x = self.conv1(x, ws[:, 0], noise_mode, rng)
        elif self.architecture == "resnet":
            y = self.skip(x, gain=math.sqrt(0.5))
            x = self.conv0(x, ws[:, 0], noise_mode, rng)
            x = y + self.conv1(x, ws[:, 1], noise_mode, rng, gain=math.sqrt(0.5))
        else:
            x = self.conv0(x, ws[:, 0], noise_mode, rng)
            x = self.conv1(x, ws[:, 1], noise_mode, rng)

        # Picture, in float32.
        if img is not None:
            img = ops.upsample2d(img, self.resample_filter)
        if self.has_torgb:
            rgb = self.torgb(x, ws[:, self.num_conv])
            img = rgb if img is None else img + rgb
        return x, img


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

    def forward(self, w_plus: Tensor, noise_mode: str = "const", rng: Rng = None) -> Tensor:
        """w_plus `[N, num_ws, w_dim]` → image `[N, C, R, R]` float32 in about [-1, 1].

        `noise_mode`: const (stored maps), random (`rng`: one generator, one per sample, or the global one) or none.
        """
        assert w_plus.ndim == 3 and w_plus.shape[1] == self.num_ws, w_plus.shape
        assert noise_mode in ("const", "random", "none"), noise_mode
        w_plus = w_plus.float()
        x = img = None
        idx = 0
        for res in self.resolutions:
            block = getattr(self, f"b{res}")
            x, img = block(x, img, w_plus[:, idx : idx + block.num_conv + 1], noise_mode, rng)
            idx += block.num_conv
        assert img is not None
        return img


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
        options: dict[str, Any] = {"conv_clamp": conv_clamp, "resample_filter": resample_filter}
        self.register_buffer("resample_filter", ops.setup_filter(resample_filter), persistent=False)
        self.resample_filter: Tensor
        if in_channels == 0 or architecture == "skip":
            self.fromrgb = EqualizedConv2d(img_channels, mid_channels, 1, act="lrelu", **options)
        self.conv0 = EqualizedConv2d(mid_channels, mid_channels, 3, act="lrelu", **options)
        self.conv1 = EqualizedConv2d(mid_channels, out_channels, 3, act="lrelu", down=2, **options)
        if architecture == "resnet":
            self.skip = EqualizedConv2d(
                mid_channels, out_channels, 1, bias=False, down=2, resample_filter=resample_filter
            )

    def forward(self, x: Tensor | None, img: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """x features or None, img picture or None → both at half the size."""
        anchor = x if x is not None else img
        assert anchor is not None
        dtype = torch.float16 if self.use_fp16 and anchor.is_cuda else torch.float32

        # Input.
        if x is not None:
            x = x.to(dtype=dtype, memory_format=torch.channels_last)
        if x is None or self.architecture == "skip":
            assert img is not None
            y = self.fromrgb(img.to(dtype=dtype, memory_format=torch.channels_last))
            x = y if x is None else x + y
            img = ops.downsample2d(img, self.resample_filter) if self.architecture == "skip" else None

        # Main path.
        if self.architecture == "resnet":
            y = self.skip(x, gain=math.sqrt(0.5))
            x = y + self.conv1(self.conv0(x), gain=math.sqrt(0.5))
        else:
            x = self.conv1(self.conv0(x))
        return x, img


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
        x = x.float()
        if self.architecture == "skip":
            assert img is not None
            x = x + self.fromrgb(img)
        if self.mbstd_num_channels > 0:
            x = ops.minibatch_std(x, self.mbstd_group_size, self.mbstd_num_channels)
        x = self.conv(x)
        x = self.out(self.fc(x.flatten(1)))
        if label is not None:
            x = (x * label).sum(dim=1, keepdim=True) / math.sqrt(self.label_features)
        return x


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
        widest, top = p["channel_base"], p["channel_max"]
        num_fp16_res = int(p.get("num_fp16_res", 0))
        options: dict[str, Any] = {"architecture": architecture, "conv_clamp": p.get("conv_clamp")}
        for i, res in enumerate(self.resolutions):
            mid, out = channels_at(res, widest, top), channels_at(res // 2, widest, top)
            block = DiscriminatorBlock(
                mid if i > 0 else 0, mid, out, spec.img_channels, use_fp16=i < num_fp16_res,
                resample_filter=p.get("resample_filter", (1, 3, 3, 1)), **options,
            )  # fmt: skip
            setattr(self, f"b{res}", block)
        channels = channels_at(4, widest, top)
        self.label_features = channels if spec.label_dim > 0 else 0
        if spec.label_dim > 0:
            layers = int(p.get("D_mapping_layers", 8))
            self.mapping = MappingNetwork(0, spec.label_dim, channels, num_layers=layers, track_w_avg=False)
        self.b4 = DiscriminatorEpilogue(
            channels, spec.img_channels, label_features=self.label_features,
            mbstd_group_size=p.get("mbstd_group_size", 4), mbstd_num_channels=p.get("mbstd_num_channels", 1), **options,
        )  # fmt: skip

    def forward(self, img: Tensor, label: Tensor | None = None) -> Tensor:
        """img `[N, C, R, R]` float in [-1, 1], label `[N, label_dim]` one-hot → logits `[N, 1]` float32."""
        x: Tensor | None = None
        picture: Tensor | None = img
        for res in self.resolutions:
            x, picture = getattr(self, f"b{res}")(x, picture)
        assert x is not None
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


STYLEGAN2 = Architecture(
    name="stylegan2",
    title="StyleGAN2",
    build_G=Generator,
    build_D=Discriminator,
    make_spec=make_spec,
    infer_spec=infer_spec,
    style_weights=style_weights,
    train_defaults={
        "loss": "logistic", "glr": 2.5e-3, "dlr": 2.5e-3, "betas": (0.0, 0.99), "batch": 16, "aug": "ada",
        "cbase": 16384, "cmax": 512, "z_dim": 512, "w_dim": 512, "map_depth": 2,
    },
    tiny=lambda: make_spec(
        resolution=16, z_dim=32, w_dim=32, channel_base=256, channel_max=16, mapping_layers=2,
        D={"mbstd_group_size": 4},
    ),
)  # fmt: skip
