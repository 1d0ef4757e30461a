"""Options of a copy check: one dataclass for the command line, the page and the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ganlib.errors import InputError
from ganlib.options import check_types

MOST_PICTURES = 100_000


@dataclass(frozen=True)
class CopiesConfig:
    """Options of one copy check."""

    data: Path
    """the training set: a zip or folder"""
    network: Path | None = None
    """the model whose pictures are checked, for --seeds and --favourites"""
    seeds: str = ""
    """which of its pictures, such as 0-499"""
    favourites: bool = False
    """its favourites"""
    source: Path | None = None
    """pictures on the disk instead: a folder, a zip, or a collection that nft made"""
    outdir: Path = Path("copies")
    """where copies.jsonl and report.html go"""
    psi: float = 1.0
    """truncation of seeds"""
    label: int | None = None
    """class of seeds, for a model with classes"""
    features: str = "auto"
    """features that pictures are compared in: auto, squeezenet or embedded"""
    copy_percent: float = 0.1
    """a copy is nearer than all but this percentage of training pictures are to their nearest other"""
    close_percent: float = 1.0
    """likewise of pictures that a person should look at"""
    sample: int = 2000
    """training pictures that say how far they are from each other"""
    device: str = "auto"
    """auto, cpu, cuda or mps"""

    def validate(self) -> CopiesConfig:
        """Return self, or raise `InputError` that names the option and its legal values."""
        if bool(self.seeds.strip() or self.favourites) == (self.source is not None):
            hint = "give --network with --seeds or --favourites, or --source FOLDER"
            raise InputError("it is not clear which pictures are to be checked", hint)
        if self.source is None and self.network is None:
            raise InputError("no model is named", "seeds and favourites are those of a model: name it with --network")
        for name, low, high in (
            ("psi", -2.0, 2.0), ("copy_percent", 0.0, 50.0), ("close_percent", 0.0, 50.0), ("sample", 10, 20_000),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name.replace('_', '-')} {value:g} is not between {low:g} and {high:g}", "change it")
        if self.copy_percent > self.close_percent:
            raise InputError("copy-percent is above close-percent", "a copy is the stricter of the two: make it less")
        if self.label is not None and self.label < 0:
            raise InputError(f"class {self.label} does not exist", "classes are counted from 0")
        return self

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CopiesConfig:
        """Return the options in JSON data. Raises `InputError` for wrong names, types or values."""
        return cls(**check_types(cls, values)).validate()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        paths = {name: getattr(self, name) for name in ("data", "network", "source", "outdir")}
        return asdict(self) | {name: None if path is None else str(path) for name, path in paths.items()}
