"""StyleGAN3: "Alias-Free Generative Adversarial Networks", Karras et al. 2021 (arXiv 2106.12423).

Configurations t (translation) and r (translation and rotation). Tensors carry NVIDIA's names, so that a snapshot of
theirs and one of ours hold the same keys. The discriminator is StyleGAN2's, as in the paper.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.base.errors import CheckpointError, InputError
from ganlib.networks import alias_free, base, bilinear, ops, stylegan2, winograd
from ganlib.networks.base import Architecture, GeneratorSpec
from ganlib.networks.mapping import MappingNetwork
from ganlib.networks.modulated import KeptWeight
from ganlib.networks.ops import SQRT2, EqualizedLinear, Rng

OVERSAMPLING = 2  # of the nonlinearity, over the larger of a layer's two rates
RADIAL = "use_radial_filters"


# ---- The table of layers (section 3.2 and figure 4c) ---------------------------------------------------------------


@dataclass(frozen=True)
class Band:
    """What a layer's output can carry: one row of the table. Frequencies are in cycles per picture."""

    cutoff: float
    stopband: float
    rate: int
    """Samples per picture."""
    size: int
    """Samples a side, the margin around the picture included."""
    channels: int

    @property
    def half_width(self) -> float:
        """Half the transition band of a filter: wide where the rate leaves room."""
        return max(self.stopband, self.rate / 2) - self.cutoff


def bands(spec: GeneratorSpec) -> list[Band]:
    """Return the bands of the layers 0 … num_layers, of which the last makes the picture's channels.

    Cutoff and stopband grow geometrically to those of the picture, and stay there in the last, critical layers."""
    p, resolution, count = spec.params, spec.resolution, spec.params["num_layers"]
    if not 0 <= p["num_critical"] < count:
        raise ValueError(f"{p['num_critical']} critical layers of {count}")
    last_cutoff = resolution / 2
    last_stopband = last_cutoff * p["last_stopband_rel"]
    rows = []
    for number in range(count + 1):
        share = min(number / (count - p["num_critical"]), 1.0)
        cutoff = p["first_cutoff"] * (last_cutoff / p["first_cutoff"]) ** share
        stopband = p["first_stopband"] * (last_stopband / p["first_stopband"]) ** share
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, resolution)))
        size = resolution if number >= count - 1 else rate + 2 * p["margin_size"]
        channels = round(min(p["channel_base"] / 2 / cutoff, p["channel_max"]))
        rows.append(Band(cutoff, stopband, rate, size, spec.img_channels if number == count else channels))
    if widths := p.get("layer_channels"):
        if len(widths) != count:
            raise ValueError(f"{len(widths)} widths for {count} layers")
        rows = [Band(r.cutoff, r.stopband, r.rate, r.size, n) for r, n in zip(rows, widths, strict=False)] + rows[-1:]
    return rows


# ---- Input (appendix C.2; figure 4a) -------------------------------------------------------------------------------


class SynthesisInput(nn.Module):
    """Fourier features on a grid that w turns and moves: the picture's coarsest signal."""

    def __init__(self, w_dim: int, band: Band) -> None:
        super().__init__()
        self.size, self.rate, self.bandwidth = band.size, band.rate, band.cutoff
        # Frequencies are spread evenly over the disc that the first cutoff allows.
        # Named device: arithmetic on `meta`, where checkpoints are built, would import PyTorch's compiler (seconds).
        share, turn, phase = torch.rand(3, band.channels, device="cpu")
        radius, angle = band.cutoff * share.sqrt(), 2 * math.pi * turn
        self.weight = nn.Parameter(torch.randn(band.channels, band.channels))
        self.affine = EqualizedLinear(w_dim, 4)  # cosine and sine of the turn, and the translation
        nn.init.zeros_(self.affine.weight)
        with torch.no_grad():
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        self.register_buffer("transform", torch.eye(3, device="cpu"))
        self.register_buffer("freqs", torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1))
        self.register_buffer("phases", phase - 0.5)
        self.transform: Tensor
        self.freqs: Tensor
        self.phases: Tensor

    def forward(self, w: Tensor, transform: Tensor | None = None) -> Tensor:
        """w `[N, w_dim]`, transform `[N, 3, 3]` or None → features `[N, C, H, H]` float32, channels-last."""
        # A point p of the grid is read at R·(p - t): the turn and the translation that w chooses.
        cosine, sine, across, along = self.affine(w).unbind(dim=1)
        length = (cosine.square() + sine.square()).sqrt()  # hypot is not in ONNX
        cosine, sine, across, along = cosine / length, sine / length, across / length, along / length
        turn = torch.stack([cosine, -sine, sine, cosine], dim=1).view(-1, 2, 2)
        shift = -torch.stack([across, along], dim=1)[:, :, None]
        given = self.transform if transform is None else self.transform @ transform.to(self.transform)
        turned = turn @ given[..., :2, :2]
        moved = turn @ (given[..., :2, 2:] + shift)

        # To move the grid is to move phases, and to turn it is to turn frequencies. A frequency that a transform lifts
        # over the band fades out before it would alias.
        phases = self.phases + (self.freqs @ moved)[:, :, 0]
        freqs = self.freqs @ turned
        room = self.rate / 2 - self.bandwidth
        amplitudes = (1 - (freqs.norm(dim=2) - self.bandwidth) / room).clamp(0, 1)

        extent = self.size / self.rate / 2  # the picture itself reaches from -1/2 to 1/2
        steps = (torch.arange(self.size, device=w.device) + 0.5) * (2 * extent / self.size) - extent
        waves = steps[:, None, None] * freqs[:, None, None, :, 1] + steps[None, :, None] * freqs[:, None, None, :, 0]
        features = torch.sin(2 * math.pi * (waves + phases[:, None, None])) * amplitudes[:, None, None]
        return F.linear(features, self.weight / math.sqrt(self.weight.shape[1])).permute(0, 3, 1, 2)


