"""Whether a run on a processor computes its wide convolutions in bfloat16."""

from __future__ import annotations

import time

import torch
from torch import nn

from ganlib.compute.device import has_bfloat16
from ganlib.networks import bilinear

PICTURES = 4  # of the trial
LARGEST_SIDE = 64  # of the trial, in pixels
LEAST_GAIN = 1.1  # below that it is not worth the rounding


def choose_bfloat16(precision: str, G: nn.Module, resolution: int, device: torch.device) -> bool:
    """Return whether the convolutions of a training run are computed in bfloat16 (`networks.bilinear`).

    precision: `single` never, `mixed` wherever the processor has instructions for it, `auto` where a short trial with
    the generator's last wide convolution is faster for it as well. Processors without them are 10 to 100 times slower
    in it; other devices have a half precision of their own."""
    if precision == "single" or device.type != "cpu" or not has_bfloat16():
        return False
    wide = [p.shape for p in G.parameters() if p.ndim == 4 and p.shape[-1] > 1 and bilinear.is_wide(p)]
    if not wide:
        return False
    return precision == "mixed" or _gain(wide[-1], min(resolution, LARGEST_SIDE)) >= LEAST_GAIN


def _gain(shape: torch.Size, side: int) -> float:
    """How many times faster a convolution with its gradients is in bfloat16 than in float32."""
    _, in_channels, kernel, _ = shape
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(shape, generator=generator).requires_grad_(True)
    x = torch.randn(PICTURES, in_channels, side, side, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_(True)
    best = {False: float("inf"), True: float("inf")}
    for enabled in (False, True) * 3:
        with bilinear.bfloat16(enabled), torch.enable_grad():
            started = time.perf_counter()
            torch.autograd.grad(bilinear.conv2d(x, w, padding=kernel // 2).sum(), (x, w))
            best[enabled] = min(best[enabled], time.perf_counter() - started)
    return best[False] / best[True]
