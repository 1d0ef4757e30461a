"""The registry of architectures. A new family is one file here plus one entry in `ARCHITECTURES`."""

from __future__ import annotations

import torch
from torch import nn

from ganlib.errors import CheckpointError, InputError
from ganlib.networks.base import Architecture, Generator, GeneratorSpec
from ganlib.networks.stylegan2 import STYLEGAN2

ARCHITECTURES: dict[str, Architecture] = {STYLEGAN2.name: STYLEGAN2}

__all__ = ["ARCHITECTURES", "architecture", "build_discriminator", "build_generator", "tiny_generator"]


def architecture(name: str) -> Architecture:
    """Return the registry's row; raises `InputError` naming the known families."""
    if name not in ARCHITECTURES:
        raise InputError(f"unknown architecture {name!r}", f"known: {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[name]


def build_generator(spec: GeneratorSpec) -> nn.Module:
    """Return the generator of a spec with fresh weights, in evaluation mode; raises `CheckpointError` when the spec
    does not describe one."""
    return _build(spec, "build_G")


def build_discriminator(spec: GeneratorSpec) -> nn.Module:
    """Return the discriminator that belongs to a generator's spec, with fresh weights."""
    return _build(spec, "build_D")


def _build(spec: GeneratorSpec, which: str) -> nn.Module:
    if spec.arch not in ARCHITECTURES:
        raise CheckpointError(
            f"the model's architecture {spec.arch!r} is unknown", f"known: {', '.join(sorted(ARCHITECTURES))}"
        )
    try:
        return getattr(ARCHITECTURES[spec.arch], which)(spec).eval()
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
        G = build_generator(spec)
    assert isinstance(G, Generator)
    return G
