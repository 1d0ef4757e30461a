"""Pictures → vectors in which distances mean something, for metrics and for comparing pictures.

Four networks are known. `inception` is the one that published figures are about; its weights are fetched once, on
request. `squeezenet` was trained on photographs (ImageNet) too and judges any picture; its weights are a file that the
user puts in place. `efficientnet` was trained on photographs as well, and its weights come with the package. The
*embedded* features need no file: they are those of the bundled model's own discriminator, named after it (`fruit-d`). A
distance is named after its features: only one on Inception's is FID.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.base.errors import CheckpointError, InputError
from ganlib.base.filesystem import read_regular, reason
from ganlib.base.workspace import cache_root, studio_folder
from ganlib.compute.device import out_of_memory_hint
from ganlib.compute.torch_files import UNREADABLE, load_torch
from ganlib.features import inception
from ganlib.models import checkpoints
from ganlib.networks import efficientnet
from ganlib.networks.base import Discriminator

WEIGHTS_VARIABLE = "GANLIB_SQUEEZENET"
BUNDLED = ("fruit", "impressions", "fruit-progan", "fruit-dcgan")
"""Names of the models that come with the program."""
SQUEEZENET_FILE = "squeezenet1_1_caffe.pth"
SQUEEZENET_SHA256 = "9ecc3d37b1bf910660751bfca18f4db492b430a8087b31b2ee3f8da392b812e7"
RECIPE = 2  # raised by one when resizing, pooling or scaling below changes
SQUEEZENET_SIDE = 128
SQUEEZENET_SCALE = 8.0  # its last maps have about this root mean square on pictures; 7.8 on watercolours
# Caffe's channel means of ImageNet in the order blue, green, red, for values from 0 to 255.
CAFFE_MEAN = (104.0, 117.0, 123.0)
_PIXELS_PER_BATCH = {"cpu": 25 * 128 * 128, "cuda": 64 * 256 * 256, "mps": 32 * 256 * 256}
MOST_WEIGHTS_BYTES = 2**31  # of a file with a known network


# ---- The extractor -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FeatureExtractor:
    """One network that turns pictures into vectors. Equal `key` means equal vectors; made by `open_extractor`."""

    name: str
    """Short name that metric names end in: `squeezenet`, `fruit-d`."""
    dim: int
    """Length of a vector."""
    side: int
    """Pictures are resized to `side` × `side` pixels before the network sees them."""
    weights_digest: str
    """sha256 over the weights, in hex."""
    network: nn.Module = field(repr=False, compare=False)
    """RGB `[N, 3, side, side]` float32 in [0, 255] → features `[N, dim]` float32."""
    device: torch.device = field(default=torch.device("cpu"), compare=False)
    """Where the network is."""
    classifier: np.ndarray | None = field(default=None, repr=False, compare=False)
    """Float32 `[classes, dim]` that makes logits of features, without the bias that the usual tools leave out too; None
    where the network knows no classes."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @property
    def key(self) -> str:
        """For file names of caches: a replaced model has another key, and so has another way of resizing or pooling."""
        return f"{self.name}-{self.side}-{RECIPE}-{self.weights_digest[:12]}"

    def __call__(self, pixels: np.ndarray, *, batch: int | None = None) -> np.ndarray:
        """Return features float32 `[N, dim]` of pixels uint8 `[N, H, W, 3 or 1]` of any size.

        Resized with antialiasing (bicubic; a picture that is not square is squashed), grey becomes RGB. `batch`
        pictures go through the network at once; a row does not depend on it beyond rounding. Raises `InputError` for
        another shape or type and `DeviceError` when memory runs out.
        """
        pixels = np.asarray(pixels)
        if pixels.ndim != 4 or pixels.shape[3] not in (1, 3) or pixels.dtype != np.uint8 or 0 in pixels.shape[1:]:
            shape = f"{pixels.dtype} {list(pixels.shape)}"
            raise InputError(f"features want uint8 [N, H, W, 3 or 1], not {shape}", "pass pixels, not network images")
        largest = max(self.side**2, pixels.shape[1] * pixels.shape[2])
        size = batch or max(1, min(64, _PIXELS_PER_BATCH.get(self.device.type, 25 * 128 * 128) // largest))
        out = np.empty((len(pixels), self.dim), np.float32)
        with torch.inference_mode(), out_of_memory_hint("use smaller pictures, or `--device cpu`"):
            for start in range(0, len(pixels), size):
                rgb = _resized(torch.from_numpy(np.ascontiguousarray(pixels[start : start + size])), self)
                with self._lock:  # pages share an extractor between threads
                    out[start : start + size] = self.network(rgb).float().cpu().numpy()
        return out


def _resized(pixels: Tensor, extractor: FeatureExtractor) -> Tensor:
    """uint8 NHWC → float32 NCHW RGB in [0, 255] at the extractor's side, on its device."""
    rgb = pixels.to(extractor.device).permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1)
    side = (extractor.side, extractor.side)
    if tuple(rgb.shape[2:]) != side:
        # Bicubic overshoots at edges; a picture file would have clipped that too.
        rgb = F.interpolate(rgb, size=side, mode="bicubic", align_corners=False, antialias=True).clamp(0, 255)
    return rgb


# ---- The networks --------------------------------------------------------------------------------------------------


class DiscriminatorFeatures(nn.Module):
    """Mean and standard deviation over the picture of what each block of a discriminator sees, side by side.

    At every place the channels are first brought to a mean square of 1: otherwise pictures unlike any that the
    discriminator met have features thousands of times larger, and a few of them decide a kernel distance.

    A discriminator judges its own generator mildly: its features were shaped on just these pictures. On snapshots of
    the run that made the bundled model (500 pictures each) they put 30 kimg before 20 kimg where SqueezeNet says the
    opposite, and at 46 kimg find a recall of 0.73 where SqueezeNet finds 0.01. They see a run improve; they do not
    compare models fairly.

    What follows the last block, where statistics of the whole batch enter, is not used: a row depends on its own
    picture alone.
    """

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.side, self.img_channels = discriminator.spec.resolution, discriminator.spec.img_channels

    def maps(self, rgb: Tensor) -> list[Tensor]:
        """RGB `[N, 3, side, side]` in [0, 255] → what each block sees, `[N, C, H, W]` float32, nearest the picture
        first; at every place the channels have a mean square of 1.

        Pictures may be smaller by a power of two: blocks are convolutions. The last ones then see less than two pixels
        a side and are left out."""
        image = rgb / 127.5 - 1
        if self.img_channels == 1:
            image = image.mean(dim=1, keepdim=True)
        label_dim = self.discriminator.spec.label_dim
        label = rgb.new_zeros(len(rgb), label_dim) if label_dim else None
        maps = (x for x in self.discriminator.features(image, label) if min(x.shape[2:]) > 1)
        return [_normalised(x.float()) for x in maps]

    def forward(self, rgb: Tensor) -> Tensor:
        """RGB `[N, 3, side, side]` in [0, 255] → `[N, dim]`."""
        return torch.cat([statistic for x in self.maps(rgb) for statistic in _mean_and_std(x)], dim=1)


def _normalised(maps: Tensor) -> Tensor:
    """`[N, C, H, W]` with a mean square of 1 over the channels at every place."""
    return maps * (maps.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def _mean_and_std(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Of each map over the picture, `[N, C]` each."""
    variance, mean = torch.var_mean(maps, dim=[2, 3], correction=0)
    return mean, variance.sqrt()


class Fire(nn.Module):
    """1×1 squeeze, then 1×1 and 3×3 expansions side by side (SqueezeNet, figure 1)."""

    def __init__(self, in_channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in, H, W]` → `[N, 2 · expand, H, W]`."""
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], dim=1)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 (Iandola et al., 2016) up to its last fire module, under torchvision's tensor names.

    Its weights are those of Caffe: blue, green, red from 0 to 255, less `CAFFE_MEAN`.
    """

    def __init__(self) -> None:
        super().__init__()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), pool(),
            Fire(64, 16, 64), Fire(128, 16, 64), pool(),
            Fire(128, 32, 128), Fire(256, 32, 128), pool(),
            Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
        )  # fmt: skip
        self.register_buffer("mean", torch.tensor(CAFFE_MEAN)[:, None, None], persistent=False)
        self.mean: Tensor

    def maps(self, rgb: Tensor) -> list[Tensor]:
        """RGB `[N, 3, H, W]` in [0, 255] → maps after the first ReLU and before each later pooling, and the last one:
        64, 128, 256 and 512 channels at about 1/2, 1/4, 1/8 and 1/16 of the side."""
        x, maps = rgb.flip(1) - self.mean, []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        return [*maps, x]

    def forward(self, rgb: Tensor) -> Tensor:
        """RGB `[N, 3, side, side]` in [0, 255] → the means of the last maps, `[N, 512]`, of about unit mean square."""
        return self.maps(rgb)[-1].mean(dim=[2, 3]) / SQUEEZENET_SCALE


# ---- Where they come from ------------------------------------------------------------------------------------------


def open_extractor(name: str = "auto", *, device: str | torch.device = "cpu") -> FeatureExtractor:
    """Return an extractor by name, on a device.

    `auto`: `inception` where its weights are, else `squeezenet` where its are, else the embedded one. `embedded`: the
    bundled model's discriminator, under the name that `embedded_name()` tells, which is accepted too. Raises
    `InputError` for a name that is not known or has no weights here, `CheckpointError` for a damaged file.
    """
    wanted = name.strip().lower()
    if wanted == "auto":
        wanted = automatic()
    if wanted == embedded_name():
        wanted = "embedded"
    if wanted not in OPENERS:
        known = ", ".join(dict.fromkeys(["auto", embedded_name(), *OPENERS]))
        raise InputError(f"there are no features named {name.strip()!r}", f"choose one of: {known}")
    return OPENERS[wanted](torch.device(device))


def automatic() -> str:
    """What `auto` stands for on this machine: `inception`, `squeezenet` or `embedded`."""
    if inception_file().is_file():
        return "inception"
    return "squeezenet" if squeezenet_file() is not None else "embedded"


def inception_file() -> Path:
    """Where the weights of `inception` lie once they were fetched; the file may be missing."""
    return cache_root() / inception.FILE


def bundled_model() -> Path:
    """The model file whose discriminator gives the embedded features: `checkpoints/fruit.safetensors` beside ganlib."""
    return studio_folder() / "checkpoints" / "fruit.safetensors"


def bundled_models() -> tuple[Path, ...]:
    """The files of all models that come with the program, this one first."""
    first = bundled_model()
    others = (first.with_name(f"{name}{checkpoints.SUFFIX}") for name in BUNDLED)
    return (first, *(path for path in others if path != first))


def embedded_name() -> str:
    """The name of the embedded features: the bundled model's, and `-d` for its discriminator."""
    return f"{bundled_model().stem}-d"


def discriminator_extractor(path: Path, *, device: str | torch.device = "cpu") -> FeatureExtractor:
    """The features of any model's own discriminator, named after its file. Raises `InputError` when it has none and
    `CheckpointError` when it cannot be read."""
    network = DiscriminatorFeatures(checkpoints.load_discriminator(path, device=device))
    digest = checkpoints.tensors_digest(network.discriminator.state_dict())
    name = re.sub(r"[^a-z0-9]+", "-", Path(path).stem.lower()).strip("-") + "-d"
    return _extractor(name, network, network.side, digest, device)


def squeezenet_file() -> Path | None:
    """The weights of `squeezenet`: the file that $GANLIB_SQUEEZENET names, or the one in the cache folder; None where
    there is none. Raises `InputError` when the variable names no file."""
    given = os.environ.get(WEIGHTS_VARIABLE)
    if given:
        if not Path(given).is_file():
            raise InputError(f"{WEIGHTS_VARIABLE} names no file: {given}", "correct it, or unset it")
        return Path(given)
    path = cache_root() / SQUEEZENET_FILE
    return path if path.is_file() else None


def load_squeezenet(path: Path) -> tuple[SqueezeNet, str]:
    """Return the network and the sha256 of its file. Raises `CheckpointError` for any other file than the known one."""
    tensors, digest = _known_tensors(path, SQUEEZENET_SHA256, "SqueezeNet 1.1")
    network = SqueezeNet()
    try:
        network.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("classifier.")})
    except UNREADABLE as error:
        raise CheckpointError(f"{path} cannot be read: {reason(error)}", "copy the file again") from error
    return network, digest


