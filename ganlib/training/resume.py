"""Where a run starts: exactly where another stopped, or from the weights of a model (transfer learning)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlib import networks
from ganlib.base.errors import CheckpointError, InputError, RunError
from ganlib.models import checkpoints, foreign
from ganlib.networks.base import Discriminator, DiscriminatorSpec, GeneratorSpec
from ganlib.training.config import SHAPES, TrainConfig
from ganlib.training.state import STATE_NAME, Networks, load_state
from ganlib.training.steps import Unfinished
from ganlib.training.watch.folder import TrainingFolder

# Spec parameters that a transfer may change: they decide how numbers are computed, not which weights there are.
FREE_PARAMETERS = {"num_fp16_res", "conv_clamp", "mbstd_group_size"}
# Flags that decide what a spec says, beside those of `SHAPES`.
_FLAGS = {"arch": "--arch", "label_dim": "--cond", "resolution": "--data", "img_channels": "--data"} | {
    theirs: f"--{name.replace('_', '-')}" for name, theirs in SHAPES.items()
}
_UNSAID = {  # what a spec means that does not say it
    "D.D_architecture": "resnet", "D.D_mapping_layers": 8, "D.mbstd_num_channels": 1, "resample_filter": [1, 3, 3, 1],
}  # fmt: skip
_SNAPSHOTS = "network-snapshot-*.safetensors"
_OTHER_DATA = "name a snapshot of that run (network-snapshot-….safetensors)"


@dataclass(frozen=True)
class Start:
    """What `--resume`, or a run directory that already holds a state, leads to."""

    path: Path | None
    """A training state (`.pt`), a model, or None for a start from nothing."""
    spec: GeneratorSpec | None
    """What it holds."""
    kimg: float = 0.0
    """How much it has seen."""
    p: float | None = None
    """Strength of augmentation that it was trained with, where known."""
    is_exact: bool = False
    """Whether the run continues exactly, from a training state."""
    growth: tuple[int, int] | None = None
    """Pictures of a growing network's fade-ins and of the times between them, as the run to continue had them."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the run to continue that depended on where it had started: `ada_kimg`, `ema_rampup`."""
    judge: DiscriminatorSpec | None = None
    """The discriminator's spec in a training state; None where it has none, and in a model."""
    model: foreign.Foreign | None = None
    """The model of another tool, already read."""


def find_start(config: TrainConfig, run_dir: Path | None) -> Start:
    """Return where a run starts; reads headers only, except for a training state. Raises `CheckpointError` when
    `--resume` leads nowhere."""
    own = None if run_dir is None else run_dir / STATE_NAME
    if own is not None and own.exists():
        return _at_state(own)
    if own is not None and run_dir is not None and (snapshots := TrainingFolder(run_dir).files(_SNAPSHOTS)):
        last = snapshots[-1]
        raise RunError(
            f"{run_dir} holds {last.name} but no {STATE_NAME} to continue exactly from",
            f"start a new run from its weights: `python -m ganlib train … --resume {last}`",
        )
    if not config.resume:
        return Start(None, None)
    path = Path(config.resume)
    if path.is_dir():
        if (path / STATE_NAME).is_file():
            return _at_state(path / STATE_NAME)
        if snapshots := TrainingFolder(path).files(_SNAPSHOTS):
            return _at_model(snapshots[-1])
        raise CheckpointError(
            f"no {STATE_NAME} and no snapshot in {path}", "name a run directory that was stopped, or a model"
        )
    if path.suffix == ".pt":
        if not path.is_file():
            raise CheckpointError(
                f"no training state at {path}", "name a run directory that was stopped, a .pt file in one, or a model"
            )
        return _at_state_or_model(path)
    if path.suffix in foreign.SUFFIXES and path.is_file():
        return _at_foreign(path)
    return _at_model(checkpoints.find_checkpoint(config.resume))


