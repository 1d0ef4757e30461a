"""Options of a projection: one dataclass for the command line, the page and the job."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.features.perceptual import DISTANCES
from ganlib.latents.recipes import NAME

MOST_STEPS = 20_000
MOST_STARTS = 4096
SPACES = {"w": "easy to edit", "w_plus": "nearer to the photograph", "z": "as seeds can"}
"""What is looked for, in words about the result."""
LEAST_SIDE = 8  # pixels of a target's square


@dataclass(frozen=True)
class ProjectConfig(Options):
    """Options of one projection of one or several pictures."""

    network: Path = option(help="a model file, or a name in checkpoints/", is_model=True, metavar="MODEL")
    target: tuple[Path, ...] = option(help="pictures, or folders of pictures", is_repeated=True, metavar="F")
    outdir: Path = option(
        Path("out"), "where the results go; each of several pictures has a folder in it", is_required=True
    )
    steps: int = option(1000, "steps of the search; 100 is a draft", low=1, high=MOST_STEPS)
    space: str = option(
        "w",
        "w: one w for all layers, best to edit; w_plus: one for each, nearer to the picture; z: what seeds can make",
        choices=SPACES,
    )
    pti: bool = option(False, "tune the model to the picture afterwards (pivotal tuning); makes a model of its own")
    pti_steps: int = option(350, "steps of tuning at most", low=1, high=MOST_STEPS, is_expert=True)
    seed: int = option(303, "of everything that is drawn", low=0, high=2**31, is_expert=True)
    start: Literal["auto", "average", "random", "kmeans"] = option(
        "auto",
        "the average picture, or the nearest of random ones or of centres of many; auto: average where there is one",
    )
    starts: int = option(64, "how many random ones or centres are compared", low=1, high=MOST_STARTS, is_expert=True)
    distance: str = option(
        "auto",
        "what is made small",
        choices=DISTANCES,
        is_expert=True,
    )
    label: int | None = option(None, "class of a model with classes (default: the nearest)", flag="class", low=0)
    crop: Literal["center", "subject", "face", "whole"] = option(
        "center",
        "the largest square in the middle, the subject on plain ground, the face (where OpenCV is installed), or "
        "the whole picture on its edges' colour",
    )
    box: tuple[float, ...] = option(
        (), "x, y, side, angle of the square instead, in pixels and degrees; four numbers, or four for each picture"
    )
    noise: bool = option(
        False, "also fit the noise maps while searching; the result is shown with the model's own all the same"
    )
    film: bool = option(True, "make proj.mp4")
    save_as: str = option("", "also keep it beside the model under this name, for Explore, Morph and Gallery")
    device: str = option("auto", "auto, cpu, cuda or mps")

    def check(self) -> None:
        if not self.target:
            raise InputError("no picture is named", "give --target a picture or a folder")
        if len(self.box) % 4 or not all(map(math.isfinite, self.box)):
            raise InputError(f"box has {len(self.box)} numbers", "give x, y, side and angle: 40,20,300,0")
        if any(side < LEAST_SIDE for side in self.box[2::4]):
            raise InputError(f"a square of box is under {LEAST_SIDE} pixels a side", "choose a larger part")
        if self.save_as and not NAME.fullmatch(self.save_as):
            raise InputError(f"{self.save_as[:80]!r} is no name", "use letters, digits, '-' and '_'")
