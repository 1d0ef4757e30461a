"""How far two pictures look apart: distances to be made smaller by gradients, each named after what it compares.

Every distance is Euclidean: `embed` turns a picture into one long vector, and the distance is the squared length of
the difference of two. One kind needs no file (`embedded`); the others read public weights that the user put in place.
None of them is fetched.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.base.errors import CheckpointError, InputError
from ganlib.base.filesystem import open_regular, reason
from ganlib.base.workspace import cache_root
from ganlib.compute.torch_files import UNREADABLE, load_torch
from ganlib.features import extractors
from ganlib.features.extractors import DiscriminatorFeatures, Fire, SqueezeNet
from ganlib.models import checkpoints

MOST_SIDE = 256  # larger pictures are made smaller before a network looks at them
LEAST_SIDE = 64  # smaller ones are enlarged for networks that were trained on photographs
COARSE_SIDE = 128  # what networks look at in coarse measurements, at a quarter of the cost
_SCALES = 3  # of the pixel terms: the picture, its half and its quarter
_PIXEL_WEIGHT, _EDGE_WEIGHT = 4.0, 1.0  # beside deep features, whose distance is about 1 for unlike pictures


class Distance(ABC):
    """A distance between pictures; made by `open_distance`."""

    name: str
    """Short name that figures carry: `embedded (fruit-d)`, `SqueezeNet feature distance`."""
    meaning: str
    """One sentence about what a small distance says."""

    def __init__(self) -> None:
        self._target: Tensor | None = None
        self._coarse_target: Tensor | None = None

    @abstractmethod
    def embed(self, images: Tensor, *, coarse: bool = False) -> Tensor:
        """Images float `[N, C, R, R]` in about [-1, 1] → vectors `[N, D]` float32, with gradients.

        `coarse` lets a network that takes pictures of any size look at smaller ones; others make no difference."""

    def prepare(self, target: Tensor) -> Tensor:
        """Keep the vectors of targets `[N, C, R, R]`, to which `__call__` measures; returns them `[N, D]`."""
        with torch.no_grad():
            self._target, self._coarse_target = self.embed(target), self.embed(target, coarse=True)
        return self._target

    def __call__(self, images: Tensor, *, coarse: bool = False) -> Tensor:
        """Distances `[N]` of images `[N, C, R, R]` to the targets of the last `prepare`, row by row."""
        target = self._coarse_target if coarse else self._target
        assert target is not None, "prepare(target) comes first"
        return (self.embed(images, coarse=coarse) - target).square().sum(dim=1)


# ---- Terms ---------------------------------------------------------------------------------------------------------


def _vector(maps: Tensor, weight: float | Tensor = 1.0) -> Tensor:
    """`[N, C, H, W]` as rows whose squared difference is the mean over places of the sum over channels, weighted."""
    factor = weight / (maps.shape[2] * maps.shape[3])
    return (maps * (factor**0.5)).flatten(1)


def pixel_terms(images: Tensor) -> list[Tensor]:
    """Colours and edges (Sobel) of images `[N, C, R, R]`, of their halves and their quarters, as rows to be compared.

    The squared difference is a mean square for each scale, with equal weights."""
    rows = []
    for scale in range(_SCALES):
        if scale:
            images = F.avg_pool2d(images, 2)
        channels = images.shape[1]
        rows.append(_vector(images, _PIXEL_WEIGHT / (channels * _SCALES)))
        rows.append(_vector(edges(images), _EDGE_WEIGHT / (channels * _SCALES)))
        if min(images.shape[2:]) < 16:
            break
    return rows


def edges(images: Tensor) -> Tensor:
    """Sobel derivatives along and down `[N, C, H, W]` → `[N, 2·C, H, W]`, in units of the picture's values a pixel."""
    smooth, across = images.new_tensor([1.0, 2.0, 1.0]) / 4, images.new_tensor([-1.0, 0.0, 1.0]) / 2
    kernel = torch.stack([smooth.outer(across), across.outer(smooth)])[:, None]
    n, channels, height, width = images.shape
    padded = F.pad(images.reshape(n * channels, 1, height, width), [1] * 4, mode="replicate")
    return F.conv2d(padded, kernel).reshape(n, 2 * channels, height, width)


