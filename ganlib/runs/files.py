"""Files that are whole or absent, lines appended in one write, full disks, and locks that die with their holder."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

from ganlib.base.errors import RunError
from ganlib.base.filesystem import check_regular, read_regular

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

STALE_SECONDS = 3600.0  # temporary files of dead processes are removed when nothing has touched them for that long
RESERVE_BYTES = 2**16  # far more than a status takes
_TEMPORARY = re.compile(r"\..*\.(\d+)-[0-9a-f]{8}(\.[^.]*)?")  # the names that `replacing` gives
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# The same from libraries that write files without Python.
_FULL_TEXTS = (
    "No space left on device", "Disk quota exceeded", "os error 28", "PytorchStreamWriter failed",
    "inline_container.cc",
)  # fmt: skip
_MOST_JSON_BYTES = 64 * 2**20
_swept: dict[str, float] = {}  # folder → when this process looked for stale files there


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix, name starting with a dot); on success it becomes `path`.

    A reader sees the old file or the new one, never half of one. If the body raises, the temporary file is removed and
    `path` is untouched. `durable` also waits until the bytes are on the disk. Temporary files that processes killed
    over an hour ago left in the folder are removed.
    """
    path = Path(path)
    _sweep(path.parent)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path` so that the file is always whole."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, obj: Any, *, durable: bool = True) -> None:
    """Write `obj` as indented JSON to `path` so that the file is always whole."""
    write_bytes(path, _json(obj), durable=durable)


def write_json_on_full_disk_too(path: Path, obj: Any, reserve: Path) -> None:
    """`write_json`, not durable; where the disk is full, over the old file's bytes, or in the room of `reserve`.

    Raises OSError only where all three are impossible.
    """
    data = _json(obj)
    try:
        write_bytes(path, data, durable=False)
        return
    except OSError as error:
        if not is_disk_full(error):
            raise
    try:
        _overwrite(path, data)
    except OSError:
        reserve.unlink(missing_ok=True)
        write_bytes(path, data, durable=False)


def keep_reserve(reserve: Path) -> None:
    """Take some room on the disk, to be given up when it is full. Without room for that, nothing is taken."""
    try:
        if not reserve.exists():
            reserve.write_bytes(bytes(RESERVE_BYTES))
    except OSError:
        reserve.unlink(missing_ok=True)


def is_disk_full(error: BaseException) -> bool:
    """Whether `error`, or what it was raised from, says that a disk is full or a quota is used up."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        if isinstance(link, OSError) and link.errno in _FULL:
            return True
        if any(text in str(link) for text in _FULL_TEXTS):
            return True
        seen.append(link)
        link = link.__cause__ or link.__context__
    return False


def free_name(name: str, is_taken: Callable[[str], object]) -> str:
    """Return `name`, else `name-2`, `name-3` …: the first that is not taken."""
    return next(free for free in chain([name], (f"{name}-{i}" for i in count(2))) if not is_taken(free))


def read_json(path: Path) -> Any:
    """The value in a JSON file of unknown origin. Raises OSError, or ValueError for all that is wrong with the text."""
    return parse_json(read_regular(path, max_bytes=_MOST_JSON_BYTES).decode("utf-8"))


def parse_json(text: str) -> Any:
    """The value of JSON text; NaN and infinities, which JSON does not have, become None. Raises ValueError."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _json(obj: Any) -> bytes:
    return (json.dumps(obj, indent=1, ensure_ascii=False) + "\n").encode(errors="replace")


def _overwrite(path: Path, data: bytes) -> None:
    """Write `data` where the file has its bytes already. Raises OSError if it has too few."""
    with path.open("rb+", buffering=0) as file:
        status = os.fstat(file.fileno())
        if len(data) > max(getattr(status, "st_blocks", 0) * 512, status.st_size):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.write(data.ljust(status.st_size))  # in one write, and JSON may end in spaces


def _sweep(folder: Path) -> None:
    """Remove stale temporary files in `folder`, unless this process has looked within the hour."""
    now = time.monotonic()
    key = str(folder)
    if fcntl is None or now - _swept.get(key, -math.inf) < STALE_SECONDS:
        return
    _swept[key] = now
    try:
        paths = list(folder.iterdir())
    except OSError:
        return
    for path in paths:
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or _is_alive(int(match[1])):
            continue
        touched = mtime(path)
        if touched is not None and time.time() - touched > STALE_SECONDS:
            try:
                path.unlink(missing_ok=True)
            except OSError:
                continue  # another's file: it is in nobody's way


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def append_text(path: Path, text: str) -> None:
    """Append lines in one write; a line that a dead worker left torn is closed first."""
    _refuse_other(path)
    with path.open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":
                text = "\n" + text
        file.write(text.encode("utf-8", errors="replace"))


def plain(value: Any) -> Any:
    """`value` with numbers of other libraries as Python's, and numbers that JSON does not have as None."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy and torch, scalars and arrays
        return plain(value.tolist())
    return str(value)


def mtime(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except (OSError, ValueError):  # ValueError: NUL in the path
        return None


def _refuse_other(path: Path) -> None:
    """Raise OSError where something other than a file is in a file's place: a pipe would be waited for."""
    with suppress(FileNotFoundError):
        check_regular(path)


@contextmanager
def lock(path: Path, *, patience_seconds: float = 0.0) -> Iterator[None]:
    """Hold `path` exclusively. Raises RunError if somebody else holds it for longer than the patience."""
    if fcntl is None:
        raise RunError("jobs need a POSIX system with flock", "On Windows, run the studio inside WSL.")
    deadline = time.monotonic() + patience_seconds
    _refuse_other(path)
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise RunError(f"{path} is held by another process") from None
                time.sleep(0.01)
        yield


def is_locked(path: Path) -> bool:
    if fcntl is None:
        return False
    try:
        check_regular(path)
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, ValueError):
        return False
    return False
