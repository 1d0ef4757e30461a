"""Inception-v3 as it stood on 5 December 2015: the network whose features FID, KID and the Inception score are about.

"Rethinking the Inception Architecture for Computer Vision" (Szegedy et al., 2015), under the tensor names of the usual
file of its weights, which were carried over from TensorFlow's graph. In three things that graph is not what the paper's
later re-implementations are: averages at the border count only what is inside, the last block takes the maximum where
others take the mean, and there are 1008 classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.base.errors import CheckpointError, HubError
from ganlib.runs import Reporter

FILE = "pt_inception-2015-12-05-6726825d.pth"
ADDRESS = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
BYTES = 95_628_359
SIDE = 299
"""The side of the pictures that the network looks at, in pixels."""
CLASSES = 1008
FEATURES = 2048
_COUNTER = "num_batches_tracked"  # of batch normalisation; in some copies of the file, and without use here

Stage = tuple[tuple[str, int, tuple[int, int], int], ...]
"""Convolutions side by side on one input: name, channels out, kernel (height, width), stride."""
Branch = tuple[Stage, ...]
"""Stages one after the other."""


# ---- Blocks ----------------------------------------------------------------------------------------------------------


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation with fixed statistics, ReLU (section 6 of the paper)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int], stride: int, padded: bool) -> None:
        """`padded`: the border is padded so that stride 1 keeps the size."""
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in, H, W]` → `[N, out, H', W']`."""
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches of convolutions and one of pooling, side by side (figures 5, 6, 7 and 10)."""

    def __init__(self, in_channels: int, branches: tuple[Branch, ...], pool: str, pool_channels: int = 0) -> None:
        """`pool`: `mean` or `max` over 3×3 places with stride 1, then 1×1 to `pool_channels`; `down`: the maximum with
        stride 2 and nothing after it."""
        super().__init__()
        self.branches, self.pool = branches, pool
        self.out_channels = pool_channels or in_channels
        for branch in branches:
            width = in_channels
            for stage in branch:
                for name, channels, kernel, stride in stage:
                    self.add_module(name, Convolution(width, channels, kernel, stride, padded=stride == 1))
                width = sum(channels for _, channels, _, _ in stage)
            self.out_channels += width
        if pool != "down":
            self.branch_pool = Convolution(in_channels, pool_channels, (1, 1), 1, padded=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in, H, W]` → `[N, out_channels, H, W]`, or about half as high and wide."""
        outputs = []
        for branch in self.branches:
            y = x
            for stage in branch:
                y = torch.cat([self.get_submodule(name)(y) for name, _, _, _ in stage], dim=1)
            outputs.append(y)
        if self.pool == "down":
            return torch.cat([*outputs, F.max_pool2d(x, 3, stride=2)], dim=1)
        if self.pool == "max":
            pooled = F.max_pool2d(x, 3, stride=1, padding=1)
        else:
            pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return torch.cat([*outputs, self.branch_pool(pooled)], dim=1)


def _chain(prefix: str, *steps: tuple[int, tuple[int, int]], stride: int = 1) -> Branch:
    """Convolutions in a row, prefix_1, prefix_2 … (a single one has no number), the last of which has the stride."""
    names = [prefix] if len(steps) == 1 else [f"{prefix}_{i + 1}" for i in range(len(steps))]
    strides = [1] * (len(steps) - 1) + [stride]
    return tuple(
        ((name, width, kernel, step),) for name, (width, kernel), step in zip(names, steps, strides, strict=True)
    )


_1, _3, _5, _WIDE, _HIGH = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)


def _fine(in_channels: int, pool_channels: int) -> Mixed:
    """Figure 5: 35 × 35 places."""
    branches = (
        _chain("branch1x1", (64, _1)),
        _chain("branch5x5", (48, _1), (64, _5)),
        _chain("branch3x3dbl", (64, _1), (96, _3), (96, _3)),
    )
    return Mixed(in_channels, branches, "mean", pool_channels)


def _middle(width: int) -> Mixed:
    """Figure 6 with n = 7: 17 × 17 places."""
    branches = (
        _chain("branch1x1", (192, _1)),
        _chain("branch7x7", (width, _1), (width, _WIDE), (192, _HIGH)),
        _chain("branch7x7dbl", (width, _1), (width, _HIGH), (width, _WIDE), (width, _HIGH), (192, _WIDE)),
    )
    return Mixed(768, branches, "mean", 192)


