"""From a configuration to everything that a run needs, checked before a file is written: one place for `--dry-run`, the
estimate and the run itself."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ganlib import metrics, networks
from ganlib.base.errors import DataError, InputError
from ganlib.compute.device import choose_device
from ganlib.dataset import Dataset
from ganlib.networks.base import Architecture, DiscriminatorSpec, GeneratorSpec
from ganlib.training.augment.augmentations import AUGMENTATIONS
from ganlib.training.config import SHAPES, TrainConfig, own_defaults
from ganlib.training.losses import LOSSES
from ganlib.training.phases import Schedule
from ganlib.training.resume import Start, check_start, differences, find_start

MIXED = {"num_fp16_res": 4, "conv_clamp": 256.0}  # half precision in the four largest resolutions, clamped
TRANSFER_ADA_KIMG = 100.0


@dataclass(frozen=True)
class Plan:
    """A run that can be done."""

    config: TrainConfig
    """Resolved."""
    dataset: Dataset
    spec: GeneratorSpec
    judge: DiscriminatorSpec
    start: Start
    schedule: Schedule
    images_seen: int
    """Real pictures seen before the first step."""

    @property
    def doubts(self) -> list[str]:
        """Return what is to be known of the classes that are trained on."""
        return self.dataset.doubts() if self.config.cond else []


def _shapes(row: Architecture) -> dict[str, str]:
    """The fields of `TrainConfig` that decide a family's networks → what its `make_spec` calls them."""
    known = inspect.signature(row.make_spec).parameters
    return {name: theirs for name, theirs in SHAPES.items() if theirs in known}


@cache
def options_without_use(arch: str, discriminator: str | None = None, loss: str | None = None) -> frozenset[str]:
    """Return the options of `TrainConfig` that mean nothing to a family, a discriminator and a loss; of kinds that are
    not known, none."""
    own = own_defaults({"arch": arch, "discriminator": discriminator, "loss": loss})
    row, judge = networks.ARCHITECTURES.get(arch), networks.DISCRIMINATORS.get(own["discriminator"])
    if row is None or judge is None:
        return frozenset()
    unused = set(SHAPES) - set(_shapes(row))
    spec = row.tiny()
    if _counts(spec)[0] == 1:
        unused |= {"fade_kimg", "tune_kimg", "phase_batches"}
    if spec.num_ws == 1:
        unused |= {"style_mix", "pl_weight"}
    unused |= {name for other in networks.DISCRIMINATORS.values() for name in other.options} - set(judge.options)
    unused |= set() if judge.can_freeze else {"freezed"}
    chosen = LOSSES.get(own["loss"])
    if chosen is not None and not chosen.has_gradient_penalty:
        unused |= {"gp_weight", "drift"}
    return frozenset(unused)


def make_spec(config: TrainConfig, dataset: Dataset, *, mixed: bool = False) -> GeneratorSpec:
    """Return the spec of the generator that a resolved configuration trains on a data set. Raises `InputError` for an
    option that the family does not have."""
    row = networks.architecture(config.arch)
    known = inspect.signature(row.make_spec).parameters
    options: dict[str, Any] = {}
    for name, theirs in SHAPES.items():
        if (value := getattr(config, name)) is None:
            continue
        if theirs not in known:
            raise InputError(f"{row.title} has no option {name}", f"leave --{name.replace('_', '-')} out")
        options[theirs] = value
    if "D" in known:
        options["D"] = {"mbstd_group_size": 4}
    if mixed and set(MIXED) <= set(known):
        options |= MIXED
    return row.make_spec(
        resolution=dataset.resolution, img_channels=dataset.num_channels,
        label_dim=dataset.label_dim if config.cond else 0, **options,
    )  # fmt: skip


