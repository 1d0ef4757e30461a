"""NVIDIA's `network-snapshot` pickles of their PyTorch code, and plain state dicts of the same tensor names."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import torch
from torch import Tensor

from ganlib import networks
from ganlib.base.errors import CheckpointError
from ganlib.models.foreign.parts import (
    LR_MULTIPLIER,
    Parts,
    Tensors,
    check_square,
    checked_taps,
    finite,
    not_square,
    one_of,
    only_tensors,
    read_tensors,
    same_taps,
    taps_of,
)
from ganlib.models.foreign.pickles import UNKNOWN_HINT, Budget, damaged_error, refused_error, short
from ganlib.models.foreign.values import EMPTY_MODULE, Array, Network, View, is_tensor
from ganlib.networks import stylegan3
from ganlib.networks.base import GeneratorSpec

GENERATOR_CLASSES = {
    "Generator", "MappingNetwork", "SynthesisNetwork", "SynthesisBlock", "SynthesisLayer", "ToRGBLayer",
    "FullyConnectedLayer", "Conv2dLayer",
}  # fmt: skip
DISCRIMINATOR_CLASSES = {
    "Discriminator", "DiscriminatorBlock", "DiscriminatorEpilogue", "MinibatchStdLayer", "MappingNetwork",
    "FullyConnectedLayer", "Conv2dLayer",
}  # fmt: skip
ALIAS_FREE_CLASSES = {
    "Generator", "MappingNetwork", "SynthesisNetwork", "SynthesisInput", "SynthesisLayer", "FullyConnectedLayer",
}  # fmt: skip
# Convolutions that keep the size of the picture: they have a filter, by default 1, 3, 3, 1, and do nothing with it.
_UNUSED_FILTER = re.compile(r"synthesis\.b\d+\.conv1\.|(?:^|\.)(?:fromrgb|conv)\.|^b\d+\.conv0\.")
_ALIAS_FREE = "SynthesisInput"  # the class that only StyleGAN3's generators have
_MOST_MODULES, _DEEPEST = 2000, 8
# What tensors do not tell, and the arguments of NVIDIA's classes do.
_SAID_OF_G = {
    "conv_clamp", "num_fp16_res", "num_critical", "margin_size", "filter_size", "first_cutoff", "first_stopband",
    "last_stopband_rel", "output_scale",
}  # fmt: skip
_SAID_OF_D = {"conv_clamp", "num_fp16_res", "mbstd_group_size"}


@dataclass
class Module:
    """A persistent network: all that its file says of it, nothing of it run."""

    tensors: Tensors
    """Parameters and buffers by dotted name."""
    modules: dict[str, Network]
    """The network ("") and its parts by dotted name."""

    @property
    def init_kwargs(self) -> dict[str, Any]:
        """The arguments that it was made with, where the file has them."""
        kwargs = self.modules[""].state.get("_init_kwargs")
        return kwargs if isinstance(kwargs, dict) else {}

    def attributes(self, kind: str, name: str, default: Any = None) -> list[Any]:
        """Return an attribute of every part of one class."""
        return [part.state.get(name, default) for part in self.modules.values() if part.kind == kind]

    def check_classes(self, known: set[str]) -> None:
        """Raise `CheckpointError` that names the classes which are not known."""
        odd = sorted({short(part.kind) for part in self.modules.values()} - known)
        if odd:
            raise CheckpointError(f"it has layers of unknown classes: {', '.join(odd[:5])}", UNKNOWN_HINT)


def read_module(network: Network) -> Module:
    """Return the tensors and parts of a persistent network; raises `CheckpointError` for one that has no end."""
    found = Module({}, {})
    pending: list[tuple[str, Any, int]] = [("", network, 0)]
    while pending:
        path, part, depth = pending.pop()
        if not isinstance(part, Network):
            raise CheckpointError(f"its layer {short(path)} is none of a known kind", UNKNOWN_HINT)
        if depth > _DEEPEST or len(found.modules) >= _MOST_MODULES:
            raise refused_error("its layers are nested without end")
        found.modules[path] = part
        prefix = f"{path}." if path else ""
        for table in (part.state.get("_parameters"), part.state.get("_buffers")):
            for name, value in _table(table).items():
                if value is not None and not is_tensor(value):
                    raise refused_error(f"its tensor {short(f'{prefix}{name}')} is none")
                if value is not None:
                    found.tensors[f"{prefix}{name}"] = value
        children = _table(part.state.get("_modules"))
        pending += [(f"{prefix}{name}", child, depth + 1) for name, child in children.items() if child is not None]
    return found


def _table(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if type(value) is not dict or not all(isinstance(key, str) and len(key) < 100 for key in value):
        raise refused_error("a layer in it has no proper table of tensors")
    if len(value) > _MOST_MODULES:
        raise refused_error("a layer in it has far more parts than a model needs")
    return value


def _numbers(
    found: Mapping[str, View | Array], budget: Budget, said: Any = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors without the filters, and the filters as a hyper-parameter.

    Layers that do not resample keep a filter that they never use. `said`: the taps that the network's arguments name;
    raises `CheckpointError` where they are others."""
    tensors = read_tensors(found, budget)
    filters = {name: tensors.pop(name) for name in list(tensors) if name.split(".")[-1] == "resample_filter"}
    facts = taps_of([matrix for name, matrix in filters.items() if not _UNUSED_FILTER.search(name)])
    if said is not None:
        named = checked_taps(said)
        if facts and not same_taps(facts["resample_filter"], named["resample_filter"]):
            raise CheckpointError("its low-pass filters are not those that its arguments name", UNKNOWN_HINT)
        facts = named
    return tensors, facts


