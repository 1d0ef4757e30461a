"""Losses of adversarial training: plain functions of logits, pictures and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.networks.ops import gather_batch


def g_logistic(fake_logits: Tensor) -> Tensor:
    """Non-saturating loss of the generator, per sample: softplus(−D(G(z))) (Goodfellow et al. 2014). It is the binary
    cross-entropy of a fake against the answer "real"."""
    return F.softplus(-fake_logits)


def d_logistic_fake(fake_logits: Tensor) -> Tensor:
    """The discriminator's loss on generated pictures, per sample: softplus(D(G(z)))."""
    return F.softplus(fake_logits)


def d_logistic_real(real_logits: Tensor) -> Tensor:
    """The discriminator's loss on real pictures, per sample: softplus(−D(x))."""
    return F.softplus(-real_logits)


@dataclass(frozen=True)
class Loss:
    """One row of the table: what each network minimises, per sample."""

    of_G: Callable[[Tensor, Tensor | None], Tensor]
    """(fake_logits, real_logits or None) → loss of the generator."""
    of_D: Callable[[Tensor, Tensor], Tensor]
    """(fake_logits, real_logits) → loss of the discriminator."""
    is_relative: bool = False
    """Whether the generator's loss needs the real pictures' logits, and the penalty acts on fakes too (R1 and R2)."""
    has_gradient_penalty: bool = False
    """Whether D is held to gradients of length 1 between reals and fakes, and its outputs are no probabilities."""
    guess: float = 0.0
    """Loss of a D that guesses, where the signs of its verdicts say little and this loss says more; else 0."""
    has_zero: bool = True
    """Whether a verdict above 0 means real, so that shares of signs say how even the contest is."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Defaults of `TrainConfig` fields that go with it."""
    about: str = ""
    """A few words for people."""


def _logistic_d(fake_logits: Tensor, real_logits: Tensor) -> Tensor:
    return d_logistic_fake(fake_logits) + d_logistic_real(real_logits)


def _relativistic_g(fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
    assert real_logits is not None
    return F.softplus(real_logits - fake_logits)


def _hinge_d(fake_logits: Tensor, real_logits: Tensor) -> Tensor:
    return F.relu(1 + fake_logits) + F.relu(1 - real_logits)


_LOGISTIC = Loss(lambda fake, real: g_logistic(fake), _logistic_d, about="non-saturating")
LOSSES: dict[str, Loss] = {
    "logistic": _LOGISTIC,
    "bce": replace(_LOGISTIC, about="the same"),
    # Wasserstein distance (Arjovsky et al. 2017), gradient penalty (Gulrajani et al. 2017).
    "wgan-gp": Loss(
        lambda fake, real: -fake,
        lambda fake, real: fake - real,
        has_gradient_penalty=True,
        has_zero=False,
        defaults={"gamma": 0.0},
        about="Wasserstein with gradient penalty",
    ),
    # Relativistic pairing (Jolicoeur-Martineau 2018) with R1 and R2: "The GAN is dead; long live the GAN!", Huang et
    # al. 2024, section 2.
    "r3gan": Loss(
        _relativistic_g,
        lambda fake, real: F.softplus(fake - real),
        is_relative=True,
        has_zero=False,
        # It does not work without its penalties: no family's own weight of them counts.
        defaults={"r1_interval": 1, "gamma": None},
        about="relativistic with R1 and R2",
    ),
    # "Geometric GAN" (Lim and Ye 2017), equations 7 and 8; the loss of projected discriminators.
    "hinge": Loss(
        lambda fake, real: -fake,
        _hinge_d,
        guess=2.0,
        has_zero=False,
        defaults={"gamma": 0.0},
        about="for projected discriminators",
    ),
}


def squared_gradient(logits: Tensor, images: Tensor) -> Tensor:
    """Per-image squared gradient ‖∇D(x)‖² `[N]`: R1 on real pictures, R2 on generated ones (Mescheder et al. 2018); the
    loss is γ/2 times it.

    `images` must require gradients and lead to `logits`; the result can be differentiated again."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=[1, 2, 3])


def gradient_penalty(D: nn.Module, real: Tensor, fake: Tensor, label: Tensor | None, share: Tensor) -> Tensor:
    """Per-image (‖∇D(x̂)‖ − 1)² `[N]` at x̂ = share · real + (1 − share) · fake (Gulrajani et al. 2017, equation 3).

    real, fake `[N, C, H, W]`; share `[N, 1, 1, 1]` in [0, 1]."""
    between = torch.lerp(fake.detach(), real, share).requires_grad_(True)
    (gradient,) = torch.autograd.grad(D(between, label).sum(), between, create_graph=True)
    # The small number keeps the root's derivative finite where the gradient is zero.
    return ((gradient.square().sum(dim=[1, 2, 3]) + 1e-12).sqrt() - 1).square()


def path_lengths(images: Tensor, w_plus: Tensor, noise: Tensor) -> Tensor:
    """Per-image path length ‖Jᵀy‖ `[N]` for y ~ N(0, 1/(H·W)) (StyleGAN2, equation 4).

    images `[N, C, H, W]` made from w_plus `[N, num_ws, w_dim]`, which requires gradients; noise N(0, 1) like images."""
    height, width = images.shape[2:]
    (gradient,) = torch.autograd.grad((images * noise).sum() / math.sqrt(height * width), w_plus, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def energy_distance(
    fake: list[Tensor], real: list[Tensor], fake_label: Tensor | None, real_label: Tensor | None
) -> Tensor:
    """How far generated pictures are from real ones as a set: 2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖ (Székely and Rizzo
    2013), estimated without bias, in units of E‖y − y'‖; a scalar, the mean over the scales.

    A discriminator judges pictures one by one, and is content with one good picture; here pictures that are all alike
    cost, since their ‖x − x'‖ is small. With several processes it is that of the whole batch. `fake` and `real` are
    feature maps `[N, C, H, W]`, one for each scale; with one-hot labels `[N, label_dim]` only pictures of one class are
    compared."""
    fake_label, real_label = (None if x is None else gather_batch(x) for x in (fake_label, real_label))
    total = torch.zeros([], device=fake[0].device)
    for x, y in zip(fake, real, strict=True):
        x, y = (gather_batch(maps.float().flatten(1)) for maps in (x, y))
        across = _mean_distance(x, y, fake_label, real_label)
        own = _mean_distance(y, y, real_label, real_label)
        total = total + (2 * across - _mean_distance(x, x, fake_label, fake_label) - own) / own.clamp_min(1e-6)
    return total / len(fake)


def _mean_distance(x: Tensor, y: Tensor, x_label: Tensor | None, y_label: Tensor | None) -> Tensor:
    """Mean ‖xᵢ − yⱼ‖ of rows of one class, without i = j within a set."""
    distances = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    counts = torch.ones_like(distances) if x_label is None or y_label is None else x_label @ y_label.T
    if x is y:
        counts = counts * (1 - torch.eye(len(x), device=x.device))
    return (distances * counts).sum() / counts.sum().clamp_min(1)
