"""Find directions of a model, measure how far each may be followed, and keep them beside it: a command and a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlib import networks
from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.features.extractors import FeatureExtractor, discriminator_extractor, open_extractor
from ganlib.latents.editing import Direction, list_directions, save_direction
from ganlib.latents.recipes import STYLE_GROUPS, style_groups
from ganlib.models import checkpoints
from ganlib.render.directions.attributes import TITLES, find_attribute_directions
from ganlib.render.directions.discovery import COMPONENTS, SAMPLES, principal_components, sample_w, style_directions
from ganlib.render.directions.limits import SafeRange
from ganlib.render.renderer import Renderer
from ganlib.runs import Reporter, SilentReporter, Stopped, free_name

METHODS = {
    "pca": "what varies most (PCA of w)",
    "shown": "what pictures show (size, colour …)",
    "sefa": "what styles react to most (SeFa)",
}
"""Ways to find directions, in words."""
LAYERS = {"all": "everything"} | STYLE_GROUPS
"""Groups of style inputs, in words about what they change."""


@dataclass(frozen=True)
class DirectionsConfig(Options):
    """Options of one search for directions."""

    network: Path = option(help="a model file, or a name in checkpoints/", is_model=True, metavar="MODEL")
    method: str = option(
        "pca",
        "pca: principal components of w (GANSpace); sefa: what moves the styles most; shown: what pictures show "
        "(size, lightness, redness …), measured in them",
        choices=METHODS,
    )
    count: int = option(10, "how many, the strongest or best told first", low=1, high=COMPONENTS)
    layers: str = option(
        "all", "style inputs: sefa looks at these alone, and every direction acts on them by default", choices=LAYERS
    )
    samples: int = option(SAMPLES, "how many w are drawn", low=100, high=1_000_000, is_expert=True)
    seed: int = option(0, "of those", low=0, is_expert=True)
    measure: bool = option(True, "measure how far each may be followed")
    device: str = option("auto", "auto, cpu, cuda or mps")


def find_directions(config: DirectionsConfig, reporter: Reporter | None = None) -> list[Direction]:
    """Find directions and save them in the folder beside the model; return them, the strongest first.

    They are called `pca-01` …, `sefa-coarse-01` …, `shown-size` …; one that a person has given a title is left alone,
    and the new one takes a free name. Raises `InputError` where the model has no styles or no such layers, or its
    pictures show nothing that w tells of, `CheckpointError` for a damaged model, and `Stopped` when
    `reporter.should_stop()`: those measured so far are kept.
    """
    config.validate()
    reporter = reporter or SilentReporter()
    card = checkpoints.read_card(config.network)
    renderer = Renderer.open(config.network, device=config.device)
    spec = renderer.spec
    chosen = _style_inputs(config.layers, spec.num_ws)
    reporter.progress(0, config.count, f"drawing {config.samples} w")
    finds = {"pca": _components, "sefa": _styles, "shown": _find_by_attribute}[config.method](renderer, config, chosen)
    taken = {direction.name for direction in list_directions(card.folder)[0] if _is_named(direction)}
    ranges = SafeRange(renderer, judge(config.network, renderer)) if config.measure else None
    made = []
    for i, find in enumerate(finds):
        if reporter.should_stop():
            raise Stopped
        first = chosen[0] if config.layers != "all" else 0
        last = chosen[-1] if config.layers != "all" else None
        direction = Direction(
            free_name(find.name, taken.__contains__), find.vector, TITLES.get(find.name, ""), first, last, None,
            config.method, find.about, card.digest,
        )  # fmt: skip
        if not torch.isfinite(direction.vector).all() or not direction.vector.any():
            continue  # a component without variance
        if ranges is not None:
            direction = replace(direction, safe=ranges.of(direction))
        reporter.artefact(save_direction(card.folder, direction))
        made.append(direction)
        reporter.progress(i + 1, config.count, direction.name)
    return made


@dataclass(frozen=True, eq=False)
class _Find:
    """A direction before it is measured."""

    name: str
    vector: Tensor
    """One sigma long."""
    about: str


def _components(renderer: Renderer, config: DirectionsConfig, chosen: range) -> list[_Find]:
    found = principal_components(renderer, config.count, samples=config.samples, seed=config.seed)
    about = [f"Principal component {i + 1}: {share:.1%} of the variation of w" for i, share in enumerate(found.share)]
    vectors = found.vectors * found.sigma[:, None]
    return [_Find(_numbered(config, i), vector, about[i]) for i, vector in enumerate(vectors)]


def _styles(renderer: Renderer, config: DirectionsConfig, chosen: range) -> list[_Find]:
    row = networks.architecture(renderer.spec.arch)
    inputs = row.style_inputs(renderer.generator)
    weights = [w for name, w in row.style_weights(renderer.generator).items() if inputs.get(name, -1) in chosen]
    values, axes = style_directions(weights, config.count)
    vectors = axes.float()
    vectors = vectors * _sigma(renderer, config, vectors)[:, None]
    about = [f"moves the {config.layers} styles by {value**0.5:.3g} a unit of w" for value in values.tolist()]
    return [
        _Find(_numbered(config, i), vector, f"Style direction {i + 1}: {about[i]}") for i, vector in enumerate(vectors)
    ]


def _find_by_attribute(renderer: Renderer, config: DirectionsConfig, chosen: range) -> list[_Find]:
    found = find_attribute_directions(renderer, samples=config.samples, seed=config.seed)[: config.count]
    vectors = torch.stack([each.step / each.step.norm().clamp(min=1e-12) for each in found])
    vectors = vectors * _sigma(renderer, config, vectors)[:, None]
    about = [f"{each.attribute.title}, as measured in pictures: w tells {each.told:.0%} of it" for each in found]
    return [_Find(f"shown-{found[i].attribute.name}", vector, about[i]) for i, vector in enumerate(vectors)]


def _sigma(renderer: Renderer, config: DirectionsConfig, vectors: Tensor) -> Tensor:
    """The standard deviation of w along directions of length 1 `[K, w_dim]`."""
    w = sample_w(renderer, config.samples, seed=config.seed)
    return ((w - w.mean(dim=0)) @ vectors.T).std(dim=0)


def _numbered(config: DirectionsConfig, i: int) -> str:
    stem = config.method if config.layers == "all" else f"{config.method}-{config.layers}"
    return f"{stem}-{i + 1:02d}"


def _is_named(direction: Direction) -> bool:
    """Whether a person has named it: those of what pictures show bring a title of their own."""
    return bool(direction.title) and direction.title != TITLES.get(direction.name)


def _style_inputs(layers: str, num_ws: int) -> range:
    """The style inputs of a range by name. Raises `InputError` where the model has none there."""
    chosen = range(num_ws) if layers == "all" else style_groups(num_ws)[list(STYLE_GROUPS).index(layers)]
    if not chosen:
        raise InputError(f"this model has no {layers} style inputs", "choose all")
    return chosen


def judge(network: Path, renderer: Renderer) -> FeatureExtractor:
    """Features to tell ordinary pictures by: the model's own discriminator's, or those that every studio has."""
    if checkpoints.read_card(network).has_discriminator:
        return discriminator_extractor(network, device=renderer.device)
    return open_extractor("auto", device=renderer.device)


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job of verb `directions`."""
    made = find_directions(DirectionsConfig.from_dict(config), reporter)
    reporter.log(f"{len(made)} directions: {', '.join(direction.name for direction in made)}")