def _known_tensors(path: Path, sha256: str, what: str) -> tuple[Mapping[str, Tensor], str]:
    """The tensors of a file that must be the known one, and its sha256."""
    try:
        data = read_regular(path, max_bytes=MOST_WEIGHTS_BYTES)
        digest = hashlib.sha256(data).hexdigest()
        if digest != sha256:
            hint = f"the right file has the sha256 {sha256}; copy it again"
            raise CheckpointError(f"{path} is not the known {what}: its sha256 is {digest}", hint)
        tensors = load_torch(data)
    except UNREADABLE as error:
        raise CheckpointError(f"{path} cannot be read: {reason(error)}", "copy the file again") from error
    if not isinstance(tensors, Mapping):
        raise CheckpointError(f"{path} holds no table of tensors", "copy the file again")
    return tensors, digest


def _open_inception(device: torch.device) -> FeatureExtractor:
    path = inception_file()
    if not path.is_file():
        hint = f"`python -m ganlib metrics … --fetch` downloads them once ({inception.BYTES / 1e6:.0f} MB); or put "
        hint += f"{inception.FILE} into {cache_root()}; or choose `embedded`"
        raise InputError("the weights of Inception-v3 are not on this machine", hint)
    tensors, digest = _known_tensors(path, inception.SHA256, "Inception-v3 of 2015")
    network = inception.network_of(tensors)
    classifier = network.fc.weight.detach().float().numpy()
    return replace(_extractor("inception", network, inception.SIDE, digest, device), classifier=classifier)


