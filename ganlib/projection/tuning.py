"""Pivotal tuning: the model is bent a little, so that the latent that was found makes the picture itself.

"Pivotal Tuning for Latent-based Editing of Real Images" (Roich et al. 2021): the latent stays, the weights of the
synthesis move, and near the latent the model is held to what it made before.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganlib.features.perceptual import Distance
from ganlib.networks.base import Generator
from ganlib.projection.prior import Prior

LEARNING_RATE = 3e-4
PIXEL_WEIGHT = 1.0
LOCALITY_WEIGHT = 0.1
LOCALITY_EVERY = 4  # steps; what it costs is another picture of both models
LOCALITY_STEP = 0.5  # how far from the latent the model is held, in units of the spread of w
ENOUGH = 0.03  # of the first distance: then it is the picture
PATIENCE, LEAST_GAIN = 40, 0.005  # steps without this relative gain end the tuning
LOOK_EVERY = 5


class Tuning:
    """One generator on its way to one picture; `step()` makes one step."""

    def __init__(
        self,
        generator: Generator,
        distance: Distance,
        image: Tensor,
        w_plus: Tensor,
        label_prior: Prior,
        *,
        steps: int,
        seed: int,
    ) -> None:
        """`image [1, C, R, R]`, `w_plus [1, num_ws, w_dim]`; `generator` itself stays as it is."""
        self.original, self.image, self.w_plus, self.prior = generator, image, w_plus.detach(), label_prior
        self.distance, self.steps, self.step_number = distance, steps, 0
        self.mode = "const" if "const" in generator.spec.noise_modes else generator.spec.noise_modes[0]
        self.generator = copy.deepcopy(generator)
        synthesis = self.generator.synthesis
        assert isinstance(synthesis, torch.nn.Module)
        self._weights = {name: p.requires_grad_(True) for name, p in synthesis.named_parameters()}
        self.optimizer = torch.optim.Adam(self._weights.values(), lr=LEARNING_RATE)
        self._rng = torch.Generator().manual_seed(seed)
        distance.prepare(image)
        self.best, self.first, self.mark, self.mark_step = torch.inf, torch.inf, torch.inf, 0
        self.best_weights: dict[str, Tensor] = {}
        self.look()

    @property
    def is_done(self) -> bool:
        """Whether the steps are used up, the picture is reached, or nothing is gained any more."""
        stuck = self.step_number - self.mark_step >= PATIENCE
        return self.step_number >= self.steps or self.best <= ENOUGH * self.first or stuck

    def step(self) -> None:
        """Make one step."""
        image = self.generator.synthesis(self.w_plus, noise_mode=self.mode)
        loss = self.distance(image).sum() + PIXEL_WEIGHT * (image - self.image).square().mean()
        if self.step_number % LOCALITY_EVERY == 0:
            loss = loss + LOCALITY_EVERY * LOCALITY_WEIGHT * self._locality()
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        self.optimizer.step()
        self.step_number += 1
        if self.step_number % LOOK_EVERY == 0 or self.step_number == self.steps:
            self.look()

    def _locality(self) -> Tensor:
        """How much a picture near the latent differs from what the model made of it before."""
        choice = int(torch.randint(len(self.prior.samples), (1,), generator=self._rng))
        way = self.prior.samples[choice] - self.w_plus.mean(dim=1)
        near = self.w_plus + (way * (LOCALITY_STEP * self.prior.std / way.norm()))[:, None]
        with torch.no_grad():
            before = self.original.synthesis(near, noise_mode=self.mode)
            wanted = self.distance.embed(before)
        after = self.generator.synthesis(near, noise_mode=self.mode)
        return (self.distance.embed(after) - wanted).square().sum() + (after - before).square().mean()

    @torch.no_grad()
    def look(self) -> tuple[float, Tensor]:
        """Return the distance and the image `[1, C, R, R]` of the model as it is; the best weights are kept."""
        image = self.generator.synthesis(self.w_plus, noise_mode=self.mode)
        found = float(self.distance(image)[0])
        self.first = min(self.first, found) if self.step_number == 0 else self.first
        if found < self.best:
            self.best = found
            self.best_weights = {name: p.detach().clone() for name, p in self._weights.items()}
        if found < self.mark * (1 - LEAST_GAIN):
            self.mark, self.mark_step = found, self.step_number
        return found, image

    def result(self) -> Generator:
        """Return the tuned generator with its best weights, without gradients."""
        self.blend(1.0)
        return self.generator.requires_grad_(False)

    @torch.no_grad()
    def blend(self, share: float) -> Generator:
        """Return the generator with its weights `share` of the way from the model's own to the best; tuning ends."""
        own = dict(self.original.synthesis.named_parameters())  # type: ignore[attr-defined]  # it is a module
        for name, weight in self._weights.items():
            weight.copy_(torch.lerp(own[name], self.best_weights[name], share))
        return self.generator

    def state(self) -> dict[str, Any]:
        """As `Search.state`."""
        return {
            "step": self.step_number, "weights": {name: p.detach() for name, p in self._weights.items()},
            "optimiser": self.optimizer.state_dict(), "rng": self._rng.get_state(), "best_weights": self.best_weights,
            "marks": [self.best, self.first, self.mark, self.mark_step],
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimiser"])
        self._rng.set_state(state["rng"])
        self.step_number = int(state["step"])
        self.best_weights = {name: t.to(self.w_plus.device) for name, t in state["best_weights"].items()}
        self.best, self.first, self.mark = (float(value) for value in state["marks"][:3])
        self.mark_step = int(state["marks"][3])
