"""Checkpoints of rosinality's StyleGAN2 for PyTorch: `{g_ema, latent_avg}` and, from training, d, args and ada_aug_p.

Widths come from the tensors, so that any channel multiplier will do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganlib.base.errors import CheckpointError
from ganlib.models.foreign.parts import Parts, finite, only_tensors, read_tensors, taps_of
from ganlib.models.foreign.pickles import UNKNOWN_HINT, Budget, damaged_error, short
from ganlib.models.foreign.values import Array, View, is_tensor

NOISE_SEED = 0
# What a name of theirs becomes, and the shape that it takes: "1" drops the first side, "=" keeps all, "0" is a scalar.
# The export to this format reads the same tables from right to left.
STYLED = {
    "conv.weight": ("weight", "1"), "conv.modulation.weight": ("affine.weight", "="),
    "conv.modulation.bias": ("affine.bias", "="), "noise.weight": ("noise_strength", "0"),
    "activate.bias": ("bias", "="),
}  # fmt: skip
PICTURE = {
    "conv.weight": ("weight", "1"), "conv.modulation.weight": ("affine.weight", "="),
    "conv.modulation.bias": ("affine.bias", "="), "bias": ("bias", "flat"),
}  # fmt: skip
RESIDUAL = {
    "conv1.0.weight": "conv0.weight", "conv1.1.bias": "conv0.bias", "conv2.1.weight": "conv1.weight",
    "conv2.2.bias": "conv1.bias", "skip.1.weight": "skip.weight",
}  # fmt: skip
ENDING = {
    "final_conv.0.weight": "b4.conv.weight", "final_conv.1.bias": "b4.conv.bias",
    "final_linear.0.weight": "b4.fc.weight", "final_linear.0.bias": "b4.fc.bias",
    "final_linear.1.weight": "b4.out.weight", "final_linear.1.bias": "b4.out.bias",
}  # fmt: skip


def is_rosinality(table: Mapping[Any, Any]) -> bool:
    """Whether a file's value is a checkpoint of this kind."""
    inner = table.get("g_ema")
    return isinstance(inner, dict) and is_tensor(inner.get("input.input")) and is_tensor(inner.get("conv1.conv.weight"))


def _shaped(value: Tensor, shape: str, name: str) -> Tensor:
    if (shape == "1" and value.shape[:1] != (1,)) or (shape == "0" and value.numel() != 1):
        raise damaged_error(f"its tensor {short(name)} has an unexpected shape")
    return {"1": lambda: value[0], "0": lambda: value.reshape([]), "flat": value.flatten, "=": lambda: value}[shape]()


def _place(index: int) -> str:
    """The layer of `convs.index`: two at each size from 8 up."""
    return f"synthesis.b{8 << (index // 2)}.conv{index % 2}"


def _generator(theirs: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Return tensors under NVIDIA's names, and the filters."""
    result: dict[str, Tensor] = {}
    filters: list[Tensor] = []
    for name, value in theirs.items():
        target, shape = "", "="
        if name.endswith(".kernel"):
            filters.append(value)
            continue
        if name == "input.input":
            target, shape = "synthesis.b4.const", "1"
        elif match := re.fullmatch(r"style\.(\d{1,2})\.(weight|bias)", name):
            target = f"mapping.fc{int(match[1]) - 1}.{match[2]}"  # number 0 normalises z and has no tensors
        elif (match := re.fullmatch(r"noises\.noise_(\d{1,2})", name)) and value.ndim == 4:
            number = int(match[1])
            target = f"{_place(number - 1) if number else 'synthesis.b4.conv1'}.noise_const"
            value = value[0, 0]
        elif match := re.fullmatch(r"(?:conv1|convs\.(\d{1,2}))\.(.+)", name):
            if match[2] in STYLED:
                place = _place(int(match[1])) if match[1] else "synthesis.b4.conv1"
                target, shape = f"{place}.{STYLED[match[2]][0]}", STYLED[match[2]][1]
        elif (match := re.fullmatch(r"(?:to_rgb1|to_rgbs\.(\d{1,2}))\.(.+)", name)) and match[2] in PICTURE:
            side = 8 << int(match[1]) if match[1] else 4
            target, shape = f"synthesis.b{side}.torgb.{PICTURE[match[2]][0]}", PICTURE[match[2]][1]
        if not target:
            raise CheckpointError(f"its tensor {short(name)} belongs to no known layer", UNKNOWN_HINT)
        result[target] = _shaped(value, shape, name).contiguous()
    return result, filters


def _discriminator(theirs: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The same of a discriminator, always residual."""
    result: dict[str, Tensor] = {}
    filters: list[Tensor] = []
    blocks = {int(m[1]) for name in theirs if (m := re.fullmatch(r"convs\.(\d{1,2})\.conv1\.0\.weight", name))}
    top = 4 << len(blocks)
    for name, value in theirs.items():
        target = ENDING.get(name, "")
        if name.endswith(".kernel"):
            filters.append(value)
            continue
        if name in ("convs.0.0.weight", "convs.0.1.bias"):
            target = f"b{top}.fromrgb.{name.rsplit('.', 1)[1]}"
        elif (match := re.fullmatch(r"convs\.(\d{1,2})\.(.+)", name)) and match[2] in RESIDUAL:
            target = f"b{top >> (int(match[1]) - 1)}.{RESIDUAL[match[2]]}" if int(match[1]) else ""
        if not target:
            raise CheckpointError(f"its tensor {short(name)} belongs to no known layer", UNKNOWN_HINT)
        result[target] = value
    return result, filters


def checkpoint_parts(table: Mapping[Any, Any], budget: Budget) -> Parts:
    """Return the parts of a checkpoint; raises `CheckpointError` for layers that are not known."""
    tensors, filters = _generator(read_tensors(only_tensors(table["g_ema"]), budget))
    parts = Parts("checkpoint of rosinality's StyleGAN2", tensors, taps_of(filters))
    centre = table.get("latent_avg")
    if isinstance(centre, View | Array):
        tensors["mapping.w_avg"] = read_tensors({"latent_avg": centre}, budget)["latent_avg"].flatten()
    _complete_noise(parts, budget)
    if isinstance(table.get("d"), dict):
        try:
            parts.D, filters = _discriminator(read_tensors(only_tensors(table["d"]), budget))
            parts.D_facts = taps_of(filters)
        except CheckpointError as error:
            parts.D = None
            parts.notes.append(f"the discriminator is left out: {error.message}")
    p = finite(table.get("ada_aug_p"))
    parts.augment_p = p if p is not None and 0 <= p <= 1 else None
    return parts


def _complete_noise(parts: Parts, budget: Budget) -> None:
    """Draw the noise maps that old checkpoints did not store."""
    layers = [name.removesuffix(".noise_strength") for name in parts.G if name.endswith(".noise_strength")]
    missing = [layer for layer in layers if f"{layer}.noise_const" not in parts.G]
    rng = torch.Generator().manual_seed(NOISE_SEED)
    for layer in missing:
        side = int(layer.split(".")[1][1:])
        if side > 8192:
            raise damaged_error(f"it has a layer for pictures of {side} px")
        budget.copy(4 * side * side)
        parts.G[f"{layer}.noise_const"] = torch.randn(side, side, generator=rng)
    if missing:
        parts.notes.append(f"it stores no noise maps: {len(missing)} were drawn from seed {NOISE_SEED}")