def _at_state(path: Path) -> Start:
    state = load_state(path)
    fade, tune = (int(n) for n in state.get("growth", (0, 0)))
    return Start(
        path, state["spec"], state["images_seen"] / 1000, state["networks"].get("p"), is_exact=True,
        growth=(fade, tune) if fade or tune else None,
        kept={name: state[name] for name in ("ada_kimg", "ema_rampup") if name in state},
        judge=state["judge"] or DiscriminatorSpec(),
    )  # fmt: skip


def _at_state_or_model(path: Path) -> Start:
    """A `.pt` file is a training state of ours or a model of another tool."""
    try:
        return _at_state(path)
    except CheckpointError:
        try:
            return _at_foreign(path)
        except CheckpointError:
            pass  # what was wrong with it as a training state is the better answer
        raise


def _at_foreign(path: Path) -> Start:
    model = foreign.open_foreign(path)
    return Start(path, model.spec, model.kimg or 0.0, model.augment_p, model=model)


def _at_model(path: Path) -> Start:
    card = checkpoints.read_card(path)
    p = card.metrics.get("augment_p") if isinstance(card.metrics, Mapping) else None
    return Start(path, card.spec, card.kimg, float(p) if isinstance(p, int | float) else None)


def differences(mine: GeneratorSpec, theirs: GeneratorSpec) -> dict[str, tuple[Any, Any]]:
    """Return `{name: (mine, theirs)}` of all that decides the networks' shapes."""

    def flat(spec: GeneratorSpec) -> dict[str, Any]:
        values = spec.to_dict()
        params = values.pop("params")
        inner = params.pop("D", {})
        values.pop("noise_modes")
        return {**values, **params, **{f"D.{k}": v for k, v in inner.items()}}

    a, b = flat(mine), flat(theirs)
    names = (set(a) | set(b)) - FREE_PARAMETERS - {f"D.{name}" for name in FREE_PARAMETERS}
    pairs = {name: tuple(side.get(name, _UNSAID.get(name)) for side in (a, b)) for name in sorted(names)}
    return {name: (one, other) for name, (one, other) in pairs.items() if one != other}


_PICTURES = {1: "grey pictures", 3: "RGB pictures"}


def _check_kind(start: Start, spec: GeneratorSpec) -> None:
    """Raise `CheckpointError` with the one reason that explains all others: another family, other pictures."""
    assert start.path is not None and start.spec is not None
    name, theirs, mine = start.path, networks.architecture(start.spec.arch), networks.architecture(spec.arch)
    if theirs is not mine and not theirs.trainable:
        raise CheckpointError(
            f"{name} is a {theirs.title} model, and those are shown here, not trained",
            f"start from a {mine.title} model, or from nothing: leave --resume out",
        )
    if theirs is not mine:
        raise CheckpointError(
            f"{name} is of other networks: arch is {theirs.name} there and {mine.name} here",
            f"train it on with --arch {theirs.name}, or start from a {mine.title} model",
        )
    if start.spec.img_channels != spec.img_channels:
        made, given = (_PICTURES.get(s.img_channels, f"{s.img_channels} channels") for s in (start.spec, spec))
        raise CheckpointError(
            f"{name} makes {made}, and the set holds {given}",
            "start from a model of RGB pictures: a grey set cannot be made today, since `prepare` turns grey into RGB",
        )
    if start.is_exact and start.spec.resolution != spec.resolution:
        side = start.spec.resolution
        raise CheckpointError(
            f"that run makes pictures of {side} px, and the set has {spec.resolution} px",
            f"prepare the set at {side} px to continue it, or transfer: {_OTHER_DATA}",
        )


