"""Options of upscaling: one dataclass for the command line, the page and the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ganlib.errors import InputError
from ganlib.options import check_types
from ganlib.superres.enlarging import LEAST_TILE, MOST_SCALE, MOST_TILE, read_size
from ganlib.superres.known import EMBEDDED

FORMATS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
"""Formats of pictures and what their files end in; films are mp4, animations what they were."""


@dataclass(frozen=True)
class UpscaleConfig:
    """Options of one upscaling of pictures and films."""

    source: tuple[Path, ...]
    """pictures, films, or folders of them"""
    dest: Path = Path("upscaled")
    """the new file, where there is one picture or film; else a folder"""
    model: str = EMBEDDED
    """name or file of the upscaling model"""
    scale: float = 4.0
    """how many times wider and higher"""
    size: str = ""
    """exact size instead: 3840x2160, or 3840x or x2160 to keep the proportions"""
    fit: Literal["crop", "stretch"] = "crop"
    """what becomes of a picture with other proportions than the size: its middle is cut out, or it is stretched"""
    format: Literal["png", "jpeg", "webp"] = "png"
    """of pictures in a folder; a single file is what its name says"""
    quality: int = 92
    """of jpeg and webp, 1 to 100"""
    tile: int = 0
    """side of the tiles in pixels of the small picture; 0 chooses it by the free memory"""
    device: str = "auto"
    """auto, cpu, cuda or mps"""

    def validate(self) -> UpscaleConfig:
        """Return self, or raise `InputError` that names the option and its legal values."""
        if not self.source:
            raise InputError("nothing to upscale is named", "give --source a picture, a film or a folder")
        if not 1 <= self.scale <= MOST_SCALE:
            raise InputError(f"scale {self.scale:g} is not between 1 and {MOST_SCALE}", "2, 3 and 4 are usual")
        if self.size:
            read_size(self.size)
        if not 1 <= self.quality <= 100:
            raise InputError(f"quality {self.quality} is not between 1 and 100", "92 is the default")
        if self.tile and not LEAST_TILE <= self.tile <= MOST_TILE:
            raise InputError(f"tile {self.tile} is not between {LEAST_TILE} and {MOST_TILE}", "0 chooses one")
        return self

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UpscaleConfig:
        """Return the options in JSON data. Raises `InputError` for wrong names, types or values."""
        return cls(**check_types(cls, values)).validate()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        return asdict(self) | {"source": [str(path) for path in self.source], "dest": str(self.dest)}
