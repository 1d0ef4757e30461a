"""Convolutions for training, whose second derivatives cost what convolutions cost.

R1 and path-length regularisation differentiate a gradient. PyTorch's own second derivative of a convolution convolves
with kernels as large as the picture and loops over groups: on a CPU a depthwise filter of 32 channels costs it more
than a hundred calls. Here the three linear maps of the form <y, conv(x, w)> are each other's derivatives, so that any
derivative of any order is one forward, one transposed or one weight-gradient convolution of the usual kind.

Without gradients to record every function here is the plain PyTorch call, and so it is in a program that is exported.

Within `bfloat16()` wide convolutions, and their derivatives, are computed in bfloat16: what goes in is rounded to 8
bits of mantissa, products are summed in float32, and what comes out is float32 again. Weights, activations and
gradients stay float32, so that nothing overflows and nothing else has to know.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

LEAST_CHANNELS = 32  # narrower convolutions were measured to lose more by rounding their pictures than they gain

_is_rounding = False


@contextmanager
def bfloat16(enabled: bool = True) -> Iterator[None]:
    """Compute the wide convolutions of this file in bfloat16 within the block, if `enabled`, and the derivatives of
    what was computed there. For processors with instructions of their own for it: see `compute.device`."""
    global _is_rounding
    before, _is_rounding = _is_rounding, enabled
    try:
        yield
    finally:
        _is_rounding = before


def is_wide(w: Tensor) -> bool:
    """Whether a convolution with weights w `[O, I, k, k]` gains by bfloat16."""
    return min(w.shape[:2]) >= LEAST_CHANNELS


def is_rounding() -> bool:
    """Whether the caller is within `bfloat16()`."""
    return _is_rounding


def _rounds(w: Tensor) -> bool:
    return _is_rounding and w.dtype == torch.float32 and is_wide(w)


def _rounded(x: Tensor, rounds: bool) -> Tensor:
    return x.to(torch.bfloat16) if rounds else x


def _records() -> bool:
    return torch.is_grad_enabled() and not torch.compiler.is_exporting()


def conv2d(x: Tensor, w: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Same as `torch.nn.functional.conv2d` for x `[N, I, H, W]`, w `[O, I, k, k]`, bias `[O]`."""
    if not _records():
        return _convolve(x, w, bias, stride, padding, _rounds(w))
    return _Forward.apply(x, w, bias, stride, padding)


def conv_transpose2d(x: Tensor, w: Tensor, *, stride: int = 1) -> Tensor:
    """Same as `torch.nn.functional.conv_transpose2d` for x `[N, I, H, W]`, w `[I, O, k, k]`, without padding."""
    if not _records():
        rounds = _rounds(w)
        return F.conv_transpose2d(_rounded(x, rounds), _rounded(w, rounds), stride=stride).to(x.dtype)
    n, _, height, width = x.shape
    k = w.shape[-1]
    return _ToInput.apply(x, w, (n, w.shape[1], (height - 1) * stride + k, (width - 1) * stride + k), stride, 0)


