"""The catalogue: a table of well-known public models. It is data, `ganlib/catalogue.json`; nothing is fetched here."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ganlib.base.errors import DataError, InputError
from ganlib.base.filesystem import reason
from ganlib.base.options import check_types
from ganlib.models.rights import read_licence, rights_words
from ganlib.runs.files import read_json

TABLE = Path(__file__).with_name("catalogue.json")
FORMATS = ("nvidia-pickle", "tensorflow-pickle", "rosinality", "state-dict")
"""Kinds of files that the import reads."""


@dataclass(frozen=True)
class Entry:
    """A row: a public model, where it lies, and what may be done with it."""

    name: str
    """Unique; letters, digits and `-`. The model's file gets it too."""
    title: str
    arch: str
    """Architecture in words, such as `StyleGAN3-T`."""
    resolution: int
    """Side of its pictures in pixels."""
    shows: str
    """What its pictures show."""
    address: str
    """https."""
    format: str
    """One of `FORMATS`."""
    licence: str
    """Identifier of `ganlib.models.rights`; `unknown` where its author says nothing."""
    commercial: bool | None
    """Whether its pictures may be sold; None is not known."""
    credit: str
    """Who made it, and of which pictures."""
    source: str
    """The page that states the address."""
    sha256: str | None = None
    """None: nobody has published one."""
    bytes: int | None = None
    """None: not known."""
    notes: str = ""

    @property
    def rights(self) -> str:
        """What the licence allows, in a sentence."""
        return rights_words(self.licence)


@dataclass(frozen=True)
class Catalogue:
    """The whole table."""

    checked: str
    """How far its facts were verified."""
    entries: tuple[Entry, ...]


def read_catalogue(path: Path = TABLE) -> Catalogue:
    """Read a table; raises `DataError` that names the row and what is wrong with it."""
    try:
        value: Any = read_json(path)
        rows, checked = value["models"], str(value["checked"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "copy it again from the studio's own files"
        raise DataError(f"{path.name} is no catalogue: {reason(error)}", hint) from error
    entries: list[Entry] = []
    for number, row in enumerate(rows, 1):
        try:
            entries.append(_checked(Entry(**check_types(Entry, row))))
        except (InputError, TypeError) as error:
            text = error.message if isinstance(error, InputError) else str(error)
            raise DataError(f"{path.name}, row {number}: {text}", f"a row has {_FIELDS}") from error
    names = [entry.name for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path.name} has {', '.join(twice)} twice", "names are unique")
    return Catalogue(checked, tuple(entries))


@cache
def catalogue() -> Catalogue:
    """Return the studio's own catalogue."""
    return read_catalogue()


def find_entry(name: str) -> Entry:
    """Return the row of that name; raises `InputError` that lists those that are like it."""
    entries = catalogue().entries
    for entry in entries:
        if entry.name == name:
            return entry
    word = name.lower().partition("-")[0]
    near = [entry.name for entry in entries if word and word in entry.name] or [entry.name for entry in entries]
    hint = f"it has {', '.join(near[:12])}; all of it: python -m ganlib catalogue"
    raise InputError(f"the catalogue has no {name[:60]!r}", hint)


_FIELDS = ", ".join(item.name for item in fields(Entry))


def _checked(entry: Entry) -> Entry:
    """The row, where its facts agree with one another. Raises `InputError`."""
    licence, place = read_licence(entry.licence), urlsplit(entry.address)
    problems = {
        "a name has letters, digits and '-'": not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.name),
        "its address is not https": place.scheme != "https" or not place.hostname or "@" in place.netloc,
        "its source is not https": not entry.source.startswith("https://"),
        f"its format is none of {', '.join(FORMATS)}": entry.format not in FORMATS,
        "its licence is not written as in ganlib.models.rights": entry.licence != licence.id,
        "commercial is not what its licence says": entry.commercial is not licence.commercial,
        "its sha256 is none": entry.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", entry.sha256),
        "its size is none": entry.bytes is not None and entry.bytes <= 0,
        "its side is no power of two": entry.resolution < 4 or entry.resolution & (entry.resolution - 1) != 0,
        "a text is empty": not all((entry.title, entry.arch, entry.shows, entry.credit)),
    }
    if wrong := [words for words, is_so in problems.items() if is_so]:
        raise InputError(f"{entry.name}: {'; '.join(wrong)}")
    return entry