def plan(config: TrainConfig, run_dir: Path | None = None, *, world: int = 1) -> Plan:
    """Return the run that a configuration describes, or raise the `GanlibError` that says why there is none.

    run_dir: where it will write; a training state there is continued. world: number of processes."""
    given, config = config, config.resolve()
    dataset = Dataset.open(Path(config.data))
    device = choose_device(config.device)
    if config.cond and not dataset.label_dim:
        hint = "prepare the pictures that it was made of anew, with --labels folder, prefix or FILE.csv, or drop --cond"
        raise DataError(f"{config.data} has no class labels", hint)
    if config.holdout >= len(dataset):
        raise InputError(
            f"holdout = {config.holdout} leaves no picture of {len(dataset)} to train on", "use a smaller --holdout"
        )
    mixed = config.precision == "mixed" or (config.precision == "auto" and device.type == "cuda")
    start = find_start(config, run_dir)
    config = _like_the_model(given, config, start)
    spec = make_spec(config, dataset, mixed=mixed)
    if not any(getattr(given, name) is not None for name in SHAPES):
        spec = _the_models_own(spec, start.spec)
    judge = make_judge(config, spec, device=device.type)
    if start.is_exact and start.judge is not None and config.feature_side is None and config.d_width is None:
        judge = start.judge if start.judge.kind == judge.kind else judge
    check_start(start, spec, judge)
    metrics.parse_metrics(config.metrics)

    # Growth and augmentation.
    num_stages, num_layers = _counts(spec, judge)
    kind = networks.DISCRIMINATORS[judge.kind]
    if num_stages > 1 and not kind.can_grow:
        title = networks.architecture(spec.arch).title
        raise InputError(f"a {kind.title.lower()} discriminator does not follow {title}, which grows",
                         "use --discriminator own, or another --arch")  # fmt: skip
    if config.freezed and not kind.can_freeze:
        raise InputError(f"freezed = {config.freezed}: what a {kind.title.lower()} discriminator sees with is frozen "
                         "already", "leave --freezed out")  # fmt: skip
    if config.freezed and start.path is None:
        raise InputError("freezed keeps layers of D that have learned nothing yet", "name a model with --resume")
    if config.freezed >= num_layers:
        raise InputError(f"freezed = {config.freezed} leaves nothing of D to train", f"use less than {num_layers}")
    assert config.aug is not None
    block = AUGMENTATIONS[config.aug].block
    if block > 1 and (num_stages > 1 or spec.resolution % block):
        why = "a growing network starts below that" if num_stages > 1 else f"the pictures have {spec.resolution}"
        raise InputError(f"augmentation works at {block} px and more, and {why}", "use --aug noaug")
    if start.growth is not None:  # a longer run does not grow anew
        fade, tune = (number / 1000 for number in start.growth)
        config = replace(config, fade_kimg=config.fade_kimg or fade, tune_kimg=config.tune_kimg or tune)
    assert config.batch is not None
    schedule = Schedule.of(
        num_stages, batch=config.batch, kimg=config.kimg, fade_kimg=config.fade_kimg, tune_kimg=config.tune_kimg,
        batches=config.phase_batches,
    )  # fmt: skip
    for batch in {config.batch, *config.phase_batches}:
        if batch % world:
            raise InputError(
                f"a batch of {batch} cannot be shared by {world} processes", f"use a multiple of {world} for --batch"
            )

    # What was seen before.
    kimg = start.kimg if start.is_exact else 0.0
    # A transfer stopped and continued stays one: its state knows, the weights it began from may be gone.
    if given.ada_kimg is None and "ada_kimg" in start.kept:
        config = replace(config, ada_kimg=start.kept["ada_kimg"])
    if given.ema_rampup == TrainConfig.ema_rampup and "ema_rampup" in start.kept:
        config = replace(config, ema_rampup=start.kept["ema_rampup"])
    if start.spec is not None and not start.is_exact:
        same = not differences(spec, start.spec)
        kimg = config.resume_kimg if config.resume_kimg is not None else start.kimg if same else 0.0
        config = replace(config, ada_kimg=config.ada_kimg or TRANSFER_ADA_KIMG)
        if given.ema_rampup == TrainConfig.ema_rampup:
            config = replace(config, ema_rampup=None)  # the average has a good start already
        if AUGMENTATIONS[config.aug or "noaug"].adapts and config.p is None and start.p is not None:
            config = replace(config, p=min(max(start.p, 0.0), 1.0))
    is_own = start.is_exact and start.path is not None and start.path.parent == run_dir
    if kimg * 1000 >= int(config.kimg * 1000) and not is_own:
        raise InputError(
            f"the model to resume already has {kimg:g} kimg and the run ends at {config.kimg:g}",
            f"give a larger --kimg than {kimg:g}" + ("" if start.is_exact else ", or count anew with --resume-kimg 0"),
        )
    return Plan(config, dataset, spec, judge, start, schedule, round(kimg * 1000))


def make_judge(config: TrainConfig, spec: GeneratorSpec, *, device: str) -> DiscriminatorSpec:
    """Return the spec of the discriminator that a resolved configuration asks for. Raises `InputError` for an option
    of another one."""
    row = networks.DISCRIMINATORS[config.discriminator or "own"]
    for other in networks.DISCRIMINATORS.values():
        for name in other.options:
            if name not in row.options and getattr(config, name) is not None:
                flag = f"--{name.replace('_', '-')}"
                raise InputError(f"{name} is an option of --discriminator {other.name}", f"leave {flag} out")
    given = {theirs: getattr(config, mine) for mine, theirs in row.options.items()}
    return DiscriminatorSpec(row.name, row.make_params(resolution=spec.resolution, device=device, **given))


def _counts(spec: GeneratorSpec, judge: DiscriminatorSpec | None = None) -> tuple[int, int]:
    """Return the generator's stages of growth and the discriminator's layers, found without their weights."""
    with torch.device("meta"):
        return networks.build_generator(spec).num_stages, len(networks.build_discriminator(spec, judge).layers())


def _the_models_own(spec: GeneratorSpec, theirs: GeneratorSpec | None) -> GeneratorSpec:
    """Return the spec with the model's own parameters, those included that no option of a run can say."""
    if theirs is None:
        return spec
    params = {**theirs.params, **{name: spec.params[name] for name in MIXED if name in spec.params}}
    own = replace(spec, params=params)
    return own if set(differences(own, theirs)) <= {"resolution", "num_ws", "label_dim"} else spec


def _like_the_model(given: TrainConfig, config: TrainConfig, start: Start) -> TrainConfig:
    """Take over the shape of the model to resume wherever the person said nothing about it."""
    if start.spec is None:
        return config
    flat = {**start.spec.to_dict(), **start.spec.params}
    names = _shapes(networks.architecture(config.arch))
    taken = {
        own: flat[theirs]
        for own, theirs in names.items()
        if getattr(given, own) is None and theirs in flat and not isinstance(flat[theirs], dict)
    }
    return replace(config, **taken)
