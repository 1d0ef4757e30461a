"""PyTorch's two file formats: the zip archive of today and the row of pickles before 1.6."""

from __future__ import annotations

import io
import zipfile
from functools import partial
from typing import Any

from ganlib.models.foreign.pickles import Budget, Name, PickleReader, Stream, Table, damaged_error, refused_error, short
from ganlib.models.foreign.values import Storage

LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_MOST_DIRECTORY_BYTES = 2**21


def _storage_of(pid: Any, fields: int) -> tuple[Storage, str]:
    """Return the storage that a persistent id describes, still without its numbers, and its key."""
    if type(pid) is not tuple or len(pid) != fields or pid[0] != "storage":
        raise refused_error("it refers to something else than the numbers of a tensor")
    _, kind, key, _, numel = pid[:5]
    if not isinstance(kind, Name) or kind.meaning is None or not isinstance(key, str):
        raise refused_error("it refers to numbers of an unknown kind")
    if type(numel) is not int or not 0 <= numel < 2**40:
        raise damaged_error("a tensor in it has an absurd size")
    return Storage(kind.meaning, numel), key


def _same(stored: Storage, again: Storage) -> Storage:
    if (stored.dtype, stored.numel) != (again.dtype, again.numel):
        raise damaged_error("two tensors in it disagree about the numbers they share")
    return stored


def read_legacy(stream: Stream, table: Table, budget: Budget, asked: set[str]) -> Any:
    """Return the value of a file of PyTorch before 1.6 from the stream's position; raises `CheckpointError`."""
    plain = PickleReader({}, budget, asked)
    if plain.read(stream) != _MAGIC_NUMBER or plain.read(stream) != _VERSION:
        raise refused_error("a tensor in it is not in PyTorch's format")
    system = plain.read(stream)
    if type(system) is not dict or system.get("little_endian") is not True:
        raise refused_error("its numbers are in the byte order of another kind of machine")
    storages: dict[str, Storage] = {}

    def find(pid: Any) -> Storage:
        storage, key = _storage_of(pid, 6)
        if pid[5] is not None:
            raise refused_error("its tensors overlap in a way that only very old files do")
        return _same(storages.setdefault(key, storage), storage)

    value = PickleReader(table, budget, asked, find).read(stream)
    keys = plain.read(stream)
    if type(keys) is not list or len(keys) != len(storages) or not all(isinstance(key, str) for key in keys):
        raise damaged_error("its tensors and their list disagree")
    if set(keys) != set(storages):
        raise damaged_error("its tensors and their list disagree")
    for key in keys:
        storage = storages[key]
        numel = int.from_bytes(stream.read(8), "little")
        start = stream.tell()
        if numel != storage.numel or start + storage.bytes > stream.size:
            raise damaged_error("a tensor in it has fewer numbers than it says")
        storage.fetch = partial(_read_at, stream, start, storage.bytes)
        stream.seek(start + storage.bytes)
    return value


def _read_at(stream: Stream, start: int, count: int) -> bytes:
    stream.seek(start)
    return stream.read(count)


def read_zip(stream: Stream, table: Table, budget: Budget, asked: set[str]) -> Any:
    """Return the value of a PyTorch archive; raises `CheckpointError`. The stream stays open while tensors are read."""
    try:
        stream.most_bytes = _MOST_DIRECTORY_BYTES  # the directory's length comes from the file
        archive = zipfile.ZipFile(stream)  # it has the methods that a zip is read by
        stream.most_bytes = stream.size
        entries = {entry.filename: entry for entry in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise damaged_error("it begins as a zip archive and is none") from error
    if len(entries) != len(archive.infolist()):
        raise refused_error("its archive holds one name twice")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries.values()):
        raise refused_error("its archive is compressed or encrypted, which PyTorch's files are not")
    if sum(entry.file_size for entry in entries.values()) > stream.size:
        raise refused_error("its archive unfolds to more data than its size")
    pickles = [name for name in entries if name == "data.pkl" or (name.endswith("/data.pkl") and name.count("/") == 1)]
    if len(pickles) != 1:
        raise refused_error("it is a zip archive, but not one of PyTorch")
    root = pickles[0].removesuffix("data.pkl")
    read = partial(_read_entry, archive)
    if f"{root}byteorder" in entries and read(f"{root}byteorder") != b"little":
        raise refused_error("its numbers are in the byte order of another kind of machine")
    storages: dict[str, Storage] = {}

    def find(pid: Any) -> Storage:
        storage, key = _storage_of(pid, 5)
        entry = entries.get(f"{root}data/{key}")
        if entry is None or entry.file_size != storage.bytes:
            raise damaged_error(f"the numbers of a tensor ({short(key)}) are missing or incomplete")
        storage.fetch = partial(read, entry.filename)
        return _same(storages.setdefault(key, storage), storage)

    data = read(pickles[0])
    return PickleReader(table, budget, asked, find).read(Stream(io.BytesIO(data), len(data)))


def _read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise damaged_error(f"{short(name)} in its archive cannot be read") from error
