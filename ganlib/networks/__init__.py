"""The registry of architectures. A new family is one file here plus one entry in `ARCHITECTURES`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ganlib.errors import CheckpointError, InputError
from ganlib.networks.base import Architecture, Discriminator, Generator, GeneratorSpec
from ganlib.networks.stylegan2 import STYLEGAN2

ARCHITECTURES: dict[str, Architecture] = {STYLEGAN2.name: STYLEGAN2}

__all__ = ["ARCHITECTURES", "architecture", "build_discriminator", "build_generator", "tiny_generator"]


def architecture(name: str) -> Architecture:
    """Return the registry's row; raises `InputError` naming the known families."""
    if name not in ARCHITECTURES:
        raise InputError(f"unknown architecture {name!r}", f"known: {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[name]


def build_generator(spec: GeneratorSpec) -> Generator:
    """Return the generator of a spec with fresh weights, in evaluation mode; raises `CheckpointError` when the spec
    does not describe one."""
    with _spec_errors(spec):
        return ARCHITECTURES[spec.arch].build_G(spec).eval()


def build_discriminator(spec: GeneratorSpec) -> Discriminator:
    """Return the discriminator that belongs to a generator's spec, with fresh weights; raises as `build_generator`."""
    with _spec_errors(spec):
        return ARCHITECTURES[spec.arch].build_D(spec).eval()


@contextmanager
def _spec_errors(spec: GeneratorSpec) -> Iterator[None]:
    """Translate what goes wrong when a damaged spec is built; a spec comes out of files of unknown origin."""
    if spec.arch not in ARCHITECTURES:
        raise CheckpointError(
            f"the model's architecture {spec.arch!r} is unknown", f"known: {', '.join(sorted(ARCHITECTURES))}"
        )
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(
            f"the model's spec cannot be built: {error}", "the file was damaged or made by another version"
        ) from error


def tiny_generator(arch: str = "stylegan2", *, seed: int = 0, **options: object) -> Generator:
    """Return a generator of milliseconds with weights drawn from `seed`, for tests and demonstrations.

    `options` replace fields of the tiny spec (`resolution`, `label_dim`, …)."""
    row = architecture(arch)
    spec = row.tiny()
    if options:
        params = spec.params
        spec = row.make_spec(**{
            "resolution": spec.resolution, "z_dim": spec.z_dim, "w_dim": spec.w_dim,
            "channel_base": params["channel_base"], "channel_max": params["channel_max"],
            "mapping_layers": params["mapping_layers"], **options,
        })  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_generator(spec)