def _rgb(images: Tensor, side: int | None = None, *, coarse: bool = False) -> Tensor:
    """Images `[N, C, R, R]` as RGB in [-1, 1], at `side` pixels; without a side, at most `MOST_SIDE` or, where it is
    `coarse`, `COARSE_SIDE`."""
    images = images.float().expand(-1, 3, -1, -1)
    have = images.shape[-1]
    want = side or min(max(have, LEAST_SIDE), COARSE_SIDE if coarse else MOST_SIDE)
    if have == want:
        return images
    if have % want == 0:
        return F.avg_pool2d(images, have // want)
    return F.interpolate(images, size=(want, want), mode="bilinear", align_corners=False, antialias=have > want)


# ---- Distances -----------------------------------------------------------------------------------------------------


class PixelDistance(Distance):
    """Colours and edges at three sizes, for models without a discriminator, and as a part of the embedded distance."""

    name = "pixels and edges"
    meaning = "Colours and edges are compared at three sizes; what a picture shows counts for nothing."

    def embed(self, images: Tensor, *, coarse: bool = False) -> Tensor:
        return torch.cat(pixel_terms(images.float()), dim=1)


class EmbeddedDistance(Distance):
    """What each block of a discriminator sees, with colours and edges at three sizes. Needs no download."""

    def __init__(self, network: DiscriminatorFeatures, name: str) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.name = f"embedded ({name})"
        self.meaning = (
            f"The discriminator of {name.removesuffix('-d')} judges the forms, and colours and edges are compared at "
            "three sizes; it knows pictures like those it was trained on."
        )

    def embed(self, images: Tensor, *, coarse: bool = False) -> Tensor:
        images = images.float()
        side = min(self.network.side, COARSE_SIDE) if coarse else self.network.side
        maps = self.network.maps((_rgb(images, side) + 1) * 127.5)
        deep = [_vector(x, 1.0 / (x.shape[1] * len(maps))) for x in maps]  # channels have a mean square of 1
        return torch.cat([*deep, *pixel_terms(images)], dim=1)


class SqueezeNetDistance(Distance):
    """SqueezeNet's maps at four depths, of unit length at every place, all channels alike; not LPIPS."""

    name = "SqueezeNet feature distance"
    meaning = "A network that was trained on photographs judges textures, parts and forms, all of its channels alike."

    def __init__(self, network: SqueezeNet) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def embed(self, images: Tensor, *, coarse: bool = False) -> Tensor:
        maps = self.network.maps((_rgb(images, coarse=coarse) + 1) * 127.5)
        return torch.cat([*(_vector(_unit(x), 1.0 / len(maps)) for x in maps), *pixel_terms(images.float())], dim=1)


def _unit(maps: Tensor) -> Tensor:
    """`[N, C, H, W]` with the channels of unit length at every place."""
    return maps * (maps.square().sum(dim=1, keepdim=True) + 1e-10).rsqrt()


# ---- LPIPS ("The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", Zhang et al. 2018) ------------


@dataclass(frozen=True)
class Backbone:
    """A network of torchvision that LPIPS has linear weights for."""

    title: str
    file: str
    """The name torchvision publishes the weights under; it holds the first digits of their sha256."""
    lin_file: str
    """The name under which the linear weights of LPIPS 0.1 are looked for."""
    build: Callable[[], nn.Sequential]
    """The layers that torchvision calls `features`."""
    taps: tuple[int, ...]
    """Layers whose outputs are compared."""


def _vgg16() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512):
        if width == 0:
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers)


def _alexnet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


def _squeezenet() -> nn.Sequential:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, stride=2, ceil_mode=True)

    return nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), pool(),
        Fire(64, 16, 64), Fire(128, 16, 64), pool(),
        Fire(128, 32, 128), Fire(256, 32, 128), pool(),
        Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
    )  # fmt: skip


BACKBONES: Mapping[str, Backbone] = {
    "lpips-vgg": Backbone("VGG16", "vgg16-397923af.pth", "lpips-vgg.pth", _vgg16, (3, 8, 15, 22, 29)),
    "lpips-alex": Backbone("AlexNet", "alexnet-owt-7be5be79.pth", "lpips-alex.pth", _alexnet, (1, 4, 7, 9, 11)),
    "lpips-squeeze": Backbone(
        "SqueezeNet 1.1", "squeezenet1_1-b8a52dc0.pth", "lpips-squeeze.pth", _squeezenet, (1, 4, 7, 9, 10, 11, 12)
    ),
}


