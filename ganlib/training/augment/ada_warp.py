"""Resampling for the augmentations: an affine warp with little aliasing, and filters that differ from picture to
picture. All of it is linear in the picture and differentiable twice.

The warp's low-pass is written as small matrix products: the rows of a picture are cut into blocks that overlap by the
filter's length, and one banded matrix filters each block and resamples it on the way. The indices that cut the blocks
also reflect at the picture's edge. Depthwise convolutions do the same more slowly on a CPU: 12 taps are few.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 16  # pixels; the picture's sides are multiples of it

# The least asymmetric Daubechies wavelet with six vanishing moments, low-pass, Σh = √2.
SYM6 = (
    0.01540410932704481, 0.003490712084222129, -0.11799011114852, -0.04831174258569761,
    0.4910559419279739, 0.7876411410286513, 0.3379294217281654, -0.07263752278637679,
    -0.0210602925123708, 0.04472490177078139, 0.001767711864254005, -0.007800708325032385,
)  # fmt: skip
# The same with two vanishing moments.
SYM2 = tuple((a + b * math.sqrt(3)) / (4 * math.sqrt(2)) for a, b in ((1, -1), (3, -1), (3, 1), (1, 1)))
NUM_BANDS = 4


# ---- Blocks --------------------------------------------------------------------------------------------------------


def reflect(index: Tensor, size: int) -> Tensor:
    """Return the index of the pixel seen at `index` when the edge pixels are mirrors, at any distance."""
    period = 2 * (size - 1)
    index = index.remainder(period)
    return torch.minimum(index, period - index)


def _filter_blocks(x: Tensor, kernel: Tensor, index: Tensor, dim: int) -> Tensor:
    """Along dim -1 or -2 of x `[N, C, H, W]`, replace the pixels by kernel `[rows, taps]` times the pixels at index
    `[blocks, taps]`; the side becomes blocks · rows."""
    blocks = x.index_select(dim, index.flatten()).unflatten(dim, list(index.shape))
    if dim == -1:
        return (blocks @ kernel.mT).flatten(-2)
    return (kernel @ blocks).flatten(-3, -2)


def _block_index(start: int, blocks: int, step: int, taps: int, device: torch.device) -> Tensor:
    """Return `[blocks, taps]`: block b covers the pixels from start + b · step on."""
    first = torch.arange(blocks, device=device)[:, None] * step
    return first + torch.arange(start, start + taps, device=device)


# ---- Warp (appendix B of the paper) --------------------------------------------------------------------------------


class Warp(nn.Module):
    """Moves the pixels of each picture by its own affine map: reflect at the edge, double with the sym6 low-pass,
    sample bilinearly, halve with the same filter. The filter is orthogonal, so that the identity changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        taps = len(SYM6)
        h = torch.tensor(SYM6, dtype=torch.float64) / math.sqrt(2)
        self.reach = taps // 2 - 1  # pixels of the doubled picture that halving needs beyond its edge
        # Doubling: pixel i is spread over 2i - 5 … 2i + 6. The filter's weight lies about tap 5, its largest (the mean
        # is 5.1): what stood at i stands at 2i. The warp turns about that place, not about the middle of 2i and 2i + 1.
        up = torch.zeros(BLOCK * 2 + 2 * taps, BLOCK + taps // 2, dtype=torch.float64)
        for i in range(BLOCK + taps // 2):
            up[2 * i : 2 * i + taps, i] = 2 * h
        self.register_buffer("up", up[taps - 1 :][: BLOCK * 2].float().contiguous(), persistent=False)
        # Halving gathers what doubling spread.
        down = torch.zeros(BLOCK, 2 * BLOCK + taps - 2, dtype=torch.float64)
        for i in range(BLOCK):
            down[i, 2 * i : 2 * i + taps] = h
        self.register_buffer("down", down.float(), persistent=False)
        self.up: Tensor
        self.down: Tensor

    def _canvas(self, low: Tensor, high: Tensor, size: int) -> tuple[int, int]:
        """Return (margin, blocks): how many pixels before the picture the canvas begins, and its length, for centred
        positions from low to high in pixels. A canvas is at most three pictures long; beyond it all is zero."""
        first = math.floor(2 * float(low)) + size - 1
        last = math.floor(2 * float(high)) + size
        margin = min(-(first // 2), size)
        end = min(last // 2 + 1, 2 * size)
        return margin, max(-(-(end + margin) // BLOCK), 1)

    def forward(self, images: Tensor, inverse: Tensor) -> Tensor:
        """Return images `[N, C, H, W]` warped; H and W are multiples of 16.

        inverse: `[N, 3, 3]` float64 on the CPU, from an output position to the input position that is seen there, in
        pixels from the picture's centre, x to the right, y down.
        """
        _, _, height, width = images.shape
        device, reach = images.device, self.reach
        up, down = self.up.to(images.dtype), self.down.to(images.dtype)

        # How far outside the picture the warp looks.
        (left, right), (top, bottom) = ((-(s - 1 + reach) / 2, (s + reach) / 2) for s in (width, height))
        corners = torch.tensor([[x, y, 1] for x in (left, right) for y in (top, bottom)], dtype=torch.float64)
        seen = (inverse[:, :2] @ corners.T).transpose(0, 1).flatten(1)
        low, high = seen.amin(dim=1), seen.amax(dim=1)

        # Reflect and double.
        theta = inverse[:, :2].clone()
        x = images
        for axis, dim, size in ((0, -1, width), (1, -2, height)):
            margin, blocks = self._canvas(low[axis], high[axis], size)
            index = _block_index(-margin - len(SYM6) // 4, blocks, BLOCK, up.shape[1], device)
            x = _filter_blocks(x, up, reflect(index, size), dim)
            theta[:, axis] *= 2 / (blocks * BLOCK)
            theta[:, axis, 2] += (size + 2 * margin - 0.5) / (blocks * BLOCK) - 1

        # Sample. A matrix product would lose the position's last digits where TF32 is allowed.
        steps = [torch.arange(2 * s + 2 * reach, device=device, dtype=images.dtype) for s in (width, height)]
        columns, rows = (step / 2 + first for step, first in zip(steps, (left, top), strict=True))
        t = theta.to(images.dtype).to(device)[:, None, None]
        grid = columns[:, None] * t[..., 0] + rows[:, None, None] * t[..., 1] + t[..., 2]
        x = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

        # Halve.
        for dim, size in ((-1, width), (-2, height)):
            index = _block_index(0, size // BLOCK, 2 * BLOCK, down.shape[1], device)
            x = _filter_blocks(x, down, index, dim)
        return x


# ---- Bands (appendix B) --------------------------------------------------------------------------------------------


def band_filters() -> Tensor:
    """Return `[4, 43]` float64: symmetric filters for the octaves [0, π/8], [π/8, π/4], [π/4, π/2], [π/2, π] that sum
    to the identity.

    With the sym2 low-pass H, P(z) = H(z)H(1/z)/2 is half-band: P(z) + P(-z) = 1. The highest octave is P(-z), the next
    P(z)P(-z²), and so on; the lowest is P(z)P(z²)P(z⁴).
    """
    h = torch.tensor(SYM2, dtype=torch.float64)
    low = F.conv1d(h[None, None], h[None, None], padding=len(h) - 1)[0, 0] / 2
    high = -low
    high[len(low) // 2] += 1
    reach = (len(low) // 2) * (2 ** (NUM_BANDS - 1) - 1)
    rest = torch.ones(1, dtype=torch.float64)
    bands = []
    for octave in range(NUM_BANDS - 1):
        spread = [torch.zeros((len(low) - 1) * 2**octave + 1, dtype=torch.float64) for _ in range(2)]
        for target, taps in zip(spread, (low, high), strict=True):
            target[:: 2**octave] = taps
        rest, band = (F.conv1d(rest[None, None], s[None, None], padding=len(s) - 1)[0, 0] for s in spread)
        bands.append(F.pad(band, [reach - len(band) // 2] * 2))
    return torch.stack([rest, *bands[::-1]])


def filter_symmetric(images: Tensor, taps: Tensor) -> Tensor:
    """Return images `[N, C, H, W]` filtered along both axes by symmetric taps `[N, K]`, K odd, one filter per picture;
    the edges reflect."""
    n, c, height, width = images.shape
    reach = taps.shape[1] // 2
    x = images
    for dim, size in ((-1, width), (-2, height)):
        x = x.index_select(dim, reflect(torch.arange(-reach, size + reach, device=x.device), size))
    kernel = taps.to(x.dtype).to(x.device).repeat_interleave(c, dim=0)[:, None, None]
    x = F.conv2d(x.reshape(1, n * c, *x.shape[2:]), kernel, groups=n * c)
    return F.conv2d(x, kernel.mT, groups=n * c).reshape(n, c, height, width)
