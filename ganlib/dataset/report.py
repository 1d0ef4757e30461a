"""What became of each file of a source: a line in `NAME.report.jsonl`, and a few lines for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ganlib.dataset.classes import Classes
from ganlib.dataset.config import LEAST_RESOLUTION
from ganlib.dataset.frames import Bounds
from ganlib.dataset.labels import doubts_about, numbering_of

TOO_SMALL, NO_LABEL, NO_PICTURE = "too small", "no label", "not a picture file"


@dataclass(frozen=True)
class Item:
    """What became of one source file, or one copy that was made of it."""

    name: str
    status: Literal["kept", "aside", "error"]
    reason: str = ""
    box: Bounds | None = None
    """Left, top, right, bottom of the crop in pixels of the upright source; it may reach beyond it."""
    picture: str = ""
    """Name in the data set; empty unless kept."""
    label: str = ""
    """Name of the class; empty without labels."""
    note: str = ""
    """What is to be known of a picture that is kept: that a part of it is lost."""
    frame: str = ""
    """Which frames were removed: `scan`, `picture` or `scan, picture`; empty if none."""
    copy: str = ""
    """How a copy differs from the picture: `mirror`, `hue` …; empty for the picture itself."""
    aspect: float | None = None
    """Width over height of what was squashed into the square; None if nothing was."""

    def to_dict(self) -> dict[str, Any]:
        """Return the line of the report; `from_dict` restores it."""
        line: dict[str, Any] = {"name": self.name, "status": self.status, "reason": self.reason}
        line["box"] = None if self.box is None else list(self.box)
        rest = {name: getattr(self, name) for name in ("picture", "label", "note", "frame", "copy", "aspect")}
        return line | {name: value for name, value in rest.items() if value}

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> Item:
        """Return the item of a report's line that `to_dict` made."""
        left_out = {} if line["box"] is None else {"box": tuple(line["box"])}
        return cls(**{**line, "box": None, **left_out})


@dataclass(frozen=True)
class PrepareReport:
    """What a preparation did: `aside` and `errors` count the files left out by reason."""

    dest: Path
    report: Path
    kept: int
    """Pictures of the source that are in the set, copies not counted."""
    aside: dict[str, int]
    errors: int
    items: list[Item]
    classes: list[str]
    method: str
    copies: int = 0

    def __str__(self) -> str:
        """Return a few lines for people."""
        lines = [f"{self.kept} of {len(self.items) - self.copies} files kept in {self.dest}"]
        if self.copies:
            lines.append(f"{self.copies:6d} copies of them made")
        lines += [f"{count:6d} set aside: {reason}" for reason, count in self.aside.items()]
        if self.errors:
            lines.append(f"{self.errors:6d} unreadable")
        if self.classes:
            shown = ", ".join(self.classes[:12]) + (" …" if len(self.classes) > 12 else "")
            lines.append(f"{len(self.classes)} classes: {shown}")
            lines += [words for words in [numbering_of(self.classes)] if words]
            lines += [f"warning: {words}" for words in doubts_about(self.class_counts)]
        kept = [item for item in self.items if item.status == "kept" and not item.copy]
        noted = Counter(f"of the kept had a {item.frame} frame, removed" for item in kept if item.frame)
        noted.update("of the kept are cut off: what is whole is used" for item in kept if item.note)
        lines += [f"{count:6d} {words}" for words, count in sorted(noted.items())]
        if self.aside.get(TOO_SMALL, 0) > len(self.items) / 2:
            lines.append(self.size_advice)
        return "\n".join([*lines, f"every file and its reason: {self.report}"])

    @property
    def class_counts(self) -> dict[str, int]:
        """Return how many pictures of the source each class has, by its name."""
        found = Counter(item.label for item in self.items if item.status == "kept" and not item.copy)
        return {name: found[name] for name in self.classes}

    @property
    def size_advice(self) -> str:
        """Return the resolution that the crops would fill, as a sentence; empty if nothing was cropped."""
        sides = [max(item.box[2] - item.box[0], item.box[3] - item.box[1]) for item in self.items if item.box]
        if not sides:
            return ""
        middle = int(np.median(sides))
        fitting = max(2 ** (middle.bit_length() - 1), LEAST_RESOLUTION)
        return f"The middle crop is {middle} pixels wide: use --resolution {fitting}."

    def lines(self) -> bytes:
        """Return the text of `NAME.report.jsonl`: one JSON object per file and per copy, in the order of names."""
        return "".join(json.dumps(item.to_dict()) + "\n" for item in self.items).encode()


def report_path(dest: Path) -> Path:
    """Return where the report of the data set `dest`, a zip or folder, lies: beside it."""
    stem = dest.stem if dest.suffix.lower() == ".zip" else dest.name
    return dest.with_name(f"{stem}.report.jsonl")


def summarise(dest: Path, items: Sequence[Item], method: str, classes: Classes) -> PrepareReport:
    """Return the report of `items`."""
    every = sorted(items, key=lambda item: item.name)
    aside = Counter(item.reason for item in every if item.status == "aside")
    return PrepareReport(
        dest=dest,
        report=report_path(dest),
        kept=sum(item.status == "kept" and not item.copy for item in every),
        aside=dict(sorted(aside.items(), key=lambda pair: (-pair[1], pair[0]))),
        errors=sum(item.status == "error" for item in every),
        items=every,
        classes=classes.names_of({item.label for item in every if item.status == "kept"}),
        method=method,
        copies=sum(bool(item.copy) for item in every),
    )
