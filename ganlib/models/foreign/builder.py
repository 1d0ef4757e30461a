"""From a file's parts to networks: the spec is read off the tensors, and every tensor must find its place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganlib import networks
from ganlib.base.errors import CheckpointError, GanlibError
from ganlib.models.foreign.parts import Parts, check_square
from ganlib.models.foreign.pickles import UNKNOWN_HINT, short
from ganlib.networks.base import Discriminator, Generator, GeneratorSpec
from ganlib.networks.stylegan2 import channels_at

W_AVG_SAMPLES = 10_000
W_AVG_SEED = 0


def build_networks(parts: Parts) -> tuple[Generator, Discriminator | None]:
    """Return generator and discriminator in evaluation mode, float32, without gradients.

    A discriminator that does not fit is left out with a note. Raises `CheckpointError` where the tensors are no
    generator."""
    has_w_avg = "mapping.w_avg" in parts.G
    if not has_w_avg and "mapping.fc0.weight" in parts.G:
        parts.G["mapping.w_avg"] = torch.zeros(len(parts.G["mapping.fc0.weight"]))
    check_square(parts.G)
    spec = _with_params(_infer_generator(parts.G), parts.G_facts)
    D: Discriminator | None = None
    if parts.D is not None:
        try:
            whole = _with_params(spec, {"D": _infer_discriminator(parts.D, parts.D_facts, spec)})
            with torch.device("meta"):
                D = networks.build_discriminator(whole)
            _assign(D, parts.D, "this discriminator's")
            spec = whole
        except CheckpointError as error:
            D = None
            parts.notes.append(f"the discriminator is left out: {error.message}")
    with torch.device("meta"):
        G = networks.build_generator(spec)
    _assign(G, parts.G, f"{networks.architecture(spec.arch).title}'s")
    if not has_w_avg:
        _estimate_w_avg(G)
        parts.notes.append(f"it stores no mean of w: that of {W_AVG_SAMPLES} samples was taken")
    return G, D


def _infer_generator(tensors: dict[str, Tensor]) -> GeneratorSpec:
    try:
        return networks.family_of(tensors).infer_spec(tensors)
    except CheckpointError:
        raise
    except (GanlibError, ValueError, IndexError, KeyError, TypeError, ArithmeticError) as error:
        raise CheckpointError(f"its tensors are no generator: {short(str(error))}", UNKNOWN_HINT) from error


def _with_params(spec: GeneratorSpec, params: dict[str, Any]) -> GeneratorSpec:
    """Return the spec with more hyper-parameters; raises `CheckpointError` where one is absurd."""
    result = GeneratorSpec.from_dict({**spec.to_dict(), "params": {**spec.params, **params}})
    networks.check_spec(result)
    return result


def _infer_discriminator(tensors: dict[str, Tensor], facts: dict[str, Any], spec: GeneratorSpec) -> dict[str, Any]:
    """Return the discriminator's hyper-parameters, as far as they are not those of the generator."""
    try:
        sides = sorted(int(name.split(".")[0][1:]) for name in tensors if name.endswith(".conv0.weight"))
        widths = {side: len(tensors[f"b{side}.conv0.weight"]) for side in sides}
        widths[4] = len(tensors["b4.fc.weight"])
        params: dict[str, Any] = {
            "D_architecture": (
                "resnet" if f"b{sides[-1]}.skip.weight" in tensors
                else "skip" if "b4.fromrgb.weight" in tensors else "orig"
            ),
            "mbstd_num_channels": tensors["b4.conv.weight"].shape[1] - widths[4],
        }  # fmt: skip
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise CheckpointError("its tensors are none of StyleGAN2's", UNKNOWN_HINT) from error
    if sides[-1] != spec.resolution:
        raise CheckpointError(f"it judges pictures of {sides[-1]} px, of {spec.resolution}", UNKNOWN_HINT)
    if layers := sum(name.startswith("mapping.fc") and name.endswith(".weight") for name in tensors):
        params["D_mapping_layers"] = layers
    own = (spec.params["channel_base"], spec.params["channel_max"])
    for base, most in (own, (widths[sides[-1]] * sides[-1], max(widths.values()))):
        if all(channels_at(side, base, most) == width for side, width in widths.items()):
            if (base, most) != own:
                params |= {"channel_base": base, "channel_max": most}
            break
    else:
        params["channels"] = {str(side): width for side, width in widths.items()}
    return params | {name: value for name, value in facts.items() if spec.params.get(name, ...) != value}


def _assign(module: nn.Module, tensors: dict[str, Tensor], whose: str) -> None:
    """Give a network of `meta` its tensors; raises `CheckpointError` naming the ones that are missing or left over."""
    own = module.state_dict()
    missing, extra = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    if missing or extra:
        words = [f"{word} {short(', '.join(names))}" for word, names in (("lacks", missing), ("adds", extra)) if names]
        raise CheckpointError(f"its tensors are not quite {whose}: it {' and '.join(words)}", UNKNOWN_HINT)
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            shapes = f"{list(tensor.shape)}, not {list(own[name].shape)}"
            raise CheckpointError(f"its tensor {short(name)} has the shape {shapes}", UNKNOWN_HINT)
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"its tensor {short(name)} is not finite", "that training diverged: choose an earlier snapshot"
            )
    module.load_state_dict(tensors, strict=True, assign=True)
    module.eval().requires_grad_(False)


@torch.no_grad()
def _estimate_w_avg(G: Generator) -> None:
    """Set w_avg to the mean of w over random z, the classes in turn."""
    rng = torch.Generator().manual_seed(W_AVG_SEED)
    total = torch.zeros(G.spec.w_dim, dtype=torch.float64)
    for start in range(0, W_AVG_SAMPLES, 1000):
        z = torch.randn(1000, G.spec.z_dim, generator=rng)
        count = G.spec.label_dim
        label = torch.eye(count)[(torch.arange(1000) + start) % count] if count else None
        total += G.mapping(z, label).double().sum(dim=0)
    G.w_avg.copy_(total / W_AVG_SAMPLES)
