"""Fonts and the letters that they have."""

from __future__ import annotations

import logging
import os
import shutil
import struct
import subprocess
import unicodedata
from collections.abc import Iterator
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path

from PIL import ImageFont, features

from ganlib.base.errors import DataError
from ganlib.base.filesystem import read_regular

logging.getLogger("fontTools").setLevel(logging.ERROR)  # of damaged tables it would say a line each
BUNDLED = Path(__file__).parent / "fonts" / "DejaVuSans-subset.ttf"
MOST_BYTES = 64 * 2**20
_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
_SIGNATURES = (b"\x00\x01\x00\x00", b"OTTO", b"true", b"ttcf")  # compressed ones could unfold without end
_STRIKES = (109, 136, 128, 160, 96, 72, 64, 32)  # sizes that fonts of pictures have, the usual first
_MOST_ENTRIES = 4000
_MOST_READ = 300  # fonts looked into for one letter, where no fc-list says which have it
_FOLDERS = (
    "~/.fonts", "~/.local/share/fonts", "/usr/local/share/fonts", "/usr/share/fonts", "~/Library/Fonts",
    "/Library/Fonts", "/System/Library/Fonts", "C:/Windows/Fonts",
)  # fmt: skip
_PLAIN = ("regular", "book", "medium")
_ODD = ("bold", "italic", "oblique", "thin", "light", "black", "condensed", "mono", "serif", "lastresort", "unifont")


class Face:
    """One font of a file. Two of them are the same only where they are one object."""

    def __init__(self, name: str, data: bytes, index: int = 0) -> None:
        """`data` is the file and `index` the font in a collection. Raises DataError for what is no font."""
        from fontTools.ttLib import TTFont, TTLibError

        self.name, self._data, self._index = name, data, index
        self._last: tuple[float, ImageFont.FreeTypeFont] | None = None
        wrong = DataError(f"{name[:80]} is no font that can be read", "Give a .ttf, .otf or .ttc file.")
        if data[:4] not in _SIGNATURES:
            raise wrong
        try:
            with TTFont(BytesIO(data), fontNumber=index, lazy=True) as font:
                self.letters: frozenset[int] = frozenset(font.getBestCmap() or ())
                self.is_coloured = "CBDT" in font or "sbix" in font
            assert self._open is not None
        except (
            TTLibError, OSError, struct.error, ValueError, LookupError, AssertionError, TypeError, AttributeError,
            ArithmeticError, EOFError,
        ) as error:  # fmt: skip
            raise wrong from error

    @cached_property
    def _open(self) -> tuple[ImageFont.FreeTypeFont, int]:
        """The font and the size that it has where it is one of pictures; else 0."""
        for size in _STRIKES if self.is_coloured else ():
            try:
                return self._at(size), size
            except OSError:
                continue
        return self._at(16), 0

    def _at(self, size: float) -> ImageFont.FreeTypeFont:
        engine = ImageFont.Layout.RAQM if features.check("raqm") else ImageFont.Layout.BASIC
        return ImageFont.truetype(BytesIO(self._data), size, index=self._index, layout_engine=engine)

    def at(self, size: float) -> tuple[ImageFont.FreeTypeFont, float]:
        """The font for letters of `size` pixels, and the factor by which what it draws has to be scaled for that."""
        font, strike = self._open
        if strike:
            return font, size / strike
        if self._last is None or self._last[0] != size:
            self._last = size, self._at(size)
        return self._last[1], 1.0

    def has(self, letters: str) -> bool:
        """Whether it has every one of them."""
        return all(ord(letter) in self.letters for letter in letters)


def open_face(path: Path) -> Face:
    """Return the font of a file that a person named. Raises DataError for what is none."""
    try:
        return Face(path.name, read_regular(path, max_bytes=MOST_BYTES))
    except OSError as error:
        raise DataError(f"the font {path} cannot be read: {error.strerror}", "Give a .ttf or .otf file.") from error


@lru_cache(maxsize=1)
def bundled_face() -> Face:
    """The font that comes with the package."""
    return open_face(BUNDLED)


@lru_cache(maxsize=512)
def system_face(letters: str) -> Face | None:
    """A font of the system that has all these letters, a plain sans where there is a choice; None where there is none.

    Pictures come first for emoji. The look is bounded: `fc-list` where there is one, else some hundreds of files."""
    fits: list[Face] = []
    for path, index in _candidates(letters):
        face = _known_face(path, index)
        if face is None or not face.has(letters):
            continue
        if face.is_coloured or not _are_emoji(letters):
            return face
        fits.append(face)
    return fits[0] if fits else None


@lru_cache(maxsize=_MOST_READ)
def _known_face(path: Path, index: int) -> Face | None:
    try:
        return Face(path.name, read_regular(path, max_bytes=MOST_BYTES), index)
    except (DataError, OSError):
        return None


def _are_emoji(letters: str) -> bool:
    return any(ord(letter) >= 0x2600 and unicodedata.category(letter) == "So" for letter in letters)


def _candidates(letters: str) -> Iterator[tuple[Path, int]]:
    """Files of fonts that may have the letters, and the number of the font inside, the likeliest first."""
    if shutil.which("fc-list"):
        query = ":charset=" + " ".join(f"{ord(letter):x}" for letter in letters)
        try:
            said = subprocess.run(
                ["fc-list", "--format", "%{file}\t%{index}\n", query], capture_output=True, timeout=10, check=True
            ).stdout.decode("utf-8", errors="replace")
        except (OSError, subprocess.SubprocessError):
            said = ""
        rows = [line.split("\t") for line in said.splitlines()[:_MOST_ENTRIES]]
        # Beyond 16 bits the number is that of an instance of a variable font.
        found = {(Path(row[0]), int(row[1]) & 0xFFFF) for row in rows if len(row) == 2 and row[1].isdecimal()}
        yield from sorted(found, key=lambda each: (_oddness(each[0]), each))
        return
    yield from ((path, 0) for path in _files())


@lru_cache(maxsize=1)
def _files() -> tuple[Path, ...]:
    found: list[Path] = []
    entries = 0
    for folder in _FOLDERS:
        for top, _, names in os.walk(Path(folder).expanduser()):
            entries += len(names) + 1
            found += [Path(top, name) for name in names if name.lower().endswith(_SUFFIXES)]
            if entries > _MOST_ENTRIES:
                break
    return tuple(sorted(found, key=lambda path: (_oddness(path), path))[:_MOST_READ])


def _oddness(path: Path) -> int:
    name = path.stem.lower()
    is_plain = any(word in name for word in _PLAIN)
    return sum(word in name for word in _ODD) - is_plain + (path.suffix.lower() not in _SUFFIXES)
