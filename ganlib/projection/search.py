"""The search for the latent of a picture, for several pictures at once.

The schedule is that of "Analyzing and Improving the Image Quality of StyleGAN" (Karras et al. 2020), appendix D: Adam
on w and on the noise maps, noise on w that dies away, and a penalty on what the noise maps have in common with their
neighbours. Three things differ: the noise maps begin as the model's own rather than as new ones, and are fitted only on
request; what is kept is the w whose picture *with the model's own noise* is nearest, because that is the picture that
everybody will see; and a small penalty keeps w ordinary along axes that the picture says nothing about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from ganlib.features.perceptual import Distance
from ganlib.networks.base import Generator
from ganlib.projection.config import ProjectConfig
from ganlib.projection.prior import Prior, labels_of

LEARNING_RATE = 0.1
BETAS = (0.9, 0.999)
RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the search in which the rate rises and falls
WANDERING, WANDERING_ENDS = 0.05, 0.75  # noise on w in units of its spread, and the share of the search without
COARSE_ENDS = 0.5  # share of the search in which networks look at smaller pictures, where they can
NOISE_PENALTY = 1e5
NOISE_LEAST_SIDE = 8  # the pyramid of the penalty ends here
SPREAD_PENALTY = 0.1  # w_plus: on the squared distances of its rows from their mean, in units of the spread of w
ORDINARY_PENALTY = 0.008  # on the squared sigmas of w: what the picture does not decide stays as the model knows it


def learning_rate(t: float) -> float:
    """The rate at share t of the search, 0 to 1."""
    falling = min(1.0, (1.0 - t) / RAMP_DOWN)
    return LEARNING_RATE * (0.5 - 0.5 * math.cos(math.pi * falling)) * min(1.0, t / RAMP_UP)


def noise_deviation(t: float) -> float:
    """Deviation of the noise on w at share t of the search, in units of the spread of w."""
    return float(WANDERING * max(0.0, 1.0 - t / WANDERING_ENDS) ** 2)


def noise_penalty(noise: Tensor) -> Tensor:
    """`[N]` for noise maps `[N, R, R]`: squared correlation of neighbours along and down, summed over a pyramid."""
    total = noise.new_zeros(len(noise))
    level = noise[:, None]
    while True:
        for axis in (2, 3):
            total = total + (level * level.roll(1, dims=axis)).mean(dim=[1, 2, 3]).square()
        if level.shape[-1] <= NOISE_LEAST_SIDE:
            return total
        level = F.avg_pool2d(level, 2) * 2  # independent pixels keep their variance


class Search:
    """Latents of N pictures on their way; `step()` makes one step for all of them.

    Each picture's way is its own: Adam works on each number by itself, and all wander by the same draws, so that a
    picture is found the same alone and among others, up to rounding."""

    def __init__(
        self,
        generator: Generator,
        distance: Distance,
        images: Tensor,
        start: Tensor,
        labels: list[int | None],
        priors: list[Prior],
        config: ProjectConfig,
    ) -> None:
        """`images [N, C, R, R]`; `start [N, w_dim]`, or `[N, z_dim]` in the space z; all on the generator's device."""
        self.generator, self.distance, self.config = generator, distance, config
        self.spec = generator.spec
        self.steps, self.step_number = config.steps, 0
        self.mode = "const" if "const" in self.spec.noise_modes else self.spec.noise_modes[0]
        self.labels = labels_of(generator, labels)
        self.centre = torch.stack([prior.w_avg for prior in priors])[:, None]
        self.axes = torch.stack([prior.axes for prior in priors])
        self.spread = torch.tensor([prior.std for prior in priors], device=start.device)[:, None, None]
        rows = {"z": 1, "w": 1, "w_plus": self.spec.num_ws}[config.space]
        self.latent = start.detach()[:, None].repeat(1, rows, 1).requires_grad_(True)
        distance.prepare(images)
        self.noises: dict[str, Tensor] = {}
        if config.noise and self.mode == "const":
            for name, buffer in generator.synthesis.named_buffers():  # type: ignore[attr-defined]  # it is a module
                if name.endswith("noise_const"):
                    self.noises[name] = buffer.detach()[None].repeat(len(start), 1, 1).requires_grad_(True)
        self.optimizer = torch.optim.Adam([self.latent, *self.noises.values()], lr=0.0, betas=BETAS)
        self._rng = torch.Generator().manual_seed(config.seed)
        self.best = torch.full((len(start),), torch.inf, device=start.device)
        self.best_step = torch.zeros(len(start), dtype=torch.long, device=start.device)
        self.best_w = self.w_plus().detach().clone()
        self.best_z = self.latent[:, 0].detach().clone()

    def w_plus(self, latent: Tensor | None = None) -> Tensor:
        """`[N, num_ws, w_dim]` of the latent as it is."""
        latent = self.latent if latent is None else latent
        if self.config.space == "z":
            latent = self.generator.mapping(latent[:, 0], self.labels)[:, None]
        return latent.expand(-1, self.spec.num_ws, -1)

    def step(self) -> None:
        """Make one step."""
        t = self.step_number / self.steps
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(t)
        drawn = torch.randn(1, *self.latent.shape[1:], generator=self._rng).to(self.latent)
        unit = math.sqrt(self.spec.z_dim) if self.config.space == "z" else self.spread
        latent = self.latent + drawn * (noise_deviation(t) * unit)
        synthesis = self.generator.synthesis
        assert isinstance(synthesis, torch.nn.Module)
        image = functional_call(synthesis, self.noises, (self.w_plus(latent),), {"noise_mode": self.mode})
        loss = self.distance(image, coarse=t < COARSE_ENDS)
        if self.config.space != "z":
            loss = loss + self._penalty()
        if self.noises:
            maps = [noise for noise in self.noises.values() if noise.shape[-1] >= NOISE_LEAST_SIDE]
            loss = loss + NOISE_PENALTY * torch.stack([noise_penalty(noise) for noise in maps]).sum(dim=0)
        self.optimizer.zero_grad(set_to_none=False)
        loss.sum().backward()
        self.optimizer.step()
        self.step_number += 1
        with torch.no_grad():
            for noise in self.noises.values():
                noise -= noise.mean(dim=[1, 2], keepdim=True)
                noise *= noise.square().mean(dim=[1, 2], keepdim=True).rsqrt()
            if self.config.space == "z":  # all ordinary z are about this long
                self.latent *= unit * self.latent.square().sum(dim=2, keepdim=True).rsqrt()

    def _penalty(self) -> Tensor:
        """`[N]`: how extraordinary w is, and for w_plus how far its rows are from each other."""
        sigmas = torch.bmm(self.latent - self.centre, self.axes)
        total = ORDINARY_PENALTY * sigmas.square().mean(dim=[1, 2])
        if self.latent.shape[1] > 1:
            apart = (self.latent - self.latent.mean(dim=1, keepdim=True)) / self.spread
            total = total + SPREAD_PENALTY * apart.square().sum(dim=2).mean(dim=1)
        return total

    @torch.no_grad()
    def look(self) -> tuple[Tensor, Tensor]:
        """Return the distances `[N]` and images of the latent as it is, without wandering, with the model's own noise;
        the nearest so far is kept in `best`, `best_w`, `best_z` and `best_step`."""
        w_plus = self.w_plus()
        image = self.generator.synthesis(w_plus, noise_mode=self.mode)
        found = self.distance(image)
        better = found < self.best
        self.best = torch.where(better, found, self.best)
        self.best_step = torch.where(better, self.step_number, self.best_step)
        self.best_w = torch.where(better[:, None, None], w_plus, self.best_w)
        self.best_z = torch.where(better[:, None], self.latent[:, 0], self.best_z)
        return found, image

    def state(self) -> dict[str, Any]:
        """Return everything that another process needs to go on: tensors and plain values."""
        return {
            "step": self.step_number, "latent": self.latent.detach(), "rng": self._rng.get_state(),
            "noises": {name: noise.detach() for name, noise in self.noises.items()},
            "optimiser": self.optimizer.state_dict(), "best": self.best, "best_step": self.best_step,
            "best_w": self.best_w, "best_z": self.best_z,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        device = self.latent.device
        with torch.no_grad():
            self.latent.copy_(state["latent"])
            for name, noise in self.noises.items():
                noise.copy_(state["noises"][name])
        self.optimizer.load_state_dict(state["optimiser"])
        self._rng.set_state(state["rng"])
        self.step_number = int(state["step"])
        for name in ("best", "best_step", "best_w", "best_z"):
            setattr(self, name, state[name].to(device))
