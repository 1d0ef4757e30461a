"""Options of upscaling: one dataclass for the command line, the page and the job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.media.images import PICTURE_FORMATS
from ganlib.superres.registry import EMBEDDED
from ganlib.superres.upscaler import LEAST_TILE, MOST_SCALE, MOST_TILE, read_size

FITS = {"crop": "cut the middle out", "stretch": "stretch"}
"""What becomes of other proportions, in words."""


@dataclass(frozen=True)
class UpscaleConfig(Options):
    """Options of one upscaling of pictures and films."""

    source: tuple[Path, ...] = option((), "pictures, films, or folders of them", is_repeated=True, metavar="F")
    dest: Path = option(Path("upscaled"), "the new file, where there is one picture or film; else a folder")
    model: str = option(EMBEDDED, "name or file of the upscaling model")
    scale: float = option(4.0, "how many times wider and higher", low=1, high=MOST_SCALE)
    size: str = option("", "exact size instead: 3840x2160, or 3840x or x2160 to keep the proportions")
    fit: str = option(
        "crop",
        "what becomes of a picture with other proportions than the size: its middle is cut out, or it is stretched",
        choices=FITS,
    )
    format: str = option("png", "of pictures in a folder; a single file is what its name says", choices=PICTURE_FORMATS)
    quality: int = option(92, "of jpeg and webp, 1 to 100", low=1, high=100)
    tile: int = option(0, "side of the tiles in pixels of the small picture; 0 chooses it by the free memory")
    device: str = option("auto", "auto, cpu, cuda or mps")

    def check(self) -> None:
        if not self.source:
            raise InputError("nothing to upscale is named", "give --source a picture, a film or a folder")
        if self.size:
            read_size(self.size)
        if self.tile and not LEAST_TILE <= self.tile <= MOST_TILE:
            raise InputError(f"tile {self.tile} is not between {LEAST_TILE} and {MOST_TILE}", "0 chooses one")
