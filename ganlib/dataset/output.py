"""A data set while it is written: a zip or a folder that a killed preparation can go on with.

Until it is whole, `.NAME.partial` stands beside the destination, and in `.NAME.partial.jsonl` a line for each source
file that is done. Whoever starts the same preparation again finds both, checks every picture's checksum and goes on
after the last one, so that the finished set has the same bytes as one that was never interrupted.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ganlib.base.errors import InputError, RunError
from ganlib.base.filesystem import read_regular
from ganlib.dataset.labels import CARD_NAME, LABELS_NAME
from ganlib.dataset.report import Item
from ganlib.runs.files import lock

_TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold; the same input gives the same bytes
_LOCAL_HEADER = 30  # bytes before the name of an entry in a zip
_OWN_FOLDER = re.compile(r"\d{5}")  # of pictures, in a folder set

Entry = tuple[str, int, int]  # a picture's name in the set, its length in bytes, its CRC-32


class _Store(Protocol):
    """Where the files of a set go, under a temporary name."""

    def resume(self, entries: Sequence[Entry]) -> int:
        """Keep the first entries, as many as are whole, and drop what follows; return how many they are."""

    def write(self, name: str, data: bytes) -> None: ...

    def flush(self) -> None:
        """Let what was written survive the end of this process."""

    def close(self) -> None: ...

    def publish(self) -> None:
        """Put the closed set in the place of the old one."""

    def discard(self) -> None: ...


class Output:
    """The set `dest` while it is written, by `open_output`; `done` holds what an interrupted preparation had made."""

    def __init__(self, dest: Path, fingerprint: str) -> None:
        """Go on with what has the same `fingerprint`; anything else that was left is dropped."""
        self.done: list[list[Item]] = []
        self.num_pictures = 0
        self._store: _Store = _ZipStore(dest) if dest.suffix.lower() == ".zip" else _FolderStore(dest)
        self._state_path = state_path(dest)
        self._state = self._state_path.open("r+b")
        self._resume(fingerprint)

    def add(self, outcomes: Sequence[tuple[Item, bytes]]) -> list[Item]:
        """Write the pictures made of one source file, number them, and return the items with their names."""
        items, entries = [], []
        for item, data in outcomes:
            if data:
                number = f"{self.num_pictures:08d}"
                item = replace(item, picture=f"{number[:5]}/img{number}.png")
                self._store.write(item.picture, data)
                entries.append((item.picture, len(data), zlib.crc32(data)))
                self.num_pictures += 1
            items.append(item)
        self._store.flush()
        self._append({"items": [item.to_dict() for item in items], "entries": entries})
        return items

    def finish(self, labels: bytes, card: bytes) -> None:
        """Write labels and card, and put the set in its place."""
        self._store.write(LABELS_NAME, labels)
        self._store.write(CARD_NAME, card)
        self._store.close()
        self._store.publish()
        self._forget()

    def discard(self) -> None:
        """Remove what was written."""
        self._store.close()
        self._store.discard()
        self._forget()

    def close(self) -> None:
        """Leave what was written for the next time; after `finish` and `discard`, nothing is left."""
        self._state.close()
        with suppress(OSError):  # on a full disk the end of the zip is missing, which the next time writes
            self._store.close()

    def _resume(self, fingerprint: str) -> None:
        lines = list(_lines(self._state))
        position = 0
        if lines and lines[0][0].get("fingerprint") == fingerprint:
            position = lines[0][1]
            records = [(record, end) for record, end in lines[1:] if "items" in record]
            entries = [(str(n), int(s), int(c)) for record, _ in records for n, s, c in record["entries"]]
            whole = self._store.resume(entries)
            for record, end in records:
                if self.num_pictures + len(record["entries"]) > whole:
                    break
                self.done.append([Item.from_dict(line) for line in record["items"]])
                self.num_pictures += len(record["entries"])
                position = end
            if self.num_pictures < whole:
                self._store.resume(entries[: self.num_pictures])
        else:
            self._store.resume([])
        self._state.truncate(position)
        self._state.seek(position)
        if position == 0:
            self._append({"fingerprint": fingerprint})

    def _append(self, record: dict[str, Any]) -> None:
        self._state.write(json.dumps(record).encode() + b"\n")
        self._state.flush()

    def _forget(self) -> None:
        self._state.close()
        self._state_path.unlink(missing_ok=True)


@contextmanager
def open_output(dest: Path, fingerprint: str) -> Iterator[Output]:
    """Yield the `Output` of `dest`, which no other process can write to meanwhile.

    Raises InputError where its folder cannot be made, where it is a folder of other things, and where another process
    is preparing it.
    """
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        _check_replaceable(dest)
        state_path(dest).touch()
    except OSError as error:
        reason = f"{dest.parent} cannot be made or written to: {error.strerror}"
        raise InputError(reason, "Give --dest a folder that can be written to.") from error
    with ExitStack() as stack:
        if os.name == "posix":
            try:
                stack.enter_context(lock(state_path(dest)))
            except RunError as error:
                raise InputError(f"{dest} is being prepared by another process", "Wait for it, or end it.") from error
        output = Output(dest, fingerprint)
        stack.callback(output.close)
        yield output


def state_path(dest: Path) -> Path:
    """Return the file that holds what is done of `dest` while it is incomplete."""
    return dest.with_name(f".{dest.name}.partial.jsonl")


def _check_replaceable(dest: Path) -> None:
    """A folder that is replaced whole must hold nothing but a set."""
    if not dest.is_dir():
        return
    for path in dest.iterdir():
        if path.name not in (LABELS_NAME, CARD_NAME) and not (path.is_dir() and _OWN_FOLDER.fullmatch(path.name)):
            raise InputError(
                f"{dest} is a folder that holds other things, such as {path.name}",
                "Give --dest a new folder, or the name of a .zip.",
            )


def _lines(file: BinaryIO) -> Iterator[tuple[dict[str, Any], int]]:
    """The records of a state file with the position after each, as far as they are whole."""
    position = 0
    for line in file:
        try:
            record = json.loads(line)
        except ValueError:
            return
        if not line.endswith(b"\n") or not isinstance(record, dict):
            return
        position += len(line)
        yield record, position


class _ZipStore:
    """A zip of uncompressed files."""

    def __init__(self, dest: Path) -> None:
        self._dest, self._path = dest, dest.with_name(f".{dest.name}.partial")
        self._archive: zipfile.ZipFile | None = None
        self._file: BinaryIO | None = None

    def resume(self, entries: Sequence[Entry]) -> int:
        self.close()
        self._path.touch()
        file, position, infos = self._path.open("r+b"), 0, []
        for name, size, checksum in entries:
            header = _LOCAL_HEADER + len(name.encode())
            file.seek(position + header)
            data = file.read(size)
            if len(data) != size or zlib.crc32(data) != checksum:
                break
            info = _entry(name)
            info.header_offset, info.CRC, info.file_size, info.compress_size = position, checksum, size, size
            infos.append(info)
            position += header + size
        file.seek(position)
        file.truncate()
        self._file, self._archive = file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._archive.filelist.extend(infos)
        self._archive.NameToInfo.update((info.filename, info) for info in infos)
        return len(infos)

    def write(self, name: str, data: bytes) -> None:
        assert self._archive is not None
        self._archive.writestr(_entry(name), data)

    def flush(self) -> None:
        assert self._file is not None
        self._file.flush()

    def close(self) -> None:
        if self._archive is None or self._file is None:
            return
        archive, file, self._archive, self._file = self._archive, self._file, None, None
        with file:
            archive.close()
            file.flush()
            os.fsync(file.fileno())

    def publish(self) -> None:
        self._path.replace(self._dest)

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)


class _FolderStore:
    """A folder of files."""

    def __init__(self, dest: Path) -> None:
        self._dest, self._path = dest, dest.with_name(f".{dest.name}.partial")

    def resume(self, entries: Sequence[Entry]) -> int:
        if not entries:
            self.discard()
        self._path.mkdir(exist_ok=True)
        for i, (name, size, checksum) in enumerate(entries):
            path = self._path / name
            if not path.is_file() or path.stat().st_size != size:
                return i
            if zlib.crc32(read_regular(path, max_bytes=size)) != checksum:
                return i
        return len(entries)

    def write(self, name: str, data: bytes) -> None:
        path = self._path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    def flush(self) -> None:
        return  # each file was closed when it was written

    def close(self) -> None:
        return

    def publish(self) -> None:
        old = self._dest.with_name(f".{self._dest.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self._dest.is_dir():
            self._dest.rename(old)
        self._path.rename(self._dest)
        shutil.rmtree(old, ignore_errors=True)

    def discard(self) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIMESTAMP)
    entry.external_attr = 0o644 << 16
    return entry
