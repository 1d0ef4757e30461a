"""What a run carries from step to step, and how it is saved, restored and resumed."""

from __future__ import annotations

import copy
import json
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlib import checkpoints, networks, runs
from ganlib.errors import CheckpointError, RunError
from ganlib.networks.base import GeneratorSpec
from ganlib.runs import Reporter
from ganlib.training.config import TrainConfig

STATE_NAME = "training-state-latest.pt"
R1_INTERVAL = 16
PL_INTERVAL = 4
# What torch.load(weights_only=True) was seen to raise on damaged and hostile files.
UNREADABLE = (
    OSError, RuntimeError, LookupError, ValueError, TypeError, EOFError, AttributeError, ArithmeticError,
    AssertionError, pickle.UnpicklingError, struct.error,
)  # fmt: skip


class Networks:
    """G, D, the moving average and the optimisers of one run, with everything that a resume needs."""

    def __init__(self, spec: GeneratorSpec, config: TrainConfig, device: torch.device) -> None:
        self.G = networks.build_generator(spec).train().to(device)
        self.D = networks.build_discriminator(spec).train().to(device)
        self.G_ema = copy.deepcopy(self.G).eval().requires_grad_(False)
        # A lazy regulariser acts once in k steps: Adam is slowed in proportion (StyleGAN2, appendix B).
        pl_ratio = PL_INTERVAL / (PL_INTERVAL + 1) if config.pl_weight > 0 else 1.0
        self.opt_G = self._adam(self.G, config.glr, pl_ratio)
        self.opt_D = self._adam(self.D, config.dlr, R1_INTERVAL / (R1_INTERVAL + 1))
        self.pl_mean = torch.zeros([], device=device)

    @staticmethod
    def _adam(module: nn.Module, lr: float, ratio: float) -> torch.optim.Adam:
        betas = (0.0, 0.99**ratio)
        return torch.optim.Adam(module.parameters(), lr=lr * ratio, betas=betas, eps=1e-8, fused=False, foreach=True)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values only, so that `torch.load(weights_only=True)` can read it back."""
        return {
            "G": self.G.state_dict(), "D": self.D.state_dict(), "G_ema": self.G_ema.state_dict(),
            "opt_G": self.opt_G.state_dict(), "opt_D": self.opt_D.state_dict(), "pl_mean": self.pl_mean,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name in ("G", "D", "G_ema", "opt_G", "opt_D"):
            getattr(self, name).load_state_dict(state[name])
        self.pl_mean.copy_(state["pl_mean"])


class Draws:
    """All random numbers of the steps, from one generator on the CPU: the same on every device."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.device = device

    def normal(self, *shape: int) -> Tensor:
        """Return N(0, 1) float32 on the run's device."""
        return torch.randn(shape, generator=self.generator).to(self.device)

    def integer(self, high: int) -> int:
        """Return a whole number in [0, high)."""
        return int(torch.randint(high, [], generator=self.generator))

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return bool(torch.rand([], generator=self.generator) < probability)


def save_state(path: Path, nets: Networks, draws: Draws, images_seen: int, config: TrainConfig) -> None:
    state = {
        "networks": nets.state_dict(), "draws": draws.generator.get_state(), "images_seen": images_seen,
        "spec": json.dumps(nets.G.spec.to_dict()), "seed": config.seed,
    }  # fmt: skip
    try:
        with runs.replacing(path) as temporary:
            torch.save(state, temporary)
    except (OSError, RuntimeError) as error:
        raise RunError(
            f"{path.name} could not be written: {error}", "free some disk space, then resume the run"
        ) from error


def load_state(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {**state, "spec": GeneratorSpec.from_dict(json.loads(state["spec"]))}
    except UNREADABLE as error:
        raise CheckpointError(f"{path.name} is no training state: {error}", "resume from a snapshot instead") from error


def find_resume(text: str) -> Path:
    """Return the training state (`.pt`) or model that `--resume` names; raises `CheckpointError` when there is none."""
    path = Path(text)
    if path.is_dir():
        path = path / STATE_NAME
    if path.suffix != ".pt":
        return checkpoints.find_checkpoint(text)
    if not path.is_file():
        raise CheckpointError(
            f"no training state at {path}", "name a run directory that was stopped, a .pt file in one, or a model"
        )
    return path


def resume_from(text: str, nets: Networks, draws: Draws, reporter: Reporter) -> int:
    """Continue a run directory or state file exactly, or start from a model's weights; return pictures seen so far."""
    path = find_resume(text)
    if path.suffix == ".pt":
        state = load_state(path)
        if state["spec"] != GeneratorSpec.from_dict(nets.G.spec.to_dict()):
            raise CheckpointError(
                f"{path} is a run of another network ({state['spec'].resolution} px)",
                "give the same data set and the same --cbase, --cmax, --z-dim, --w-dim, --map-depth as that run",
            )
        nets.load_state_dict(state["networks"])
        draws.generator.set_state(state["draws"])
        reporter.log(f"resumed exactly from {path} at {state['images_seen'] / 1000:.1f} kimg")
        return int(state["images_seen"])
    card = checkpoints.read_card(path)
    try:
        for target in (nets.G, nets.G_ema):
            target.load_state_dict(checkpoints.load_generator(path).state_dict())
        if card.has_discriminator:
            nets.D.load_state_dict(checkpoints.load_discriminator(path).state_dict())
    except RuntimeError as error:
        raise CheckpointError(
            f"{path.name} has another shape than this run ({card.spec.resolution} px, params {dict(card.spec.params)})",
            "give the same --cbase, --cmax, --z-dim, --w-dim, --map-depth as the model",
        ) from error
    reporter.log(f"started from the weights of {path.name} ({card.kimg:.1f} kimg); optimisers are fresh")
    return int(card.kimg * 1000)
