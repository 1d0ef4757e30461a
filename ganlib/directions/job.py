"""Find directions of a model, measure how far each may be followed, and keep them beside it: a command and a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ganlib import checkpoints, networks
from ganlib.directions.finding import COMPONENTS, SAMPLES, principal_components, sample_w, style_directions
from ganlib.directions.measuring import SafeRange
from ganlib.editing import Direction, list_directions, save_direction
from ganlib.errors import InputError
from ganlib.features import FeatureExtractor, discriminator_extractor, open_extractor
from ganlib.latents import style_groups
from ganlib.options import check_types
from ganlib.renderer import Renderer
from ganlib.runs import Reporter, SilentReporter, Stopped

RANGES = ("all", "coarse", "middle", "fine")
_WORDS = {"pca": "Principal component", "sefa": "Style direction"}


@dataclass(frozen=True)
class DirectionsConfig:
    """Options of one search for directions."""

    network: Path
    """the model"""
    method: Literal["pca", "sefa"] = "pca"
    """pca: principal components of w (GANSpace); sefa: what moves the styles most"""
    count: int = 10
    """how many, the strongest first"""
    layers: Literal["all", "coarse", "middle", "fine"] = "all"
    """style inputs: sefa looks at these alone, and every direction acts on them by default"""
    samples: int = SAMPLES
    """how many w are drawn"""
    seed: int = 0
    """of those"""
    measure: bool = True
    """measure how far each may be followed"""
    device: str = "auto"
    """auto, cpu, cuda or mps"""

    def validate(self) -> DirectionsConfig:
        """Return self, or raise `InputError` that names the option and its legal values."""
        if not 1 <= self.count <= COMPONENTS:
            raise InputError(f"count {self.count} is not between 1 and {COMPONENTS}", f"choose 1 to {COMPONENTS}")
        if not 100 <= self.samples <= 1_000_000:
            raise InputError(f"samples {self.samples} is not between 100 and 1000000", f"{SAMPLES} is usual")
        if self.seed < 0:
            raise InputError(f"seed {self.seed} is below 0", "give 0 or more")
        return self

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DirectionsConfig:
        """Return the options in JSON data. Raises `InputError` for wrong names, types or values."""
        return cls(**check_types(cls, values)).validate()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        return asdict(self) | {"network": str(self.network)}


def find_directions(config: DirectionsConfig, reporter: Reporter | None = None) -> list[Direction]:
    """Find directions and save them in the folder beside the model; return them, the strongest first.

    They are called `pca-01` …, `sefa-coarse-01` …; one that a person has given a title is left alone, and the new one
    takes a free name. Raises `InputError` where the model has no styles or no such layers, `CheckpointError` for a
    damaged model, and `Stopped` when `reporter.should_stop()`: those measured so far are kept.
    """
    config.validate()
    reporter = reporter or SilentReporter()
    card = checkpoints.read_card(config.network)
    renderer = Renderer.open(config.network, device=config.device)
    spec = renderer.spec
    chosen = _style_inputs(config.layers, spec.num_ws)
    reporter.progress(0, config.count, f"drawing {config.samples} w")
    if config.method == "pca":
        found = principal_components(renderer, config.count, samples=config.samples, seed=config.seed)
        vectors, sigma = found.vectors, found.sigma
        about = [f"{share:.1%} of the variation of w" for share in found.share.tolist()]
    else:
        row = networks.architecture(spec.arch)
        inputs = row.style_inputs(renderer.generator)
        weights = [w for name, w in row.style_weights(renderer.generator).items() if inputs.get(name, -1) in chosen]
        values, axes = style_directions(weights, config.count)
        vectors = axes.float()
        w = sample_w(renderer, config.samples, seed=config.seed)
        sigma = ((w - w.mean(dim=0)) @ vectors.T).std(dim=0)
        about = [f"moves the {config.layers} styles by {value**0.5:.3g} a unit of w" for value in values.tolist()]
    stem = config.method if config.layers == "all" else f"{config.method}-{config.layers}"
    taken = {direction.name for direction in list_directions(card.folder)[0] if direction.title}
    ranges = SafeRange(renderer, judge(config.network, renderer)) if config.measure else None
    made = []
    for i, (vector, length, words) in enumerate(zip(vectors, sigma.tolist(), about, strict=True)):
        if reporter.should_stop():
            raise Stopped
        first = chosen[0] if config.layers != "all" else 0
        last = chosen[-1] if config.layers != "all" else None
        direction = Direction(
            _free(f"{stem}-{i + 1:02d}", taken), vector * length, "", first, last, None, config.method,
            f"{_WORDS[config.method]} {i + 1}: {words}", card.digest,
        )  # fmt: skip
        if not torch.isfinite(direction.vector).all() or not direction.vector.any():
            continue  # a component without variance
        if ranges is not None:
            direction = Direction(**{**direction.__dict__, "safe": ranges.of(direction)})
        reporter.artefact(save_direction(card.folder, direction))
        made.append(direction)
        reporter.progress(i + 1, config.count, direction.name)
    return made


def _style_inputs(layers: str, num_ws: int) -> range:
    """The style inputs of a range by name. Raises `InputError` where the model has none there."""
    chosen = range(num_ws) if layers == "all" else style_groups(num_ws)[RANGES.index(layers) - 1]
    if not chosen:
        raise InputError(f"this model has no {layers} style inputs", "choose all")
    return chosen


def judge(network: Path, renderer: Renderer) -> FeatureExtractor:
    """Features to tell ordinary pictures by: the model's own discriminator's, or those that every studio has."""
    if checkpoints.read_card(network).has_discriminator:
        return discriminator_extractor(network, device=renderer.device)
    return open_extractor("auto", device=renderer.device)


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job of verb `directions`."""
    made = find_directions(DirectionsConfig.from_dict(config), reporter)
    reporter.log(f"{len(made)} directions: {', '.join(direction.name for direction in made)}")
