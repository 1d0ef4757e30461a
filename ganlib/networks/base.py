"""What every architecture offers: the spec, the two network protocols and the registry's row."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.errors import CheckpointError
from ganlib.networks.ops import Rng

NOISE_MODES = ("const", "random", "none")


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
    params: Mapping[str, Any] = field(default_factory=dict)
    """The architecture's own hyper-parameters, JSON-able."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["noise_modes"] = list(self.noise_modes)
        values["params"] = json.loads(json.dumps(dict(self.params)))
        return values

    @classmethod
    def from_dict(cls, values: Any) -> GeneratorSpec:
        """Build a spec from JSON data of unknown origin; raises `CheckpointError` when a field is missing or absurd."""
        hint = "the file is not a model of this studio, or it was damaged; save or import the model again"
        if not isinstance(values, Mapping):
            raise CheckpointError("the model's spec is not a table of values", hint)
        known = {f.name for f in fields(cls)}
        missing = {"arch", "resolution", "img_channels", "z_dim", "w_dim", "num_ws"} - set(values)
        if missing or set(values) - known:
            odd = sorted(missing | (set(values) - known))
            raise CheckpointError(f"the model's spec has missing or unknown fields: {', '.join(map(str, odd))}", hint)
        clean = dict(values)
        limits = {
            "resolution": (4, 8192), "img_channels": (1, 4), "z_dim": (1, 8192), "w_dim": (1, 8192),
            "num_ws": (1, 64), "label_dim": (0, 100_000),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = clean.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise CheckpointError(f"the model's spec says {name} = {value!r}, outside {low} … {high}", hint)
        modes = clean.get("noise_modes", ["none"])
        if not isinstance(modes, Sequence) or not modes or any(m not in NOISE_MODES for m in modes):
            raise CheckpointError(f"the model's spec names unknown noise modes: {modes!r}", hint)
        if not isinstance(clean.get("params", {}), Mapping):
            raise CheckpointError("the model's spec has no table of hyper-parameters", hint)
        clean["noise_modes"] = tuple(modes)
        clean["truncatable"] = bool(clean.get("truncatable", False))
        clean["arch"] = str(clean["arch"])
        return cls(**clean)


class Generator(nn.Module):
    """What every generator is: a module that makes pictures in two steps, z → w and w_plus → image."""

    spec: GeneratorSpec
    mapping: Callable[..., Tensor]
    """`mapping(z [N, z_dim], label [N, label_dim] one-hot or None)` → w `[N, w_dim]`; never truncates."""
    synthesis: Callable[..., Tensor]
    """`synthesis(w_plus [N, num_ws, w_dim], noise_mode="const", rng=None)` → image `[N, C, R, R]` in about [-1, 1]."""

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

    def training_images(self, w_plus: Tensor, rng: Rng = None) -> Tensor:
        """w_plus `[N, num_ws, w_dim]` → image `[N, C, r, r]` as the discriminator of the same growth wants it, with fresh
        noise where the family has any."""
        mode = "random" if "random" in self.spec.noise_modes else self.spec.noise_modes[0]
        return self.synthesis(w_plus, noise_mode=mode, rng=rng)


class Discriminator(nn.Module):
    """What every discriminator is: `forward(img [N, C, R, R], label [N, label_dim] or None)` → logits `[N, 1]`."""

    spec: GeneratorSpec
    """The spec of the generator that it belongs to."""

    def grow(self, stage: int, alpha: float = 1.0) -> None:
        """As `Generator.grow`."""

    def match_real(self, img: Tensor) -> Tensor:
        """Return real pictures `[N, C, R, R]` as this growth should see them: unchanged where nothing grows."""
        return img

    def layers(self) -> list[nn.Module]:
        """Return the modules that hold parameters, those nearest to the picture first (Freeze-D, Mo et al. 2020)."""
        return [m for m in self.modules() if any(True for _ in m.parameters(recurse=False))]


@dataclass(frozen=True)
class Architecture:
    """One row of the registry: everything the house needs to know about a family of networks."""

    name: str
    """The registry's key."""
    title: str
    """The name people use."""
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


def one_hot(labels: Sequence[int | None], label_dim: int) -> Tensor:
    """Return `[N, label_dim]` float32; `None` becomes a row of zeros, the unconditional label."""
    rows = torch.zeros(len(labels), label_dim)
    for row, label in enumerate(labels):
        if label is not None:
            rows[row, label] = 1.0
    return rows
