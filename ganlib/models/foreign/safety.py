"""What a foreign file asked for, in words for people: the report that goes with every import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ganlib.base.errors import CheckpointError
from ganlib.models.foreign.values import ALLOWED, BY_NAME, NAMESPACE, STORAGES, TF_NETWORK
from ganlib.runs.files import read_json

FILE_NAME = "safety.json"
_KINDS = {
    "torch_utils.persistence._reconstruct_persistent_obj": "a network by its name; its source text is never read",
    TF_NETWORK: "a network of TensorFlow's era, read as a table",
    NAMESPACE: "settings of the training, left aside",
    "torch.storage._load_from_bytes": "numbers inside bytes, read by the same rules",
    "_codecs.encode": "bytes written as text",
}
_NEVER_RUN = "not on the list of what a model needs: refused, and not run"


@dataclass(frozen=True)
class Asked:
    """One Python object that a file names."""

    name: str
    allowed: bool
    meaning: str
    """What it stands for in such files, in words."""


@dataclass(frozen=True)
class SafetyReport:
    """What a model file asked for and what became of it."""

    file: str
    bytes: int
    opened: bool
    """Whether it was read to its end; else `reason` and `hint` say why not."""
    asked: tuple[Asked, ...]
    notes: tuple[str, ...] = ()
    """What was left out or assumed."""
    reason: str = ""
    hint: str = ""

    @property
    def refused(self) -> tuple[Asked, ...]:
        """What the file asked for and did not get."""
        return tuple(row for row in self.asked if not row.allowed)

    @property
    def verdict(self) -> str:
        """The report in one sentence."""
        count = len(self.asked)
        kinds = f"{count} kind{'s' * (count != 1)} of objects"
        if self.refused:
            names = ", ".join(row.name for row in self.refused)
            return f"Refused: it asks for {names}, which no model needs. Nothing in it was run."
        if not self.opened:
            return "Not opened. Nothing in it was run."
        if not count:
            return "Harmless: it holds numbers and words alone."
        return f"Harmless: it asks for {kinds}, all of them plain numbers, tables or names. Nothing in it was run."

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SafetyReport:
        """Return the report of such a dict. Raises `CheckpointError` where it is none."""
        try:
            asked = tuple(Asked(**row) for row in values["asked"])
            return cls(**{**values, "asked": asked, "notes": tuple(values.get("notes", ()))})
        except (KeyError, TypeError) as error:
            raise CheckpointError("this is no safety report", "import the model again") from error

    @classmethod
    def read(cls, folder: Path) -> SafetyReport | None:
        """Return the report that an import left in a folder, None where there is none that can be read."""
        try:
            return cls.from_dict(read_json(Path(folder) / FILE_NAME))
        except (OSError, ValueError, CheckpointError):
            return None


def describe(names: Iterable[str]) -> tuple[Asked, ...]:
    """Return names that a file asked for with what they stand for, the refused first."""
    rows = [Asked(name, name in ALLOWED, _meaning(name)) for name in names]
    return tuple(sorted(rows, key=lambda row: (row.allowed, row.name)))


def _meaning(name: str) -> str:
    if name not in ALLOWED:
        return _NEVER_RUN
    if name in STORAGES:
        return "a row of numbers"
    if name in _KINDS:
        return _KINDS[name]
    if name in BY_NAME:
        return "a part of a network by the name of its class, which is not loaded"
    if name.startswith("numpy"):
        return "an array of numbers"
    return "a tensor" if name.startswith("torch.") else "a table or a list"
