"""What a foreign file may ask for: an exact table of names, each made into an inert value.

The values hold numbers where they lie in the file; `View.tensor` and `Array.tensor` read them when they are wanted.
"""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlib.models.foreign.pickles import (
    Budget,
    Inert,
    Name,
    PickleReader,
    Stream,
    Table,
    damaged_error,
    plain_key,
    refused_error,
    short,
)

MOST_DIMENSIONS = 8
STORAGES = {
    "torch.FloatStorage": torch.float32, "torch.DoubleStorage": torch.float64, "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16, "torch.LongStorage": torch.int64, "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16, "torch.CharStorage": torch.int8, "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool, "torch.storage.UntypedStorage": torch.uint8,
}  # fmt: skip


# ---- Numbers -------------------------------------------------------------------------------------------------------


class Storage:
    """A row of numbers of one dtype somewhere in the file."""

    __slots__ = ("_kept", "dtype", "fetch", "numel")

    def __init__(self, dtype: torch.dtype, numel: int, fetch: Callable[[], bytes] | None = None) -> None:
        self.dtype, self.numel, self.fetch = dtype, numel, fetch
        self._kept: Tensor | None = None

    @property
    def bytes(self) -> int:
        """Size in the file."""
        return self.numel * self.dtype.itemsize

    def tensor(self) -> Tensor:
        """Return all numbers `[numel]`; raises `CheckpointError` where the file has others than it says."""
        if self._kept is None:
            data = self.fetch() if self.fetch is not None else b""
            if len(data) != self.bytes:
                raise damaged_error(f"a tensor has {len(data)} bytes where {self.bytes} were announced")
            if self.dtype == torch.bool:  # a byte that is neither 0 nor 1 is no truth value
                self._kept = torch.frombuffer(bytearray(data), dtype=torch.uint8) != 0 if data else torch.empty(0)
            else:
                self._kept = torch.frombuffer(bytearray(data), dtype=self.dtype) if data else torch.empty(0)
        return self._kept


class View:
    """A tensor of the file: some numbers of a storage in some order."""

    __slots__ = ("offset", "shape", "storage", "stride")

    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    @property
    def numel(self) -> int:
        """Count of numbers."""
        return math.prod(self.shape)

    def tensor(self) -> Tensor:
        """Return the numbers as float32 in a memory of their own."""
        values = self.storage.tensor().as_strided(self.shape, self.stride, self.offset)
        return torch.empty(self.shape, dtype=torch.float32).copy_(values)


class DType(Inert):
    """The dtype of a numpy array."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "<"

    def build(self, state: Any, budget: Budget) -> None:
        """Take the byte order."""
        order = state[1] if isinstance(state, tuple) and len(state) >= 2 else None
        if order not in ("<", ">", "|", "="):
            raise refused_error("an array in it has a dtype that is no number")
        self.order = order

    def numpy(self) -> np.dtype:
        """Return it as numpy's."""
        return np.dtype(f"{'>' if self.order == '>' else '<'}{self.code}")


class Array(Inert):
    """A numpy array of the file."""

    __slots__ = ("_axes", "_data", "_dtype", "_fortran", "shape")

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0,)
        self._data: bytes | bytearray = b""
        self._dtype, self._fortran = DType("f4"), False
        self._axes: tuple[int, ...] | None = None

    @classmethod
    def of_number(cls, value: float) -> Array:
        """Return an array of no dimension."""
        array = cls()
        array.shape, array._data, array._dtype = (), struct.pack("<d", value), DType("f8")
        return array

    def build(self, state: Any, budget: Budget) -> None:
        """Take shape, dtype and bytes; Python 2 wrote the bytes as text."""
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], DType):
            raise refused_error("an array in it is not one of numbers")
        _, shape, dtype, fortran, data = state
        if isinstance(data, str):
            budget.copy(len(data))
            data = _latin1(data)
        if not isinstance(data, bytes | bytearray) or not is_shape(shape):
            raise refused_error("an array in it is not one of numbers")
        if math.prod(shape) * dtype.numpy().itemsize != len(data):
            raise damaged_error(f"an array has {len(data)} bytes, which its shape {list(shape)} does not need")
        self.shape, self._dtype, self._fortran, self._data = shape, dtype, fortran is True, data

    def permute(self, axes: tuple[Any, ...]) -> None:
        """Let axis i be what axis `axes[i]` was."""
        if not all(type(axis) is int for axis in axes) or sorted(axes) != list(range(len(self.shape))):
            raise refused_error("an array in it lies in memory in an unknown way")
        self._axes = axes

    @property
    def numel(self) -> int:
        """Count of numbers."""
        return math.prod(self.shape)

    def tensor(self) -> Tensor:
        """Return the numbers as float32 in a memory of their own."""
        flat = np.frombuffer(self._data, dtype=self._dtype.numpy())
        values = flat.reshape(self.shape, order="F" if self._fortran else "C")
        values = values if self._axes is None else values.transpose(self._axes)
        return torch.from_numpy(values.astype(np.float32, order="C", copy=True))


