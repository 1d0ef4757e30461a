"""Operators shared by the style-based networks, in plain PyTorch.

Each fast form stands beside its plain twin with the same signature; a test holds the two together. All of them are
differentiable twice, on every device, in float32 and float64; the modulated convolution also runs in half precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_gather, all_reduce

from ganlib.networks import bilinear

SQRT2 = math.sqrt(2.0)
Rng = torch.Generator | Sequence[torch.Generator] | None


# ---- FIR resampling (StyleGAN2, appendix B; "Making convolutional networks shift-invariant again") -----------------


def setup_filter(taps: Sequence[float] | Tensor) -> Tensor:
    """Return the 2-D low-pass filter of `taps`, float32, normalised to sum 1; a 1-D list becomes its outer product."""
    # Named device: a network built on `meta` still needs real filters, since they are not stored in checkpoints.
    f = torch.as_tensor(taps, dtype=torch.float32, device="cpu")
    if f.ndim == 1:
        f = f.outer(f)
    return f / f.sum()


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    x, y = value
    return int(x), int(y)


def _padding(value: int | Sequence[int]) -> tuple[int, int, int, int]:
    if isinstance(value, int):
        return value, value, value, value
    if len(value) == 2:
        x, y = value
        return x, x, y, y
    x0, x1, y0, y1 = value
    return x0, x1, y0, y1


def _depthwise(x: Tensor, f: Tensor, *, stride: tuple[int, int]) -> Tensor:
    """Correlate each channel of x with the same 2-D filter f."""
    channels = x.shape[1]
    return F.conv2d(x, f.to(x.dtype)[None, None].expand(channels, 1, *f.shape), stride=stride, groups=channels)


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    *,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """Insert zeros, pad, filter, keep every `down`-th pixel: the plain form of all resampling.

    x: `[N, C, H, W]`. f: `[h, w]`, or `[k]` for a separable filter, or None for the identity. `up`, `down`: one
    number or (x, y). `padding`: one number, (x, y) or (x0, x1, y0, y1) with respect to the upsampled picture; negative
    crops. `flip_filter=False` convolves, True correlates. `gain` multiplies the result.
    Returns `[N, C, H', W']` with H' = (H·up + y0 + y1 − h) // down + 1.
    """
    across, along = _pair(up)
    left, right, top, bottom = _padding(padding)
    if (across, along) != (1, 1):
        spread = x.new_zeros(*x.shape[:2], x.shape[2] * along, x.shape[3] * across)
        spread[:, :, ::along, ::across] = x
        x = spread
    kernel = torch.ones(1, 1) if f is None else f.float()
    kernel = kernel.outer(kernel) if kernel.ndim == 1 else kernel
    kernel = (kernel if flip_filter else kernel.flip([0, 1])).to(x.device) * gain
    return _depthwise(F.pad(x, [left, right, top, bottom]), kernel, stride=_pair(down)[::-1])


def _margins(f: Tensor, *, up: int = 1, down: int = 1) -> tuple[int, int]:
    """Return how many zeros resampling by f puts before and after a picture; fewer than none crops it.

    The filter's middle falls between the two pixels that one becomes, or that become one."""
    after = (f.shape[-1] - up * down) // 2
    return f.shape[-1] - after - (1 if up > 1 else down), after


def _filtered(x: Tensor, f: Tensor, bias: Tensor | None = None, *, before: int, after: int, stride: int = 1) -> Tensor:
    """Convolve each channel of x with f, so many zeros around it, and add bias `[C]`."""
    kernel = f.flip([0, 1])
    if before == after >= 0:
        return bilinear.filter2d(x, kernel, bias, stride=stride, padding=before)
    return bilinear.filter2d(F.pad(x, [before, after, before, after]), kernel, bias, stride=stride)


def upsample2d(x: Tensor, f: Tensor) -> Tensor:
    """Double the picture `[N, C, H, W]` with the filter f `[k, k]`; equals `upfirdn2d(up=2, gain=4)` with the padding
    of its size (2 and 1 for four taps), without the inserted zeros."""
    _, after = _margins(f, up=2)
    first, rest = after, f.shape[-1] - 2 - after  # what is cut off on either side
    shared = max(0, min(first, rest))
    y = bilinear.filter_transpose2d(x, f * 4.0, stride=2, padding=shared)
    return y if first == rest == shared else F.pad(y, [shared - first, shared - rest] * 2)