def _said_taps(kwargs: Mapping[str, Any]) -> Any:
    """The taps that arguments of a generator or a discriminator name, None where they leave them as they are."""
    inner = [kwargs, *(kwargs.get(name) for name in ("synthesis_kwargs", "block_kwargs"))]
    named = [table["resample_filter"] for table in inner if isinstance(table, dict) and "resample_filter" in table]
    return named[0] if named else None


def _check_square(module: Module) -> None:
    """Raise `CheckpointError` where a part says two sides, and they differ."""
    for part in module.modules.values():
        for name in ("img_resolution", "resolution", "out_size"):
            value = part.state.get(name)
            if isinstance(value, Array) and value.shape == (2,):
                value = [int(side) for side in value.tensor().tolist()]
            if isinstance(value, list | tuple) and len(value) == 2 and value[0] != value[1]:
                height, width = value if name != "out_size" else reversed(value)
                raise not_square(width, height)


def _check_layers(module: Module) -> None:
    """Raise `CheckpointError` where a known class was made with options whose pictures this studio would get wrong."""
    for path, part in module.modules.items():
        state, name = part.state, path.rsplit(".", 1)[-1]
        usual = "linear" if name in ("affine", "skip", "out", "embed") else "lrelu"
        if part.kind in ("SynthesisLayer", "FullyConnectedLayer", "Conv2dLayer"):
            activation = state.get("activation", usual)
            if activation != usual:
                raise CheckpointError(f"its layer {short(path)} has the activation {short(activation)}", UNKNOWN_HINT)
        if part.kind == "FullyConnectedLayer" and "bias_gain" in state:
            expected = LR_MULTIPLIER if name.startswith("fc") and "mapping" in path.split(".") else 1.0
            gain = finite(state["bias_gain"])
            if gain is None or not math.isclose(gain, expected, rel_tol=1e-6):
                raise CheckpointError(
                    f"its layer {short(path)} learns at {gain} of the usual rate, where {expected} is known",
                    UNKNOWN_HINT,
                )


def _shared_facts(module: Module, block: str, layers: tuple[str, ...]) -> dict[str, Any]:
    clamps = [
        part.state.get("conv_clamp")
        for path, part in module.modules.items()
        if part.kind in layers and not path.endswith("skip") and path != "b4.fromrgb"  # these two are never clamped
    ]
    facts: dict[str, Any] = {"conv_clamp": one_of("the clamp of activations", clamps)}
    facts["num_fp16_res"] = sum(flag is True for flag in module.attributes(block, "use_fp16"))
    return facts


