"""Which class of NVIDIA's programs each part of a network is, and what its objects hold besides tensors.

Read off the files that those programs write: StyleGAN2-ADA's, and the later ones that came with StyleGAN3, whose
objects say more of themselves. What only one generation has does not disturb the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

from torch import nn

from ganlib.networks import ops, stylegan2, stylegan3
from ganlib.networks.base import GeneratorSpec
from ganlib.networks.mapping import MappingNetwork
from ganlib.networks.modulated import SynthesisLayer, ToRGB

W_AVG_BETA = 0.998
MAGNITUDE_BETA = 0.999


@dataclass(frozen=True)
class Pair:
    """A whole number twice, as an array: the width and height of a square."""

    side: int


@dataclass(frozen=True)
class Part:
    """An object of one of those classes, without the tensors of the module that it stands for."""

    name: str
    """The class."""
    attributes: dict[str, Any]
    empty: tuple[str, ...] = ()
    """Buffers that the class has and this object does not use."""
    more: dict[str, Part] = field(default_factory=dict)
    """Parts without tensors, which are no modules here."""


@dataclass(frozen=True)
class Place:
    """Where a module stands."""

    name: str
    """Its name in its parent; empty for a whole network."""
    spec: GeneratorSpec
    parent: nn.Module | None


def describe(module: nn.Module, place: Place) -> Part:
    """Return what a module of StyleGAN2 or StyleGAN3 is in NVIDIA's programs."""
    return _part(module, place)


@singledispatch
def _part(module: nn.Module, place: Place) -> Part:
    raise TypeError(f"{type(module).__name__} is no part of a network that those programs know")


def _pictures(spec: GeneratorSpec) -> dict[str, Any]:
    return {"img_resolution": spec.resolution, "img_channels": spec.img_channels}


# ---- Shared --------------------------------------------------------------------------------------------------------


@_part.register
def _(module: ops.EqualizedLinear, place: Place) -> Part:
    outputs, inputs = module.weight.shape
    sizes = {"in_features": inputs, "out_features": outputs}
    gains = {"weight_gain": module.weight_gain, "bias_gain": module.bias_gain}
    return Part("FullyConnectedLayer", {**sizes, "activation": module.act, **gains})


@_part.register
def _(module: MappingNetwork, place: Place) -> Part:
    makes_w = hasattr(module, "w_avg")
    attributes = {
        "z_dim": module.z_dim, "c_dim": module.label_dim, "w_dim": module.get_parameter("fc0.weight").shape[0],
        "num_ws": place.spec.num_ws if makes_w else None, "num_layers": module.num_layers,
        "w_avg_beta": W_AVG_BETA if makes_w else None,
    }  # fmt: skip
    return Part("MappingNetwork", attributes | ({} if module.label_dim else {"embed": None}))


@_part.register(stylegan2.Generator)
@_part.register(stylegan3.Generator)
def _(module: Any, place: Place) -> Part:
    spec = place.spec
    sizes = {"z_dim": spec.z_dim, "c_dim": spec.label_dim, "w_dim": spec.w_dim, "num_ws": spec.num_ws}
    return Part("Generator", {**sizes, **_pictures(spec)})


# ---- StyleGAN2 -----------------------------------------------------------------------------------------------------


@_part.register
def _(module: stylegan2.SynthesisNetwork, place: Place) -> Part:
    spec = place.spec
    attributes = {
        "w_dim": spec.w_dim, "img_resolution_log2": int(math.log2(spec.resolution)), **_pictures(spec),
        "num_fp16_res": spec.params.get("num_fp16_res", 0), "block_resolutions": list(module.resolutions),
        "num_ws": spec.num_ws,
    }  # fmt: skip
    return Part("SynthesisNetwork", attributes)


@_part.register
def _(module: stylegan2.SynthesisBlock, place: Place) -> Part:
    spec, side = place.spec, module.conv1.resolution
    attributes = {
        "in_channels": 0 if module.is_first else module.conv0.weight.shape[1], "w_dim": spec.w_dim,
        "resolution": side, "img_channels": spec.img_channels, "is_last": side == spec.resolution,
        "architecture": module.architecture, "use_fp16": module.use_fp16, "channels_last": False,
        "fused_modconv_default": True, "num_conv": module.num_conv, "num_torgb": int(module.has_torgb),
    }  # fmt: skip
    return Part("SynthesisBlock", attributes)


def _sizes(weight: Any) -> dict[str, int]:
    return {"in_channels": weight.shape[1], "out_channels": weight.shape[0]}


@_part.register
def _(module: SynthesisLayer, place: Place) -> Part:
    attributes = {
        **_sizes(module.weight), "w_dim": place.spec.w_dim, "resolution": module.resolution, "up": module.up,
        "use_noise": True, "activation": "lrelu", "conv_clamp": module.conv_clamp, "padding": 1, "act_gain": ops.SQRT2,
    }  # fmt: skip
    return Part("SynthesisLayer", attributes)


@_part.register
def _(module: ToRGB, place: Place) -> Part:
    own = {"w_dim": place.spec.w_dim, "conv_clamp": module.conv_clamp, "weight_gain": module.weight_gain}
    return Part("ToRGBLayer", {**_sizes(module.weight), **own})


