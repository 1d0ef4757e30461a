"""Pickles of NVIDIA's TensorFlow code (StyleGAN2, StyleGAN2-ADA): the variables of three networks.

A variable's name tells its layer; convolutions are stored [height, width, in, out], upsampling ones mirrored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ganlib.base.errors import CheckpointError
from ganlib.models.foreign.parts import (
    LR_MULTIPLIER,
    USUAL_TAPS,
    Parts,
    Tensors,
    checked_taps,
    finite,
    not_square,
    read_tensors,
)
from ganlib.models.foreign.pickles import UNKNOWN_HINT, Budget, damaged_error, refused_error, short
from ganlib.models.foreign.values import Array, Record, View

_DEEPEST, _MOST_VARIABLES = 4, 5000
# Options that change the pictures, with the value that this studio's networks have.
_USUAL: dict[str, Any] = {
    "mapping_lrmul": LR_MULTIPLIER, "mapping_nonlinearity": "lrelu", "nonlinearity": "lrelu", "normalize_latents": True,
    "use_noise": True,
}  # fmt: skip


def _plain(x: Tensor) -> Tensor:
    return x


def _linear(x: Tensor) -> Tensor:
    return x.T


def _conv(x: Tensor) -> Tensor:
    return x.permute(3, 2, 0, 1)


def _conv_up(x: Tensor) -> Tensor:
    return x.flip(0, 1).permute(3, 2, 0, 1)


def _first(x: Tensor) -> Tensor:
    return x[0]


def _style_bias(x: Tensor) -> Tensor:
    return x + 1


Rule = tuple[str, str, Callable[[Tensor], Tensor]]
_CONVS = r"Conv0_up|Conv1|Conv|ToRGB"
_LAYERS = {"Conv0_up": "conv0", "Conv1": "conv1", "Conv": "conv1", "ToRGB": "torgb"}
_G_RULES: list[Rule] = [
    (r"dlatent_avg", "mapping.w_avg", _plain),
    (r"LabelEmbed/(weight|bias)", "mapping.embed.{0}", _linear),
    (r"Dense(\d+)/(weight|bias)", "mapping.fc{0}.{1}", _linear),
    (r"4x4/Const/const", "synthesis.b4.const", _first),
    (r"(\d+)x\1/Conv0_up/weight", "synthesis.b{0}.conv0.weight", _conv_up),
    (r"(\d+)x\1/Skip/weight", "synthesis.b{0}.skip.weight", _conv_up),
    (rf"(\d+)x\1/({_CONVS})/weight", "synthesis.b{0}.{1}.weight", _conv),
    (rf"(\d+)x\1/({_CONVS})/(bias|noise_strength)", "synthesis.b{0}.{1}.{2}", _plain),
    (rf"(\d+)x\1/({_CONVS})/mod_weight", "synthesis.b{0}.{1}.affine.weight", _linear),
    (rf"(\d+)x\1/({_CONVS})/mod_bias", "synthesis.b{0}.{1}.affine.bias", _style_bias),
]
_D_LAYERS = {"FromRGB": "fromrgb", "Conv0": "conv0", "Conv1_down": "conv1", "Skip": "skip", "Conv": "conv"}
_D_RULES: list[Rule] = [
    (r"LabelEmbed/(weight|bias)", "mapping.embed.{0}", _linear),
    (r"Mapping(\d+)/(weight|bias)", "mapping.fc{0}.{1}", _linear),
    (r"4x4/Dense0/(weight|bias)", "b4.fc.{0}", _linear),
    (r"Output/(weight|bias)", "b4.out.{0}", _linear),
    (r"(\d+)x\1/(FromRGB|Conv0|Conv1_down|Skip|Conv)/weight", "b{0}.{1}.weight", _conv),
    (r"(\d+)x\1/(FromRGB|Conv0|Conv1_down|Skip|Conv)/bias", "b{0}.{1}.bias", _plain),
]
_LONGEST_OPTION = 32
_STATE_ONLY = r"lod|pl_mean_var|.*/(lod|pl_mean_var)"  # what training remembers, and pictures do not need


def _collect(network: Record) -> tuple[Tensors, dict[str, Any]]:
    """Return the variables of a network and its components by name, and their options."""
    variables: Tensors = {}
    options: dict[str, Any] = {}
    pending = [(network, 0)]
    while pending:
        part, depth = pending.pop(0)
        listed, components = part.state.get("variables", []), part.state.get("components", {})
        if type(listed) is not list or type(components) is not dict or len(listed) > _MOST_VARIABLES:
            raise refused_error("a network in it has no proper list of variables")
        if depth > _DEEPEST or len(pending) > 20 or len(variables) > _MOST_VARIABLES:
            raise refused_error("its networks are nested without end")
        for item in listed:
            name, value = item if type(item) is tuple and len(item) == 2 else (None, None)
            if (number := finite(value)) is not None:
                value = Array.of_number(number)
            if not isinstance(name, str) or not isinstance(value, View | Array):
                raise refused_error("a variable in it is no named array of numbers")
            variables[name] = value
        static = part.state.get("static_kwargs")
        options |= _plain_options(static) if isinstance(static, dict) else {}
        for component in components.values():
            if not isinstance(component, Record):
                raise refused_error("a component in it is no network")
            pending.append((component, depth + 1))
    return variables, options


def _plain_options(table: dict[Any, Any]) -> dict[str, Any]:
    """Return the options that are looked at; raises `CheckpointError` where one is no small value.

    What a file nests, Python would compare and print without end."""
    known = {*_USUAL, "resolution", "resolution_h", "resolution_w", "conv_clamp", "num_fp16_res", "resample_kernel",
             "mbstd_group_size"}  # fmt: skip
    result = {}
    for name in known & {name for name in table if isinstance(name, str)}:
        value = table[name]
        parts = value if isinstance(value, list | tuple) else [value]
        if len(parts) > _LONGEST_OPTION or not all(map(_is_small, parts)):
            raise CheckpointError(f"its option {name} is {short(value)} of an unknown kind", UNKNOWN_HINT)
        result[name] = value
    return result


def _is_small(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 200
    return value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63)


def _side_of(options: dict[str, Any]) -> int:
    """Return the side of the pictures; raises `CheckpointError` where they are not square or the side is absurd."""
    if "resolution_h" in options or "resolution_w" in options:
        height, width = options.get("resolution_h"), options.get("resolution_w")
        if height != width:
            raise not_square(width, height)
        return _whole(height)
    return _whole(options.get("resolution"))


def _whole(side: Any) -> int:
    if type(side) is not int or not 8 <= side <= 8192 or side & (side - 1):
        raise damaged_error("it does not say a resolution that is a power of two")
    return side


def _check(options: dict[str, Any], name: str) -> Any:
    value, usual = options.get(name, _USUAL[name]), _USUAL[name]
    same = value == usual if not isinstance(usual, float) else finite(value) == usual
    if usual is not None and not same:
        raise CheckpointError(f"its option {name} is {short(str(value)[:40])}, where {usual} is known", UNKNOWN_HINT)
    return value


def _facts(options: dict[str, Any]) -> dict[str, Any]:
    for name in _USUAL:
        _check(options, name)
    facts: dict[str, Any] = {"conv_clamp": options.get("conv_clamp"), "num_fp16_res": options.get("num_fp16_res", 0)}
    return facts | checked_taps(options.get("resample_kernel", USUAL_TAPS))


def _translate(variables: dict[str, Tensor], rules: list[Rule], layers: dict[str, str], side: int) -> dict[str, Tensor]:
    """Return the tensors under NVIDIA's later names; raises `CheckpointError` for a variable that is not known."""
    result: dict[str, Tensor] = {}
    for name, value in variables.items():
        lod = re.fullmatch(r"(ToRGB|FromRGB)_lod(\d{1,2})/(\w+)", name)
        known = name
        if lod:  # an older way to say at which size: lod 0 is the full one
            at = side >> int(lod[2])
            known = f"{at}x{at}/{lod[1]}/{lod[3]}"
        for pattern, target, change in rules:
            match = re.fullmatch(pattern, known)
            if match:
                words = [layers.get(word, word) for word in match.groups()]
                bias = match.groups() and match.groups()[-1] == "bias"
                try:
                    result[target.format(*words)] = (_plain if bias else change)(value).contiguous()
                except (RuntimeError, IndexError) as error:
                    raise damaged_error(f"its variable {short(name)} has another shape than its name says") from error
                break
        else:
            if not re.fullmatch(_STATE_ONLY, known):
                raise CheckpointError(f"its variable {short(name)} belongs to no known layer", UNKNOWN_HINT)
    return result