def generator_parts(network: Network, budget: Budget) -> Parts:
    """Return the generator of a snapshot; raises `CheckpointError` for classes and options that are not known."""
    module = read_module(network)
    _check_square(module)
    if any(part.kind == _ALIAS_FREE for part in module.modules.values()):
        return _alias_free_parts(module, budget)
    module.check_classes(GENERATOR_CLASSES)
    _check_layers(module)
    tensors, taps = _numbers(module.tensors, budget, _said_taps(module.init_kwargs))
    for path, part in module.modules.items():
        if part.kind == "SynthesisLayer" and part.state.get("use_noise") is False:
            side = part.state.get("resolution")
            if type(side) is not int or not 4 <= side <= 8192:
                raise damaged_error(f"its layer {short(path)} has no resolution")
            budget.copy(4 * side * side)
            tensors[f"{path}.noise_const"] = torch.zeros(side, side)
            tensors[f"{path}.noise_strength"] = torch.zeros([])
    facts = _shared_facts(module, "SynthesisBlock", ("SynthesisLayer", "ToRGBLayer")) | taps
    return Parts("StyleGAN2-ADA snapshot", tensors, facts)


def _alias_free_parts(module: Module, budget: Budget) -> Parts:
    """Return the generator of a StyleGAN3 snapshot. Its filters are tensors; the bands they serve are attributes."""
    module.check_classes(ALIAS_FREE_CLASSES)
    _check_layers(module)
    tensors = read_tensors(module.tensors, budget)
    clamps = module.attributes("SynthesisLayer", "conv_clamp")
    facts: dict[str, Any] = {"conv_clamp": one_of("the clamp of activations", clamps)}
    said: dict[str, Any] = {}
    for part in module.modules.values():
        if part.kind == "SynthesisNetwork":
            kwargs = part.state.get("_init_kwargs")
            said |= kwargs if isinstance(kwargs, dict) else {}
            said |= part.state
    for name in ("num_critical", "margin_size", "filter_size"):
        if type(said.get(name)) is int:
            facts[name] = said[name]
    for name in ("first_cutoff", "first_stopband", "last_stopband_rel", "output_scale"):
        if (number := finite(said.get(name))) is not None:
            facts[name] = number
    _check_bands(module, tensors, facts)
    return Parts("StyleGAN3 snapshot", tensors, facts)


