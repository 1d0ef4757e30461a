"""What every architecture offers: the spec, the two network protocols and the registry's row."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.base.errors import CheckpointError
from ganlib.networks.ops import Rng

NOISE_MODES = ("const", "random", "none")
_HINT = "the file is not a model of this studio, or it was damaged; save or import the model again"
# Whole numbers among the hyper-parameters of any family, also among those of its discriminator: least, most.
_LIMITS = {
    "mapping_layers": (1, 32), "D_mapping_layers": (1, 32), "channel_base": (1, 2**24), "channel_max": (1, 2**14),
    "num_fp16_res": (0, 16), "ngf": (1, 2**12), "ndf": (1, 2**12), "mbstd_group_size": (1, 2**16),
    "mbstd_num_channels": (0, 64), "width": (4, 512), "feature_side": (32, 1024), "seed": (0, 2**31),
    "num_layers": (1, 48), "num_critical": (0, 47), "conv_kernel": (1, 7),
    "margin_size": (0, 64), "filter_size": (1, 16),
}  # fmt: skip
_FREQUENCIES = {  # least, most
    "first_cutoff": (0.1, 4096.0), "first_stopband": (0.1, 8192.0), "last_stopband_rel": (0.5, 8.0),
    "output_scale": (1e-6, 1e6),
}  # fmt: skip
_MAY_BE_NONE = ("mbstd_group_size",)
MOST_TAPS = 32
LARGEST_RESOLUTION = 8192
DRAWABLE_CHANNELS = (1, 3)


@dataclass(frozen=True)
class GeneratorSpec:
    """The facts about a generator that the rest of the house may ask for."""

    arch: str
    """Key into `ganlib.networks.ARCHITECTURES`."""
    resolution: int
    """Side of the square picture in pixels, a power of two."""
    img_channels: int
    """1 for grey, 3 for RGB."""
    z_dim: int
    """Length of z."""
    w_dim: int
    """Length of w; equals `z_dim` where there is no mapping network."""
    num_ws: int
    """Number of style inputs; 1 where there is no style."""
    label_dim: int = 0
    """Number of classes; 0 is unconditional."""
    noise_modes: tuple[str, ...] = ("none",)
    """Legal values of `noise_mode`, a subset of const, random, none."""
    truncatable: bool = False
    """Whether w has a centre to truncate towards."""
    movable: bool = False
    """Whether `synthesis` takes a `transform` that moves and turns the picture."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The architecture's own hyper-parameters, JSON-able."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        if not self.movable:  # digests of models are made of this dict, and older ones have no such field
            del values["movable"]
        values["noise_modes"] = list(self.noise_modes)
        values["params"] = json.loads(json.dumps(dict(self.params)))
        return values

    @classmethod
    def from_dict(cls, values: Any) -> GeneratorSpec:
        """Build a spec from JSON data of unknown origin; raises `CheckpointError` when a field is missing or absurd."""
        if not isinstance(values, Mapping):
            raise CheckpointError("the model's spec is not a table of values", _HINT)
        known = {f.name for f in fields(cls)}
        missing = {"arch", "resolution", "img_channels", "z_dim", "w_dim", "num_ws"} - set(values)
        if missing or set(values) - known:
            odd = sorted(map(str, missing | (set(values) - known)))
            raise CheckpointError(f"the model's spec has missing or unknown fields: {_short(', '.join(odd))}", _HINT)
        clean = dict(values)
        limits = {
            "resolution": (4, LARGEST_RESOLUTION), "img_channels": (1, 8192), "z_dim": (1, 8192), "w_dim": (1, 8192),
            "num_ws": (1, 64), "label_dim": (0, 100_000),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            if not _is_whole(clean.get(name, 0), low, high):
                raise CheckpointError(
                    f"the model's spec says {name} = {_short(clean[name])}, outside {low} … {high}", _HINT
                )
        if clean["img_channels"] not in DRAWABLE_CHANNELS:
            what = f"its pictures have {clean['img_channels']} channels, and those of 1 (grey) and 3 (RGB) can be drawn"
            raise CheckpointError(what, "choose a model of grey or RGB pictures; transparency is not supported yet")
        modes = clean.get("noise_modes", ["none"])
        if not isinstance(modes, list | tuple) or not 1 <= len(modes) <= 3 or any(m not in NOISE_MODES for m in modes):
            raise CheckpointError(f"the model's spec names unknown noise modes: {_short(modes)}", _HINT)
        flags = (clean.get("truncatable", False), clean.get("movable", False))
        if not isinstance(clean["arch"], str) or not all(isinstance(flag, bool) for flag in flags):
            raise CheckpointError("the model's spec has no architecture or cannot say if it truncates or moves", _HINT)
        params = clean.get("params", {})
        if not isinstance(params, Mapping):
            raise CheckpointError("the model's spec has no table of hyper-parameters", _HINT)
        _check_params(params, clean["resolution"])
        clean["noise_modes"] = tuple(modes)
        return cls(**clean)


@dataclass(frozen=True)
class DiscriminatorSpec:
    """Which discriminator stands beside a generator; what its pictures are, the generator's spec says."""

    kind: str = "own"
    """Key into `ganlib.networks.DISCRIMINATORS`."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Its hyper-parameters, JSON-able. Those of `own` stand in the generator's spec, under `D`."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        return {"kind": self.kind, "params": json.loads(json.dumps(dict(self.params)))}

    @classmethod
    def from_dict(cls, values: Any) -> DiscriminatorSpec:
        """Build a spec from JSON data of unknown origin; raises `CheckpointError` when a field is missing or absurd."""
        kind, params = (values.get("kind"), values.get("params")) if isinstance(values, Mapping) else (None, None)
        if not isinstance(kind, str) or len(kind) > 40 or not isinstance(params, Mapping):
            raise CheckpointError("the discriminator's spec is no table of a kind and its parameters", _HINT)
        _check_params(params, LARGEST_RESOLUTION)
        return cls(kind, dict(params))


def _check_params(params: Mapping[str, Any], resolution: int) -> None:
    """Raise `CheckpointError` for hyper-parameters that would hang, exhaust memory or make no picture."""
    if not _is_plain(params):
        raise CheckpointError("the model's hyper-parameters are not a small table of plain values", _HINT)
    for table in (params, params.get("D", {})):
        if not isinstance(table, Mapping):
            raise CheckpointError("the discriminator's hyper-parameters are not a table", _HINT)
        for name, value in table.items():
            if name in _LIMITS:
                good = _is_whole(value, *_LIMITS[name]) or (value is None and name in _MAY_BE_NONE)
            elif name in _FREQUENCIES:
                good = _is_number(value) and _FREQUENCIES[name][0] <= value <= _FREQUENCIES[name][1]
            elif name == "layer_channels":
                good = value is None or isinstance(value, list | tuple)
                good = good and all(_is_whole(count, 1, _LIMITS["channel_max"][1]) for count in value or ())
            elif name == "conv_clamp":
                good = value is None or (_is_number(value) and value > 0)
            elif name == "resample_filter":
                good = isinstance(value, list | tuple) and 1 <= len(value) <= MOST_TAPS
                good = good and all(map(_is_number, value)) and abs(math.fsum(value)) > 1e-6
            elif name == "channels":
                sides = {str(2**i) for i in range(2, resolution.bit_length())}
                good = value is None or isinstance(value, Mapping)
                good = good and set(value or {}) <= sides
                good = good and all(_is_whole(count, 1, _LIMITS["channel_max"][1]) for count in (value or {}).values())
            else:
                continue
            if not good:
                raise CheckpointError(f"the model's spec says {name} = {_short(value)}, which cannot be", _HINT)


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_number(value: Any) -> bool:
    """A finite number within reason."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e9 <= value <= 1e9  # NaN is not


def _is_plain(value: Any, depth: int = 4) -> bool:
    """Whether a value is small, JSON-able data."""
    if isinstance(value, Mapping):
        named = all(isinstance(key, str) and len(key) <= 64 for key in value)
        return named and _is_plain(list(value.values()), depth)
    if isinstance(value, list | tuple):
        return depth > 0 and len(value) <= 64 and all(_is_plain(item, depth - 1) for item in value)
    if isinstance(value, str):
        return len(value) <= 200
    return value is None or isinstance(value, bool) or _is_number(value)


def _short(value: object) -> str:
    """`value` for a message: the whole of it, or its beginning."""
    text = str(value) if not isinstance(value, int) or abs(value) < 10**40 else "a number of over 40 digits"
    return text if len(text) <= 80 else f"{text[:80]}…"


class Generator(nn.Module):
    """What every generator is: a module that makes pictures in two steps, z → w and w_plus → image."""

    spec: GeneratorSpec
    mapping: Callable[..., Tensor]
    """`mapping(z [N, z_dim], label [N, label_dim] one-hot or None)` → w `[N, w_dim]`; never truncates."""
    synthesis: Callable[..., Tensor]
    """`synthesis(w_plus [N, num_ws, w_dim], noise_mode="const", rng=None)` → image `[N, C, R, R]` in about [-1, 1].

    Where the spec says `movable` there is also `transform [N, 3, 3]`, from a point of the picture (which reaches from
    -1/2 to 1/2, right and down) to the point that is shown there; None changes nothing. Where there is more than one
    noise mode there is also `noise_gain [N, num_ws]`, which multiplies the noise of each style input's layer."""

    @property
    def w_avg(self) -> Tensor:
        """The centre of w, `[w_dim]` float32; zeros where there is no mapping network."""
        raise AttributeError("a generator defines w_avg")

    @property
    def num_stages(self) -> int:
        """Number of stages that the network grows by in training; 1 where it does not grow."""
        return 1

    def grow(self, stage: int, alpha: float = 1.0) -> None:
        """Use the blocks up to `stage`, the last faded in by `alpha`; nothing happens where there is one stage."""

    def sketch(self, w_plus: Tensor, side: int) -> Tensor | None:
        """w_plus `[N, num_ws, w_dim]` → image `[N, C, side, side]` of the blocks up to `side` alone, with fixed noise:
        quicker, and of other colours; None where the family makes no picture on its way, or none of that side."""
        return None

    def training_images(self, w_plus: Tensor, rng: Rng = None) -> Tensor:
        """w_plus `[N, num_ws, w_dim]` → image `[N, C, r, r]` as the discriminator of the same growth wants it, with
        fresh noise where the family has any."""
        mode = "random" if "random" in self.spec.noise_modes else self.spec.noise_modes[0]
        return self.synthesis(w_plus, noise_mode=mode, rng=rng)


class Discriminator(nn.Module):
    """What every discriminator is: `forward(img [N, C, R, R], label [N, label_dim] or None, maps=None)` → logits
    `[N, k]`, one for each of its k judges; above 0 is real. What `features` yields is appended to the list `maps`."""

    spec: GeneratorSpec
    """The spec of the generator that it belongs to."""
    own_spec: DiscriminatorSpec = DiscriminatorSpec()
    """Its own."""

    def features(self, img: Tensor, label: Tensor | None = None) -> Iterator[Tensor]:
        """Yield what each block sees of pictures `[N, C, R, R]`, maps `[N, channels, H, W]`, nearest the picture first,
        each computed when it is asked for. What follows the last block, where statistics of the whole batch may enter,
        is not among them. Pictures may be smaller by a power of two where blocks are convolutions."""
        raise NotImplementedError

    def grow(self, stage: int, alpha: float = 1.0) -> None:
        """As `Generator.grow`."""

    def match_real(self, img: Tensor) -> Tensor:
        """Return real pictures `[N, C, R, R]` as this growth should see them: unchanged where nothing grows."""
        return img

    def layers(self) -> list[nn.Module]:
        """Return the modules that hold parameters, those nearest to the picture first (Freeze-D, Mo et al. 2020)."""
        return [m for m in self.modules() if any(True for _ in m.parameters(recurse=False))]


@dataclass(frozen=True)
class DiscriminatorKind:
    """One row of the registry of discriminators."""

    name: str
    """The registry's key."""
    title: str
    """What people call it."""
    about: str
    """One sentence for people."""
    build: Callable[[GeneratorSpec, Mapping[str, Any]], Discriminator]
    """Spec of the generator, its own parameters → the network with fresh weights."""
    make_params: Callable[..., dict[str, Any]] = lambda **facts: {}
    """`make_params(resolution=, device=, **options)` → parameters for training from scratch."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Fields of `TrainConfig` that it alone has → what `make_params` calls them."""
    train_defaults: Mapping[str, Any] = field(default_factory=dict)
    """Defaults of other fields of `TrainConfig` that suit it; they come before those of the family."""
    can_grow: bool = True
    """Whether it follows a generator that grows."""
    can_freeze: bool = True
    """Whether its first layers may keep the weights of another model (Freeze-D)."""


_SIDE = re.compile(r"synthesis\.(?:b(\d+)|L\d+_(\d+)_\d+)\.")
_MARGIN = 20  # the inner layers of StyleGAN3 are wider than a power of two by 10 pixels at either edge


def block_side(name: str) -> int | None:
    """Return the side in pixels at which a generator's tensor of NVIDIA's names works; None where it has no side."""
    if (found := _SIDE.match(name)) is None:
        return None
    side = int(found[1] or found[2])
    return side if side & (side - 1) == 0 else side - _MARGIN


@dataclass(frozen=True)
class Architecture:
    """One row of the registry: everything the house needs to know about a family of networks."""

    name: str
    """The registry's key."""
    title: str
    """The name people use."""
    signature_key: str
    """Name of a tensor that only this family's generators have, under NVIDIA's names; empty where files of other
    tools are not read."""
    trainable: bool
    """Whether this studio trains it; otherwise its models are imported."""
    build_G: Callable[[GeneratorSpec], Generator]
    """Spec → generator with fresh weights."""
    build_D: Callable[[GeneratorSpec], Discriminator]
    """Spec of the generator → its discriminator with fresh weights, reading `params["D"]` for its own options."""
    make_spec: Callable[..., GeneratorSpec]
    """`make_spec(resolution=, img_channels=, label_dim=, **options)` → spec for training from scratch."""
    infer_spec: Callable[[Mapping[str, Tensor]], GeneratorSpec]
    """Tensors of a generator under NVIDIA's names → spec."""
    style_weights: Callable[[Generator], dict[str, Tensor]]
    """Generator → style (affine) weights by layer, `[channels, w_dim]` each; empty where there is no style."""
    train_defaults: Mapping[str, Any]
    """Defaults of `TrainConfig` fields that suit this family."""
    tiny: Callable[[], GeneratorSpec]
    """A spec that builds and runs in milliseconds, for tests."""
    style_inputs: Callable[[Generator], dict[str, int]] = lambda G: {}
    """Generator → the style input that each layer of `style_weights` takes; empty where there is no style."""
    tensor_side: Callable[[str], int | None] = block_side
    """Name of a generator's tensor → side in pixels at which it works; None for what serves all sides."""
    nvidia_arguments: Callable[[GeneratorSpec], dict[str, dict[str, Any]]] | None = None
    """Spec → arguments of NVIDIA's classes for `G_ema` and `D`; None where their tools do not know the family."""


def one_hot(labels: Sequence[int | None], label_dim: int) -> Tensor:
    """Return `[N, label_dim]` float32; `None` becomes a row of zeros, the unconditional label."""
    rows = torch.zeros(len(labels), label_dim)
    for row, label in enumerate(labels):
        if label is not None:
            rows[row, label] = 1.0
    return rows
