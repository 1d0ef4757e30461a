"""Labels in tables: a CSV of files and labels, or the `artists.csv` beside folders of artists."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from ganlib.base.errors import DataError, InputError
from ganlib.base.filesystem import read_regular
from ganlib.dataset.files import Files
from ganlib.dataset.labels import FILE_WORDS, LABEL_WORDS, check_numbers, numbers_of, one_each, read_lists
from ganlib.dataset.text import text_of

ARTISTS_NAME = "artists.csv"
_MOST_BYTES = 64 * 2**20


class ArtistTable:
    """Labels of artists, by a folder or by the beginning of a file's name: `Vincent_van_Gogh_12.jpg`."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.count = len(labels)
        self._labels = {_plain(artist): label for artist, label in labels.items()}

    def label_of(self, picture: str) -> str | None:
        """Return the label of the artist in whose folder the picture lies, the innermost that is an artist's."""
        path = PurePosixPath(picture)
        for part in (*reversed(path.parent.parts), re.sub(r"[_ -]*[0-9]+$", "", path.stem)):
            label = self._labels.get(_plain(part))
            if label:
                return label
        return None


def read_label_file(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return picture → label of a CSV with the columns file and label, and the names of its classes where one-hot lists
    say how many there are; a row of headings may be there or not.

    Where all labels are whole numbers, 2.0 is 2. Raises InputError for a file that is missing, no text, or has fewer
    than two columns, and DataError for a picture with two different labels and for numbers that are no class.
    """
    hint = "Give --labels a CSV with a picture's name and its label in each row."
    try:
        rows = _rows(read_regular(path, max_bytes=_MOST_BYTES))
    except OSError as error:
        raise InputError(f"the table {path} cannot be read: {error.strerror or error}", hint) from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"the table {path} is no CSV: {error}", hint) from error
    first = [cell.strip().casefold() for cell in rows[0]] if rows else []
    file, label = 0, 1
    if headings := [word for word in FILE_WORDS if word in first]:
        file = first.index(headings[0])
        others = [word for i, word in enumerate(first) if i != file]
        named = [word for word in LABEL_WORDS if word in others] or others
        rows, label = rows[1:], first.index(named[0]) if named else 1
    cells = [(row[file].strip(), row[label].strip()) for row in rows if len(row) > max(file, label)]
    cells = [(name, words) for name, words in cells if name and words]
    cells, names = read_lists(cells, str(path), hint)
    check_numbers(cells, str(path), hint)
    numbers = numbers_of(words for _, words in cells)
    pairs = one_each(((name, str(numbers.get(words, words))) for name, words in cells), str(path))
    if not pairs:
        raise InputError(f"the table {path} has no rows of a file and a label", hint)
    return pairs, names


def artists_of(files: Files, column: str) -> ArtistTable:
    """Return each artist's entry in `column` of the source's `artists.csv`; of several, parted by commas, the first.

    Raises DataError for a source without that file, and InputError for a column that it has not.
    """
    found = sorted((name for name in files.names if PurePosixPath(name).name == ARTISTS_NAME), key=len)
    if not found:
        hint = "It belongs to folders of artists; --labels folder takes the folders themselves."
        raise DataError(f"{files.path} has no {ARTISTS_NAME}", hint)
    try:
        rows = _rows(files.read(found[0]))
    except (ValueError, csv.Error) as error:
        raise DataError(f"{found[0]} is no CSV: {error}", "Fetch the set again.") from error
    head = [cell.strip() for cell in rows[0]] if rows else []
    column = column or "name"
    if "name" not in head or column not in head:
        missing = "name" if "name" not in head else column
        raise InputError(f"{found[0]} has no column {missing}", f"It has: {', '.join(head) or 'none'}.")
    name, wanted = head.index("name"), head.index(column)
    pairs = {row[name]: row[wanted].split(",")[0].strip() for row in rows[1:] if len(row) > max(name, wanted)}
    return ArtistTable({artist: label for artist, label in pairs.items() if _plain(artist) and label})


def _rows(data: bytes) -> Sequence[list[str]]:
    """The rows of a table in UTF-8 or UTF-16 or, failing that, what older programs write in the west, parted by what
    its first line has most of."""
    try:
        text = text_of(data)
    except UnicodeDecodeError:
        text = data.decode("mac-roman" if _is_of_a_mac(data) else "cp1252", errors="replace")
    if "\0" in text:
        raise ValueError("it holds NUL characters; save it as text in UTF-8")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]


def _is_of_a_mac(data: bytes) -> bool:
    """Whether text of one byte for each letter is in Mac Roman, whose letters with accents stand where Windows' cp1252,
    but for a few, has signs."""
    return len(re.findall(rb"[\x80-\x90\x94\x96-\x9f]", data)) > len(re.findall(rb"[\xc0-\xff]", data))


def _plain(name: str) -> str:
    """Letters and digits alone, without accents: `Albrecht Dürer`, `Albrecht_Dürer` and `albrecht-durer` are one."""
    split = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in split if c.isalnum())
