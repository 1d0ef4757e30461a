"""Opening files that others name: regular files alone, and never more bytes than was agreed.

A device or a pipe has no end, or blocks whoever opens it; a pseudo file such as /proc/kmsg calls itself regular, of
0 bytes, and blocks as well. What is refused is an `OSError` with a `strerror` for a person, so that code which already
tells why a file cannot be read tells these reasons too.
"""

from __future__ import annotations

import errno
import fnmatch
import io
import os
import stat
from pathlib import Path

OpenFile = io.BufferedReader | io.BytesIO
MOST_LINES_BYTES = 2**29
"""Of a report, a list or a log: more than any real one has."""
MOST_ENTRIES = 100_000
"""Of one folder that is listed: more than any run or collection puts side by side."""
_NOT_A_FILE = {
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
}  # fmt: skip
# Without O_NONBLOCK, a pipe that took the file's place between look and opening would be waited for.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class NotRegularError(OSError):
    """What a path leads to is a device, a pipe or a socket."""


class TooLargeError(OSError):
    """A file holds more bytes than will be read of it, or a folder more entries than will be listed."""


def check_regular(path: Path | str, *, max_bytes: int | None = None) -> os.stat_result:
    """Return the status of the regular file at `path`, links followed, opening nothing.

    For files that another library opens by name. Raises `NotRegularError`, `TooLargeError` above `max_bytes`, and any
    other OSError (`IsADirectoryError` for a folder).
    """
    return _checked(Path(path).stat(), path, max_bytes)


def open_regular(path: Path | str, *, max_bytes: int | None = None) -> OpenFile:
    """Return the regular file at `path`, open for reading. Raises as `check_regular`.

    `max_bytes`: the largest size that is accepted, None for any. A file that says that it is empty is read as empty.
    """
    return _open(path, max_bytes)[0]


def is_folder(path: Path | str) -> bool:
    """Whether `path` is a folder, or a link to one; not for a name that no file can have: one of 300 letters."""
    return os.path.isdir(path)  # noqa: PTH112 (before Python 3.14, Path.is_dir raises OSError for such a name)


def read_regular(path: Path | str, *, max_bytes: int) -> bytes:
    """Return the bytes of the regular file at `path`, as many as it had when it was opened. Raises as `check_regular`.

    `max_bytes`: the largest size that is accepted.
    """
    file, size = _open(path, max_bytes)
    with file:
        return file.read(size)


def read_text_regular(path: Path | str, *, max_bytes: int, encoding: str = "utf-8", errors: str = "strict") -> str:
    """Return the text of the regular file at `path`, line ends as `\\n`.

    Raises as `check_regular`, and UnicodeDecodeError.
    """
    return read_regular(path, max_bytes=max_bytes).decode(encoding, errors).replace("\r\n", "\n").replace("\r", "\n")


def list_names(folder: Path | str, pattern: str = "*", *, max_entries: int | None = None) -> list[str]:
    """Return the names in `folder`, not below it, that match `pattern`, in sorted order; none where it does not exist.

    Raises `TooLargeError` if it holds more than `max_entries` (None: `MOST_ENTRIES`), whatever their names, and any
    other OSError.
    """
    max_entries = MOST_ENTRIES if max_entries is None else max_entries
    names = []
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries, 1):
                if count > max_entries:
                    raise TooLargeError(errno.EFBIG, f"it holds more than {max_entries:,} files", str(folder))
                if fnmatch.fnmatchcase(entry.name, pattern):
                    names.append(entry.name)
    except FileNotFoundError:
        return []
    return sorted(names)


def reason(error: BaseException) -> str:
    """Return why, for a sentence of its own: what the system says, without number and path, else the error's words."""
    return str(getattr(error, "strerror", None) or error)


def _open(path: Path | str, max_bytes: int | None) -> tuple[OpenFile, int]:
    check_regular(path, max_bytes=max_bytes)
    descriptor = os.open(path, _FLAGS)
    try:
        size = _checked(os.fstat(descriptor), path, max_bytes).st_size
    except OSError:
        os.close(descriptor)
        raise
    if size == 0:
        os.close(descriptor)
        return io.BytesIO(), 0
    return os.fdopen(descriptor, "rb"), size


def _checked(status: os.stat_result, path: Path | str, max_bytes: int | None) -> os.stat_result:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file", str(path))
    if kind != stat.S_IFREG:
        raise NotRegularError(errno.EINVAL, f"it is {_NOT_A_FILE.get(kind, 'something else')}, not a file", str(path))
    if max_bytes is not None and status.st_size > max_bytes:
        words = f"it is {status.st_size:,} bytes large; {max_bytes:,} are allowed"
        raise TooLargeError(errno.EFBIG, words, str(path))
    return status
