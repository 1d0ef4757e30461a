"""Options of a projection: one dataclass for the command line, the page and the job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ganlib.errors import InputError
from ganlib.latents import NAME
from ganlib.options import check_types
from ganlib.perceptual import DISTANCES

MOST_STEPS = 20_000
MOST_STARTS = 4096
LEAST_SIDE = 8  # pixels of a target's square


@dataclass(frozen=True)
class ProjectConfig:
    """Options of one projection of one or several pictures."""

    network: Path
    """the model"""
    target: tuple[Path, ...]
    """pictures, or folders of pictures"""
    outdir: Path = Path("out")
    """where the results go; each of several pictures has a folder in it"""
    steps: int = 1000
    """steps of the search; 100 is a draft"""
    space: Literal["w", "w_plus", "z"] = "w"
    """w: one w for all layers, best to edit; w_plus: one for each, nearer to the picture; z: what seeds can make"""
    pti: bool = False
    """tune the model to the picture afterwards (pivotal tuning); makes a model of its own"""
    pti_steps: int = 350
    """steps of tuning at most"""
    seed: int = 303
    """of everything that is drawn"""
    start: Literal["auto", "average", "random", "kmeans"] = "auto"
    """the average picture, or the nearest of random ones or of centres of many; auto: average where there is one"""
    starts: int = 64
    """how many random ones or centres are compared"""
    distance: str = "auto"
    """what is made small: auto, embedded, squeezenet, pixels, lpips-vgg, lpips-alex or lpips-squeeze"""
    label: int | None = None
    """class of a model with classes; none looks for the nearest"""
    crop: Literal["center", "subject", "face", "whole"] = "center"
    """the largest square in the middle, the subject on plain ground, the face (where OpenCV is installed), or the whole
    picture on its edges' colour"""
    box: tuple[float, ...] = ()
    """x, y, side, angle of the square instead, in pixels and degrees; four numbers, or four for each picture"""
    noise: bool = False
    """also fit the noise maps while searching; the result is shown with the model's own all the same"""
    film: bool = True
    """make proj.mp4"""
    save_as: str = ""
    """also keep it beside the model under this name, for Explore, Morph and Gallery"""
    device: str = "auto"
    """auto, cpu, cuda or mps"""

    def validate(self) -> ProjectConfig:
        """Return self, or raise `InputError` that names the option and its legal values."""
        for name, low, high in (
            ("steps", 1, MOST_STEPS), ("pti_steps", 1, MOST_STEPS), ("starts", 1, MOST_STARTS), ("seed", 0, 2**31),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name.replace('_', '-')} {value} is not between {low} and {high}", "change it")
        if not self.target:
            raise InputError("no picture is named", "give --target a picture or a folder")
        if self.distance not in DISTANCES:
            raise InputError(
                f"there is no distance named {self.distance[:40]!r}", f"choose one of: {', '.join(DISTANCES)}"
            )
        if len(self.box) % 4 or not all(map(math.isfinite, self.box)):
            raise InputError(f"box has {len(self.box)} numbers", "give x, y, side and angle: 40,20,300,0")
        if any(side < LEAST_SIDE for side in self.box[2::4]):
            raise InputError(f"a square of box is under {LEAST_SIDE} pixels a side", "choose a larger part")
        if self.save_as and not NAME.fullmatch(self.save_as):
            raise InputError(f"{self.save_as[:80]!r} is no name", "use letters, digits, '-' and '_'")
        if self.label is not None and self.label < 0:
            raise InputError(f"class {self.label} does not exist", "classes are counted from 0")
        return self

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ProjectConfig:
        """Return the options in JSON data. Raises `InputError` for wrong names, types or values."""
        return cls(**check_types(cls, values)).validate()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        paths = {"network": str(self.network), "outdir": str(self.outdir), "target": [str(p) for p in self.target]}
        return asdict(self) | paths | {"box": list(self.box)}
