"""A folder tree or a zip as one flat list of named files. Names are keys and are never used to write anything."""

from __future__ import annotations

import io
import os
import posixpath
import zipfile
import zlib
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from ganlib.errors import DataError
from ganlib.filesystem import NotRegularError, open_regular

PICTURE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif", ".heic", ".heif")
)
MAX_LIST_BYTES = 256 * 2**20  # of a zip's own list of its files
MAX_FILE_BYTES = 512 * 2**20  # of one picture file; a zip can claim to hold far more than the disk
# What the zip module raises on damaged, encrypted (RuntimeError) or exotic (NotImplementedError) entries.
_ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError)


class Files:
    """The files below a folder or in a zip. Dotfiles and `__MACOSX` are left out; the zip stays open until `close`."""

    def __init__(self, path: Path) -> None:
        """Raises DataError, with the reason, if `path` is neither a folder nor a zip that can be listed."""
        self.path = Path(path)
        self._archive: zipfile.ZipFile | None = None
        self._members: dict[str, zipfile.ZipInfo] = {}
        self.skipped: dict[str, str] = {}
        """What was not looked into, such as a link to a folder, and why."""
        if self.path.is_dir():
            names, self.skipped = _walk(self.path)
        else:
            self._archive = open_zip(self.path)
            self._members = {_name_of(entry): entry for entry in self._archive.infolist()}
            names = [name for name in self._members if not name.endswith("/")]
        self._names = frozenset(name for name in names if not _is_hidden(name))
        self.names: list[str] = sorted(self._names)

    @property
    def pictures(self) -> list[str]:
        """Return the names whose suffix is a picture's, in sorted order."""
        return list(self._pictures)

    @cached_property
    def _pictures(self) -> list[str]:
        return [name for name in self.names if is_picture_name(name)]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def read(self, name: str, num_bytes: int | None = None) -> bytes:
        """Return the bytes of a file, or its first `num_bytes`. Raises DataError that names the file."""
        try:
            if self._archive is None:
                file = self.path / name
                if num_bytes is None and file.stat().st_size > MAX_FILE_BYTES:
                    raise _too_large(name, file.stat().st_size)
                with open_regular(file) as stream:
                    return stream.read(MAX_FILE_BYTES if num_bytes is None else num_bytes)
            entry = self._members[name]
            if num_bytes is None and entry.file_size > MAX_FILE_BYTES:
                raise _too_large(name, entry.file_size)
            with self._archive.open(entry) as member:
                return member.read(MAX_FILE_BYTES if num_bytes is None else num_bytes)
        except KeyError:
            raise DataError(f"{self.path.name} has no file {name}", "Prepare the set again.") from None
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error.strerror or error}", "Check its permissions.") from error
        except _ZIP_DAMAGE as error:
            raise DataError(f"{name} cannot be unpacked: {error}", "Make the zip again, without a password.") from error

    def stamp(self) -> list[tuple[str, int, int]]:
        """Return name, length and checksum (in a folder: time of change) of each file; it changes when the files do."""
        if self._archive is not None:
            return [(name, self._members[name].file_size, self._members[name].CRC) for name in self.names]
        facts = []
        for name in self.names:
            try:
                status = (self.path / name).stat()
            except OSError:  # it was there a moment ago
                continue
            facts.append((name, status.st_size, status.st_mtime_ns))
        return facts

    def close(self) -> None:
        """Close the zip; a folder has nothing to close."""
        if self._archive is not None:
            self._archive.close()

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def is_picture_name(name: str) -> bool:
    """Return whether the suffix of `name` is one of `PICTURE_SUFFIXES`."""
    return posixpath.splitext(name)[1].lower() in PICTURE_SUFFIXES


def _walk(folder: Path) -> tuple[list[str], dict[str, str]]:
    """The files below `folder`, and what was left out with the reason."""
    found: list[str] = []
    skipped: dict[str, str] = {}

    def name_of(top: str, name: str) -> str:
        below = os.path.relpath(top, folder)
        return name if below == os.curdir else f"{below}/{name}".replace(os.sep, "/")

    def refused(error: OSError) -> None:
        skipped[name_of(*os.path.split(str(error.filename)))] = f"cannot be read: {error.strerror}"

    for top, folders, files in os.walk(folder, onerror=refused):
        for name in files:
            if (Path(top) / name).is_file():
                found.append(name_of(top, name))
            elif not _is_hidden(name):
                is_link = (Path(top) / name).is_symlink()
                skipped[name_of(top, name)] = "a link that leads nowhere" if is_link else "a device or pipe, not a file"
        for name in folders:
            if (Path(top) / name).is_symlink() and not _is_hidden(name):
                skipped[name_of(top, name)] = "a link to a folder, not followed"
    return found, skipped


def _is_hidden(name: str) -> bool:
    return any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in name.split("/"))


def _name_of(entry: zipfile.ZipInfo) -> str:
    """The name of a zip's member with `/` between folders, and in UTF-8 where whoever zipped it forgot to say so."""
    name = entry.filename.replace("\\", "/")
    if not entry.flag_bits & 0x800:  # else its bytes are said to be UTF-8; without the flag they were read as cp437
        with suppress(ValueError):
            name = name.encode("cp437").decode("utf-8")
    return name


class _Zip(zipfile.ZipFile):
    """A zip that closes its file with itself, and does not take any length from it."""

    def __init__(self, path: Path) -> None:
        self._stream = _Careful(open_regular(path))
        try:
            super().__init__(self._stream)
        except BaseException:
            self._stream.close()
            raise

    def close(self) -> None:
        super().close()
        self._stream.close()


class _Careful(io.BufferedReader):
    """Refuses to read a list of files that is said to be larger than any real one: it is read at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_LIST_BYTES:
            raise zipfile.BadZipFile(f"a list of files of {size:,} bytes")
        return super().read(size)


def open_zip(path: Path) -> zipfile.ZipFile:
    """Return an open zip. Raises DataError for what is missing, unreadable, damaged or no zip."""
    hint = "Give a folder of pictures or a .zip of them."
    if not path.exists():
        beside = sorted(p.name for p in path.parent.glob("*.zip"))[:5] if path.parent.is_dir() else []
        raise DataError(f"{path} does not exist", f"Beside it: {', '.join(beside)}." if beside else hint)
    try:
        with open_regular(path) as file:
            head = file.read(512)
        if not head:
            raise DataError(f"{path} is empty (0 bytes)", "Copy or download it again.")
        return _Zip(path)
    except NotRegularError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", hint) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", "Check its permissions.") from error
    except _ZIP_DAMAGE:
        what = "a zip that is damaged or cut off" if head.startswith(b"PK") else "not a zip archive"
        raise DataError(f"{path} is {what}", "Copy or download it again." if head.startswith(b"PK") else hint) from None


def _too_large(name: str, size: int) -> DataError:
    return DataError(f"{name} unpacks to {size:,} bytes; {MAX_FILE_BYTES:,} are allowed", "Make it smaller first.")