@_part.register
def _(module: ops.EqualizedConv2d, place: Place) -> Part:
    attributes = {
        **_sizes(module.weight), "activation": module.act, "up": module.up, "down": module.down,
        "conv_clamp": module.conv_clamp, "padding": module.weight.shape[-1] // 2, "weight_gain": module.weight_gain,
        "act_gain": ops.SQRT2 if module.act == "lrelu" else 1,
    }  # fmt: skip
    return Part("Conv2dLayer", attributes | ({"bias": None} if module.bias is None else {}))


@_part.register
def _(module: stylegan2.Discriminator, place: Place) -> Part:
    spec = place.spec
    attributes = {
        "c_dim": spec.label_dim, "img_resolution_log2": int(math.log2(spec.resolution)), **_pictures(spec),
        "block_resolutions": list(module.resolutions),
    }  # fmt: skip
    return Part("Discriminator", attributes)


@_part.register
def _(module: stylegan2.DiscriminatorBlock, place: Place) -> Part:
    assert place.parent is not None
    before = [child for _, child in place.parent.named_children() if isinstance(child, stylegan2.DiscriminatorBlock)]
    before = before[: before.index(module)]
    attributes = {
        "in_channels": module.conv0.weight.shape[1] if before else 0, "resolution": int(place.name[1:]),
        "img_channels": place.spec.img_channels, "first_layer_idx": sum(len(list(b.children())) for b in before),
        "architecture": module.architecture, "use_fp16": module.use_fp16, "channels_last": False,
        "num_layers": len(list(module.children())),
    }  # fmt: skip
    return Part("DiscriminatorBlock", attributes)


@_part.register
def _(module: stylegan2.DiscriminatorEpilogue, place: Place) -> Part:
    attributes = {
        "in_channels": module.conv.weight.shape[0], "cmap_dim": module.label_features, "resolution": 4,
        "img_channels": place.spec.img_channels, "architecture": module.architecture,
    }  # fmt: skip
    if not module.mbstd_num_channels:
        return Part("DiscriminatorEpilogue", attributes | {"mbstd": None})
    group = {"group_size": module.mbstd_group_size, "num_channels": module.mbstd_num_channels}
    return Part("DiscriminatorEpilogue", attributes, more={"mbstd": Part("MinibatchStdLayer", group)})


# ---- StyleGAN3 -----------------------------------------------------------------------------------------------------


@_part.register
def _(module: stylegan3.SynthesisNetwork, place: Place) -> Part:
    spec, p = place.spec, place.spec.params
    named = ("num_layers", "num_critical", "margin_size", "output_scale")
    attributes = {
        "w_dim": spec.w_dim, "num_ws": spec.num_ws, **_pictures(spec), **{name: p[name] for name in named},
        "num_fp16_res": 0, "layer_names": list(module.layer_names),
    }  # fmt: skip
    return Part("SynthesisNetwork", attributes)


@_part.register
def _(module: stylegan3.SynthesisInput, place: Place) -> Part:
    attributes = {
        "w_dim": place.spec.w_dim, "channels": module.weight.shape[0], "size": Pair(module.size),
        "sampling_rate": float(module.rate), "bandwidth": module.bandwidth,
    }  # fmt: skip
    return Part("SynthesisInput", attributes)


@_part.register(stylegan3.SynthesisLayer)
@_part.register(stylegan3.ToRGB)
def _(module: Any, place: Place) -> Part:
    spec, p = place.spec, place.spec.params
    assert isinstance(place.parent, stylegan3.SynthesisNetwork)
    rows, number = stylegan3.bands(spec), place.parent.layer_names.index(place.name)
    before, after = rows[max(number - 1, 0)], rows[number]
    is_last, kernel_size = number == p["num_layers"], module.weight.shape[-1]
    wide = max(before.rate, after.rate) * (1 if is_last else stylegan3.OVERSAMPLING)
    up, down = wide // before.rate, wide // after.rate
    taps = [1 if is_last or factor == 1 else p["filter_size"] * factor for factor in (up, down)]
    total = (after.size - 1) * down + 1 - (before.size + kernel_size - 1) * up + sum(taps) - 2
    first = (total + up) // 2
    attributes: dict[str, Any] = {
        "w_dim": spec.w_dim, "is_torgb": is_last, "use_fp16": False,
        "is_critically_sampled": number >= p["num_layers"] - p["num_critical"],
        **_sizes(module.weight), "in_size": Pair(before.size), "out_size": Pair(after.size),
        "in_sampling_rate": before.rate, "out_sampling_rate": after.rate, "tmp_sampling_rate": wide,
        "in_cutoff": before.cutoff, "out_cutoff": after.cutoff, "in_half_width": before.half_width,
        "out_half_width": after.half_width, "conv_kernel": kernel_size, "conv_clamp": module.conv_clamp,
        "magnitude_ema_beta": MAGNITUDE_BETA, "up_factor": up, "up_taps": taps[0], "down_factor": down,
        "down_taps": taps[1], "down_radial": not is_last and module.down_filter.ndim == 2,
        "padding": [first, total - first] * 2,
    }  # fmt: skip
    return Part("SynthesisLayer", attributes, empty=("up_filter", "down_filter") if is_last else ())
