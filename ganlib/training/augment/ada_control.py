"""The strength of augmentation, adapted while training ("Training Generative Adversarial Networks with Limited Data",
section 3): the more the discriminator overfits, the more often a picture is augmented."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ganlib.base.errors import InputError

P_HIGH = 0.8  # above it augmentations begin to leak into the generated pictures (section 2.2)


class AdaptiveStrength:
    """Steers p so that r_t = E[sign(D(real))] stays at a target.

    r_t is 0 where D cannot tell reals from fakes by their sign, and 1 where it is sure of every real picture. Every
    `interval` steps, p moves up where r_t is above the target and down where it is below, by the pictures shown since
    then divided by `ada_kimg` · 1000: from 0 to 1 takes `ada_kimg`. p stays in [0, 1].
    """

    def __init__(
        self,
        *,
        target: float = 0.6,  # r_t to hold, in (0, 1)
        interval: int = 4,  # steps between two moves of p
        ada_kimg: float = 500.0,  # kimg in which p can go from 0 to 1
        p: float = 0.0,  # strength at the start
        device: torch.device | str = "cpu",  # where the discriminator's outputs are: nothing is copied in `observe`
    ) -> None:
        if not 0 < target < 1:
            raise InputError(f"an ADA target of {target} is not possible", "use a number between 0 and 1, such as 0.6")
        if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
            raise InputError(f"an ADA interval of {interval} is not possible", "use a whole number from 1 up")
        if not (math.isfinite(ada_kimg) and ada_kimg > 0):
            raise InputError(f"ada_kimg = {ada_kimg} is not possible", "use a finite number above 0, such as 500")
        if not 0 <= p <= 1:
            raise InputError(f"an augmentation strength of {p} is not possible", "use a number from 0 to 1")
        self.target, self.interval, self.ada_kimg = target, interval, ada_kimg
        self.p = float(p)
        self.r_t: float | None = None  # as last measured; None before
        self.num_steps = 0  # since p was last looked at
        self.signs = torch.zeros(2, device=device)  # sum and count of the signs since then

    @property
    def is_high(self) -> bool:
        """Whether p is above 0.8: worth a warning, since augmentations may leak and data are too few."""
        return self.p > P_HIGH

    @property
    def is_at_limit(self) -> bool:
        """Whether p would go beyond 1, were it not for the clamp."""
        return self.p >= 1 and self.r_t is not None and self.r_t > self.target

    @torch.no_grad()
    def observe(self, real_logits: Tensor) -> None:
        """Count the signs of D's outputs on real pictures, augmented as D sees them, any shape."""
        self.signs[0] += real_logits.sign().sum()
        self.signs[1] += real_logits.numel()

    def step(self, batch: int, *, add_up: Callable[[Tensor], object] | None = None) -> bool:
        """Count one training step of `batch` pictures in all processes; return whether p was looked at in this step.

        add_up: called with the counts `[2]` before they are used, to add those of other processes in place (such as
        `torch.distributed.all_reduce`). Where nothing was observed, p stays.
        """
        self.num_steps += 1
        if self.num_steps < self.interval:
            return False
        num_images = batch * self.num_steps
        self.num_steps = 0
        if add_up is not None:
            add_up(self.signs)
        total, count = self.signs.tolist()
        self.signs.zero_()
        if count == 0:
            return True
        self.r_t = total / count
        direction = (self.r_t > self.target) - (self.r_t < self.target)
        self.p = min(max(self.p + direction * num_images / (self.ada_kimg * 1000), 0.0), 1.0)
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return what an exact resume needs: p, r_t, and what was counted since p last moved. Tensors and numbers."""
        return {"p": self.p, "r_t": self.r_t, "num_steps": self.num_steps, "signs": self.signs.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.p, self.r_t, self.num_steps = float(state["p"]), state["r_t"], int(state["num_steps"])
        self.signs.copy_(state["signs"])
