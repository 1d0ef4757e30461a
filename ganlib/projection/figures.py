"""What a projection says of itself: distances before and after, how ordinary its latent is, and in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from ganlib.features.perceptual import psnr, ssim
from ganlib.projection.prior import Prior

FILE = "figures.json"


def measure(pixels: np.ndarray, target: np.ndarray, distance: float) -> dict[str, float]:
    """Distance, PSNR in dB and SSIM of uint8 `[R, R, 3]` beside its target; SSIM is left out under 11 pixels."""
    row = {"distance": float(f"{distance:.6g}"), "psnr": round(psnr(pixels, target), 3)}
    if min(pixels.shape[:2]) >= 11:
        row["ssim"] = round(ssim(pixels, target), 5)
    return row


def ordinariness(w_plus: Tensor, prior: Prior) -> dict[str, Any]:
    """How far w_plus `[num_ws, w_dim]` is from the centre of w, in sigmas (see `Prior.sigmas`), and what that means.

    Of rows that differ the mean is given, and `apart`, how far they are from each other in units of the spread of w."""
    sigmas = float(prior.sigmas(w_plus).mean())
    middle = w_plus.mean(dim=0)
    apart = float((w_plus - middle).square().sum(dim=1).mean().sqrt()) / max(prior.std, 1e-8)
    row: dict[str, Any] = {"sigmas": round(sigmas, 3), "ordinary_sigmas": round(prior.ordinary, 3)}
    if apart > 1e-4:
        row["apart"] = round(apart, 3)
    return row | {"verdict": prior.verdict(sigmas)}


def summary(figures: Mapping[str, Any]) -> str:
    """One line about a projection for a terminal or a log."""
    before, after = figures["before"], figures.get("after")
    text = f"{figures['distance_name']} {before['distance']:.4f}, PSNR {before['psnr']:.1f} dB"
    if "ssim" in before:
        text += f", SSIM {before['ssim']:.3f}"
    if after:
        text += f"; tuned {after['distance']:.4f}, {after['psnr']:.1f} dB"
    return f"{text}; {figures['sigmas']:.2f} sigmas from the centre: {figures['verdict']}"
