"""The ways of augmenting what the discriminator sees, one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ganlib.training.augment.ada import PIPES, AugmentPipe
from ganlib.training.augment.ada_warp import BLOCK
from ganlib.training.augment.diffaug import DiffAugment

__all__ = ["AUGMENTATIONS", "PIPES", "Augmentation"]


@dataclass(frozen=True)
class Augmentation:
    """One way."""

    about: str
    """A few words for people."""
    build: Callable[[str, float], nn.Module | None] = lambda pipe, p: None
    """(name of a pipe, strength) → what augments a batch, `module(img, rng=)`; None where nothing does.
    With a buffer `p` where the strength may be given."""
    needs_p: bool = False
    """Whether its strength has to be given."""
    takes_p: bool = False
    """Whether its strength may be given."""
    adapts: bool = False
    """Whether its strength follows how sure the discriminator is of the real pictures."""
    block: int = 1
    """Sides of pictures have to be multiples of this many pixels."""


def _pipe(pipe: str, p: float) -> nn.Module:
    return AugmentPipe(PIPES[pipe], p=p)


AUGMENTATIONS = {
    "noaug": Augmentation("is off"),
    "ada": Augmentation("adapts the strength", _pipe, takes_p=True, adapts=True, block=BLOCK),
    "fixed": Augmentation("keeps it", _pipe, takes_p=True, needs_p=True, block=BLOCK),
    "diffaug": Augmentation("always changes colour and place and hides a square", lambda pipe, p: DiffAugment()),
}