def _open_efficientnet(device: torch.device) -> FeatureExtractor:
    network = efficientnet.load_frozen(device)
    return _extractor("efficientnet", network, efficientnet.SIDE, efficientnet.SHA256, device)


def _open_squeezenet(device: torch.device) -> FeatureExtractor:
    path = squeezenet_file()
    if path is None:
        hint = f"put {SQUEEZENET_FILE} into {cache_root()}, or name it with {WEIGHTS_VARIABLE}; or choose `embedded`"
        raise InputError("the weights of SqueezeNet are not on this machine", hint)
    network, digest = load_squeezenet(path)
    return _extractor("squeezenet", network, SQUEEZENET_SIDE, digest, device)


def _open_embedded(device: torch.device) -> FeatureExtractor:
    if not bundled_model().is_file():
        hint = "restore the file, or put SqueezeNet's weights in place and choose `squeezenet`"
        raise InputError(f"the bundled model is not there: {bundled_model()}", hint)
    return discriminator_extractor(bundled_model(), device=device)


def _extractor(name: str, network: nn.Module, side: int, digest: str, device: str | torch.device) -> FeatureExtractor:
    network = network.to(device).eval().requires_grad_(False)
    with torch.inference_mode():
        dim = network(torch.zeros(1, 3, side, side, device=device)).shape[1]
    return FeatureExtractor(name, dim, side, digest, network, torch.device(device))


