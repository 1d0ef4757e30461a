"""What a run carries from step to step, and the file that holds it between two runs."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganlib import networks, runs
from ganlib.base.errors import CheckpointError, RunError
from ganlib.base.filesystem import reason
from ganlib.compute.device import has_bfloat16
from ganlib.compute.torch_files import UNREADABLE, load_torch
from ganlib.networks.base import DiscriminatorSpec, GeneratorSpec
from ganlib.training.augment.ada_control import AdaptiveStrength
from ganlib.training.augment.augmentations import AUGMENTATIONS
from ganlib.training.config import TrainConfig
from ganlib.training.precision import choose_bfloat16

MOST_BYTES = 2**36  # of a state
STATE_NAME = "training-state-latest.pt"
STATE_FORMAT = 2
PL_INTERVAL = 4


class Networks:
    """G, D, the moving average, the optimizers and the augmentation of one run."""

    def __init__(
        self,
        spec: GeneratorSpec,
        config: TrainConfig,  # resolved
        device: torch.device,
        judge: DiscriminatorSpec | None = None,  # None: the family's own
    ) -> None:
        self.G = networks.build_generator(spec).train().to(device)
        self.D = networks.build_discriminator(spec, judge).train().to(device)
        self.G_ema = copy.deepcopy(self.G).eval().requires_grad_(False)
        self.pl_mean = torch.zeros([], device=device)
        self.precision = config.precision
        self.uses_path_length = bool(config.pl_weight) and spec.num_ws > 1
        self.gamma = config.r1_gamma(spec.resolution)
        assert config.r1_interval is not None and config.glr and config.dlr and config.betas
        self.r1_interval = config.r1_interval if self.gamma > 0 else 0

        # Freeze-D: the layers nearest to the picture keep their weights (Mo et al. 2020).
        layers = self.D.layers()
        assert config.freezed < len(layers), "checked in the plan"
        frozen = {p for layer in layers[: config.freezed] for p in layer.parameters(recurse=False)}
        self.trained_D = [p for p in self.D.parameters() if p not in frozen]
        self.train_D(True)
        self.bfloat16 = choose_bfloat16(config.precision, self.G, spec.resolution, device)

        # A lazy regulariser acts once in k steps: Adam is slowed in proportion (StyleGAN2, appendix B).
        lazy = PL_INTERVAL if self.uses_path_length else 0
        self.opt_G = _adam(list(self.G.parameters()), config.glr, config.betas, lazy)
        lazy = self.r1_interval if self.r1_interval > 1 else 0
        self.opt_D = _adam(self.trained_D, config.dlr, config.betas, lazy)

        # Augmentation.
        assert config.aug is not None
        way = AUGMENTATIONS[config.aug]
        augment = way.build(config.augpipe, config.p or 0.0)
        self.augment: Any = None if augment is None else augment.to(device)
        self.control: AdaptiveStrength | None = None
        if way.adapts:
            self.control = AdaptiveStrength(
                target=config.target, ada_kimg=config.ada_kimg or 500.0, p=config.p or 0.0, device=device
            )

    def train_D(self, on: bool) -> None:
        """Let gradients flow into D's weights, the frozen ones excepted, or not."""
        self.D.requires_grad_(False)
        if on:
            for p in self.trained_D:
                p.requires_grad_(True)

    def grow(self, stage: int, alpha: float) -> None:
        """Bring all three networks to a stage of growth."""
        for network in (self.G, self.G_ema, self.D):
            network.grow(stage, alpha)

    @property
    def p(self) -> float:
        """Strength of augmentation; 0 where there is none, or one without a strength."""
        return float(getattr(self.augment, "p", 0.0))

    def set_p(self, p: float) -> None:
        """Set the strength of augmentation."""
        if hasattr(self.augment, "p"):
            self.augment.p.fill_(p)
        if self.control is not None:
            self.control.p = float(p)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values only, so that `torch.load(weights_only=True)` can read it back."""
        return {
            "G": self.G.state_dict(), "D": self.D.state_dict(), "G_ema": self.G_ema.state_dict(),
            "opt_G": self.opt_G.state_dict(), "opt_D": self.opt_D.state_dict(), "pl_mean": self.pl_mean,
            "p": self.p, "bfloat16": self.bfloat16,
            "control": None if self.control is None else self.control.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> list[str]:
        """Restore what `state_dict` returned and return what of it this run changes, in words.

        Learning rates and betas are this run's own, and so is the augmentation where the run has another kind."""
        rates = [(g["lr"], tuple(g["betas"])) for g in (*self.opt_G.param_groups, *self.opt_D.param_groups)]
        for name in ("G", "D", "G_ema", "opt_G", "opt_D"):
            getattr(self, name).load_state_dict(state[name])
        self.pl_mean.copy_(state["pl_mean"])
        changes = []
        if "bfloat16" in state and state["bfloat16"] != self.bfloat16:
            # A trial may end otherwise than it did; the run goes on as it began, where this machine can.
            if self.precision == "auto" and (has_bfloat16() or not state["bfloat16"]):
                self.bfloat16 = bool(state["bfloat16"])
            else:
                changes.append(f"wide convolutions in {'bfloat16' if self.bfloat16 else 'float32'}")
        groups = (("G", self.opt_G.param_groups[0]), ("D", self.opt_D.param_groups[0]))
        for (name, group), (lr, betas) in zip(groups, rates, strict=True):
            for key, value in (("lr", lr), ("betas", betas)):
                old = tuple(group[key]) if key == "betas" else group[key]
                if old != value:
                    changes.append(f"{key} of {name} {old} → {value}")
                group[key] = value
        if self.control is not None and state.get("control") is not None:
            self.control.load_state_dict(state["control"])
            self.set_p(self.control.p)
        elif self.control is not None:
            self.set_p(float(state.get("p", 0.0)))
        return changes


