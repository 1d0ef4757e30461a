"""Paths that lead to no file with an end: what tests of commands and of pages give in place of one."""

from __future__ import annotations

import os
import resource
import signal
import socket
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 20  # on a busy machine; a path that is waited for would take for ever
MOST_MEBIBYTES = 400  # of what loading a library may take besides
KINDS = (
    "device", "pipe", "socket", "kernel's log", "kernel's memory", "sparse terabyte", "zip of a link",
    "zip with an endless list", "link to a device", "folder with a link to /", "folder of devices",
)  # fmt: skip
FOLDERS = ("folder with a link to /", "folder of devices")


def make(kind: str, folder: Path) -> Path | None:
    """A path of a kind; None where this system has none."""
    path = folder / "hostile.zip"
    match kind:
        case "device":
            path = Path("/dev/zero")
        case "kernel's log":
            path = Path("/proc/kmsg")
        case "kernel's memory":
            path = Path("/proc/kcore")
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                here = Path.cwd()
                os.chdir(folder)  # the address of a socket may have 108 characters
                try:
                    made.bind(path.name)
                finally:
                    os.chdir(here)
        case "sparse terabyte":
            _sparse(path, 2**40)
        case "zip of a link":
            link = zipfile.ZipInfo("a.png")
            link.external_attr = 0o120777 << 16
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(link, "/dev/zero")
        case "zip with an endless list":
            # An end of central directory that tells of 4 GB of a list, most of them a hole.
            _sparse(path, 2**32)
            with path.open("r+b") as file:
                file.write(b"PK\x03\x04")
                file.seek(0, 2)
                file.write(b"PK\x05\x06" + bytes(4) + b"\x01\x00\x01\x00" + b"\xff\xff\xff\xef" + bytes(6))
        case "link to a device":
            path.symlink_to("/dev/zero")
        case "folder with a link to /":
            path = folder / "hostile"
            path.mkdir()
            (path / "out").symlink_to("/")
            (path / "zero.png").symlink_to("/dev/zero")
        case "folder of devices":
            path = folder / "hostile"
            path.mkdir()
            names = ("a.png", "job.json", "dataset.json", "stats.jsonl", "status.json", "training_options.json", "lock")
            for name in (*names, "log.txt", "fakes000001.png", "training-state-latest.pt", "provenance.json"):
                os.mkfifo(path / name)
    return path if path.exists() or path.is_symlink() else None


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


@contextmanager
def within_walls() -> Iterator[None]:
    """Fail where the body takes longer than `SECONDS` or more than `MOST_MEBIBYTES` of further memory."""

    def late(*_: object) -> None:
        raise AssertionError(f"it took longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    peak = _peak()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert _peak() - peak < MOST_MEBIBYTES, f"{_peak() - peak} MiB"


def _peak() -> int:
    """The most memory that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
