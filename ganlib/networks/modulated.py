"""The layers of a style-based generator: modulated convolution with noise, and the way to the picture.

"Analyzing and Improving the Image Quality of StyleGAN", Karras et al. 2020 (arXiv 1912.04958), figures 2 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.networks import ops, winograd
from ganlib.networks.ops import SQRT2, EqualizedLinear, Rng

SAMPLE_SIZE = 64  # numbers of a kept weight that are compared with the parameter's at every use


class KeptWeight:
    """What is computed from a weight alone, kept between calls while the weight stays what it is."""

    def __init__(self) -> None:
        self._kept: tuple[Any, Tensor, tuple[Tensor, Tensor]] | None = None

    def get(self, weight: Tensor, key: Any, make: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Return `make()`, or its result of before for the same weight and `key`.

        An edit through `weight.data`, which PyTorch does not count, is noticed by its effect on some of the numbers;
        one of few numbers needs `forget()`."""
        # A counter is missing from tensors made in inference mode, and a freed address may be given out again.
        whole = (weight.data_ptr(), 0 if weight.is_inference() else weight._version, key)
        sample = weight.detach().reshape(-1)[:: max(1, weight.numel() // SAMPLE_SIZE)]
        if self._kept is None or self._kept[0] != whole or not torch.equal(self._kept[1], sample):
            self._kept = (whole, sample.clone(), make())
        return self._kept[2]

    def forget(self) -> None:
        """Drop what is kept."""
        self._kept = None


class SynthesisLayer(nn.Module):
    """Modulated 3×3 convolution, noise, bias, lrelu (StyleGAN2, figure 2c)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,  # side of the output
        *,
        up: int = 1,  # 2 doubles the picture
        conv_clamp: float | None = None,  # None leaves activations unclamped
        resample_filter: Sequence[float] = (1, 3, 3, 1),  # of no effect unless `up` is 2
    ) -> None:
        super().__init__()
        self.resolution, self.up, self.conv_clamp = resolution, up, conv_clamp
        self._kept, self._kept_with_grad = KeptWeight(), KeptWeight()
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight: Tensor = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", ops.setup_filter(resample_filter), persistent=False)
        self.noise_const: Tensor
        self.resample_filter: Tensor

    def _prepared(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the weight as the convolution wants it and Σ_k w² `[O, I]`, kept between calls unless the weight
        itself is being learned.

        Half precision overflows unless the weight is scaled to at most 1/√(I·k²); demodulation undoes any scale. The
        layout matters on CPUs: oneDNN reorders a weight of 512×512×3×3 in as long as it convolves a 32×32 picture; on
        other devices nothing is kept."""
        weight = self.weight
        if dtype == torch.float16:
            weight = weight / (weight.abs().amax(dim=[1, 2, 3], keepdim=True) * math.sqrt(weight[0].numel()))
        learned = torch.is_grad_enabled() and self.weight.requires_grad
        if learned or not weight.is_cpu or torch.compiler.is_exporting():
            return weight, ops.energy(weight)

        def make() -> tuple[Tensor, Tensor]:
            if self._multiplies_less(weight, dtype):
                return winograd.transform_weight(weight), ops.energy(weight)
            layout = weight.to(dtype) if self.up == 1 else weight.to(dtype).transpose(0, 1)
            layout = layout.clone(memory_format=torch.channels_last)  # never the parameter itself: it may change
            return layout if self.up == 1 else layout.transpose(0, 1), ops.energy(weight)

        # A search for a latent needs gradients through fixed weights, and looks at pictures without in between.
        kept = self._kept_with_grad if torch.is_grad_enabled() else self._kept
        return kept.get(self.weight, (dtype, self.training), make)

    def _multiplies_less(self, x: Tensor, dtype: torch.dtype) -> bool:
        """Whether `winograd` convolves a picture on the device of x: rendering on a CPU, weights transformed once.

        In training they change at every step."""
        out_channels, in_channels = self.weight.shape[:2]
        if self.training or torch.is_grad_enabled() or self.up != 1 or not x.is_cpu or dtype != torch.float32:
            return False
        return winograd.pays(in_channels, out_channels, self.resolution)

    def forget(self) -> None:
        """Drop the kept weight, after an edit through `.data` of some of its numbers."""
        self._kept.forget()
        self._kept_with_grad.forget()

    def forward(
        self,
        x: Tensor,
        w: Tensor,
        noise_mode: str,
        rng: Rng = None,
        gain: float = 1.0,
        noise_gain: Tensor | None = None,  # [N]: the noise is multiplied by it
    ) -> Tensor:
        """x `[N, I, H, W]`, w `[N, w_dim]` → `[N, O, H·up, W·up]` in the dtype of x."""
        # Demodulation divides by a sum of squares: in float32, whatever the picture is.
        styles = self.affine(w)
        if x.dtype == torch.float16:
            styles = styles / styles.abs().amax(dim=1, keepdim=True)
        weight, energy = self._prepared(x.dtype)
        act_gain = SQRT2 * gain
        d = ops.demodulation(energy, styles) * act_gain

        # Noise and bias, the activation's √2 folded in; their sum is made channels-last, as the picture is.
        bias, noise = self.bias * act_gain, None
        if noise_mode == "const":
            noise = self.noise_const.reshape(-1, self.resolution, self.resolution, 1) * (self.noise_strength * act_gain)
        elif noise_mode == "random":
            noise = ops.draw_noise((x.shape[0], 1, self.resolution, self.resolution), rng, x.device).permute(0, 2, 3, 1)
            noise = noise * (self.noise_strength * act_gain)
        if noise is not None and noise_gain is not None:
            noise = noise * noise_gain[:, None, None, None]

        multiplies_less = self._multiplies_less(x, x.dtype)
        alone = not torch.is_grad_enabled() and not multiplies_less and x.shape[0] == 1
        if alone and weight[0].numel() < self.resolution**2:
            # One picture with more pixels than a filter has weights: scaling the weights is the smaller pass.
            own = weight * (styles[0, :, None, None] * d[0, :, None, None, None]).to(x.dtype)
            y = ops.biased_conv2d(x, own, bias.to(x.dtype), self.resample_filter, up=self.up)
            y = y if noise is None else y.add_(noise.permute(0, 3, 1, 2))
        else:
            # Convolution; then scale, noise and bias in one pass.
            if multiplies_less:
                y = winograd.conv3x3(x * styles[:, :, None, None], weight)
            else:
                y = ops.scaled_conv2d(x, weight, styles, self.resample_filter, up=self.up)
            shift = bias[None, None, None] if noise is None else bias + noise
            y = torch.addcmul(shift.permute(0, 3, 1, 2).to(y.dtype), y, d.to(y.dtype)[:, :, None, None])
        y = F.leaky_relu(y, 0.2) if torch.is_grad_enabled() else F.leaky_relu_(y, 0.2)
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp * gain, self.conv_clamp * gain)


class ToRGB(nn.Module):
    """Modulated 1×1 convolution to the picture's channels, without demodulation (StyleGAN2, figure 7)."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, *, conv_clamp: float | None = None) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1.0 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x `[N, I, H, W]`, w `[N, w_dim]` → `[N, img_channels, H, W]` float32."""
        # Three output channels: per-sample weights are tiny, and a matrix product reads x once instead of twice.
        styles = self.affine(w) * self.weight_gain
        kernel = (self.weight[:, :, 0, 0] * styles[:, None, :]).to(x.dtype)
        n, c, height, width = x.shape
        y = torch.matmul(x.permute(0, 2, 3, 1).reshape(n, height * width, c), kernel.transpose(1, 2))
        y = y.reshape(n, height, width, -1).permute(0, 3, 1, 2) + self.bias.to(x.dtype)[:, None, None]
        return (y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)).float()