def filter2d(x: Tensor, f: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Correlate each channel of x `[N, C, H, W]` with the same filter f `[h, w]`, which is not learned; add bias `[C]`.

    `f` gets no gradient."""
    if not _records():
        return F.conv2d(x, _depthwise_kernel(f, x), bias, stride=stride, padding=padding, groups=x.shape[1])
    y = _Filter.apply(x, f, stride, padding)
    return y if bias is None else y + bias[:, None, None]


def filter_transpose2d(x: Tensor, f: Tensor, *, stride: int, padding: int) -> Tensor:
    """The transpose of `filter2d`: spread each pixel of x `[N, C, H, W]` over f, `stride` apart, less `padding`."""
    kernel = _depthwise_kernel(f, x)
    if not _records():
        return F.conv_transpose2d(x, kernel, stride=stride, padding=padding, groups=x.shape[1])
    n, channels, height, width = x.shape
    size = ((height - 1) * stride + f.shape[0] - 2 * padding, (width - 1) * stride + f.shape[1] - 2 * padding)
    return _FilterTransposed.apply(x, f, (n, channels, *size), stride, padding)


def _depthwise_kernel(f: Tensor, x: Tensor) -> Tensor:
    return f.to(x.dtype)[None, None].expand(x.shape[1], 1, *f.shape)


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format


def _convolve(x: Tensor, w: Tensor, bias: Tensor | None, stride: int, padding: int, rounds: bool) -> Tensor:
    if not rounds:
        return F.conv2d(x, w, bias, stride=stride, padding=padding)
    y = F.conv2d(x.bfloat16(), w.bfloat16(), stride=stride, padding=padding).float()
    return y if bias is None else y.add_(bias[:, None, None])


def _gradients(
    y: Tensor, x: Tensor, w: Tensor, stride: int, padding: int, groups: int, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of <y, conv(x, w) + bias> with respect to x, w and bias, those that are wanted."""
    return torch.ops.aten.convolution_backward(
        y, x, w, [w.shape[0]], [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups, wanted
    )


class _Forward(Function):
    """(x, w, bias) → y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.stride, ctx.padding, ctx.rounds = stride, padding, _rounds(w)
        return _convolve(x, w, bias, stride, padding, ctx.rounds)

    @staticmethod
    def backward(ctx: Any, y: Tensor) -> Any:
        x, w = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:3])
        y = y.contiguous(memory_format=_layout(x))
        if not torch.is_grad_enabled():
            if not ctx.rounds:
                return *_gradients(y, x, w, ctx.stride, ctx.padding, 1, wanted), None, None
            own, seen, kernel = y.bfloat16(), x.bfloat16(), w.bfloat16()
            found = _gradients(own, seen, kernel, ctx.stride, ctx.padding, 1, [*wanted[:2], False])
            bias = y.sum(dim=[0, 2, 3]) if wanted[2] else None
            return *(g if g is None else g.float() for g in found[:2]), bias, None, None
        gx = _ToInput.apply(y, w, x.shape, ctx.stride, ctx.padding) if wanted[0] else None
        gw = _ToWeight.apply(x, y, w.shape, ctx.stride, ctx.padding) if wanted[1] else None
        return gx, gw, y.sum(dim=[0, 2, 3]) if wanted[2] else None, None, None


class _ToInput(Function):
    """(y, w) → x: the transposed convolution."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, size: tuple[int, ...], stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(y, w)
        ctx.stride, ctx.padding = stride, padding
        rounds = _rounds(w)
        own, kernel = _rounded(y, rounds), _rounded(w, rounds)
        blank = torch.empty(size, dtype=own.dtype, device=y.device, memory_format=_layout(y))
        return _gradients(own, blank, kernel, stride, padding, 1, [True, False, False])[0].to(y.dtype)

    @staticmethod
    def backward(ctx: Any, x: Tensor) -> Any:
        y, w = ctx.saved_tensors
        x = x.contiguous(memory_format=_layout(y))
        gy = _Forward.apply(x, w, None, ctx.stride, ctx.padding) if ctx.needs_input_grad[0] else None
        gw = _ToWeight.apply(x, y, w.shape, ctx.stride, ctx.padding) if ctx.needs_input_grad[1] else None
        return gy, gw, None, None, None


class _ToWeight(Function):
    """(x, y) → w: the weight gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, size: tuple[int, ...], stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.stride, ctx.padding = stride, padding
        blank = torch.empty(size, dtype=y.dtype, device=y.device)
        own, seen, blank = (_rounded(v, _rounds(blank)) for v in (y, x, blank))
        return _gradients(own, seen, blank, stride, padding, 1, [False, True, False])[1].to(y.dtype)

    @staticmethod
    def backward(ctx: Any, w: Tensor) -> Any:
        x, y = ctx.saved_tensors
        gx = _ToInput.apply(y, w, x.shape, ctx.stride, ctx.padding) if ctx.needs_input_grad[0] else None
        gy = _Forward.apply(x, w, None, ctx.stride, ctx.padding) if ctx.needs_input_grad[1] else None
        return gx, gy, None, None, None


class _Filter(Function):
    """x → y with a fixed filter on every channel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, f: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(f)
        ctx.size, ctx.stride, ctx.padding = x.shape, stride, padding
        return F.conv2d(x, _depthwise_kernel(f, x), stride=stride, padding=padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, y: Tensor) -> Any:
        return _FilterTransposed.apply(y, *ctx.saved_tensors, ctx.size, ctx.stride, ctx.padding), None, None, None


class _FilterTransposed(Function):
    """y → x, the transpose of `_Filter`."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, f: Tensor, size: tuple[int, ...], stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(f)
        ctx.stride, ctx.padding = stride, padding
        blank = torch.empty(size, dtype=y.dtype, device=y.device, memory_format=_layout(y))
        return _gradients(y, blank, _depthwise_kernel(f, y), stride, padding, y.shape[1], [True, False, False])[0]

    @staticmethod
    def backward(ctx: Any, x: Tensor) -> Any:
        return _Filter.apply(x, *ctx.saved_tensors, ctx.stride, ctx.padding), None, None, None, None