def _coarse(in_channels: int, pool: str) -> Mixed:
    """Figure 7: 8 × 8 places, where the last convolutions stand side by side."""

    def fork(prefix: str) -> Stage:
        return (f"{prefix}a", 384, (1, 3), 1), (f"{prefix}b", 384, (3, 1), 1)

    branches = (
        _chain("branch1x1", (320, _1)),
        ((("branch3x3_1", 384, _1, 1),), fork("branch3x3_2")),
        ((("branch3x3dbl_1", 448, _1, 1),), (("branch3x3dbl_2", 384, _3, 1),), fork("branch3x3dbl_3")),
    )
    return Mixed(in_channels, branches, pool, 192)


# ---- The network -----------------------------------------------------------------------------------------------------


class Inception(nn.Module):
    """Pictures → 2048 numbers, the means of the last maps; `fc` makes the 1008 classes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, _3, 2, padded=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, _3, 1, padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, _3, 1, padded=True)
        self.Conv2d_3b_1x1 = Convolution(64, 80, _1, 1, padded=False)
        self.Conv2d_4a_3x3 = Convolution(80, 192, _3, 1, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _fine(192, 32), _fine(256, 64), _fine(288, 64)
        smaller = (
            _chain("branch3x3", (384, _3), stride=2),
            _chain("branch3x3dbl", (64, _1), (96, _3), (96, _3), stride=2),
        )
        self.Mixed_6a = Mixed(288, smaller, "down")
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (_middle(c) for c in (128, 160, 160, 192))
        smaller = (
            _chain("branch3x3", (192, _1), (320, _3), stride=2),
            _chain("branch7x7x3", (192, _1), (192, _WIDE), (192, _HIGH), (192, _3), stride=2),
        )
        self.Mixed_7a = Mixed(768, smaller, "down")
        self.Mixed_7b, self.Mixed_7c = _coarse(1280, "mean"), _coarse(2048, "max")
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, rgb: Tensor) -> Tensor:
        """RGB `[N, 3, 299, 299]` in [0, 255] → features `[N, 2048]`."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(rgb / 128 - 1)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = F.max_pool2d(x, 3, stride=2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean(dim=[2, 3])


def network_of(tensors: Mapping[str, Any]) -> Inception:
    """The network with weights of the usual file's names, in evaluation mode.

    Raises `CheckpointError` that names the first tensor that is missing, too many, or of another shape."""
    network = Inception()
    wanted = {name: value for name, value in network.state_dict().items() if not name.endswith(_COUNTER)}
    given = {name: value for name, value in tensors.items() if not str(name).endswith(_COUNTER)}
    for name in [*wanted, *given]:
        if name not in given or name not in wanted:
            raise CheckpointError(f"not Inception-v3 of 2015: {name} is {_fault(name in given)}", _hint())
        value = given[name]
        if not isinstance(value, Tensor) or value.shape != wanted[name].shape:
            shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            words = f"not Inception-v3 of 2015: {name} is {shape}, not {list(wanted[name].shape)}"
            raise CheckpointError(words, _hint())
    network.load_state_dict(given, strict=False)
    return network.eval().requires_grad_(False)


def _fault(is_there: bool) -> str:
    return "no part of it" if is_there else "missing"


def _hint() -> str:
    return f"the right file is {ADDRESS}"


def fetch_weights(dest: Path, *, reporter: Reporter | None = None) -> Path:
    """Fetch the weights to the file `dest` (96 MB) unless they are there, check them, and return `dest`.

    Raises `HubError` without a network, with the address to fetch them from by hand; `Stopped`."""
    from ganlib.models.hub.transfer import Wanted, fetch

    if not dest.is_file():
        try:
            fetch(Wanted(ADDRESS, "Inception-v3's weights", bytes=BYTES, sha256=SHA256), dest, reporter=reporter)
        except HubError as error:
            hint = f"try again, or fetch {ADDRESS} elsewhere and put it at {dest}; `--features embedded` needs no file"
            raise HubError(error.message, hint) from error
    return dest
