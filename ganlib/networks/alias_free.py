"""Signal processing of the alias-free generator: its filters, and the leaky ReLU between two of them.

"Alias-Free Generative Adversarial Networks", Karras et al. 2021 (arXiv 2106.12423), section 3 and appendix C. Features
are samples of a continuous signal: a filter keeps what the sampling rate can carry, and the nonlinearity is applied at
twice the rate, so that most of the new high frequencies can be filtered away before the rate falls again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ganlib.networks import ops

SLOPE = 0.2
BAND_BYTES = 64 << 20  # features between the two filters that a CPU holds at once; at 1024 px they would be gigabytes
LEAST_ROWS = 16  # of a band, which computes eleven rows of its neighbour again
RANK_CUTOFF = 1e-6  # a radial filter's separable parts below this share of the first are left out


# ---- Filters (appendix C.1) ----------------------------------------------------------------------------------------


def kaiser_beta(num_taps: int, width: float, rate: float) -> float:
    """Shape of the Kaiser window for a transition band of `width` at a sampling rate, both in cycles per picture.

    Kaiser's formulas: the attenuation in dB that so many taps reach, and the β that gives it."""
    attenuation = 2.285 * (num_taps - 1) * math.pi * (2 * width / rate) + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    return 0.5842 * max(attenuation - 21, 0.0) ** 0.4 + 0.07886 * max(attenuation - 21, 0.0)


def design_filter(num_taps: int, *, cutoff: float, width: float, rate: float, radial: bool = False) -> Tensor:
    """Return a low-pass filter, float32, sum 1: `[num_taps]`, or `[num_taps, num_taps]` where it is radial.

    cutoff, width (of the transition band), rate: in cycles per picture. An ideal low-pass is a sinc in one dimension
    and a jinc, J₁(2πf_c r)/r, in two; a Kaiser window makes it finite."""
    window = np.kaiser(num_taps, kaiser_beta(num_taps, width, rate))
    position = (np.arange(num_taps) - (num_taps - 1) / 2) / rate
    if not radial:
        taps = np.sinc(2 * cutoff * position) * window
    else:
        radius = torch.from_numpy(np.hypot(*np.meshgrid(position, position)))
        jinc = torch.special.bessel_j1(2 * math.pi * cutoff * radius) / radius.clamp_min(1e-12)
        taps = torch.where(radius > 0, jinc, math.pi * cutoff).numpy() * np.outer(window, window)
    return torch.from_numpy(taps / taps.sum()).float()


