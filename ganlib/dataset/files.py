"""A folder tree or a zip as one flat list of named files. Names are keys and are never used to write anything."""

from __future__ import annotations

import errno
import io
import math
import os
import posixpath
import time
import zipfile
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ganlib.base.errors import DataError
from ganlib.base.filesystem import NotRegularError, open_regular
from ganlib.media.images import LOOK_PIXELS, MAX_FILE_BYTES, Look, colour, look, room_to_read
from ganlib.runs import Stopped

PICTURE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif", ".heic", ".heif")
)
_KERNELS = frozenset(("/proc", "/sys", "/dev"))
LOOK_UP_EVERY = 256  # files between two looks whether a stop is asked for
MAX_LIST_BYTES = 256 * 2**20  # of a zip's own list of its files
# What the zip module raises on damaged, encrypted (RuntimeError) or exotic (NotImplementedError) entries.
_ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError)


@dataclass(frozen=True)
class Bounds:
    """How far a look into a folder goes."""

    entries: int
    """Files and folders that are looked at."""
    seconds: float
    """How long it may take."""


ALL = Bounds(5_000_000, math.inf)
GLANCE = Bounds(20_000, 3.0)
"""Of a page that shows some of what there is, while somebody waits."""
MANY = Bounds(1_000_000, 10.0)
"""Of a page that opens a data set, of which every picture has to be known."""


class Files:
    """The files below a folder or in a zip. Dotfiles and `__MACOSX` are left out; the zip stays open until `close`."""

    def __init__(
        self,
        path: Path,
        *,
        bounds: Bounds = ALL,
        may_be_part: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Raises DataError, with the reason, if `path` is neither a folder nor a zip that can be listed.

        A folder is looked through when `names` is asked for, within `bounds`: what lies beyond is told by `unfinished`
        with `may_be_part`, and a DataError without. A folder that may not be read is a DataError; what below it may
        not, links out of the folder, and what the system keeps in /proc, /sys and /dev are left out, and told by
        `skipped`. Raises Stopped when `should_stop()`.
        """
        self.path = Path(path)
        self._archive: zipfile.ZipFile | None = None
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._bounds, self._may_be_part, self._should_stop = bounds, may_be_part, should_stop
        try:
            self._is_folder = self.path.is_dir()
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}", "Check its permissions.") from error
        if not self._is_folder:
            self._archive = open_zip(self.path)
            self._members = {_name_of(entry): entry for entry in self._archive.infolist()}
        elif is_kernels(self.path):
            raise DataError(f"{self.path} belongs to the system and holds no pictures", "Give a folder of pictures.")

    @property
    def names(self) -> list[str]:
        """Every file, in sorted order. Raises as the constructor says."""
        return self._found.names

    @property
    def skipped(self) -> dict[str, str]:
        """What was not looked into, such as a link to a folder, and why."""
        return self._found.skipped

    @property
    def unfinished(self) -> str:
        """Why not everything was looked at, in words; empty where all was."""
        return self._found.unfinished

    @cached_property
    def _found(self) -> _Found:
        if self._archive is not None:
            return _Found(sorted(name for name in self._members if not name.endswith("/") and not _is_hidden(name)))
        found = _walk(self.path, self._bounds, self._should_stop)
        if found.unfinished and not self._may_be_part:
            raise DataError(f"{self.path} holds too much: {found.unfinished}", "Give a folder with less in it.")
        return found

    @property
    def pictures(self) -> list[str]:
        """Return the names whose suffix is a picture's, in sorted order."""
        return list(self._pictures)

    @cached_property
    def _pictures(self) -> list[str]:
        return [name for name in self.names if is_picture_name(name)]

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.names)

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

    def look(
        self, name: str, *, title: str = "", least_side: int = 1, background: str = "#ffffff",
        look_pixels: int = LOOK_PIXELS,
    ) -> Look:  # fmt: skip
        """Return a picture as `images.look` does; errors call it `title`. What is large is read one at a time in a
        process. Raises DataError, and InputError for an unknown colour."""
        with room_to_read(self._size(name)):
            data, ground = self.read(name), colour(background)
            return look(data, name=title or name, least_side=least_side, background=ground, look_pixels=look_pixels)

    def _size(self, name: str) -> int:
        """Bytes of a file; 0 for one that reading will complain of."""
        if self._archive is not None:
            return self._members[name].file_size if name in self._members else 0
        try:
            return (self.path / name).stat().st_size
        except OSError:
            return 0

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


@dataclass
class _Found:
    names: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    unfinished: str = ""


def is_kernels(folder: Path) -> bool:
    """Whether a folder is one of those in which the system shows itself as files (not /dev/shm, which is memory)."""
    real = os.path.realpath(folder)
    return real in _KERNELS or real.startswith(("/proc/", "/sys/"))


def _walk(folder: Path, bounds: Bounds, should_stop: Callable[[], bool]) -> _Found:
    """The files below `folder`, those that are nearest to it first, and what was left out with the reason."""
    found, waiting, count = _Found(), deque([""]), 0
    real, until = Path(os.path.realpath(folder)), time.monotonic() + bounds.seconds
    while waiting:
        below = waiting.popleft()
        try:
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    count += 1
                    if count > bounds.entries or time.monotonic() > until:
                        beyond = count > bounds.entries
                        words = f"more than {bounds.entries:,} files" if beyond else f"more than {count:,} files"
                        found.unfinished = f"{words}; only the first {count - 1:,} were looked at"
                        waiting.clear()
                        break
                    if count % LOOK_UP_EVERY == 0 and should_stop():
                        raise Stopped
                    name = f"{below}/{entry.name}" if below else entry.name
                    if not _is_hidden(entry.name):
                        _sort(entry, name, real, found, waiting)
        except OSError as error:
            if not below:
                words = f"{folder} cannot be read: {error.strerror or error}"
                raise DataError(words, "Check its permissions.") from error
            found.skipped[below] = f"cannot be read: {error.strerror or error}"
    found.names.sort()
    return found


def _sort(entry: os.DirEntry[str], name: str, real: Path, found: _Found, waiting: deque[str]) -> None:
    """Put an entry of a folder among what is taken, what is left out, or what is still to be looked into."""
    try:
        if entry.is_dir(follow_symlinks=False):
            if is_kernels(real / name):
                found.skipped[name] = "the system's own, not looked into"
            else:
                waiting.append(name)
        elif not entry.is_symlink():
            if entry.is_file():
                found.names.append(name)
            else:
                found.skipped[name] = "a device or pipe, not a file"
        elif entry.is_dir():
            found.skipped[name] = "a link to a folder, not followed"
        elif not (real / name).exists():
            found.skipped[name] = "a link that leads nowhere"
        elif not _is_inside(Path(os.path.realpath(real / name)), real):
            found.skipped[name] = "a link out of the folder, not followed"
        elif entry.is_file():
            found.names.append(name)
        else:
            found.skipped[name] = "a device or pipe, not a file"
    except OSError as error:
        is_loop = error.errno == errno.ELOOP
        found.skipped[name] = "a link that leads nowhere" if is_loop else f"cannot be read: {error.strerror or error}"


def _is_inside(target: Path, folder: Path) -> bool:
    """Whether a link leads to where a folder's own files are: in it, or in the `blobs` of the Hub's cache, in which
    every file of `snapshots/REVISION` is such a link."""
    is_cached = folder.parent.name == "snapshots" and target.parent == folder.parents[1] / "blobs"
    return is_cached or target.is_relative_to(folder)


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
