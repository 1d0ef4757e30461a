"""The registry of architectures. A new family is one file here plus one entry in `ARCHITECTURES`."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from ganlib.base.errors import CheckpointError, InputError
from ganlib.networks import projected
from ganlib.networks.base import (
    Architecture,
    Discriminator,
    DiscriminatorKind,
    DiscriminatorSpec,
    Generator,
    GeneratorSpec,
)
from ganlib.networks.dcgan import DCGAN
from ganlib.networks.fastgan import FASTGAN
from ganlib.networks.progan import PROGAN
from ganlib.networks.stylegan2 import STYLEGAN2
from ganlib.networks.stylegan3 import STYLEGAN3

ARCHITECTURES: dict[str, Architecture] = {row.name: row for row in (DCGAN, FASTGAN, PROGAN, STYLEGAN2, STYLEGAN3)}


class _Trainable(Collection[str]):
    """Names of the families that are trained here, those included that are registered later."""

    def __iter__(self) -> Iterator[str]:
        return (name for name, row in ARCHITECTURES.items() if row.trainable)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in tuple(self)


TRAINABLE = _Trainable()
DISCRIMINATORS: dict[str, DiscriminatorKind] = {
    row.name: row
    for row in (
        DiscriminatorKind(
            "own", "The family's own", "learns everything from your pictures; for thousands of them",
            build=lambda spec, params: ARCHITECTURES[spec.arch].build_D(spec),
        ),
        projected.PROJECTED,
    )
}  # fmt: skip

__all__ = [
    "ARCHITECTURES", "DISCRIMINATORS", "TRAINABLE", "architecture", "build_discriminator", "build_generator",
    "check_spec",
    "family_of", "tiny_generator",
]  # fmt: skip


def architecture(name: str) -> Architecture:
    """Return the registry's row; raises `InputError` naming the known families."""
    if name not in ARCHITECTURES:
        raise InputError(f"unknown architecture {name!r}", f"known: {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[name]


def family_of(tensors: Mapping[str, Tensor]) -> Architecture:
    """Return the family that a generator's tensors (NVIDIA's names) belong to; raises `CheckpointError` for none."""
    readable = [row for row in ARCHITECTURES.values() if row.signature_key]
    for row in readable:
        if row.signature_key in tensors:
            return row
    titles = " or ".join(row.title for row in readable)
    raise CheckpointError(f"its tensors are no generator of {titles}", "check which tool wrote the file")


def build_generator(spec: GeneratorSpec) -> Generator:
    """Return the generator of a spec with fresh weights, in evaluation mode; raises `CheckpointError` when the spec
    does not describe one."""
    with _spec_errors(spec):
        return ARCHITECTURES[spec.arch].build_G(spec).eval()


def build_discriminator(spec: GeneratorSpec, own: DiscriminatorSpec | None = None) -> Discriminator:
    """Return the discriminator beside a generator of this spec, with fresh weights, in evaluation mode.

    own: its own spec; None means the one that belongs to the family. Raises as `build_generator`."""
    own = own or DiscriminatorSpec()
    if own.kind not in DISCRIMINATORS:
        raise CheckpointError(
            f"the model's discriminator {own.kind[:40]!r} is unknown", f"known: {', '.join(DISCRIMINATORS)}"
        )
    with _spec_errors(spec):
        D = DISCRIMINATORS[own.kind].build(spec, own.params).eval()
    D.own_spec = own
    return D


def check_spec(spec: GeneratorSpec) -> None:
    """Raise `CheckpointError` when the spec's family is unknown, or has another number of style inputs or other noise
    modes at this resolution and number of layers, or cannot move its pictures. Builds nothing."""
    with _spec_errors(spec):
        row = ARCHITECTURES[spec.arch]
        known = inspect.signature(row.make_spec).parameters
        deciding = {"num_layers", "num_critical"} & set(known) & set(spec.params)
        depth = {name: spec.params[name] for name in deciding}
        try:
            usual = row.make_spec(resolution=spec.resolution, **depth)
        except InputError as error:
            raise ValueError(error.message) from error
        if spec.movable and not usual.movable:
            raise ValueError("it says that its pictures can be moved")
        if spec.num_ws != usual.num_ws:
            raise ValueError(f"{spec.num_ws} style inputs, where {spec.resolution} px have {usual.num_ws}")
        if not set(spec.noise_modes) <= set(usual.noise_modes):
            raise ValueError(f"noise modes {', '.join(spec.noise_modes)}, of {', '.join(usual.noise_modes)}")


@contextmanager
def _spec_errors(spec: GeneratorSpec) -> Iterator[None]:
    """Translate what goes wrong when a damaged spec is built; a spec comes out of files of unknown origin."""
    if spec.arch not in ARCHITECTURES:
        raise CheckpointError(
            f"the model's architecture {spec.arch[:40]!r} is unknown", f"known: {', '.join(sorted(ARCHITECTURES))}"
        )
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(
            f"the model's spec cannot be built: {error}", "the file was damaged or made by another version"
        ) from error


def tiny_generator(arch: str = "stylegan2", *, seed: int = 0, **options: object) -> Generator:
    """Return a generator of milliseconds with weights drawn from `seed`, for tests and demonstrations.

    `options` replace arguments that the tiny spec was made with (`resolution`, `label_dim`, …); raises `InputError`
    for one that this family does not have."""
    row = architecture(arch)
    spec = row.tiny()
    if options:
        known = inspect.signature(row.make_spec).parameters
        if unknown := sorted(set(options) - set(known)):
            raise InputError(f"{row.title} has no option {', '.join(unknown)}", f"known: {', '.join(known)}")
        tiny = {**spec.to_dict(), **spec.params}
        spec = row.make_spec(**{name: tiny[name] for name in known} | options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_generator(spec)
