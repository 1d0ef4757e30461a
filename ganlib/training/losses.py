"""Losses of adversarial training: plain functions of logits, pictures and gradients."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def g_logistic(fake_logits: Tensor) -> Tensor:
    """Non-saturating loss of the generator, per sample: softplus(−D(G(z))) (Goodfellow et al. 2014)."""
    return F.softplus(-fake_logits)


def d_logistic_fake(fake_logits: Tensor) -> Tensor:
    """The discriminator's loss on generated pictures, per sample: softplus(D(G(z)))."""
    return F.softplus(fake_logits)


def d_logistic_real(real_logits: Tensor) -> Tensor:
    """The discriminator's loss on real pictures, per sample: softplus(−D(x))."""
    return F.softplus(-real_logits)


def r1_penalty(real_logits: Tensor, real_images: Tensor) -> Tensor:
    """Per-image squared gradient ‖∇D(x)‖² `[N]` (Mescheder et al. 2018); the loss is γ/2 times it.

    `real_images` must require gradients and lead to `real_logits`; the result can be differentiated again."""
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    return gradient.square().sum(dim=[1, 2, 3])


def path_lengths(images: Tensor, w_plus: Tensor, noise: Tensor) -> Tensor:
    """Per-image path length ‖Jᵀy‖ `[N]` for y ~ N(0, 1/(H·W)) (StyleGAN2, equation 4).

    images `[N, C, H, W]` made from w_plus `[N, num_ws, w_dim]`, which requires gradients; noise N(0, 1) like images."""
    height, width = images.shape[2:]
    (gradient,) = torch.autograd.grad((images * noise).sum() / math.sqrt(height * width), w_plus, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()
