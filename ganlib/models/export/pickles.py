"""NVIDIA's network pickles: objects of their programs' own classes, by name, and their tensors and attributes.

Their programs write the source text of each class into a file and run it on opening. Here nobody's text is inside: the
file asks for classes that the opening program has, such as `training.networks_stylegan2.Generator`, makes objects of
them without calling their constructors, and sets what such an object holds.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ganlib import networks
from ganlib.models.export.classes import Pair, Part, Place, describe
from ganlib.models.export.tensors import Report, nvidia_refusal, to_nvidia_layout
from ganlib.networks.base import Discriminator, Generator, GeneratorSpec

# What programs call the modules with the classes of StyleGAN2 and of StyleGAN3; empty where they have none.
LAYOUTS = {
    "nvidia-pkl": ("training.networks_stylegan2", "training.networks_stylegan3"),
    "nvidia-ada-pkl": ("training.networks", ""),
    "autolume-pkl": ("architectures.networks_stylegan2", "architectures.networks_stylegan3"),
}
_PROTOCOL = 3  # the newest without frames, so that parts can be written one after the other
_KEPT, _KEEP, _AGAIN = 0, b"q", b"h"  # the one object that a file has twice
_TABLES = (
    "_backward_hooks", "_forward_hooks", "_forward_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks",
)  # fmt: skip
Children = Iterable[tuple[str, Iterator[bytes]]]


def pickle_refusal(spec: GeneratorSpec, layout: str) -> str:
    """Return why the programs of a layout cannot take a model; empty where they can."""
    known = nvidia_refusal(spec)
    return known or ("" if _home(spec, layout) else f"those programs have no {networks.architecture(spec.arch).title}")


def _home(spec: GeneratorSpec, layout: str) -> str:
    """The module of a generator's classes: StyleGAN3's are those of a network whose pictures can be moved."""
    return LAYOUTS[layout][int(spec.movable)]


def write_pickle(
    G: Generator, D: Discriminator | None, path: Path, facts: Mapping[str, str], report: Report, *, layout: str
) -> None:
    """Write `{G, G_ema, D, training_set_kwargs, augment_pipe, about}` as the programs of a layout read it.

    G and G_ema are one object. Without a discriminator D is a `torch.nn.Identity`: those programs want a module."""
    if D is None:
        report("the model has no discriminator: D is an empty module, and training would begin with a fresh one")
    arguments = networks.architecture(G.spec.arch).nvidia_arguments
    assert arguments is not None
    said = {name: _of_constructor(table, layout) for name, table in arguments(G.spec).items()}
    place = Place("", G.spec, None)
    with path.open("wb") as stream:
        stream.write(pickle.PROTO + bytes([_PROTOCOL]) + b"}(" + _plain("G"))
        stream.writelines(_network(G, place, _home(G.spec, layout), said["G_ema"]))
        stream.write(_KEEP + bytes([_KEPT]) + _plain("G_ema") + _AGAIN + bytes([_KEPT]) + _plain("D"))
        if D is None:
            stream.writelines(_object("torch.nn.modules.linear", "Identity", _state(nn.Identity()), ()))
        else:
            stream.writelines(_network(D, place, LAYOUTS[layout][0], said["D"]))
        rest = {"training_set_kwargs": None, "augment_pipe": None, "about": dict(facts)}
        stream.writelines(_plain(part) for item in rest.items() for part in item)
        stream.write(b"u.")


def _of_constructor(arguments: Mapping[str, Any], layout: str) -> dict[str, Any]:
    """The arguments of a class: those of the synthesis stand among the others in the code that came with StyleGAN3."""
    values = {name: value for name, value in arguments.items() if name != "class_name"}
    return values | values.pop("synthesis_kwargs", {}) if LAYOUTS[layout][1] else values


def _network(module: nn.Module, place: Place, home: str, arguments: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield a network, or a part of one, as an object of its class in `home`."""
    part = describe(module, place)
    children = [
        (name, _network(child, Place(name, place.spec, module), home, {})) for name, child in module.named_children()
    ]
    more = [(name, _object(home, bare.name, _state(nn.Identity(), bare), ())) for name, bare in part.more.items()]
    return _object(home, part.name, _state(module, part, arguments), children + more)


def _state(module: nn.Module, part: Part | None = None, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What an object holds, but for its children; `part` None is a module of PyTorch itself."""
    parameters = {name: nn.Parameter(t.detach().cpu(), False) for name, t in module.named_parameters(recurse=False)}
    buffers = {name: to_nvidia_layout(name, t) for name, t in module.named_buffers(recurse=False)}
    state: dict[str, Any] = {
        "training": False, "_parameters": OrderedDict(parameters), "_buffers": OrderedDict(buffers),
        "_non_persistent_buffers_set": set(), "_is_full_backward_hook": None,
        **{name: OrderedDict() for name in _TABLES},
    }  # fmt: skip
    if part is None:
        return state
    state["_buffers"].update(dict.fromkeys(part.empty))
    return {**state, **part.attributes, "_init_args": (), "_init_kwargs": _Table(arguments or {})}


# ---- The format ----------------------------------------------------------------------------------------------------


class _Table(dict[str, Any]):
    """A table that becomes one of those programs' own kind, whose items are attributes too."""


def _object(home: str, name: str, state: Mapping[str, Any], children: Children) -> Iterator[bytes]:
    """Yield an object of a class that is asked for by name: made without a call, then given its state."""
    yield _class(home, name) + b")\x81}("
    yield from (_plain(part) for item in state.items() for part in item)
    yield _plain("_modules") + _class("collections", "OrderedDict") + b")R("
    for key, child in children:
        yield _plain(key)
        yield from child
    yield b"uub"


def _class(home: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{home}\n{name}\n".encode()


def _plain(value: Any) -> bytes:
    """Return a tensor or a plain value as Python pickles it."""
    if isinstance(value, _Table):
        items = b"".join(_plain(k) + _plain(_Table(v) if isinstance(v, dict) else v) for k, v in value.items())
        return _class("dnnlib.util", "EasyDict") + b")\x81(" + items + b"u"
    if isinstance(value, Pair):
        return _array(value)
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=_PROTOCOL)
    pickler.fast = True  # it remembers nothing: its memory would be mixed up with that of other parts
    pickler.dump(value)
    return buffer.getvalue()[len(pickle.PROTO) + 1 : -len(pickle.STOP)]


def _array(pair: Pair) -> bytes:
    """Return a pair as an array of NumPy 1, whose names later ones know too, and not the other way round."""
    dtype = _class("numpy", "dtype") + _plain(("i8", False, True)) + b"R"
    dtype += _plain((3, "<", None, None, None, -1, -1, 0)) + b"b"
    empty = _class("numpy.core.multiarray", "_reconstruct") + b"(" + _class("numpy", "ndarray") + _plain((0,))
    state = b"(" + _plain(1) + _plain((2,)) + dtype + _plain(False) + _plain(struct.pack("<2q", pair.side, pair.side))
    return empty + _plain(b"b") + b"tR" + state + b"tb"