class LpipsDistance(Distance):
    """LPIPS 0.1: channels of unit length at every place, weighted by what people said of pairs of pictures."""

    # Its authors' mean and deviation of ImageNet, for values from -1 to 1.
    MEAN = (-0.030, -0.088, -0.188)
    DEVIATION = (0.458, 0.448, 0.450)

    def __init__(self, row: Backbone, layers: nn.Sequential, lins: Sequence[Tensor]) -> None:
        """`lins`: a weight for each channel of each tapped layer, 0 or more."""
        super().__init__()
        self.name = f"LPIPS ({row.title})"
        self.meaning = "People judged which of two pictures is nearer to a third, and this distance agrees with them."
        self.layers = layers.eval().requires_grad_(False)
        self._taps = row.taps
        self._lins = [lin.detach().reshape(1, -1, 1, 1).clamp(min=0) for lin in lins]
        device = self._lins[0].device
        self._mean, self._deviation = (
            torch.tensor(values, device=device)[:, None, None] for values in (self.MEAN, self.DEVIATION)
        )

    def embed(self, images: Tensor, *, coarse: bool = False) -> Tensor:
        rows: list[Tensor] = []
        x = (_rgb(images, coarse=coarse) - self._mean) / self._deviation
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in self._taps:
                rows.append(_vector(_unit(x), self._lins[len(rows)]))
        return torch.cat(rows, dim=1)


# ---- Where they come from ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DistanceKind:
    """A distance that can be opened by name."""

    title: str
    """For people, a few words."""
    open: Callable[[Path | None, torch.device], Distance]
    """The file of a model, whose discriminator may serve, and a device → the distance. Raises as `open_distance`."""


def open_distance(name: str, network: Path | None = None, *, device: str | torch.device = "cpu") -> Distance:
    """Return a distance by name, on a device.

    `embedded`: the discriminator of the model in the file `network`, or the bundled model's where that file holds none.
    `auto`: `embedded`, or `pixels` where there is no discriminator at all. `squeezenet` and `lpips-…` read weights from
    the cache folder. Raises `InputError` for another name and for weights that are not here, `CheckpointError` for
    damaged ones."""
    if name not in DISTANCES:
        raise InputError(f"there is no distance named {name[:40]!r}", f"choose one of: {', '.join(DISTANCES)}")
    return DISTANCES[name].open(network, torch.device(device))


def _open_squeezenet(network: Path | None, device: torch.device) -> Distance:
    path = extractors.squeezenet_file()
    if path is None:
        extractors.open_extractor("squeezenet")  # raises, and says where the file belongs
    assert path is not None
    return SqueezeNetDistance(extractors.load_squeezenet(path)[0].to(device))


def _judge_of(network: Path | None) -> Path:
    """The model whose discriminator measures; the file may be missing."""
    has_own = network is not None and checkpoints.read_card(network).has_discriminator
    return network if network is not None and has_own else extractors.bundled_model()


def _open_embedded(network: Path | None, device: torch.device) -> Distance:
    path = _judge_of(network)
    if not path.is_file():
        raise InputError("this model holds no discriminator, and the bundled model is not there", "choose pixels")
    judge = DiscriminatorFeatures(checkpoints.load_discriminator(path, device=device))
    return EmbeddedDistance(judge, f"{path.stem}-d")


def _open_automatic(network: Path | None, device: torch.device) -> Distance:
    return _open_embedded(network, device) if _judge_of(network).is_file() else PixelDistance()


def _open_lpips(row: Backbone, network: Path | None, device: torch.device) -> Distance:
    folder = cache_root()
    missing = [file for file in (row.file, row.lin_file) if not (folder / file).is_file()]
    if missing:
        hint = f"put {row.file} (torchvision's) and {row.lin_file} (the {row.lin_file.removeprefix('lpips-')} of LPIPS "
        raise InputError(f"{' and '.join(missing)} not in {folder}", hint + "0.1) there, or choose `embedded`")
    digits = row.file.rpartition("-")[2].removesuffix(".pth")
    with open_regular(folder / row.file, max_bytes=extractors.MOST_WEIGHTS_BYTES) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(digits):
        raise CheckpointError(f"{row.file} is not the known file: its sha256 begins {digest[:8]}", "copy it again")
    return lpips_of(row, _tensors(folder / row.file), _tensors(folder / row.lin_file), device)


