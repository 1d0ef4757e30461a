"""Options of a copy check: one dataclass for the command line, the page and the job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.features.extractors import OPENERS

MOST_PICTURES = 100_000


@dataclass(frozen=True)
class CopiesConfig(Options):
    """Options of one copy check."""

    data: Path = option(help="the training set: a zip or folder")
    network: Path | None = option(None, "a model file, or a name in checkpoints/", is_model=True, metavar="MODEL")
    seeds: str = option("", "which of its pictures, such as 0-499")
    favourites: bool = option(False, "its favourites")
    source: Path | None = option(None, "pictures on the disk instead: a folder, a zip, or a collection that nft made")
    outdir: Path = option(Path("copies"), "where copies.jsonl and report.html go", is_required=True)
    psi: float = option(1.0, "truncation of seeds", low=-2, high=2, usual=(0, 1.2))
    label: int | None = option(None, "class of seeds, for a model with classes", flag="class", low=0)
    features: str = option(
        "auto", "features that pictures are compared in: auto or the name of a network", made_of=OPENERS
    )
    copy_percent: float = option(
        0.1,
        "a copy is nearer than all but this percentage of training pictures are to their nearest other",
        low=0,
        high=50,
    )
    close_percent: float = option(1.0, "likewise of pictures that a person should look at", low=0, high=50)
    sample: int = option(2000, "training pictures that say how far they are from each other", low=10, high=20_000)
    device: str = option("auto", "auto, cpu, cuda or mps")

    def check(self) -> None:
        if bool(self.seeds.strip() or self.favourites) == (self.source is not None):
            hint = "give --network with --seeds or --favourites, or --source FOLDER"
            raise InputError("it is not clear which pictures are to be checked", hint)
        if self.source is None and self.network is None:
            raise InputError("no model is named", "seeds and favourites are those of a model: name it with --network")
        if self.copy_percent > self.close_percent:
            raise InputError("copy-percent is above close-percent", "a copy is the stricter of the two: make it less")
