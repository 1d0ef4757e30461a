"""What was measured on each picture, kept in one file, so that other thresholds need no further decoding.

    scores.sqlite   pictures: name (as JSON text), identity of the file, measures or error, thumbnail, tile
                    notes: what was found about all of them together

A picture is measured again when its file has changed, or when this program measures differently. The file is whole at
any moment: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ganlib.base.errors import DataError
from ganlib.base.filesystem import check_regular, reason
from ganlib.dataset.checks.measure import TILE_SIDE, VERSION, Measured, Measures
from ganlib.dataset.files import Files

FILE_NAME = "scores.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS pictures
    (name TEXT PRIMARY KEY, identity TEXT NOT NULL, measures TEXT, error TEXT, thumbnail BLOB, tile BLOB);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


def identities(source: Path, names: Sequence[str]) -> dict[str, str]:
    """Return name → what changes when the file does: checksum and size in a zip, time and size in a folder."""
    if source.is_dir():
        found = {}
        for name in names:
            try:
                stat = (source / name).stat()
            except (OSError, ValueError):
                found[name] = f"v{VERSION}"  # reading it will say what is wrong
            else:
                found[name] = f"v{VERSION} {stat.st_size} {stat.st_mtime_ns}"
        return found
    with Files(source) as files:
        stamps = {name: f"v{VERSION} {size} {checksum:08x}" for name, size, checksum in files.stamp()}
    return {name: stamps.get(name, f"v{VERSION}") for name in names}


class Store:
    """The file of scores; made empty where there is none. One process writes, any number read."""

    def __init__(self, path: Path | None) -> None:
        """`path` None keeps everything in memory. Raises DataError for a file that is something else or damaged."""
        self._path = path
        with self._understood():
            if path is not None and path.exists():
                check_regular(path)
            self._base = sqlite3.connect(path or ":memory:", check_same_thread=False)
            self._base.executescript(_TABLES)

    def known(self, wanted: dict[str, str]) -> set[str]:
        """Return the names of which the store has measures or an error of the file with this identity."""
        with self._understood():
            rows = self._base.execute("SELECT name, identity FROM pictures")
            return {name for text, identity in rows if wanted.get(name := json.loads(text)) == identity}

    def add(self, name: str, identity: str, found: Measured | str) -> None:
        """Keep the measures of a picture, or the text of the error that there was; `flush` makes it last."""
        row = (None, found, None, None) if isinstance(found, str) else _row(found)
        values = (_key(name), identity, *row)
        with self._understood():
            self._base.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?, ?)", values)

    def flush(self) -> None:
        """Write what was added to the disk."""
        with self._understood():
            self._base.commit()

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, Measures | str]]:
        """Yield name and measures, or name and error, of those names that the store has."""
        for name in names:
            row = self._one("SELECT measures, error FROM pictures WHERE name = ?", _key(name))
            if row is not None:
                yield name, Measures.from_dict(json.loads(row[0])) if row[0] else _text(row[1])

    def tiles(self, names: Sequence[str]) -> np.ndarray:
        """Return uint8 `[N, TILE_SIDE, TILE_SIDE]` of names that have measures."""
        tiles = np.empty((len(names), TILE_SIDE, TILE_SIDE), np.uint8)
        for i, name in enumerate(names):
            row = self._one("SELECT tile FROM pictures WHERE name = ?", _key(name))
            assert row is not None
            tiles[i] = np.frombuffer(row[0], np.uint8).reshape(TILE_SIDE, TILE_SIDE)
        return tiles

    def thumbnail(self, name: str) -> bytes | None:
        """Return the bytes of a JPEG, or None for a picture that is not known or could not be read."""
        row = self._one("SELECT thumbnail FROM pictures WHERE name = ?", _key(name))
        return None if row is None else row[0]

    def note(self, name: str) -> str | None:
        """Return what `set_note` kept under this name."""
        row = self._one("SELECT value FROM notes WHERE name = ?", name)
        return None if row is None else _text(row[0])

    def set_note(self, name: str, value: str) -> None:
        """Keep a text, in place of an earlier one of this name, on the disk."""
        with self._understood():
            self._base.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))
        self.flush()

    def close(self) -> None:
        """Close the file; what was not flushed is lost."""
        self._base.close()

    def _one(self, query: str, value: str) -> tuple[Any, ...] | None:
        with self._understood(), closing(self._base.execute(query, (value,))) as rows:
            return rows.fetchone()

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            hint = "Is another examination writing there? Is the disk full, or the folder read-only?"
            raise DataError(f"{self._path} cannot be used: {reason(error)}", hint) from error
        except sqlite3.DatabaseError as error:
            raise DataError(f"{self._path} is damaged: {error}", "Delete the file; it is made anew.") from error


def _key(name: str) -> str:
    return json.dumps(name)  # names from damaged systems hold letters that SQLite refuses


def _row(found: Measured) -> tuple[str, None, bytes, bytes]:
    return json.dumps(found.measures.to_dict()), None, found.thumbnail, found.tile.tobytes()


def _text(value: object) -> str:
    return str(value)