DISTANCES: dict[str, DistanceKind] = {
    "auto": DistanceKind("the best there are here", _open_automatic),
    "embedded": DistanceKind("those of a model's discriminator", _open_embedded),
    "squeezenet": DistanceKind("SqueezeNet's", _open_squeezenet),
    "pixels": DistanceKind("pixels and edges", lambda network, device: PixelDistance()),
} | {name: DistanceKind(f"LPIPS ({row.title})", partial(_open_lpips, row)) for name, row in BACKBONES.items()}


def lpips_of(
    row: Backbone, tensors: Mapping[str, Any], lin: Mapping[str, Any], device: str | torch.device = "cpu"
) -> LpipsDistance:
    """The distance of torchvision's tensors (`features.0.weight` …) and LPIPS's (`lin0.model.1.weight` …).

    Raises `CheckpointError` where they do not fit."""
    layers = row.build()
    prefix = "features."
    known = layers.state_dict().keys()
    try:
        layers.load_state_dict({name: tensors[prefix + name] for name in known})
        widths = _tap_widths(layers, row.taps)
        lins = [lin[f"lin{i}.model.1.weight"].float().to(device) for i in range(len(row.taps))]
        if [value.numel() for value in lins] != widths:
            raise ValueError(f"the linear weights have {[value.numel() for value in lins]} channels, not {widths}")
    except (KeyError, RuntimeError, ValueError, AttributeError) as error:
        words = " ".join(str(error).split())[:200]
        raise CheckpointError(f"the weights of LPIPS ({row.title}) do not fit: {words}", "copy both files again") from (
            error
        )
    return LpipsDistance(row, layers.to(device), lins)


def _tap_widths(layers: nn.Sequential, taps: Sequence[int]) -> list[int]:
    with torch.no_grad():
        x, widths = torch.zeros(1, 3, LEAST_SIDE, LEAST_SIDE), []
        for number, layer in enumerate(layers):
            x = layer(x)
            if number in taps:
                widths.append(x.shape[1])
    return widths


def _tensors(path: Path) -> Mapping[str, Any]:
    try:
        tensors = load_torch(path, max_bytes=extractors.MOST_WEIGHTS_BYTES)
    except UNREADABLE as error:
        raise CheckpointError(f"{path.name} cannot be read: {reason(error)}", "copy the file again") from error
    if not isinstance(tensors, Mapping):
        raise CheckpointError(f"{path.name} holds no table of tensors", "copy the file again")
    return tensors


def psnr(pixels: Any, target: Any) -> float:
    """Peak signal-to-noise ratio in dB of uint8 arrays of one shape; 99 where they are equal."""
    error = torch.tensor(pixels).double() - torch.tensor(target).double()
    mean = float(error.square().mean())
    return 99.0 if mean == 0 else min(99.0, 10 * math.log10(255.0**2 / mean))


def ssim(pixels: Any, target: Any) -> float:
    """Structural similarity of uint8 `[H, W, 3]` of one shape, 11 pixels or more a side: 1 for equal pictures.

    "Image Quality Assessment: From Error Visibility to Structural Similarity", Wang et al. 2004: on luminance, in
    Gaussian windows of 11 pixels with a deviation of 1.5, K1 = 0.01 and K2 = 0.03, averaged where a window fits."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    x, y = (torch.tensor(picture).double() @ weights for picture in (pixels, target))
    steps = torch.arange(-5, 6, dtype=torch.float64)
    window = (-(steps**2) / (2 * 1.5**2)).exp()
    window = (window / window.sum()).outer(window / window.sum())[None, None]
    means = F.conv2d(torch.stack([x, y, x * x, y * y, x * y])[:, None], window)[:, 0]
    mx, my = means[0], means[1]
    vx, vy, cov = means[2] - mx * mx, means[3] - my * my, means[4] - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ratio = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(ratio.mean())
