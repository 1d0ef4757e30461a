"""Files that are whole or absent, lines appended in one write, and locks that die with their holder."""

from __future__ import annotations

import json
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganlib.errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix, name starting with a dot); on success it becomes `path`.

    A reader sees the old file or the new one, never half of one. If the body raises, the temporary file is removed and
    `path` is untouched. `durable` also waits until the bytes are on the disk.
    """
    path = Path(path)
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
    write_bytes(path, (json.dumps(obj, indent=1, ensure_ascii=False) + "\n").encode(), durable=durable)


def append_text(path: Path, text: str) -> None:
    """Append lines in one write; a line that a dead worker left torn is closed first."""
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
    except OSError:
        return None


@contextmanager
def locked(path: Path, *, patience_seconds: float = 0.0) -> Iterator[None]:
    """Hold `path` exclusively. Raises RunError if somebody else holds it for longer than the patience."""
    if fcntl is None:
        raise RunError("jobs need a POSIX system with flock", "On Windows, run the studio inside WSL.")
    deadline = time.monotonic() + patience_seconds
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
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
