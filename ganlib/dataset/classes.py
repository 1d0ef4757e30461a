"""Which class each picture of a source belongs to: said by its folder, its name, or the labels the source came with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ganlib.dataset.config import ARTISTS
from ganlib.dataset.files import MANY, Files
from ganlib.dataset.labels import LABELS_NAME, numbers_of, read_labels
from ganlib.dataset.tables import artists_of, read_label_file
from ganlib.dataset.text import find_own, match, read_object

_RULES = {
    "folder": "--labels folder takes the folder that a picture lies in",
    "prefix": "--labels prefix takes a picture's name up to the first _",
    "given": "the labels name other pictures",
    "artists": "artists.csv has a column name, and pictures lie in folders such as Vincent_van_Gogh",
}
_SHOWN = 3


@dataclass(frozen=True)
class Classes:
    """A rule for finding a picture's class."""

    rule: str
    """`none`, `folder`, `prefix`, `artists`, or `given` for the classes of single pictures."""
    names: tuple[str, ...] = ()
    """Of the classes, in the order of their numbers; empty where they are those of the pictures, sorted."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The name of each picture's class."""
    is_own: bool = False
    """Whether they stand in the source's own dataset.json."""

    keeps_all: bool = True
    """Whether a class keeps its number even where none of its pictures is kept."""

    def of(self, picture: str) -> str | None:
        """Return the name of a picture's class; empty without classes, None where this picture has none."""
        return "" if self.rule == "none" else self.labels.get(picture)

    def names_of(self, kept: Collection[str]) -> list[str]:
        """Return the names of all classes of a set, in the order of their numbers, of those of its pictures."""
        if self.names and self.keeps_all:
            return list(self.names)
        there = set(kept)
        return [name for name in self.names or sorted(there) if name and name in there]

    def hint(self, pictures: list[str]) -> str:
        """Return what to do when no picture has a class."""
        return f"{_RULES[self.rule]}; here they are called {_listed(pictures)}. Use --labels none to go without."


def find_classes(files: Files, rule: str) -> tuple[Classes, list[str]]:
    """Return how the classes of `files` are found, and what is to be said about it.

    `keep` is `none` for a source without labels. Raises DataError for labels that are no classes, and for a table that
    is missing or is none.
    """
    if rule.lower().endswith(".csv"):
        listed, names = read_label_file(Path(rule))
        labels, unknown = match(listed, files.pictures)
        said = [f"{len(listed)} labels in {Path(rule).name}", *_strangers(unknown)]
        return _ordered("given", labels, [*listed.values(), *names]), said
    if rule.startswith(ARTISTS):
        artists = artists_of(files, rule.removeprefix(ARTISTS))
        found = {picture: label for picture in files.pictures if (label := artists.label_of(picture))}
        return _ordered("artists", found, found.values()), [f"{artists.count} artists in artists.csv"]
    if rule in ("folder", "prefix"):
        found = {picture: label for picture in files.pictures if (label := _in_name(picture, rule))}
        return _ordered(rule, found, found.values()), []
    if rule not in ("keep", "used"):
        return Classes(rule), []
    own = read_labels(files)
    if not own.names:
        return Classes("none"), _why_none(files)
    given = {picture: own.names[number] for picture, number in own.numbers.items()}
    said = [f"{len(own.names)} classes in {LABELS_NAME}", *_strangers(own.unknown)]
    return Classes("given", own.names, given, is_own=True, keeps_all=rule == "keep"), said


def look_at_classes(source: Path, rule: str, should_stop: Callable[[], bool] = lambda: False) -> list[str]:
    """Return what a preparation would say of the classes of `source`; nothing of a folder beyond `MANY`.

    Raises as `find_classes`, DataError for a source that cannot be read, and Stopped when `should_stop()`."""
    with Files(source, bounds=MANY, may_be_part=True, should_stop=should_stop) as files:
        said = find_classes(files, rule)[1]
        return [] if files.unfinished else said


def _in_name(picture: str, rule: str) -> str:
    path = PurePosixPath(picture)
    if rule == "folder":
        return path.parent.name.strip()
    prefix, separator, _ = path.stem.partition("_")
    return prefix.strip() if separator else ""


def _ordered(rule: str, labels: Mapping[str, str], every: Collection[str]) -> Classes:
    """Classes by `labels`. Where `every` name of one is a whole number they are in the order of these, and those that
    are numbered from 0 without a gap keep their numbers."""
    numbers = numbers_of(every)
    if not numbers:
        return Classes(rule, labels=labels)
    order = sorted(set(numbers.values()))
    plain = {picture: str(numbers[label]) for picture, label in labels.items()}
    return Classes(rule, tuple(map(str, order)), plain, keeps_all=order == list(range(len(order))))


def _strangers(names: Sequence[str]) -> list[str]:
    return [f"warning: labels for pictures that are not here: {len(names):,} ({_listed(names)})"] if names else []


def _why_none(files: Files) -> list[str]:
    """What is to be said of a source that has a file of that name and no labels."""
    if find_own(files, LABELS_NAME) is not None:
        value = read_object(files, LABELS_NAME)
        words = f"{LABELS_NAME} says nothing of labels"
        if "labels" in value and value["labels"] is None:
            words = f'{LABELS_NAME} says that there are no labels ("labels": null)'
        elif value and "labels" not in value:  # else it says so itself
            words = f"warning: {words} (it has {_listed(list(value))})"
        return [f"{words}: the set has no classes"]
    others = [name for name in files.names if PurePosixPath(name).name.casefold() == LABELS_NAME]
    if others and PurePosixPath(others[0]).name != LABELS_NAME:
        return [f"warning: {others[0]} is not read, the set has no classes: call it {LABELS_NAME}"]
    deeper = [name for name in files.names if PurePosixPath(name).name == LABELS_NAME]
    words = "are about parts of the pictures" if len(deeper) > 1 else "is about a part of the pictures"
    hint = "give its folder alone as the source to keep them"
    return [f"warning: {_listed(deeper)} {words}: no labels are kept; {hint}"] if deeper else []


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
