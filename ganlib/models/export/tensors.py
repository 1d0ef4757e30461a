"""State dicts under the names of NVIDIA's and of rosinality's tools."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganlib import networks
from ganlib.base.errors import InputError
from ganlib.models.foreign.rosinality import ENDING, PICTURE, RESIDUAL, STYLED
from ganlib.networks.base import Discriminator, Generator, GeneratorSpec

Report = Callable[[str], None]
_FILTER = "resample_filter"
_LONG_FILTER = 8  # taps
_ROSINALITY_WIDTHS = (1, 2, 4)  # channel multipliers by which their class is made
_ROSINALITY_MOST = 512


# ---- NVIDIA --------------------------------------------------------------------------------------------------------


def nvidia_refusal(spec: GeneratorSpec) -> str:
    """Return why NVIDIA's tools cannot take a model; empty where they can."""
    row = networks.architecture(spec.arch)
    return "" if row.nvidia_arguments else f"NVIDIA's tools do not know {row.title}"


def nvidia_file(G: Generator, D: Discriminator | None, report: Report) -> dict[str, Any]:
    """Return `{G_ema, D, init_kwargs}`: every tensor under NVIDIA's names, the low-pass filters among them."""
    arguments = networks.architecture(G.spec.arch).nvidia_arguments
    assert arguments is not None
    found = arguments(G.spec)
    for name, table in (("G_ema", G.spec.params.get("channels")), ("D", G.spec.params.get("D", {}).get("channels"))):
        if table and (name == "G_ema" or D is not None):
            report(f"the widths of {name} follow no formula: NVIDIA's class must be changed before it takes them")
    networks_ = {"G_ema": G} if D is None else {"G_ema": G, "D": D}
    return {
        **{name: _all_tensors(module) for name, module in networks_.items()},
        "init_kwargs": {name: found[name] for name in networks_ if name in found},
    }


def _all_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, those too that a checkpoint of this studio need not store."""
    whole = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: to_nvidia_layout(name, tensor) for name, tensor in sorted(whole.items())}


def to_nvidia_layout(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor as NVIDIA's classes have it: a long low-pass filter is one row, not its outer product."""
    tensor = tensor.detach().cpu().contiguous()
    return tensor.sum(dim=0) if name.endswith(_FILTER) and len(tensor) >= _LONG_FILTER else tensor


# ---- rosinality ----------------------------------------------------------------------------------------------------


def rosinality_refusal(spec: GeneratorSpec) -> str:
    """Return why rosinality's StyleGAN2 cannot be this model; empty where it can."""
    p = spec.params
    if spec.label_dim:
        return f"it has {spec.label_dim} classes, and rosinality's StyleGAN2 has none"
    if spec.img_channels != 3:
        return f"its pictures have {spec.img_channels} channel(s), and rosinality's have three"
    if p.get("architecture") != "skip":
        return f"rosinality's tools know StyleGAN2's skip generators only, not {_what(spec)}"
    if list(p.get(_FILTER, (1, 3, 3, 1))) != [1, 3, 3, 1]:
        return "its low-pass filter is not 1, 3, 3, 1"
    if spec.z_dim != spec.w_dim:
        return f"its z has {spec.z_dim} numbers and its w {spec.w_dim}; rosinality's are equally long"
    return ""


def _what(spec: GeneratorSpec) -> str:
    kind = spec.params.get("architecture")
    return f"{networks.architecture(spec.arch).title}{f' of the kind {kind}' if kind else ''}"


def rosinality_file(G: Generator, D: Discriminator | None, report: Report) -> dict[str, Any]:
    """Return `{g_ema, latent_avg, d}` under rosinality's names."""
    _tell_widths(G.spec, report)
    if G.spec.params.get("conv_clamp") is not None:
        report("activations are no longer clamped: rosinality's networks have no clamp")
    result: dict[str, Any] = {"g_ema": _generator(G), "latent_avg": G.w_avg.detach().cpu().clone()}
    if D is not None:
        try:
            result["d"] = _discriminator(D)
        except InputError as error:
            report(f"the discriminator is left out: {error.message}")
    return result


def _tell_widths(spec: GeneratorSpec, report: Report) -> None:
    """Say where the widths are not those of rosinality's class."""
    base, most = spec.params["channel_base"], spec.params["channel_max"]
    usual = most == _ROSINALITY_MOST and base in [16384 * m for m in _ROSINALITY_WIDTHS]
    if spec.params.get("channels") or not usual:
        report("its widths are not those of rosinality's class: give that class its table `channels` before it loads")


