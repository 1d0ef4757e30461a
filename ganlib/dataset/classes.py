"""Which class each picture of a source belongs to: said by its folder, its name, or the labels the source came with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ganlib.dataset.config import ARTISTS
from ganlib.dataset.files import Files
from ganlib.dataset.reader import CARD_NAME, LABELS_NAME, MAX_CLASSES
from ganlib.dataset.tables import LabelTable, artists_of, read_label_file
from ganlib.errors import DataError

_RULES = {
    "folder": "--labels folder takes the folder that a picture lies in",
    "prefix": "--labels prefix takes a picture's name up to the first _",
    "keep": "--labels keep takes the classes in the source's dataset.json",
    "table": "the table's first column names a picture as in the source, with or without its folder and suffix",
    "artists": "artists.csv has a column name, and pictures lie in folders such as Vincent_van_Gogh",
}


@dataclass(frozen=True)
class Classes:
    """A rule for finding a picture's class."""

    rule: str
    """`none`, `folder`, `prefix`, `keep`, `table` or `artists`."""
    names: tuple[str, ...] = ()
    """With `keep`, the source's classes in the order of their numbers."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """With `keep`, the number of each picture's class."""
    table: LabelTable | None = None
    """With `table` and `artists`, what finds a picture's class."""

    def of(self, picture: str) -> str | None:
        """Return the name of a picture's class; empty without classes, None where this picture has none."""
        if self.rule == "none":
            return ""
        if self.rule == "keep":
            return self.names[self.numbers[picture]] if picture in self.numbers else None
        if self.table is not None:
            return self.table.label_of(picture)
        path = PurePosixPath(picture)
        if self.rule == "folder":
            return path.parent.name or None
        prefix, separator, _ = path.stem.partition("_")
        return prefix if separator and prefix else None

    def hint(self, pictures: list[str]) -> str:
        """Return what to do when no picture has a class."""
        shown = ", ".join(pictures[:3]) + (" …" if len(pictures) > 3 else "")
        return f"{_RULES[self.rule]}; here they are called {shown}. Use --labels none to go without."


def find_classes(files: Files, rule: str) -> tuple[Classes, str]:
    """Return how the classes of `files` are found, and what is to be said about it (empty: nothing).

    `keep` is `none` for a source without labels, and for one whose dataset.json is something else. Raises DataError for
    a table that is missing or is none.
    """
    if rule.lower().endswith(".csv"):
        labels = read_label_file(Path(rule))
        return Classes("table", table=labels), f"{labels.count} labels in {Path(rule).name}"
    if rule.startswith(ARTISTS):
        artists = artists_of(files, rule.removeprefix(ARTISTS))
        return Classes("artists", table=artists), f"{artists.count} artists in artists.csv"
    if rule != "keep":
        return Classes(rule), ""
    if LABELS_NAME not in files.names:
        return Classes("none"), ""
    pairs = read_object(files, LABELS_NAME).get("labels", "")
    if pairs is None:
        return Classes("none"), ""
    try:
        numbers = {name: number for name, number in pairs}
    except (TypeError, ValueError):
        numbers = {}
    if not numbers or not all(isinstance(name, str) and _is_class(number) for name, number in numbers.items()):
        return Classes("none"), f"{LABELS_NAME} holds no [picture, class] pairs: no labels are kept"
    named = read_object(files, CARD_NAME).get("classes")
    known = [str(name) for name in named] if isinstance(named, list) else []
    count = max(max(numbers.values()) + 1, len(known))
    if len(known) < count or len(set(known)) < count or "" in known:
        known = [str(i) for i in range(count)]
    return Classes("keep", tuple(known), numbers), f"{count} classes are kept from {LABELS_NAME}"


def read_object(files: Files, name: str) -> dict[str, Any]:
    """Return the JSON object in a file of the source; empty without one."""
    if name not in files.names:
        return {}
    try:
        value = json.loads(files.read(name).decode("utf-8"))
    except (DataError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_class(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < MAX_CLASSES