# ---- Layers (section 3.2; figure 4b) -------------------------------------------------------------------------------


class SynthesisLayer(nn.Module):
    """Modulated convolution, bias, and the leaky ReLU between two filters that change the rate."""

    def __init__(
        self,
        w_dim: int,
        before: Band,  # what comes in
        after: Band,  # what goes out
        *,
        kernel_size: int,
        filter_size: int,  # taps per sample of the slower rate
        radial: bool,  # the second filter is the same in every direction
        conv_clamp: float | None,  # None leaves activations unclamped
    ) -> None:
        super().__init__()
        wide = max(before.rate, after.rate) * OVERSAMPLING
        self.kernel_size, self.conv_clamp = kernel_size, conv_clamp
        self.up, self.down = wide // before.rate, wide // after.rate
        self.affine = EqualizedLinear(w_dim, before.channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(after.channels, before.channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(after.channels))
        self.register_buffer("magnitude_ema", torch.ones([]))  # running mean square of the input
        up_taps, down_taps = filter_size * self.up, filter_size * self.down
        self.register_buffer(
            "up_filter",
            alias_free.design_filter(up_taps, cutoff=before.cutoff, width=2 * before.half_width, rate=wide),
        )
        self.register_buffer(
            "down_filter",
            alias_free.design_filter(
                down_taps, cutoff=after.cutoff, width=2 * after.half_width, rate=wide, radial=radial
            ),
        )
        self.magnitude_ema: Tensor
        self.up_filter: Tensor
        self.down_filter: Tensor

        # The convolution reaches over the edge by its kernel, and the filters eat their length; what remains is spread
        # so that the centre stays the centre. An inserted zero follows its pixel, hence `up`.
        total = (after.size - 1) * self.down + down_taps + up_taps - 1
        total -= (before.size + kernel_size - 1) * self.up
        first = (total + self.up) // 2
        rest = total - first
        # Columns that the filters would never read are not even convolved.
        self.crop = (max(0, -first // self.up), max(0, -rest // self.up))
        self.padding = (first + self.crop[0] * self.up, rest + self.crop[1] * self.up)
        self._parts: tuple[Any, list[tuple[Tensor, Tensor]]] | None = None
        self._kept = KeptWeight()
        self._channels, self._side = min(before.channels, after.channels), before.size

    def _down_parts(self) -> list[tuple[Tensor, Tensor]]:
        """Return the separable parts of `down_filter`, kept while it stays the same tensor; a program that is exported
        has those of the last picture before, as constants."""
        f = self.down_filter
        if torch.compiler.is_exporting() and self._parts is not None:
            return self._parts[1]
        key = (f.data_ptr(), 0 if f.is_inference() else f._version, f.device, f.dtype)
        if self._parts is None or self._parts[0] != key:
            self._parts = (key, alias_free.separable_parts(f))
        return self._parts[1]

    def _multiplies_less(self) -> bool:
        """Whether `winograd` convolves: as in StyleGAN2's layers, rendering on a CPU."""
        if self.training or torch.is_grad_enabled() or not self.weight.is_cpu or self.kernel_size != winograd.TAPS:
            return False
        return self._channels >= winograd.LEAST_CHANNELS and self._side >= winograd.LEAST_SIDE

    def _prepared(self) -> tuple[Tensor, Tensor]:
        """Return the weight as the convolution wants it and Σ_k w² `[O, I]`, kept on a CPU without gradients."""
        if torch.is_grad_enabled() or not self.weight.is_cpu:
            return self.weight, ops.energy(self.weight)

        def make() -> tuple[Tensor, Tensor]:
            if self._multiplies_less():
                return winograd.transform_weight(self.weight), ops.energy(self.weight)
            return self.weight.clone(memory_format=torch.channels_last), ops.energy(self.weight)

        return self._kept.get(self.weight, self._multiplies_less(), make)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve with the full overlap of kernel and picture, less what is cropped."""
        overlap = self.kernel_size - 1
        before, after = overlap - self.crop[0], overlap - self.crop[1]
        if not self._multiplies_less():
            if before == after == overlap:
                return bilinear.conv2d(x, weight, padding=overlap)
            return bilinear.conv2d(F.pad(x, [before, after, before, after]), weight)
        side = x.shape[-1] + before + after
        rest = after + -side % winograd.TILE  # that way takes whole tiles only
        y = winograd.conv3x3(F.pad(x, [before, rest, before, rest]), weight)
        return y[:, :, 1 : side - 1, 1 : side - 1]

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x `[N, I, H, H]`, w `[N, w_dim]` → `[N, O, H', H']`."""
        # Styles scale the input, and demodulation and the expected magnitude the output (equation 3 of StyleGAN2).
        styles = self.affine(w)
        weight, energy = self._prepared()
        scale = ops.demodulation(energy, styles) * self.magnitude_ema.rsqrt()
        y = self._convolve(x * styles[:, :, None, None], weight)
        y = torch.addcmul(self.bias[:, None, None], y, scale[:, :, None, None])
        return alias_free.filtered_lrelu(
            y, self.up_filter, self._down_parts(), up=self.up, down=self.down, padding=self.padding,
            gain=SQRT2, clamp=self.conv_clamp,
        )  # fmt: skip


class ToRGB(nn.Module):
    """Modulated 1×1 convolution to the picture's channels, without demodulation and nonlinearity."""

    def __init__(self, w_dim: int, before: Band, after: Band, *, conv_clamp: float | None) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = EqualizedLinear(w_dim, before.channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(after.channels, before.channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(after.channels))
        self.register_buffer("magnitude_ema", torch.ones([]))
        self.magnitude_ema: Tensor

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x `[N, I, H, W]`, w `[N, w_dim]` → `[N, img_channels, H, W]`."""
        styles = self.affine(w) * (self.magnitude_ema.rsqrt() / math.sqrt(self.weight.shape[1]))
        kernel = self.weight[:, :, 0, 0] * styles[:, None, :]
        y = torch.matmul(x.permute(0, 2, 3, 1).flatten(1, 2), kernel.transpose(1, 2)) + self.bias
        y = y.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)


# ---- Generator -----------------------------------------------------------------------------------------------------


class SynthesisNetwork(nn.Module):
    """w_plus → picture: the input, then layers whose band widens from one to the next."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        p, rows = spec.params, bands(spec)
        self.num_ws, self.output_scale = spec.num_ws, p["output_scale"]
        self.input = SynthesisInput(spec.w_dim, rows[0])
        self.layer_names = []
        for number, after in enumerate(rows):
            before, name = rows[max(number - 1, 0)], f"L{number}_{after.size}_{after.channels}"
            layer: nn.Module
            if number < len(rows) - 1:
                layer = SynthesisLayer(
                    spec.w_dim, before, after, kernel_size=p["conv_kernel"], filter_size=p["filter_size"],
                    radial=p[RADIAL] and number < len(rows) - 1 - p["num_critical"], conv_clamp=p["conv_clamp"],
                )  # fmt: skip
            else:
                layer = ToRGB(spec.w_dim, before, after, conv_clamp=p["conv_clamp"])
            self.layer_names.append(name)
            setattr(self, name, layer)

    def forward(
        self, w_plus: Tensor, noise_mode: str = "none", rng: Rng = None, transform: Tensor | None = None
    ) -> Tensor:
        """w_plus `[N, num_ws, w_dim]` → image `[N, C, R, R]` float32 in about [-1, 1].

        transform `[N, 3, 3]`: where the points of the picture, which reaches from -1/2 to 1/2, are read (None: where
        they are). There is no noise: `noise_mode` and `rng` do nothing."""
        assert w_plus.ndim == 3 and w_plus.shape[1] == self.num_ws, w_plus.shape
        first, *styles = w_plus.float().unbind(dim=1)
        x = self.input(first, transform)
        for name, w in zip(self.layer_names, styles, strict=True):
            x = self.get_submodule(name)(x, w)
        return (x * self.output_scale).contiguous()


class Generator(base.Generator):
    """z → w → picture; see `ganlib.networks.base.Generator`."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        self.synthesis = SynthesisNetwork(spec)
        layers = int(spec.params["mapping_layers"])
        self.mapping = MappingNetwork(spec.z_dim, spec.label_dim, spec.w_dim, num_layers=layers)

    @property
    def w_avg(self) -> Tensor:
        """Running mean of w over training, `[w_dim]`."""
        return self.mapping.w_avg  # type: ignore[attr-defined]  # a buffer of the module

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z `[N, z_dim]` → image `[N, C, R, R]`, no truncation, one w for all style inputs."""
        w = self.mapping(z, label)
        return self.synthesis(w[:, None].expand(-1, self.spec.num_ws, -1))


# ---- Spec inference, defaults --------------------------------------------------------------------------------------


def make_spec(
    *,
    resolution: int,
    img_channels: int = 3,
    label_dim: int = 0,
    z_dim: int = 512,
    w_dim: int = 512,
    channel_base: int = 32768,
    channel_max: int = 512,
    mapping_layers: int = 2,
    num_layers: int = 14,
    num_critical: int = 2,
    conv_kernel: int = 3,
    use_radial_filters: bool = False,
    first_cutoff: float = 2.0,
    first_stopband: float = 2**2.1,
    last_stopband_rel: float = 2**0.3,
    margin_size: int = 10,
    output_scale: float = 0.25,
    filter_size: int = 6,
    conv_clamp: float | None = 256.0,
    layer_channels: Sequence[int] | None = None,  # None computes the widths from channel_base and channel_max
    D: Mapping[str, Any] | None = None,
) -> GeneratorSpec:
    """Return the spec of a StyleGAN3 generator; the defaults are configuration t. Configuration r has `conv_kernel` 1,
    `use_radial_filters`, and twice the channels. Raises `InputError` on a resolution that is no power of two from 16
    up, or on more critical layers than there are."""
    if resolution < 16 or resolution & (resolution - 1):
        raise InputError(
            f"resolution {resolution} is not a power of two from 16 up", "use 32, 64, 128, 256, 512 or 1024"
        )
    if not 0 <= num_critical < num_layers:
        raise InputError(f"{num_critical} critical layers of {num_layers}", "use fewer critical layers")
    params: dict[str, Any] = {
        "channel_base": channel_base, "channel_max": channel_max, "mapping_layers": mapping_layers,
        "num_layers": num_layers, "num_critical": num_critical, "conv_kernel": conv_kernel, RADIAL: use_radial_filters,
        "first_cutoff": first_cutoff, "first_stopband": first_stopband, "last_stopband_rel": last_stopband_rel,
        "margin_size": margin_size, "output_scale": output_scale, "filter_size": filter_size,
        "conv_clamp": conv_clamp, "layer_channels": None if layer_channels is None else list(layer_channels),
        "D": dict(D or {}),
    }  # fmt: skip
    return GeneratorSpec(
        "stylegan3", resolution, img_channels, z_dim, w_dim, num_layers + 2, label_dim, noise_modes=("none",),
        truncatable=True, movable=True, params=params,
    )  # fmt: skip


def infer_spec(tensors: Mapping[str, Tensor]) -> GeneratorSpec:
    """Read a generator's spec off its tensors (NVIDIA's names); raises `CheckpointError` for another kind.

    Cutoffs cannot be seen in them: they are taken as the paper's."""
    try:
        found = [re.fullmatch(r"synthesis\.L(\d{1,3})_(\d{1,5})_(\d{1,5})\.weight", name) for name in tensors]
        rows = sorted(tuple(map(int, match.groups())) for match in found if match)
        sizes, widths = [size for _, size, _ in rows], [width for *_, width in rows]
        names = [f"synthesis.L{number}_{size}_{width}" for number, size, width in rows]
        num_layers, resolution = len(rows) - 1, sizes[-1]
        radial = [tensors[f"{name}.down_filter"].ndim == 2 for name in names[:-1]]
        kernel_size = int(tensors[f"{names[0]}.weight"].shape[-1])
        w_dim = int(tensors["mapping.w_avg"].shape[0])
        label_dim = int(tensors["mapping.embed.weight"].shape[1]) if "mapping.embed.weight" in tensors else 0
        z_dim = int(tensors["mapping.fc0.weight"].shape[1]) - (w_dim if label_dim else 0)
        layers = sum(name.startswith("mapping.fc") and name.endswith(".weight") for name in tensors)
        options: dict[str, Any] = {
            "resolution": resolution, "img_channels": widths[-1], "label_dim": label_dim, "z_dim": z_dim,
            "w_dim": w_dim, "mapping_layers": layers, "num_layers": num_layers, "conv_kernel": kernel_size,
            "use_radial_filters": any(radial), "num_critical": radial.count(False) if any(radial) else 2,
        }  # fmt: skip
        # At the full band a width is channel_base / resolution, and the widest is channel_max.
        spec = make_spec(channel_base=widths[-2] * resolution, channel_max=max(widths[:-1]), **options)
        if [row.channels for row in bands(spec)] != widths:
            wide = max(widths[:-1])
            spec = make_spec(channel_base=wide * resolution, channel_max=wide, layer_channels=widths[:-1], **options)
    except InputError as error:
        raise CheckpointError(f"these tensors are no StyleGAN3 generator ({error.message})", error.hint) from error
    except (KeyError, IndexError, ValueError, ArithmeticError) as error:
        raise CheckpointError(
            f"these tensors are no StyleGAN3 generator ({error})", "check which tool wrote the file"
        ) from error
    if [row.size for row in bands(spec)] != sizes:
        raise CheckpointError(
            "these layers have other sizes than the paper's StyleGAN3", "check which tool wrote the file"
        )
    return spec


def style_weights(G: base.Generator) -> dict[str, Tensor]:
    """Return each layer's affine weight `[channels, w_dim]` in the order of use, for SeFa; the input's is none: it
    turns and moves the picture."""
    named = G.named_parameters()
    return {name: p for name, p in named if name.endswith("affine.weight") and not name.startswith("synthesis.input")}


def style_inputs(G: base.Generator) -> dict[str, int]:
    """Return the style input of each layer of `style_weights`: one each, after that of the Fourier features."""
    return {name: number for number, name in enumerate(style_weights(G), start=1)}


def nvidia_arguments(spec: GeneratorSpec) -> dict[str, dict[str, Any]]:
    """Return the arguments by which StyleGAN3's class for PyTorch makes `G_ema`.

    Its discriminator is StyleGAN2's. Widths that no `channel_base` gives cannot be said there."""
    names = (
        "channel_base", "channel_max", "num_layers", "num_critical", "first_cutoff", "first_stopband",
        "last_stopband_rel", "margin_size", "output_scale", "conv_kernel", "filter_size", "use_radial_filters",
        "conv_clamp",
    )  # fmt: skip
    found = {
        "class_name": "training.networks_stylegan3.Generator", "z_dim": spec.z_dim, "c_dim": spec.label_dim,
        "w_dim": spec.w_dim, "img_resolution": spec.resolution, "img_channels": spec.img_channels,
        "mapping_kwargs": {"num_layers": spec.params["mapping_layers"]},
    }  # fmt: skip
    arguments = {"G_ema": found | {name: spec.params[name] for name in names if name in spec.params}}
    judge = stylegan2.nvidia_arguments(spec)["D"] | {"class_name": "training.networks_stylegan2.Discriminator"}
    return arguments | {"D": judge}


STYLEGAN3 = Architecture(
    name="stylegan3",
    title="StyleGAN3",
    signature_key="synthesis.input.freqs",
    trainable=False,
    build_G=Generator,
    build_D=stylegan2.Discriminator,
    make_spec=make_spec,
    infer_spec=infer_spec,
    style_weights=style_weights,
    style_inputs=style_inputs,
    nvidia_arguments=nvidia_arguments,
    train_defaults={},
    tiny=lambda: make_spec(
        resolution=16, z_dim=32, w_dim=32, channel_base=256, channel_max=16, num_layers=4,
        D={"mbstd_group_size": 4},
    ),
)  # fmt: skip