@dataclass(frozen=True)
class Opener:
    """A network that pictures can be compared with. Called with a device it returns the extractor; it raises as
    `open_extractor`."""

    title: str
    """For people, a few words."""
    sentence: str
    """What its figures are good for."""
    open: Callable[[torch.device], FeatureExtractor] = field(repr=False)

    def __call__(self, device: torch.device) -> FeatureExtractor:
        return self.open(device)


OPENERS: dict[str, Opener] = {
    "inception": Opener(
        "Inception-v3, as in papers",
        "Pictures are compared as Inception-v3 of 2015 sees them, resized with antialiasing (as clean-fid does): "
        "figures can be held against published ones that are measured so.",
        _open_inception,
    ),
    "squeezenet": Opener(
        "SqueezeNet",
        "Pictures are compared as SqueezeNet sees them, a network trained on photographs. Figures compare models "
        "fairly, but only with figures of the same name; they are not the FID and KID of papers.",
        _open_squeezenet,
    ),
    "efficientnet": Opener(
        "EfficientNet",
        "Pictures are compared as EfficientNet-lite0 sees them: trained on photographs, it comes with the studio. "
        "Figures compare only with figures of the same name; they are not the FID and KID of papers.",
        _open_efficientnet,
    ),
    "embedded": Opener(
        "those of Fruit",
        "Pictures are compared as Fruit's discriminator sees them. That needs no download and sees a run improve; it "
        "is mild to models that it was trained with, and no figure of papers.",
        _open_embedded,
    ),
}
"""Name → row; `auto` stands for one of them (`automatic`)."""