class Record(Inert):
    """An object of the file as the table of its attributes."""

    __slots__ = ("kind", "state")

    def __init__(self, kind: str, state: dict[str, Any] | None = None) -> None:
        self.kind, self.state = kind, state if state is not None else {}

    def build(self, state: Any, budget: Budget) -> None:
        """Take the attributes."""
        if type(state) is not dict:
            raise refused_error(f"it sets attributes of {self.kind} that are no table")
        self.state = state


class Network(Record):
    """A persistent object of NVIDIA's PyTorch code: `kind` is its class, `state` its attributes."""

    __slots__ = ()


def is_shape(value: Any) -> bool:
    """Whether a value is the shape of a tensor."""
    return (
        type(value) is tuple
        and len(value) <= MOST_DIMENSIONS
        and all(type(side) is int and 0 <= side < 2**40 for side in value)
    )


def is_tensor(value: Any) -> bool:
    """Whether a value of the file holds the numbers of a tensor."""
    return isinstance(value, View | Array)


# ---- What the names make -------------------------------------------------------------------------------------------


def _mapping(reader: PickleReader, items: Any = ()) -> dict[Any, Any]:
    """OrderedDict and EasyDict; Python 2 gives a list of pairs."""
    if not isinstance(items, list | tuple):
        raise refused_error("a mapping in it is made of no pairs")
    reader.budget.step(len(items))
    pairs = [(key, value) for key, value in items]
    return {plain_key(key): value for key, value in pairs}


def _set(reader: PickleReader, items: Any = ()) -> set[Any]:
    if not isinstance(items, list | tuple):
        raise refused_error("a set in it is made of no list")
    reader.budget.step(len(items))
    return set(map(plain_key, items))


def _persistent(reader: PickleReader, meta: Any) -> Network:
    """The class's name and the state; the source text beside them is never looked at."""
    if type(meta) is not dict or not isinstance(meta.get("class_name"), str) or type(meta.get("state")) is not dict:
        raise refused_error("a network in it has no class name or no state")
    return Network(meta["class_name"], meta["state"])


def _bare(reader: PickleReader, *arguments: Any, kind: str) -> Network:
    """An object of a class that the file names and does not bring along; its state comes next."""
    if arguments:
        raise refused_error(f"it makes a {kind} with arguments")
    return Network(kind)