def check_start(start: Start, spec: GeneratorSpec, judge: DiscriminatorSpec) -> None:
    """Raise `CheckpointError` that names what differs, where the weights cannot serve a run of this spec.

    An exact resume needs the same networks. Weights of a model also serve another resolution (the shared blocks are
    taken over), other classes and another number of style inputs."""
    if start.path is None or start.spec is None:
        return
    _check_kind(start, spec)
    if start.is_exact and start.judge is not None and start.judge != judge:
        theirs, mine = start.judge, judge
        told = (
            [f"discriminator is {theirs.kind} there and {mine.kind} here"]
            if theirs.kind != mine.kind
            else [
                f"{name} is {theirs.params.get(name)} there and {mine.params.get(name)} here"
                for name in sorted({*theirs.params, *mine.params})
                if theirs.params.get(name) != mine.params.get(name)
            ]
        )
        raise CheckpointError(
            f"{start.path} is of another discriminator: {'; '.join(told)}",
            f"give --discriminator {theirs.kind} and its options as before, or {_OTHER_DATA}",
        )
    found = differences(spec, start.spec)
    allowed = set() if start.is_exact else {"resolution", "num_ws", "label_dim"}
    blocking = {name: values for name, values in found.items() if name not in allowed}
    if not blocking:
        return
    words = "; ".join(f"{name} is {theirs} there and {mine} here" for name, (mine, theirs) in blocking.items())
    flags = sorted({_FLAGS[name] for name in blocking if name in _FLAGS})
    hint = f"give the same {', '.join(flags)}" if flags else "start from a model of the same family"
    if start.is_exact and set(blocking) <= {"resolution", "num_ws", "label_dim"}:
        hint = f"to transfer to other data, {_OTHER_DATA}"
    raise CheckpointError(f"{start.path} is of other networks: {words}", hint)


def load_exact(
    start: Start, nets: Networks, config: TrainConfig
) -> tuple[int, int, float, Unfinished | None, list[str]]:
    """Continue exactly: return pictures seen, steps made, seconds so far, where the step was left, and words for the
    log."""
    assert start.path is not None
    state = load_state(start.path)
    words = []
    if state.get("freezed", 0) != config.freezed:
        raise InputError(
            f"that run has freezed = {state.get('freezed', 0)}, this one {config.freezed}",
            "give the same --freezed, or start from a snapshot of it",
        )
    if state.get("seed", config.seed) != config.seed:
        words.append(f"the seed is {config.seed} and was {state['seed']}: pictures and noise come in another order")
    try:
        changes = nets.load_state_dict(state["networks"])
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{start.path.name} does not fit these networks: {str(error).splitlines()[0]}",
            "start from a snapshot of that run instead",
        ) from error
    words += [f"changed from before: {change}" for change in changes]
    seconds, unfinished = float(state.get("seconds", 0.0)), Unfinished.from_dict(state.get("unfinished"))
    return state["images_seen"], state["step"], seconds, unfinished, words


def load_weights(start: Start, nets: Networks) -> list[str]:
    """Take over a model's weights into G, G_ema and D, block by block, and return words for the log."""
    assert start.path is not None
    D: Discriminator | None = None
    if start.model is not None:
        G, D = start.model.G_ema, start.model.D
    else:
        G = checkpoints.load_generator(start.path)
        if checkpoints.read_card(start.path).has_discriminator:
            D = checkpoints.load_discriminator(start.path)
    words = [_take_over(target, G.state_dict(), "G") for target in (nets.G, nets.G_ema)][:1]
    if D is not None and D.own_spec.kind != nets.D.own_spec.kind:
        words.append(f"the model's discriminator is of the kind {D.own_spec.kind}: D starts from nothing")
    elif D is not None:
        words.append(_take_over(nets.D, D.state_dict(), "D"))
    else:
        words.append("the model has no discriminator: D starts from nothing")
    return words


@torch.no_grad()
def _take_over(target: nn.Module, source: Mapping[str, Tensor], name: str) -> str:
    """Copy tensors of equal name and shape."""
    own = target.state_dict()
    shared = [key for key, tensor in own.items() if key in source and source[key].shape == tensor.shape]
    growth = [key for key in shared if key.split(".")[-1] in ("stage", "alpha")]
    for key in shared:
        if key not in growth:
            own[key].copy_(source[key])
    fresh = sorted({key.rsplit(".", 1)[0] for key in own if key not in shared})
    if not shared:
        raise CheckpointError(f"none of {name}'s tensors fit", "start from a model of the same family and widths")
    return f"{name}: {len(shared)} of {len(own)} tensors taken over" + (f"; fresh: {', '.join(fresh)}" if fresh else "")