def _noises(variables: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take the noise maps out of `variables`: number 0 is at 4×4, then two at each size."""
    result = {}
    for name in list(variables):
        if match := re.fullmatch(r"noise(\d{1,2})", name):
            number, value = int(match[1]), variables.pop(name)
            layer = f"synthesis.b{4 << (number + 1) // 2}.conv{1 if number == 0 else (number - 1) % 2}"
            if value.ndim != 4:
                raise damaged_error(f"its variable {name} is no noise map")
            result[f"{layer}.noise_const"] = value[0, 0].contiguous()
    return result


def legacy_parts(networks: tuple[Any, ...], budget: Budget) -> Parts:
    """Return the parts of a pickle of TensorFlow's era: (G, D, Gs), or one generator; raises `CheckpointError`."""
    found, options = _collect(networks[-1])
    if any("StyleMod" in name for name in found):
        raise CheckpointError(
            "StyleGAN1 generators are not supported", "models of StyleGAN2, -ADA and StyleGAN3 can be imported"
        )
    if any(name.startswith("LabelConcat") for name in found):
        raise CheckpointError(
            "its classes are joined to z as only the first StyleGAN2 did, which is not supported",
            "models without classes, and with classes of StyleGAN2-ADA, can be imported",
        )
    side = _side_of(options)
    facts = _facts(options)
    variables = read_tensors(found, budget)
    noises = _noises(variables)
    tensors = _translate(variables, _G_RULES, _LAYERS, side) | noises
    parts = Parts("StyleGAN2 pickle of TensorFlow's era", tensors, facts)
    if len(networks) >= 2:
        try:
            found, options = _collect(networks[1])
            side, facts = _side_of(options), _facts(options)
            parts.D = _translate(read_tensors(found, budget), _D_RULES, _D_LAYERS, side)
            parts.D_facts = facts | {"mbstd_group_size": options.get("mbstd_group_size", 4)}
        except CheckpointError as error:
            parts.notes.append(f"the discriminator is left out: {error.message}")
    return parts
