"""What is kept of a picture so that thousands can be compared with thousands: features, and two small copies."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ganlib.base.filesystem import open_regular
from ganlib.dataset.checks.alignment import SMALL_SIDE
from ganlib.dataset.checks.measure import TILE_SIDE
from ganlib.features.extractors import FeatureExtractor
from ganlib.media import images
from ganlib.runs import write_bytes

VERSION = 1  # raised by one when what is kept changes, so that stored features are not mixed with new ones


@dataclass(frozen=True, eq=False)
class CachedFeatures:
    """What was seen of some pictures, in order."""

    features: np.ndarray
    """`[N, F]` float32: the extractor's."""
    mirrored: np.ndarray
    """`[N, F]` float32: the same of the mirrored pictures; `[N, 0]` where that was not asked for."""
    small: np.ndarray
    """`[N, SMALL_SIDE, SMALL_SIDE, 3]` uint8: a small copy, a picture that is not square is squashed."""
    tile: np.ndarray
    """`[N, TILE_SIDE, TILE_SIDE]` uint8: its lightness."""

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, idx: slice | np.ndarray) -> CachedFeatures:
        """The same of some of them."""
        return CachedFeatures(**{item.name: getattr(self, item.name)[idx] for item in fields(self)})

    @staticmethod
    def join(parts: Sequence[CachedFeatures]) -> CachedFeatures:
        """Return what was seen of all, one after the other; of one or more."""
        return CachedFeatures(
            **{item.name: np.concatenate([getattr(s, item.name) for s in parts]) for item in fields(CachedFeatures)}
        )

    def save(self, path: Path) -> None:
        """Write to a file that is whole or absent."""
        buffer = BytesIO()
        np.savez(buffer, **{item.name: getattr(self, item.name) for item in fields(self)})
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, buffer.getvalue(), durable=False)

    @staticmethod
    def load(path: Path, count: int, dim: int) -> CachedFeatures | None:
        """Return what `save` wrote of `count` pictures; None where there is no such file, or another one."""
        try:
            with open_regular(path) as stream, np.load(stream, allow_pickle=False) as arrays:
                seen = CachedFeatures(**{item.name: arrays[item.name] for item in fields(CachedFeatures)})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        shapes = ((count, dim), (count, SMALL_SIDE, SMALL_SIDE, 3), (count, TILE_SIDE, TILE_SIDE))
        return seen if (seen.features.shape, seen.small.shape, seen.tile.shape) == shapes else None


def look(pixels: np.ndarray, extractor: FeatureExtractor, *, mirrored: bool = False) -> CachedFeatures:
    """Return what is kept of pictures uint8 `[N, H, W, 3]`; `mirrored` also looks at them in a mirror."""
    square = images.resize(pixels, TILE_SIDE, TILE_SIDE)
    step = TILE_SIDE // SMALL_SIDE
    small = square.reshape(-1, SMALL_SIDE, step, SMALL_SIDE, step, 3).mean(axis=(2, 4))
    tile = [np.asarray(Image.fromarray(picture).convert("L")) for picture in square]
    features = extractor(pixels)
    other = extractor(np.ascontiguousarray(pixels[:, :, ::-1])) if mirrored else features[:, :0]
    return CachedFeatures(features, other, (small + 0.5).astype(np.uint8), np.stack(tile))