def _check_bands(module: Module, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Raise `CheckpointError` where a layer was made for another band than these facts give it."""
    spec = stylegan3.infer_spec(tensors)
    spec = GeneratorSpec.from_dict({**spec.to_dict(), "params": {**spec.params, **facts}})
    try:
        rows = stylegan3.bands(spec)
    except (ValueError, ArithmeticError) as error:
        raise damaged_error(f"its layers have no bands: {short(str(error))}") from error
    cutoffs: dict[str, dict[str, float]] = {}
    cutoffs["synthesis.input"] = {"bandwidth": rows[0].cutoff, "sampling_rate": rows[0].rate}
    for number, row in enumerate(rows):
        name = f"synthesis.L{number}_{row.size}_{row.channels}"
        cutoffs[name] = {"out_cutoff": row.cutoff, "out_half_width": row.half_width, "out_sampling_rate": row.rate}
    for path, expected in cutoffs.items():
        state = module.modules[path].state if path in module.modules else {}
        for name, value in expected.items():
            found = finite(state.get(name, value))
            if found is None or not math.isclose(found, value, rel_tol=1e-4):
                raise CheckpointError(f"its layer {path} has {name} {found}, where {value:g} is known", UNKNOWN_HINT)


def add_discriminator(parts: Parts, network: Network, budget: Budget) -> None:
    """Read a snapshot's discriminator into `parts`, or say there why it is left out."""
    try:
        module = read_module(network)
        module.check_classes(DISCRIMINATOR_CLASSES)
        _check_layers(module)
        tensors, taps = _numbers(module.tensors, budget, _said_taps(module.init_kwargs))
        facts = _shared_facts(module, "DiscriminatorBlock", ("Conv2dLayer",)) | taps
        if groups := module.attributes("MinibatchStdLayer", "group_size", 4):
            facts["mbstd_group_size"] = one_of("the group of the minibatch statistic", groups)
    except CheckpointError as error:
        parts.notes.append(f"the discriminator is left out: {error.message}")
    else:
        parts.D, parts.D_facts = tensors, facts


def snapshot_parts(table: Mapping[Any, Any], budget: Budget) -> Parts:
    """Return the parts of a snapshot, a dict with G_ema (or G alone), and D, augment_pipe, training_set_kwargs."""
    name = "G_ema" if isinstance(table.get("G_ema"), Network) else "G"
    network = table.get(name)
    if not isinstance(network, Network):
        raise CheckpointError("it holds no generator", "choose a snapshot with G_ema in it")
    parts = generator_parts(network, budget)
    if name == "G":
        parts.notes.append("it has no moving average G_ema: the generator of the last step was taken")
    if isinstance(table.get("D"), Network) and table["D"].kind != EMPTY_MODULE:
        add_discriminator(parts, table["D"], budget)
    if isinstance(pipe := table.get("augment_pipe"), Network):
        p = read_module(pipe).tensors.get("p")
        if p is not None and p.numel == 1:
            strength = float(p.tensor())
            parts.augment_p = strength if 0 <= strength <= 1 else None
    data = table.get("training_set_kwargs")
    path = data.get("path") if isinstance(data, dict) else None
    if isinstance(path, str):
        parts.data = short(PurePath(path.replace("\\", "/")).name)
    return parts


def holds_generator(table: Mapping[Any, Any]) -> bool:
    """Whether tensors under NVIDIA's names lie in a table, flat or below the names of its networks."""
    return _is_generator(_networks_of(table)[0])


def _is_generator(tensors: Tensors) -> bool:
    return any(name.startswith("synthesis.b4.") or name == stylegan3.STYLEGAN3.signature_key for name in tensors)


def _networks_of(table: Mapping[Any, Any]) -> tuple[Tensors, Tensors]:
    """Return the tensors of generator and discriminator in a table, flat or below the names of the two."""
    flat = only_tensors(table)
    names = [name for name in ("G_ema", "g_ema", "G", "D") if isinstance(table.get(name), dict)]
    inner = {name: only_tensors(table[name]) for name in names}
    for prefix in ("G_ema.", "g_ema.", "D."):
        if beneath := {name.removeprefix(prefix): value for name, value in flat.items() if name.startswith(prefix)}:
            inner.setdefault(prefix[:-1], beneath)
    return next((inner[name] for name in ("G_ema", "g_ema", "G") if inner.get(name)), flat), inner.get("D", {})


def plain_parts(table: Mapping[Any, Any], budget: Budget) -> Parts | None:
    """Return the parts of tensors under NVIDIA's names, flat or below G_ema and D; None for other tables."""
    found, found_D = _networks_of(table)
    if not _is_generator(found):
        return None
    tensors, taps = _numbers(found, budget, _said_taps(_table_of_arguments(table, "G_ema")))
    check_square(tensors)
    row = networks.family_of(tensors)
    usual = row.infer_spec(tensors).params
    said = {name: value for name, value in _arguments(table, "G_ema").items() if name in usual}
    parts = Parts(f"state dict of {row.title}", tensors, taps | said)
    if "conv_clamp" not in said:
        clamp = usual["conv_clamp"]
        taken = "not clamped" if clamp is None else f"clamped to ±{clamp:g}"
        parts.notes.append(f"a state dict does not say whether activations are clamped: taken as {taken}")
    if found_D:
        parts.D, D_taps = _numbers(found_D, budget, _said_taps(_table_of_arguments(table, "D")))
        parts.D_facts = D_taps | _arguments(table, "D")
    return parts


def _table_of_arguments(table: Mapping[Any, Any], name: str) -> dict[str, Any]:
    """Return what `init_kwargs` beside the tensors says of a network."""
    found = table.get("init_kwargs")
    found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _arguments(table: Mapping[Any, Any], name: str) -> dict[str, Any]:
    """Return the hyper-parameters that `init_kwargs` beside the tensors tells of a network, those that are numbers."""
    found = _table_of_arguments(table, name)
    inner = [found.get(key) for key in ("synthesis_kwargs", "epilogue_kwargs")]
    said = [(key, value) for part in (found, *inner) if isinstance(part, dict) for key, value in part.items()]
    known = _SAID_OF_D if name == "D" else _SAID_OF_G
    numbers = {key: value for key, value in said if key in known and type(value) in (int, float)}
    return numbers | {key: None for key, value in said if key == "conv_clamp" and value is None}
