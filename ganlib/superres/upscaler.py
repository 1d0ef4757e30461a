"""One picture through an upscaling network: in overlapping tiles, with its alpha apart, to any size."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from PIL import Image

from ganlib.base.errors import DeviceError, InputError
from ganlib.compute.device import choose_device, free_bytes, out_of_memory_hint
from ganlib.media import images
from ganlib.superres.networks import UpscalerNetwork
from ganlib.superres.registry import find_model
from ganlib.superres.weights import Card, open_network

LEAST_TILE, MOST_TILE = 32, 4096  # pixels of the small picture
MOST_PIXELS = 600_000_000  # of an enlarged picture
MOST_SCALE = 64
_MOST_OVERLAP = 32  # pixels; what lies farther away moves no pixel by a grey level
_LARGEST_AUTOMATIC = {"cpu": 256, "mps": 384, "cuda": 1024}  # larger tiles are no faster
_SHARE = 0.4  # of the free memory that a tile may take
_SLOW = 1000.0  # seconds for a million pixels, beyond which the trial is not made larger
_FALLBACK_BYTES = 2**30  # where the system does not tell
_FEWER = "choose a smaller size, or close other programs"

Tick = Callable[[float], None]


@dataclass(frozen=True)
class Target:
    """The size that a picture is brought to."""

    width: int
    height: int
    box: tuple[int, int, int, int]
    """The part of the picture that is kept: left, top, right, bottom, in its own pixels."""

    def steps(self, scale: int) -> list[tuple[int, int]]:
        """Width and height of what goes into a network that enlarges `scale` times, once for each time that it takes.

        What the network itself made is brought down before the last time, so that it ends at this size."""
        left, top, right, bottom = self.box
        sides = [(right - left, bottom - top)]
        while scale > 1 and (sides[-1][0] * scale < self.width or sides[-1][1] * scale < self.height):
            wide, high = (side * scale for side in sides[-1])
            sides.append((min(wide, -(-self.width // scale)), min(high, -(-self.height // scale))))
        return sides

    def work(self, scale: int) -> float:
        """Millions of pixels that go through such a network."""
        return sum(width * height for width, height in self.steps(scale)) / 1e6


def choose_size(
    width: int, height: int, *, scale: float = 4.0, size: str = "", fit: str = "crop", even: bool = False
) -> Target:
    """Return what a picture of `width` × `height` becomes: `scale` times larger, or `size`, where that is given.

    `size` is `3840x2160`; `3840x` or `x2160` keeps the proportions. Where both are given and the proportions differ,
    `fit` cuts the middle out (`crop`) or stretches it (`stretch`). `even` makes both sides even, as films need them.
    Raises InputError for a size that cannot be read, that is not larger, or too large."""
    wide, high = _asked(width, height, scale, size)
    box = (0, 0, width, height)
    if size and fit == "crop":
        kept_wide = max(1, min(width, round(height * wide / high)))
        kept_high = max(1, min(height, round(width * high / wide)))
        left, top = (width - kept_wide) // 2, (height - kept_high) // 2
        box = (left, top, left + kept_wide, top + kept_high)
    if even:
        wide, high = wide + wide % 2, high + high % 2
    if wide * high > MOST_PIXELS:
        raise InputError(f"{wide}×{high} pixels are more than {MOST_PIXELS / 1e6:.0f} million", _FEWER)
    kept = (box[2] - box[0], box[3] - box[1])
    if wide < kept[0] or high < kept[1]:
        hint = f"the picture has {width}×{height} pixels: name a size above that"
        raise InputError(f"{wide}×{high} pixels are fewer than the picture has", hint)
    if max(wide / kept[0], high / kept[1]) > MOST_SCALE + 0.01:
        raise InputError(f"{wide}×{high} pixels are over {MOST_SCALE} times as wide or high as the picture", _FEWER)
    return Target(wide, high, box)


def _asked(width: int, height: int, scale: float, size: str) -> tuple[int, int]:
    if not size:
        if not 1 <= scale <= MOST_SCALE:
            raise InputError(f"a scale of {scale:g} is not between 1 and {MOST_SCALE}", "2, 3 and 4 are usual")
        return max(1, round(width * scale)), max(1, round(height * scale))
    wide, high = read_size(size)
    return wide or max(1, round(high * width / height)), high or max(1, round(wide * height / width))


def read_size(text: str) -> tuple[int, int]:
    """Return width and height of `3840x2160`; 0 for the side that `3840x` or `x2160` leaves open. Raises InputError."""
    match = re.fullmatch(r"(\d{0,6})\s*[x×]\s*(\d{0,6})", text.strip().lower())
    sides = [int(side) for side in match.groups() if side] if match else []
    if match is None or not sides or min(sides) == 0:
        raise InputError(f"{text[:40]!r} is no size", "write it as 3840x2160, or 3840x for a width alone")
    return int(match[1] or 0), int(match[2] or 0)


class Upscaler:
    """A loaded upscaling network and how it is used; made by `open_upscaler`."""

    def __init__(
        self, network: UpscalerNetwork, card: Card, name: str, digest: str, device: torch.device, tile: int = 0
    ) -> None:
        """`name` and `digest` are those of its file. `tile` is the side of a tile in pixels of the small picture; 0
        chooses it by the free memory."""
        if tile and not LEAST_TILE <= tile <= MOST_TILE:
            raise InputError(f"a tile of {tile} pixels is not between {LEAST_TILE} and {MOST_TILE}", "0 chooses one")
        self.network = network.to(device)
        self.card, self.name, self.digest, self.device = card, name, digest, device
        self.scale = network.scale
        self.overlap = min(network.reach, _MOST_OVERLAP)
        self._floats = network.floats_per_pixel
        self._tile = tile

    def tile_side(self) -> int:
        """The side of a tile without its overlap: the one that was given, or what 40 % of the free memory holds."""
        if self._tile:
            return self._tile
        free = free_bytes(self.device) or _FALLBACK_BYTES
        side = int((free * _SHARE / (4 * self._floats)) ** 0.5) - 2 * self.overlap
        return max(LEAST_TILE, min(side // 8 * 8, _LARGEST_AUTOMATIC.get(self.device.type, 256)))

    def to_size(self, pixels: np.ndarray, target: Target, tick: Tick | None = None) -> np.ndarray:
        """Return uint8 `[target.height, target.width, 3 or 4]` of uint8 pixels `[H, W, 3 or 4]`.

        The network enlarges as often as it takes, and Lanczos brings it to the size. Alpha is enlarged by Lanczos
        alone, and what lies under it unseen gets the colour of what is seen beside it. `tick` is called with the
        millions of pixels that each tile brought through the network. Raises DeviceError where memory runs out."""
        left, top, right, bottom = target.box
        pixels = pixels[top:bottom, left:right]
        self._check_room(target)
        with out_of_memory_hint(_FEWER):
            alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
            rgb = pixels if alpha is None else bleed_colours(pixels)
            for width, height in target.steps(self.scale):
                rgb = self.native(images.resize(rgb, width, height), tick)
            rgb = images.resize(rgb, target.width, target.height)
            if alpha is None:
                return rgb
            grey = np.repeat(alpha[:, :, None], 3, axis=2)
            shape = images.resize(grey, target.width, target.height)[..., :1]
            return np.concatenate([rgb, shape], axis=2)

    @staticmethod
    def grey_kept(pixels: np.ndarray, large: np.ndarray) -> np.ndarray:
        """Return `large` without colours where `pixels` had none: a network of colours tints grey a little."""
        if not (pixels[..., :1] == pixels[..., :3]).all():
            return large
        large = large.copy()
        large[..., :3] = large[..., :3].mean(axis=2, keepdims=True).round().astype(np.uint8)
        return large

    def native(self, rgb: np.ndarray, tick: Tick | None = None) -> np.ndarray:
        """Return uint8 `[scale·H, scale·W, 3]` of uint8 `[H, W, 3]`, tile by tile.

        Each tile sees `overlap` pixels around it, mirrored at the picture's edges; so tiles of any size give the same
        picture. Where memory runs out the tiles are halved; DeviceError is raised when they cannot be smaller."""
        height, width = rgb.shape[:2]
        margin, scale = self.overlap, self.scale
        padded = np.pad(rgb, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
        out = np.empty((height * scale, width * scale, 3), np.uint8)
        side = self.tile_side()
        waiting = _tiles(width, height, side)
        while waiting:
            left, top, right, bottom = waiting.pop()
            part = padded[top : bottom + 2 * margin, left : right + 2 * margin]
            try:
                with out_of_memory_hint(_FEWER):
                    large = self._through(part)
            except DeviceError:
                longest = max(right - left, bottom - top)
                if longest <= LEAST_TILE:
                    raise
                tiles = _tiles(right - left, bottom - top, -(-longest // 2))
                waiting += [(left + a, top + b, left + c, top + d) for a, b, c, d in tiles]
                continue
            edge = margin * scale
            out[top * scale : bottom * scale, left * scale : right * scale] = large[
                edge : edge + (bottom - top) * scale, edge : edge + (right - left) * scale
            ]
            if tick is not None:
                tick((right - left) * (bottom - top) / 1e6)
        return out

    def _through(self, part: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            unit = (images.from_pixels(part[None]).to(self.device) + 1) / 2
            return images.to_pixels(self.network(unit) * 2 - 1)[0]

    def _check_room(self, target: Target) -> None:
        """Raise DeviceError before the work where the enlarged picture will not fit into memory."""
        width, height = target.steps(self.scale)[-1]
        largest = width * height * self.scale**2
        needed = 3 * (largest + width * height) + 12 * target.width * target.height
        free = free_bytes("cpu")
        if largest > 4 * MOST_PIXELS or (free and needed > free):
            words = f"{target.width}×{target.height} pixels need {needed / 2**30:.1f} GiB of memory on the way"
            raise DeviceError(f"{words}; {free / 2**30:.1f} GiB are free", _FEWER)

    def seconds_per_megapixel(self) -> float:
        """Return how long a million pixels take to go through the network here, from a trial of one tile."""
        speed = 0.0
        for side in (24, 96):  # the first has costs that come only once, and tells whether the network is a large one
            began = time.perf_counter()
            self._through(np.zeros((side, side, 3), np.uint8))
            speed = (time.perf_counter() - began) / (side * side / 1e6)
            if speed > _SLOW:
                break
        tile = self.tile_side()
        return speed * ((tile + 2 * self.overlap) / tile) ** 2


def open_upscaler(model: str, *, device: str = "auto", tile: int = 0) -> Upscaler:
    """Return the model of a name or a path, ready on a device; raises as `find_model` and `open_network`."""
    path = find_model(model)
    opened = open_network(path)
    return Upscaler(opened.network, opened.card, path.stem, opened.digest, choose_device(device), tile)


def _tiles(width: int, height: int, side: int) -> list[tuple[int, int, int, int]]:
    """Boxes that cover a picture, all of about the same size, last one first."""

    def cuts(length: int) -> list[int]:
        count = -(-length // side)
        return [length * i // count for i in range(count + 1)]

    across, down = cuts(width), cuts(height)
    rows = [(a, b, c, d) for b, d in pairwise(down) for a, c in pairwise(across)]
    return rows[::-1]


def bleed_colours(pixels: np.ndarray) -> np.ndarray:
    """Return RGB uint8 `[H, W, 3]` of RGBA `[H, W, 4]`, where unseen pixels have the mean colour of those seen nearby.

    What a file has under alpha 0 is often black, and would show as a dark rim once it is enlarged."""
    unseen = pixels[..., 3] == 0
    if not unseen.any() or unseen.all():
        return np.ascontiguousarray(pixels[..., :3])
    height, width = unseen.shape
    small = Image.fromarray(pixels).convert("RGBa").resize((-(-width // 2), -(-height // 2)), Image.Resampling.BOX)
    coarse = Image.fromarray(bleed_colours(_straight(small)))
    near = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR))
    return np.where(unseen[..., None], near, pixels[..., :3])


def _straight(picture: Image.Image) -> np.ndarray:
    """RGBA of a picture whose colours were multiplied by alpha."""
    return np.asarray(picture.convert("RGBA"))
