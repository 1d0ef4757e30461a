"""Reading stats.jsonl again and again while it grows, also after stops and resumes."""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from ganlib.base.filesystem import MOST_LINES_BYTES, open_regular
from ganlib.runs.files import parse_json

FILES_KEPT = 8  # files whose records stay in memory
PROGRESS_KEY = "Progress/kimg"
_FINGERPRINT = 64  # bytes before the place that was read up to: they tell a file that grew from another one

Record = dict[str, Any]
Item = TypeVar("Item")


class _Growing:
    """The whole lines read so far of one file."""

    def __init__(self) -> None:
        self._inode, self._offset, self._before = -1, 0, b""
        self._records: list[Record] = []

    def update(self, path: Path) -> list[Record]:
        """Read what was appended since the last time; return every record that holds."""
        with open_regular(path, max_bytes=MOST_LINES_BYTES) as file:
            inode = os.fstat(file.fileno()).st_ino
            file.seek(self._offset - len(self._before))
            if inode != self._inode or file.read(len(self._before)) != self._before:
                self._inode, self._offset, self._before, self._records = inode, 0, b"", []
                file.seek(0)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        for line in data[:whole].splitlines():
            _add(self._records, line)
        self._offset += whole
        self._before = (self._before + data[:whole])[-_FINGERPRINT:]
        records = list(self._records)
        _add(records, data[whole:])  # torn, or the last line of a file that ends without a line break
        return records


_files: OrderedDict[str, _Growing] = OrderedDict()
_guard = threading.Lock()


def read_records(path: Path) -> list[Record]:
    """The records of `path` that hold, oldest first; empty without a readable file. See `RunDir.stats`."""
    with _guard:
        key = str(path.absolute())
        growing = _files.setdefault(key, _Growing())
        _files.move_to_end(key)
        while len(_files) > FILES_KEPT:
            _files.popitem(last=False)
        try:
            return growing.update(path)
        except (OSError, ValueError):  # ValueError: NUL in the path
            del _files[key]
            return []


def thin(items: Sequence[Item], limit: int) -> list[Item]:
    """At most `limit` of the items, evenly spread, the last and (from two on) the first among them."""
    if limit >= len(items) or limit < 2:
        return list(items[max(len(items) - max(limit, 0), 0) :])
    last = len(items) - 1
    return [items[round(i * last / (limit - 1))] for i in range(limit)]


def _add(records: list[Record], line: bytes) -> None:
    """Append the record in `line`, if there is one, and drop the earlier ones that it overtakes."""
    try:
        record = parse_json(line.decode("utf-8", errors="replace"))
    except ValueError:
        return
    if not isinstance(record, dict):
        return
    position = _position(record)
    if position is not None:
        start = len(records)
        for i in range(len(records) - 1, -1, -1):
            earlier = _position(records[i])
            if earlier is not None and earlier < position:
                break
            if earlier is not None:
                start = i
        records[start:] = [old for old in records[start:] if _position(old) is None]
    records.append(record)


def _position(record: Record) -> float | None:
    """How far the work was, where the record says so in finite numbers."""
    value = record.get(PROGRESS_KEY)
    if isinstance(value, dict):
        value = value.get("mean")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