def _adam(parameters: list[nn.Parameter], lr: float, betas: tuple[float, ...], lazy_interval: int) -> torch.optim.Adam:
    ratio = lazy_interval / (lazy_interval + 1) if lazy_interval else 1.0
    slowed = (betas[0] ** ratio if betas[0] else 0.0, betas[1] ** ratio)
    return torch.optim.Adam(parameters, lr=lr * ratio, betas=slowed, eps=1e-8, fused=True)


class Draws:
    """The random numbers of a step: a function of the run's seed and the step's number, so that there is no state to
    keep. All processes draw alike and take their share. A picture's noise comes from a generator of its own on the CPU;
    on other devices one generator there serves a whole batch."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed, self.device = seed, device
        self.generator = torch.Generator()

    def begin(self, step: int) -> None:
        """Go to the start of a step's numbers."""
        mixed = np.random.SeedSequence([self.seed, step]).generate_state(1, np.uint64)[0]
        self.generator.manual_seed(int(mixed >> np.uint64(1)))

    def normal(self, *shape: int) -> Tensor:
        """Return N(0, 1) float32 on the CPU."""
        return torch.randn(shape, generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        """Return U(0, 1) float32 on the CPU."""
        return torch.rand(shape, generator=self.generator)

    def integer(self, high: int) -> int:
        """Return a whole number in [0, high)."""
        return int(torch.randint(high, [], generator=self.generator))

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return bool(torch.rand([], generator=self.generator) < probability)

    def picture_seeds(self, count: int) -> Tensor:
        """Return a seed for each picture, int64 `[count]`, for `generators`."""
        return torch.randint(2**62, [count], generator=self.generator)

    def generators(
        self, seeds: Tensor
    ) -> tuple[torch.Generator | list[torch.Generator], torch.Generator | list[torch.Generator]]:
        """Return random generators for the pictures with these seeds: for their noise on the run's device, as
        `draw_noise` takes them, and for numbers that are drawn on the CPU."""
        if self.device.type != "cpu":
            first = int(seeds[0])
            return torch.Generator(self.device).manual_seed(first), torch.Generator().manual_seed(first)
        each = [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]
        return each, each


def save_state(
    path: Path,
    nets: Networks,
    *,
    images_seen: int,
    step: int,
    seconds: float,
    config: TrainConfig,
    growth: tuple[int, int] = (0, 0),
    unfinished: Mapping[str, Any] | None = None,
) -> None:
    """Write the training state, whole or not at all. `growth`: pictures of a growing network's fade-ins and of the
    times between them. `unfinished`: where the step was left, None between two steps. Raises `RunError` when it cannot
    be written."""
    state = {
        "format": STATE_FORMAT, "networks": nets.state_dict(), "images_seen": images_seen, "step": step,
        "seconds": seconds, "spec": json.dumps(nets.G.spec.to_dict()), "seed": config.seed,
        "freezed": config.freezed, "growth": list(growth), "judge": json.dumps(nets.D.own_spec.to_dict()),
        "ada_kimg": config.ada_kimg, "ema_rampup": config.ema_rampup, "unfinished": unfinished,
    }  # fmt: skip
    try:
        with runs.replacing(path) as temporary, temporary.open("wb") as file:
            torch.save(state, file)  # an open file: the error of a full disk then says so
    except (OSError, RuntimeError) as error:
        if _was_interrupted(error):
            raise KeyboardInterrupt from error
        raise RunError(
            f"{path.name} could not be written: {reason(error)}", "free some disk space, then resume the run"
        ) from error


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether an interrupt is behind an error: PyTorch's archive, left half written, complains of its position."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state into main memory; `spec` becomes a `GeneratorSpec`. Raises `CheckpointError`."""
    hint = "resume from a snapshot (network-snapshot-….safetensors) of that run instead"
    try:
        state = load_torch(path, max_bytes=MOST_BYTES)
        missing = {"networks", "images_seen", "step", "spec"} - set(state)
        if missing:
            raise KeyError(f"it lacks {', '.join(sorted(missing))}")
        parts = {"G", "D", "G_ema", "opt_G", "opt_D", "pl_mean"} - set(state["networks"])
        if parts:
            raise KeyError(f"it lacks {', '.join(sorted(parts))}")
        return {
            **state, "spec": GeneratorSpec.from_dict(json.loads(state["spec"])),
            "judge": DiscriminatorSpec.from_dict(json.loads(state["judge"])) if "judge" in state else None,
            "images_seen": int(state["images_seen"]), "step": int(state["step"]),
        }  # fmt: skip
    except UNREADABLE as error:
        # What PyTorch says of a file that it refuses ends in advice to read it without protection.
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "weights_only" in str(error) or "Weights only" in str(error):
            words = "it is damaged, or it holds something other than tensors"
        raise CheckpointError(f"{path.name} is no training state: {words}", hint) from error
