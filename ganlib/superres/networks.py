"""Networks that enlarge pictures: SRVGGNetCompact and RRDBNet, their sizes read from the shapes of their tensors.

SRVGGNetCompact is the small network of Real-ESRGAN (Wang et al. 2021, its later release), a row of convolutions without
branches. RRDBNet is that of ESRGAN (Wang et al. 2018, figures 3 and 4) and of Real-ESRGAN. Tensor names are theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.base.errors import CheckpointError

MOST_FEATURES, MOST_BLOCKS, MOST_SCALE = 512, 128, 8
_SLOPE = 0.2  # of the leaky ReLU between convolutions of RRDBNet
_RESIDUE = 0.2  # the share of what a residual block adds


@dataclass(frozen=True)
class NetworkSpec:
    """What decides the shapes of a network."""

    family: str
    """A key of `FAMILIES`."""
    scale: int
    """Sides of the output over sides of the input."""
    features: int
    """Channels between the convolutions."""
    blocks: int
    """Convolutions in the middle (srvgg), or residual-in-residual blocks (rrdb)."""
    growth: int = 0
    """Channels that each convolution of a dense block adds (rrdb)."""
    unshuffle: int = 1
    """Squares of so many pixels become channels first (rrdb of scale 1 and 2)."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return asdict(self)


class UpscalerNetwork(nn.Module):
    """A network that enlarges pictures by `scale`."""

    scale: int
    reach: int
    """Pixels of the input between an output pixel and the farthest input pixel that it depends on."""
    floats_per_pixel: int
    """About how many numbers are held at once for one pixel of the input."""
    title: str
    """Its family and sizes, in words."""

    def forward(self, rgb: Tensor) -> Tensor:
        """RGB `[N, 3, H, W]` in [0, 1] → `[N, 3, scale·H, scale·W]` in about [0, 1]."""
        raise NotImplementedError


class SRVGGNetCompact(UpscalerNetwork):
    """A row of 3×3 convolutions with PReLU, rearranged to the output's pixels and added to the enlarged input."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.scale, self.reach = spec.scale, spec.blocks + 2
        self.floats_per_pixel = 3 * spec.features + 9 * spec.scale**2
        self.title = f"SRVGGNetCompact ×{spec.scale}, {spec.features} channels, {spec.blocks} convolutions"
        layers: list[nn.Module] = [nn.Conv2d(3, spec.features, 3, padding=1), nn.PReLU(spec.features)]
        for _ in range(spec.blocks):
            layers += [nn.Conv2d(spec.features, spec.features, 3, padding=1), nn.PReLU(spec.features)]
        self.body = nn.Sequential(*layers, nn.Conv2d(spec.features, 3 * spec.scale**2, 3, padding=1))

    def forward(self, rgb: Tensor) -> Tensor:
        """RGB `[N, 3, H, W]` in [0, 1] → `[N, 3, scale·H, scale·W]`."""
        detail = F.pixel_shuffle(self.body(rgb), self.scale)
        return detail + F.interpolate(rgb, scale_factor=self.scale, mode="nearest")


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all that came before (ESRGAN, figure 4)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(features + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(features + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(features + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, features, H, W]` → the same shape."""
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            grown = F.leaky_relu(conv(seen), _SLOPE)
            seen = torch.cat([seen, grown], dim=1)
        return x + _RESIDUE * self.conv5(seen)


class RRDB(nn.Module):
    """Three dense blocks inside a residue (ESRGAN, figure 4)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(features, growth)
        self.rdb2 = DenseBlock(features, growth)
        self.rdb3 = DenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, features, H, W]` → the same shape."""
        return x + _RESIDUE * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(UpscalerNetwork):
    """Residual-in-residual dense blocks, then two doublings of nearest neighbours with convolutions (figure 3)."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        width = spec.features
        self.scale, self.unshuffle = spec.scale, spec.unshuffle
        # Five convolutions in each of three dense blocks, then those around them; unshuffled pixels are farther apart.
        self.reach = (15 * spec.blocks + 5) * spec.unshuffle
        # The dense blocks, and two maps at the output's size.
        inside = 3 * width + 8 * spec.growth + 2 * width * 4**2
        self.floats_per_pixel = inside // spec.unshuffle**2 + 9 * spec.scale**2
        self.title = f"RRDBNet ×{spec.scale}, {width} channels, {spec.blocks} blocks"
        self.conv_first = nn.Conv2d(3 * spec.unshuffle**2, width, 3, padding=1)
        self.body = nn.Sequential(*(RRDB(width, spec.growth) for _ in range(spec.blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, padding=1)
        self.conv_up1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_up2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        """RGB `[N, 3, H, W]` in [0, 1] → `[N, 3, scale·H, scale·W]`."""
        height, width = rgb.shape[2:]
        step = self.unshuffle
        if step > 1:
            rgb = F.pad(rgb, (0, -width % step, 0, -height % step), mode="replicate")
            rgb = F.pixel_unshuffle(rgb, step)
        x = self.conv_first(rgb)
        x = x + self.conv_body(self.body(x))
        for conv in (self.conv_up1, self.conv_up2):
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2, mode="nearest")), _SLOPE)
        out = self.conv_last(F.leaky_relu(self.conv_hr(x), _SLOPE))
        return out[:, :, : height * self.scale, : width * self.scale]


def build(spec: NetworkSpec) -> UpscalerNetwork:
    """Return the network of a spec, with PyTorch's random weights."""
    return FAMILIES[spec.family].build(spec)