def downsample2d(x: Tensor, f: Tensor) -> Tensor:
    """Halve the picture `[N, C, H, W]` with the filter f `[k, k]`."""
    before, after = _margins(f, down=2)
    return _filtered(x, f, before=before, after=after, stride=2)


def conv2d_resample(
    x: Tensor,
    w: Tensor,
    f: Tensor | None = None,
    *,
    up: int = 1,
    down: int = 1,
    padding: int = 0,
    flip_weight: bool = True,
) -> Tensor:
    """Convolve with optional FIR resampling by 2, the plain form.

    x: `[N, I, H, W]`; w: `[O, I, k, k]`; f: 2-D filter. `padding` refers to the picture after upsampling.
    `flip_weight=True` is correlation (as `torch.nn.functional.conv2d`), False is convolution.
    """
    assert min(up, down) == 1, "up or down, not both"
    kernel = w if flip_weight else w.flip([2, 3])
    if up == down:
        return F.conv2d(x, kernel, padding=padding)
    assert f is not None
    before, after = _margins(f, up=up, down=down)
    x = upfirdn2d(x, f, up=up, padding=[padding + before, padding + after] * 2, gain=float(up * up))
    return F.conv2d(x, kernel, stride=down)


def conv2d_up(x: Tensor, w: Tensor, f: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve with w `[O, I, k, k]`, k 1 or 3, and double the picture; the fast twin of
    `conv2d_resample(up=2, padding=k//2, flip_weight=False)`: the transposed convolution skips the inserted zeros."""
    if w.shape[-1] == 1:
        y = upsample2d(conv1x1(x, w), f)
        return y if bias is None else y + bias[:, None, None]
    assert w.shape[-1] == 3, w.shape
    x = bilinear.conv_transpose2d(x, w.transpose(0, 1), stride=2)
    before, after = _margins(f, up=2)
    return _filtered(x, f * 4.0, bias, before=before - 1, after=after)  # the kernel's own overlap is in x


def conv2d_down(x: Tensor, w: Tensor, f: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve with w `[O, I, k, k]`, k odd, and halve the picture; the fast twin of
    `conv2d_resample(down=2, padding=k//2)`: a 1×1 kernel is applied after the picture is small."""
    if w.shape[-1] == 1:
        return conv1x1(downsample2d(x, f), w, bias)
    before, after = _margins(f, down=2)
    half = w.shape[-1] // 2
    return bilinear.conv2d(_filtered(x, f, before=half + before, after=half + after), w, bias, stride=2)


def conv1x1(x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve x `[N, I, H, W]` with w `[O, I, 1, 1]`; on a channels-last picture that is one matrix product."""
    if x.is_contiguous(memory_format=torch.channels_last):
        return F.linear(x.permute(0, 2, 3, 1), w[:, :, 0, 0], bias).permute(0, 3, 1, 2)
    return bilinear.conv2d(x, w, bias)


# ---- Modulated convolution (StyleGAN2, section 2.2, equations 1 and 3) ---------------------------------------------


def energy(weight: Tensor) -> Tensor:
    """Return Σ_k w² `[O, I]` of a weight `[O, I, k, k]`: all that demodulation needs to know of it."""
    return weight.square().sum(dim=[2, 3])


def demodulation(energy: Tensor, styles: Tensor) -> Tensor:
    """Return d `[N, O]` = 1 / sqrt(Σ_ik (s_i w_oik)² + 1e-8) from `energy(w)` and styles `[N, I]`: one small matrix
    product instead of N sets of weights."""
    return (styles.square() @ energy.t() + 1e-8).rsqrt()


def modulated_conv2d_grouped(
    x: Tensor, weight: Tensor, styles: Tensor, f: Tensor | None = None, *, up: int = 1, demodulate: bool = True
) -> Tensor:
    """Plain twin of `modulated_conv2d`: build every sample's own weights and convolve them in one grouped call."""
    own = torch.einsum("oikl,ni->noikl", weight, styles)
    if demodulate:
        own = own / (own.square().flatten(2).sum(dim=2) + 1e-8).sqrt()[:, :, None, None, None]
    batch, half = len(x), weight.shape[-1] // 2
    row = x.flatten(0, 1)[None]  # all samples' channels side by side, a group for each sample
    if up == 1:
        y = F.conv2d(row, own.flatten(0, 1), padding=half, groups=batch)
        return y.unflatten(1, (batch, -1))[0]
    assert f is not None
    y = F.conv_transpose2d(row, own.transpose(1, 2).flatten(0, 1), stride=2, padding=half - 1, groups=batch)
    before, after = _margins(f, up=2)
    return upfirdn2d(y.unflatten(1, (batch, -1))[0], f, padding=[before - 1, after] * 2, gain=4.0)


def modulated_conv2d(
    x: Tensor, weight: Tensor, styles: Tensor, f: Tensor | None = None, *, up: int = 1, demodulate: bool = True
) -> Tensor:
    """Convolve with style-modulated, demodulated weights, without building them per sample.

    x: `[N, I, H, W]`; weight: `[O, I, k, k]`; styles s: `[N, I]`; f: 2-D resampling filter, needed for `up=2`.
    Scaling the weights along i is scaling the input, and along o scaling the output, so with d from equation 3:
    y = d · conv(s · x, w). Returns `[N, O, H·up, W·up]`, dtype of x.
    """
    d = demodulation(energy(weight), styles) if demodulate else None
    y = scaled_conv2d(x, weight, styles, f, up=up)
    return y if d is None else y * d.to(y.dtype)[:, :, None, None]


def scaled_conv2d(x: Tensor, weight: Tensor, styles: Tensor, f: Tensor | None = None, *, up: int = 1) -> Tensor:
    """Return conv(s · x, w), doubled in size for `up=2`: `modulated_conv2d` before demodulation."""
    return biased_conv2d(x * styles.to(x.dtype)[:, :, None, None], weight.to(x.dtype), None, f, up=up)


def biased_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, f: Tensor | None = None, *, up: int = 1) -> Tensor:
    """Return conv(x, w) + bias, doubled in size for `up=2`."""
    if up == 1:
        return bilinear.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
    assert f is not None
    return conv2d_up(x, weight, f, bias)


def draw_noise(shape: tuple[int, int, int, int], rng: Rng, device: torch.device) -> Tensor:
    """Return N(0, 1) noise `[N, 1, H, W]` float32; with one generator per sample, a sample's noise does not depend on
    the batch that it is in."""
    if rng is None:
        return torch.randn(shape, device=device)
    if isinstance(rng, torch.Generator):
        return torch.randn(shape, generator=rng, device=rng.device).to(device)
    assert len(rng) == shape[0], "one generator per sample"
    return torch.stack([torch.randn(shape[1:], generator=g, device=g.device) for g in rng]).to(device)


# ---- Small layers --------------------------------------------------------------------------------------------------


def bias_act(
    x: Tensor, bias: Tensor | None, *, act: str = "lrelu", gain: float = 1.0, clamp: float | None = None
) -> Tensor:
    """Add bias `[C]` along dim 1, apply `lrelu` (slope 0.2, scaled by √2 to keep the variance) or `linear`, multiply by
    gain, clamp to ±clamp·1."""
    if bias is not None:
        x = x + bias.to(x.dtype).reshape([1, -1] + [1] * (x.ndim - 2))
    if act == "lrelu":
        x = F.leaky_relu(x, 0.2)
        gain = gain * SQRT2
    if gain != 1.0:
        x = x * gain
    return x if clamp is None else x.clamp(-clamp, clamp)


def normalize_2nd_moment(x: Tensor) -> Tensor:
    """Scale each row of `[N, C]` to a mean square of 1 (ProGAN's pixel normalisation on vectors)."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def minibatch_std(x: Tensor, group_size: int | None, num_features: int = 1) -> Tensor:
    """Append `num_features` maps holding the standard deviation over groups of samples (ProGAN, section 3).

    x: `[N, C, H, W]`; a group is every (N / group_size)-th sample; None is the whole batch. A batch that the group size
    does not divide uses the largest divisor below it, so that any batch works.
    Returns `[N, C + num_features, H, W]`.
    """
    batch, _, height, width = x.shape
    size = next(g for g in range(min(group_size or batch, batch), 0, -1) if batch % g == 0)
    groups = x.to(torch.promote_types(x.dtype, torch.float32))  # half precision is summed in float32
    groups = groups.reshape(size, batch // size, num_features, -1)
    deviation = (groups.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=2)
    maps = deviation.to(x.dtype)[:, :, None, None].expand(-1, -1, height, width)
    return torch.cat([x, torch.cat([maps] * size)], dim=1)


class EqualizedLinear(nn.Module):
    """Fully connected layer with equalised learning rate (ProGAN, section 4.1).

    Tensors `weight [out, in]` ~ N(0, 1/lr_multiplier²) and `bias [out]`; the scale 1/√in is applied at run time.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        act: str = "linear",  # "linear" or "lrelu"
        lr_multiplier: float = 1.0,  # slows this layer's learning by the same factor
        bias_init: float = 0.0,  # value of the effective bias at the start
    ) -> None:
        super().__init__()
        self.act = act
        # In place: on `meta`, where checkpoints are built, a quotient would import PyTorch's compiler first (seconds).
        self.weight = nn.Parameter(torch.randn(out_features, in_features).div_(lr_multiplier))
        self.bias = nn.Parameter(torch.full([out_features], float(bias_init) / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        # The activation's √2 goes into weight and bias: lrelu(√2·y) = √2·lrelu(y).
        gain = SQRT2 if self.act == "lrelu" else 1.0
        y = F.linear(
            x, self.weight.to(x.dtype) * (self.weight_gain * gain), self.bias.to(x.dtype) * (self.bias_gain * gain)
        )
        return F.leaky_relu(y, 0.2) if self.act == "lrelu" else y


class EqualizedConv2d(nn.Module):
    """Convolution with equalised learning rate, optional FIR downsampling or upsampling by 2, bias and activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        act: str = "linear",  # "linear" or "lrelu"
        up: int = 1,  # 1 or 2
        down: int = 1,  # 1 or 2
        resample_filter: Sequence[float] = (1, 3, 3, 1),
        conv_clamp: float | None = None,  # None leaves activations unclamped
    ) -> None:
        super().__init__()
        self.act, self.up, self.down, self.conv_clamp = act, up, down, conv_clamp
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.weight_gain = 1.0 / math.sqrt(in_channels * kernel_size**2)
        self.register_buffer("resample_filter", setup_filter(resample_filter), persistent=False)
        self.resample_filter: Tensor

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """x `[N, I, H, W]` → `[N, O, H', W']`; `gain` scales the output (√½ in residual blocks)."""
        act_gain = gain * (SQRT2 if self.act == "lrelu" else 1.0)
        w = self.weight.to(x.dtype) * (self.weight_gain * act_gain)
        b = None if self.bias is None else self.bias.to(x.dtype) * act_gain
        if self.down == 2:
            x = conv2d_down(x, w, self.resample_filter, b)
        elif self.up == 2:
            x = conv2d_up(x, w, self.resample_filter, b)
        elif w.shape[-1] == 1:
            x = conv1x1(x, w, b)
        else:
            x = bilinear.conv2d(x, w, b, padding=w.shape[-1] // 2)
        if self.act == "lrelu":
            x = F.leaky_relu(x, 0.2)
        return x if self.conv_clamp is None else x.clamp(-self.conv_clamp * gain, self.conv_clamp * gain)


def gather_batch(x: Tensor) -> Tensor:
    """Return the rows of all processes' x `[N, …]`, `[world · N, …]`, with gradients; x itself in a single process."""
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return x
    return torch.cat(all_gather(x.contiguous()))


# ---- Batch normalisation (Ioffe and Szegedy 2015) --------------------------------------------------------------------


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose batch, while training, is that of all processes: two of them compute what one does."""

    def forward(self, input: Tensor) -> Tensor:
        """`[N, C, H, W]` → the same shape. All processes call it together, with as many pictures each."""
        world = distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
        if world == 1 or not self.training:
            return super().forward(input)
        x = input.float()
        moments = torch.stack([x.mean(dim=[0, 2, 3]), x.square().mean(dim=[0, 2, 3])])
        mean, square = (all_reduce(moments) / world).unbind()
        variance = (square - mean.square()).clamp(min=0)
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            count = world * x.numel() / x.shape[1]
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return (x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]).to(input.dtype)
