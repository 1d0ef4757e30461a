"""3×3 convolution with a quarter of the multiplications, for rendering on CPUs.

"Fast Algorithms for Convolutional Neural Networks", Lavin & Gray 2015 (arXiv 1509.09308): the picture is cut into tiles
of 6×6 that overlap by 2. Tile and filter, as polynomials in two variables, are evaluated at 6×6 points, multiplied
there, and read back as 4×4 pixels: 36 multiplications a tile and channel pair, where the sum itself takes 144. Over all
channels the products at one point are one matrix product, and the evaluations are matrix products too.

In float32 the largest error of a picture is about twice that of the direct sum (measured with 64 to 512 channels:
2e-5 and 1e-5 of the standard deviation).
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 4  # pixels a side that one tile yields
TAPS = 3
SIDE = TILE + TAPS - 1
POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)  # and infinity; small numbers and their reciprocals round least
LEAST_CHANNELS = 128  # with fewer, evaluating costs what multiplying saves
LEAST_SIDE = 16
CHUNK_BYTES = 2 << 20  # least size of the tiles in work at once


def pays(in_channels: int, out_channels: int, side: int) -> bool:
    """Whether this way is the faster one for a picture of side×side."""
    return min(in_channels, out_channels) >= LEAST_CHANNELS and side >= LEAST_SIDE and side % TILE == 0


@functools.cache
def transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Matrices for tile, filter and result, float64: `[36, 36]`, `[36, 9]` and `[16, 36]`.

    Evaluation at the points is a matrix of their powers, interpolation its inverse. By Tellegen's principle the
    correlation that a network calls convolution is the transpose of the product of polynomials: evaluation and
    interpolation change places."""
    powers = torch.tensor([[p**i for i in range(SIDE)] for p in POINTS] + [[0.0] * (SIDE - 1) + [1.0]]).double()

    def evaluation(length: int) -> Tensor:
        """Evaluate a polynomial of that many coefficients; infinity reads the highest one."""
        matrix = powers[:, :length].clone()
        matrix[-1] = torch.eye(length, dtype=torch.float64)[-1]
        return matrix

    tile, weight, result = torch.linalg.inv(powers).t(), evaluation(TAPS), evaluation(TILE).t()
    return torch.kron(tile, tile), torch.kron(weight, weight), torch.kron(result, result)


def transform_weight(w: Tensor) -> Tensor:
    """Evaluate filters `[O, I, 3, 3]` at the 36 points: `[36, I, O]` in the dtype of w."""
    at_points = transforms()[1] @ w.permute(2, 3, 1, 0).flatten(0, 1).flatten(1).double()
    return at_points.to(w.dtype).reshape(SIDE**2, w.shape[1], w.shape[0])


def conv3x3(x: Tensor, transformed: Tensor) -> Tensor:
    """Convolve x `[N, I, H, W]`, H and W multiples of 4, padded by 1, with `transform_weight(w)`; channels-last.

    Equals `torch.nn.functional.conv2d(x, w, padding=1)`."""
    n, channels, height, width = x.shape
    out_channels = transformed.shape[2]
    to_points, _, to_pixels = (matrix.to(x.dtype) for matrix in transforms())
    padded = F.pad(x.permute(0, 2, 3, 1), [0, 0, 1, 1, 1, 1]).contiguous()
    image, row, column, _ = padded.stride()
    y = torch.empty((n, height, width, out_channels), dtype=x.dtype)
    across, along = width // TILE, height // TILE
    # Tiles of at least the filters' size, so that reading these again for every chunk costs little.
    chunk = max(CHUNK_BYTES, transformed.numel() * x.element_size())
    rows = min(along, max(1, chunk // (SIDE**2 * across * max(channels, out_channels) * x.element_size())))
    for i in range(n):
        for top in range(0, along, rows):
            count = min(rows, along - top)
            tiles = padded[i].as_strided(
                (SIDE, SIDE, count, across, channels), (row, column, TILE * row, TILE * column, 1),
                i * image + top * TILE * row,
            )  # fmt: skip
            at_points = torch.mm(to_points, tiles.reshape(SIDE**2, -1)).view(SIDE**2, count * across, channels)
            products = torch.bmm(at_points, transformed)
            pixels = torch.mm(to_pixels, products.view(SIDE**2, -1)).view(TILE, TILE, count, across, out_channels)
            target = y[i, top * TILE : (top + count) * TILE].view(count, TILE, across, TILE, out_channels)
            target.copy_(pixels.permute(2, 0, 3, 1, 4))
    return y.permute(0, 3, 1, 2)