def _generator(G: Generator) -> dict[str, Tensor]:
    styled, picture = _inverse(STYLED), _inverse(PICTURE)
    result: dict[str, Tensor] = {}
    for name, tensor in G.state_dict().items():
        value = tensor.detach().cpu()
        parts = name.split(".")
        if name == "mapping.w_avg":
            continue
        if name == "synthesis.b4.const":
            result["input.input"] = value[None].clone()
        elif match := re.fullmatch(r"mapping\.fc(\d+)\.(weight|bias)", name):
            result[f"style.{int(match[1]) + 1}.{match[2]}"] = value.clone()
        elif len(parts) >= 4 and parts[2] in ("conv0", "conv1", "torgb"):
            octave, rest = int(math.log2(int(parts[1][1:]))) - 3, ".".join(parts[3:])  # 8 px is octave 0
            if rest == "noise_const":
                number = 0 if octave < 0 else 2 * octave + int(parts[2][-1]) + 1
                result[f"noises.noise_{number}"] = value[None, None].clone()
                continue
            if parts[2] == "torgb":
                place, (theirs, shape) = "to_rgb1" if octave < 0 else f"to_rgbs.{octave}", picture[rest]
            else:
                number = 2 * octave + int(parts[2][-1])
                place, (theirs, shape) = "conv1" if octave < 0 else f"convs.{number}", styled[rest]
            result[f"{place}.{theirs}"] = _reshaped(value, shape)
        else:
            raise InputError(f"its tensor {name} has no place in rosinality's StyleGAN2", "choose another format")
    # Low-pass filters before enlarging are scaled by the four pixels that one becomes.
    for octave in range(int(math.log2(G.spec.resolution)) - 2):
        kernel = _kernel(G.synthesis.get_submodule(f"b{8 << octave}")) * 4.0  # type: ignore[attr-defined]
        result[f"convs.{2 * octave}.conv.blur.kernel"] = kernel
        result[f"to_rgbs.{octave}.upsample.kernel"] = kernel.clone()
    return result


def _inverse(table: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {ours: (theirs, shape) for theirs, (ours, shape) in table.items()}


def _reshaped(value: Tensor, shape: str) -> Tensor:
    """Undo what reading did: "1" gains a first side, "0" becomes one number, "flat" a bias `[1, C, 1, 1]`."""
    match shape:
        case "1":
            return value[None].clone()
        case "0":
            return value.reshape(1).clone()
        case "flat":
            return value.reshape(1, -1, 1, 1).clone()
    return value.clone()


def _kernel(module: nn.Module) -> Tensor:
    kernel = module.get_buffer(_FILTER)
    return kernel.detach().cpu().float().clone()


def _discriminator(D: Discriminator) -> dict[str, Tensor]:
    """Return the tensors of a residual discriminator; raises `InputError` for another."""
    state = D.state_dict()
    ending, residual = ({ours: theirs for theirs, ours in table.items()} for table in (ENDING, RESIDUAL))
    top = D.spec.resolution
    result: dict[str, Tensor] = {}
    for name, tensor in state.items():
        value = tensor.detach().cpu().clone()
        block, _, rest = name.partition(".")
        if name in ending:
            result[ending[name]] = value
        elif name in (f"b{top}.fromrgb.weight", f"b{top}.fromrgb.bias"):
            result[f"convs.0.{'0.weight' if name.endswith('weight') else '1.bias'}"] = value
        elif rest in residual and re.fullmatch(r"b\d+", block):
            number = int(math.log2(top // int(block[1:]))) + 1
            result[f"convs.{number}.{residual[rest]}"] = value
        else:
            raise InputError(f"its tensor {name} has no place in rosinality's", "choose another format")
    for number in range(1, int(math.log2(top)) - 1):
        kernel = _kernel(D.get_submodule(f"b{top >> (number - 1)}"))
        result[f"convs.{number}.conv2.0.kernel"] = kernel
        result[f"convs.{number}.skip.0.kernel"] = kernel.clone()
    if torch.Size([1]) != state["b4.out.bias"].shape:
        raise InputError("it judges classes", "choose another format")
    return result
