"""Convolutions for training, whose second derivatives cost what convolutions cost.

R1 and path-length regularisation differentiate a gradient. PyTorch's own second derivative of a convolution convolves
with kernels as large as the picture and loops over groups: on a CPU a depthwise filter of 32 channels costs it more
than a hundred calls. Here the three linear maps of the form <y, conv(x, w)> are each other's derivatives, so that any
derivative of any order is one forward, one transposed or one weight-gradient convolution of the usual kind.

Without gradients to record every function here is the plain PyTorch call, and so it is in a program that is exported.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function


def _records() -> bool:
    return torch.is_grad_enabled() and not torch.compiler.is_exporting()


def conv2d(x: Tensor, w: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Same as `torch.nn.functional.conv2d` for x `[N, I, H, W]`, w `[O, I, k, k]`, bias `[O]`."""
    if not _records():
        return F.conv2d(x, w, bias, stride=stride, padding=padding)
    return _Forward.apply(x, w, bias, stride, padding)


def conv_transpose2d(x: Tensor, w: Tensor, *, stride: int = 1) -> Tensor:
    """Same as `torch.nn.functional.conv_transpose2d` for x `[N, I, H, W]`, w `[I, O, k, k]`, without padding."""
    if not _records():
        return F.conv_transpose2d(x, w, stride=stride)
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
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, w, bias, stride=stride, padding=padding)

    @staticmethod
    def backward(ctx: Any, y: Tensor) -> Any:
        x, w = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:3])
        y = y.contiguous(memory_format=_layout(x))
        if not torch.is_grad_enabled():
            return *_gradients(y, x, w, ctx.stride, ctx.padding, 1, wanted), None, None
        gx = _ToInput.apply(y, w, x.shape, ctx.stride, ctx.padding) if wanted[0] else None
        gw = _ToWeight.apply(x, y, w.shape, ctx.stride, ctx.padding) if wanted[1] else None
        return gx, gw, y.sum(dim=[0, 2, 3]) if wanted[2] else None, None, None


class _ToInput(Function):
    """(y, w) → x: the transposed convolution."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, size: tuple[int, ...], stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(y, w)
        ctx.stride, ctx.padding = stride, padding
        blank = torch.empty(size, dtype=y.dtype, device=y.device, memory_format=_layout(y))
        return _gradients(y, blank, w, stride, padding, 1, [True, False, False])[0]

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
        return _gradients(y, x, blank, stride, padding, 1, [False, True, False])[1]

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