def _tensor(reader: PickleReader, storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> View:
    if not isinstance(storage, Storage) or type(offset) is not int or offset < 0:
        raise refused_error("a tensor in it has no numbers")
    if not is_shape(shape) or not is_shape(stride) or len(shape) != len(stride):
        raise refused_error("a tensor in it has no proper shape")
    numel = math.prod(shape)
    last = offset + sum((side - 1) * step for side, step in zip(shape, stride, strict=True)) if numel else 0
    if numel > storage.numel or (numel and last >= storage.numel):
        raise damaged_error(f"a tensor of shape {list(shape)} needs more numbers than the file holds for it")
    return View(storage, offset, shape, stride)


def _parameter(reader: PickleReader, data: Any, *_: Any) -> View:
    if not isinstance(data, View):
        raise refused_error("a parameter in it is no tensor")
    return data


def _nested(reader: PickleReader, payload: Any) -> Storage:
    """A storage inside bytes, in PyTorch's older format: read by the same rules with a smaller table."""
    from ganlib.models.foreign.torchfiles import read_legacy  # the two read each other's values

    if not isinstance(payload, bytes):
        raise refused_error("a tensor in it has no bytes")
    value = read_legacy(Stream(io.BytesIO(payload), len(payload)), NESTED, reader.budget, reader.asked)
    if not isinstance(value, Storage):
        raise refused_error("a tensor in it hides another value")
    return value


def _latin1(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise damaged_error("bytes in it are no bytes") from error


def _encode(reader: PickleReader, text: Any, encoding: Any = None) -> bytes:
    """How protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise refused_error("it encodes text in a way that models do not need")
    reader.budget.copy(len(text))
    return _latin1(text)


def _empty_array(reader: PickleReader, kind: Any, shape: Any, code: Any) -> Array:
    if not isinstance(kind, Name) or kind.name != "numpy.ndarray" or not is_shape(shape):
        raise refused_error("an array in it is not one of numbers")
    return Array()


def _filled_array(reader: PickleReader, data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> Array:
    """How protocol 5 writes arrays; numpy 2 may permute the axes."""
    if order not in ("C", "F", "K") or (order == "K") != (type(axes) is tuple):
        raise refused_error("an array in it lies in memory in an unknown way")
    array = Array()
    array.build((1, shape, dtype, order == "F", data), reader.budget)
    if axes is not None:
        array.permute(axes)
    return array


def _dtype(reader: PickleReader, code: Any, *_: Any) -> DType:
    if not isinstance(code, str) or not re.fullmatch("f[248]|[iu][1248]|b1", code):
        raise refused_error(f"an array in it has the dtype {short(code)}, which is no number")
    return DType(code)


def _scalar(reader: PickleReader, dtype: Any, data: Any) -> Any:
    data = _latin1(data) if isinstance(data, str) else data
    if not isinstance(dtype, DType) or not isinstance(data, bytes) or len(data) != dtype.numpy().itemsize:
        raise refused_error("a number in it has no value")
    return np.frombuffer(data, dtype=dtype.numpy())[0].item()


def _record(reader: PickleReader, *arguments: Any, kind: str) -> Record:
    if arguments:
        raise refused_error(f"it makes a {kind} with arguments")
    return Record(kind)


def _shape(reader: PickleReader, sides: Any) -> tuple[Any, ...]:
    if not is_shape(sides):
        raise refused_error("a shape in it is none")
    return sides


TF_NETWORK = "dnnlib.tflib.network.Network"
NAMESPACE = "argparse.Namespace"

# Networks as our own export and tools like it write them: objects of classes that the opening program has.
_HOMES = (
    "training.networks", "training.networks_stylegan2", "training.networks_stylegan3",
    "architectures.networks_stylegan2", "architectures.networks_stylegan3",
)  # fmt: skip
EMPTY_MODULE = "Identity"
"""What stands where a file has no discriminator."""
NETWORK_CLASSES = (
    "Generator", "MappingNetwork", "SynthesisNetwork", "SynthesisBlock", "SynthesisLayer", "ToRGBLayer",
    "SynthesisInput", "FullyConnectedLayer", "Conv2dLayer", "Discriminator", "DiscriminatorBlock",
    "DiscriminatorEpilogue", "MinibatchStdLayer",
)  # fmt: skip
BY_NAME = {f"{home}.{kind}": kind for home in _HOMES for kind in NETWORK_CLASSES}
"""Names of classes of networks → the class."""

NESTED: Table = {name: Name(name, meaning=dtype) for name, dtype in STORAGES.items()}
"""What bytes inside a pickle may ask for: the kinds of storage."""

_MAKERS: dict[str, Callable[..., Any] | None] = {
    "collections.OrderedDict": _mapping,
    "dnnlib.util.EasyDict": _mapping,
    "builtins.set": _set,
    "__builtin__.set": _set,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.storage._load_from_bytes": _nested,
    "torch.Size": _shape,
    "_codecs.encode": _encode,
    "numpy.ndarray": None,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray._reconstruct": _empty_array,
    "numpy._core.multiarray._reconstruct": _empty_array,
    "numpy.core.numeric._frombuffer": _filled_array,
    "numpy._core.numeric._frombuffer": _filled_array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    TF_NETWORK: lambda reader, *arguments: _record(reader, *arguments, kind=TF_NETWORK),
    NAMESPACE: lambda reader, *arguments: _record(reader, *arguments, kind=NAMESPACE),
}
_MAKERS |= {name: partial(_bare, kind=kind) for name, kind in BY_NAME.items()}
_MAKERS["torch.nn.modules.linear.Identity"] = partial(_bare, kind=EMPTY_MODULE)
ALLOWED: Table = {**NESTED, **{name: Name(name, make) for name, make in _MAKERS.items()}}
"""What a model file may ask for. A new row needs a test with a hostile file."""