# ---- From tensors --------------------------------------------------------------------------------------------------

_BODY = re.compile(r"body\.(\d+)\.weight")
_BLOCK = re.compile(r"body\.(\d+)\.rdb1\.conv1\.weight")
# ESRGAN's first release called its layers so; `#` is a number.
_OLD_NAMES = (
    (r"model\.0\.", "conv_first."), (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"model\.1\.sub\.\d+\.(weight|bias)", r"conv_body.\1"), (r"model\.3\.", "conv_up1."), (r"model\.6\.", "conv_up2."),
    (r"model\.8\.", "conv_hr."), (r"model\.10\.", "conv_last."),
)  # fmt: skip


def tensors_of(value: object) -> dict[str, Tensor]:
    """The tensors of an upscaler in what a file held: under `params_ema`, `params` or `state_dict`, or plainly.

    Raises CheckpointError for anything else."""
    if isinstance(value, Mapping):
        for key in ("params_ema", "params", "state_dict"):
            if isinstance(value.get(key), Mapping):
                value = value[key]
                break
    if not isinstance(value, Mapping) or not value:
        raise CheckpointError("the file holds no tensors of an upscaler", known_families())
    named: dict[str, Tensor] = {}
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise CheckpointError("the file holds other things than named tensors", known_families())
        named[_modern(name.removeprefix("module."))] = tensor
    return named


def known_families() -> str:
    """What can be opened, in words."""
    known = "; ".join(row.title for row in FAMILIES.values())
    return f"upscalers that are known here: {known}; others need spandrel"


def _modern(name: str) -> str:
    for old, new in _OLD_NAMES:
        if re.match(old, name):
            return re.sub(old, new, name)
    return name


def infer_spec(tensors: Mapping[str, Tensor]) -> NetworkSpec | None:
    """The spec whose network has these tensors; None where they are of another architecture.

    Raises CheckpointError for one of ours with impossible sizes."""
    spec = next(filter(None, (row.read(tensors) for row in FAMILIES.values())), None)
    if spec is None:
        return None
    possible = 1 <= spec.features <= MOST_FEATURES and 1 <= spec.blocks <= MOST_BLOCKS and spec.scale >= 1
    if not possible or spec.scale > MOST_SCALE or not 0 <= spec.growth <= MOST_FEATURES:
        raise CheckpointError(f"an upscaler with impossible sizes: {spec.to_dict()}", "download the file again")
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in build(spec).state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != found:
        odd = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
        words = f"{len(odd)} tensors are missing, too many or of another shape, the first {odd[0][:60]!r}"
        raise CheckpointError(f"an upscaler whose tensors do not fit together: {words}", known_families())
    return spec


def _read_srvgg(tensors: Mapping[str, Tensor]) -> NetworkSpec | None:
    first = tensors.get("body.0.weight")
    numbers = [int(match[1]) for name in tensors if (match := _BODY.fullmatch(name))]
    if first is None or first.ndim != 4 or first.shape[1:] != (3, 3, 3) or len(numbers) < 5 or len(numbers) % 2 == 0:
        return None
    last = tensors[f"body.{max(numbers)}.weight"]
    if last.ndim != 4 or last.shape[0] % 3:
        return None
    scale = round((last.shape[0] // 3) ** 0.5)
    return NetworkSpec("srvgg", scale, first.shape[0], (max(numbers) - 2) // 2)


def _read_rrdb(tensors: Mapping[str, Tensor]) -> NetworkSpec | None:
    first, inside = tensors.get("conv_first.weight"), tensors.get("body.0.rdb1.conv1.weight")
    if first is None or inside is None or first.ndim != 4 or inside.ndim != 4 or first.shape[1] not in (3, 12, 48):
        return None
    blocks = 1 + max(int(match[1]) for name in tensors if (match := _BLOCK.fullmatch(name)))
    unshuffle = {3: 1, 12: 2, 48: 4}[first.shape[1]]
    return NetworkSpec("rrdb", 4 // unshuffle, first.shape[0], blocks, inside.shape[0], unshuffle)


@dataclass(frozen=True)
class Family:
    """A kind of networks."""

    title: str
    """For people."""
    build: Callable[[NetworkSpec], UpscalerNetwork]
    """Spec → the network, with PyTorch's random weights."""
    read: Callable[[Mapping[str, Tensor]], NetworkSpec | None]
    """Tensors by name → their spec; None where they are of another family."""


FAMILIES: dict[str, Family] = {
    "rrdb": Family("RRDBNet of ESRGAN and Real-ESRGAN", RRDBNet, _read_rrdb),
    "srvgg": Family("SRVGGNetCompact of Real-ESRGAN", SRVGGNetCompact, _read_srvgg),
}


def load_tensors(spec: NetworkSpec, tensors: Mapping[str, Tensor]) -> UpscalerNetwork:
    """Return the network with these tensors, float32, in evaluation mode, without gradients."""
    with torch.device("meta"):
        network = build(spec)
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=True, assign=True)
    return network.eval().requires_grad_(False)