def separable_parts(f: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return pairs (vertical, horizontal) of 1-D filters whose outer products add up to f, which is 1-D or 2-D.

    A radial filter of 12×12 needs two to four: its singular values fall by a factor of ten to a thousand each."""
    if f.ndim == 1:
        return [(f, f)]
    left, strength, right = torch.linalg.svd(f.detach().double().cpu())
    count = int((strength > RANK_CUTOFF * strength[0]).sum())
    roots = strength[:count].sqrt()
    pairs = zip((left[:, :count] * roots).t().to(f), (right[:count] * roots[:, None]).to(f), strict=True)
    return list(pairs)


# ---- Filtered leaky ReLU (section 3.2, figure 4b) ------------------------------------------------------------------


def filtered_lrelu_plain(
    x: Tensor,
    up_filter: Tensor,
    down_filter: Tensor,
    *,
    up: int,
    down: int,
    padding: tuple[int, int],
    slope: float = SLOPE,
    gain: float = ops.SQRT2,
    clamp: float | None = None,
) -> Tensor:
    """Plain twin of `filtered_lrelu`: zeros are inserted, and every filter is two-dimensional."""
    before, after = padding
    y = ops.upfirdn2d(x, up_filter, up=up, padding=[before, after, before, after], gain=float(up**2))
    y = F.leaky_relu(y, slope) * gain
    y = y if clamp is None else y.clamp(-clamp, clamp)
    return ops.upfirdn2d(y, down_filter, down=down)


def filtered_lrelu(
    x: Tensor,
    up_filter: Tensor,
    down_filter: Tensor | Sequence[tuple[Tensor, Tensor]],
    *,
    up: int,
    down: int,
    padding: tuple[int, int],
    slope: float = SLOPE,
    gain: float = ops.SQRT2,
    clamp: float | None = None,
) -> Tensor:
    """Upsample, apply the leaky ReLU, multiply by `gain`, clamp, downsample: `[N, C, H, W]` → `[N, C, H', H']`.

    up_filter: `[k]`. down_filter: `[k]`, `[k, k]`, or `separable_parts` of one. `padding`: pixels before and after the
    picture in each direction, at the upsampled rate; negative crops.
    Filters run as one-dimensional passes, on channels-last features best: no multiplication by an inserted zero, none
    for a pixel that is not kept. On a CPU the picture goes through in bands of rows."""
    parts = separable_parts(down_filter) if isinstance(down_filter, Tensor) else down_filter
    num_taps = len(parts[0][0])
    side = (x.shape[-1] * up + sum(padding) - len(up_filter) + 1 - num_taps) // down + 1
    rows = (x.shape[-2] * up + sum(padding) - len(up_filter) + 1 - num_taps) // down + 1
    wide_bytes = (side * down + num_taps) * x.shape[1] * x.element_size()
    band = max(LEAST_ROWS, BAND_BYTES // (wide_bytes * down)) if x.is_cpu else rows

    def work(x: Tensor, first: int, count: int) -> Tensor:
        """Rows `first` … `first + count` of the result."""
        length = (side - 1) * down + num_taps
        y = _upsample(x, up_filter * up, up, first * down - padding[0], (count - 1) * down + num_taps, across=False)
        y = _upsample(y, up_filter * up, up, -padding[0], length, across=True)
        # lrelu(gain · y) = gain · lrelu(y): the gain is in the filter below, and the clamp is divided by it.
        y = F.leaky_relu(y, slope) if torch.is_grad_enabled() else F.leaky_relu_(y, slope)
        if clamp is not None:
            limit = clamp / gain
            y = y.clamp(-limit, limit) if torch.is_grad_enabled() else y.clamp_(-limit, limit)
        halves = [_filter(_filter(y, v * gain, down, across=False), h, down, across=True) for v, h in parts]
        return functools.reduce(torch.add, halves)

    if torch.compiler.is_exporting():  # a program for any batch, three to five times as fast as one of the plain twin
        return work(x, 0, rows)
    if band >= rows and (len(x) == 1 or not x.is_cpu):
        return work(x, 0, rows)
    pictures = x.split(1) if x.is_cpu else [x]
    return torch.cat(
        [torch.cat([work(one, top, min(band, rows - top)) for top in range(0, rows, band)], dim=2) for one in pictures]
    ).contiguous(memory_format=torch.channels_last)


def _kernel(taps: Tensor, channels: int, *, across: bool) -> Tensor:
    return taps.reshape((1, 1, 1, -1) if across else (1, 1, -1, 1)).expand(channels, -1, -1, -1)


def _filter(x: Tensor, taps: Tensor, stride: int, *, across: bool) -> Tensor:
    """Convolve along one direction with one filter for all channels, without padding, and keep every `stride`-th."""
    kernel = _kernel(taps.to(x.dtype).flip(0), x.shape[1], across=across)
    return F.conv2d(x, kernel, stride=(1, stride) if across else (stride, 1), groups=x.shape[1])


def _upsample(x: Tensor, taps: Tensor, up: int, start: int, length: int, *, across: bool) -> Tensor:
    """Insert `up - 1` zeros after each pixel along one direction, convolve, and return `length` positions from `start`
    on; at position 0 the flipped filter begins at the first pixel, and pixels outside the picture are 0.

    Positions that are `up` apart meet the same every `up`-th tap: each such phase is an ordinary convolution of the
    small picture, and the phases are interleaved."""
    count = -(-length // up)
    first = [-(start + phase) % up for phase in range(up)]  # of the flipped filter's taps, the first that meets a pixel
    offsets = [(start + phase + tap) // up for phase, tap in enumerate(first)]  # which pixel that is
    offset, flipped = min(offsets), taps.flip(0)
    phases = [F.pad(flipped[tap::up], [o - offset, 0]) for tap, o in zip(first, offsets, strict=True)]
    longest = max(map(len, phases))
    phases = [F.pad(phase, [0, longest - len(phase)]) for phase in phases]
    needed = count + longest - 1
    size = x.shape[3 if across else 2]
    before, after = -offset, offset + needed - size
    if before or after:
        x = F.pad(x, [before, after, 0, 0] if across else [0, 0, before, after])
    made = [F.conv2d(x, _kernel(p.to(x.dtype), x.shape[1], across=across), groups=x.shape[1]) for p in phases]
    if up == 1:
        return made[0]
    axis = 2 if across else 1
    rows = torch.stack([m.permute(0, 2, 3, 1) for m in made], dim=axis + 1).flatten(axis, axis + 1)
    return rows.narrow(axis, 0, length).permute(0, 3, 1, 2)
