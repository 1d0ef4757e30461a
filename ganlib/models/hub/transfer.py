"""One file from one address: with progress, a size limit, a checksum, and going on where it was cut off.

The Hub's client of today throws a half file away when its process ends. Here the half file stays, and the next try
asks for the rest, of the same version: `If-Range` with the server's ETag.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ganlib.base.errors import HubError, RunError
from ganlib.base.filesystem import open_regular, read_text_regular
from ganlib.models.hub.client import DISK_HINT, OFFLINE_HINT, TIMEOUT_SECONDS, offline_error, status_error
from ganlib.runs import Reporter, SilentReporter, Stopped
from ganlib.runs.files import is_disk_full, lock

MOST_BYTES = 8 * 2**30
SPARE_BYTES = 256 * 2**20  # that stay free on the disk
BLOCK_BYTES = 2**18
TRIES = 5  # in a row that bring nothing
PAUSE_SECONDS = 1.0  # after the first of them; then twice as long each time
AGENT = "latent-atelier"
_NETWORK = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Wanted:
    """A file to fetch, and what is known about it beforehand."""

    address: str
    what: str
    """Its name for people, in errors and progress."""
    bytes: int | None = None
    sha256: str = ""
    git_sha1: str = ""
    repo_id: str = ""
    schemes: tuple[str, ...] = ("https",)
    headers: Mapping[str, str] | None = None
    """Sent to this address only, never to one that it leads to."""


def fetch(wanted: Wanted, dest: Path, *, reporter: Reporter | None = None) -> str:
    """Fetch a file to `dest`, whole or not at all, and return its sha256. A half file stays beside it for next time.

    Raises `HubError` for what the site refuses, for more than `MOST_BYTES`, a full disk, a wrong checksum, no network;
    `Stopped` when asked to."""
    reporter = reporter or SilentReporter()
    _check_scheme(wanted, wanted.address)
    _check_size(wanted, wanted.bytes)
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        with _alone(dest, wanted):
            part = _Part(dest, wanted)
            _fill(wanted, part, reporter)
            digest = _check(wanted, part)
            part.path.chmod(0o644)
            part.path.replace(dest)
            part.forget()
    except OSError as error:
        if is_disk_full(error):
            raise HubError(f"the disk is full: {wanted.what} cannot be kept", DISK_HINT) from error
        raise HubError(f"{dest} cannot be written: {error.strerror}", "check the folder and its permissions") from error
    return digest


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raise `HubError` where `needed` bytes do not fit on the folder's disk, and some to spare."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if needed + SPARE_BYTES > free:
        raise HubError(
            f"{what} needs {needed / 1e6:,.0f} MB; the disk of {folder} has {free / 1e6:,.0f} MB free",
            "free some space, or choose a folder on another disk",
        )


@contextmanager
def _alone(dest: Path, wanted: Wanted) -> Iterator[None]:
    """Keep a second process from writing to the same half file."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lock(dest.with_name(f".{dest.name}.lock"), patience_seconds=1.0))
        except RunError as error:
            raise HubError(f"{wanted.what} is being fetched already", "wait until that download has ended") from error
        yield


class _Part:
    """The half file beside the whole one, and the version of which it is the half."""

    def __init__(self, dest: Path, wanted: Wanted) -> None:
        key = hashlib.sha256((wanted.sha256 or wanted.git_sha1 or wanted.address).encode()).hexdigest()[:12]
        self.path = dest.with_name(f".{dest.name}.{key}.part")
        self._version = dest.with_name(f".{dest.name}.{key}.etag")

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def etag(self) -> str:
        """The ETag of what is there; empty where the server gave none that says "byte for byte"."""
        return read_text_regular(self._version, max_bytes=2**16) if self._version.is_file() else ""

    def begin(self, headers: Message) -> None:
        etag = str(headers.get("ETag", ""))
        self._version.write_text(etag if etag.startswith('"') else "", "utf-8")

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)


def _fill(wanted: Wanted, part: _Part, reporter: Reporter) -> None:
    """Ask for the file, or for the rest of it, until all of it is there."""
    failed = 0
    while True:
        before = part.bytes
        if wanted.bytes is not None and before == wanted.bytes and (part.etag or wanted.sha256 or wanted.git_sha1):
            return
        try:
            if _receive(wanted, part, reporter):
                return
            problem: Exception = ConnectionError("the connection was cut")
        except _NETWORK as error:
            if is_disk_full(error) or getattr(error, "filename", None):  # of this computer, not of the network
                raise
            problem = error
        failed = 0 if part.bytes > before else failed + 1
        if failed >= TRIES:
            kept = f"; {part.bytes / 1e6:,.0f} MB are kept, and the next try goes on from there" if part.bytes else ""
            reason = getattr(problem, "reason", problem)
            raise HubError(f"{wanted.what} cannot be fetched: {reason}{kept}", OFFLINE_HINT) from problem
        _pause(PAUSE_SECONDS * 2**failed, reporter)


def _receive(wanted: Wanted, part: _Part, reporter: Reporter) -> bool:
    """One request. Whether the file is whole now, as far as its size tells."""
    if reporter.should_stop():
        raise Stopped("the download was stopped", "start it again: it goes on from here")
    start = part.bytes
    if start and not (part.etag or wanted.sha256 or wanted.git_sha1):
        part.forget()  # nothing would tell whether the rest belongs to it
        start = 0
    request = urllib.request.Request(wanted.address, headers={"User-Agent": AGENT, "Accept-Encoding": "identity"})
    for name, value in (wanted.headers or {}).items():
        request.add_unredirected_header(name, value)
    if start:
        request.add_header("Range", f"bytes={start}-")
        if part.etag:
            request.add_header("If-Range", part.etag)
    opener = urllib.request.build_opener(_Redirects(wanted))
    try:
        answer = opener.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                part.forget()
                return False
            retry = str(error.headers.get("Retry-After", "")) if error.headers else ""
            raise status_error(error.code, f"fetch {wanted.what}", repo_id=wanted.repo_id, retry_after=retry) from None
    with answer:
        resumed = answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {start}-")
        if not resumed:
            start = 0
            part.begin(answer.headers)
        length = answer.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else wanted.bytes
        _check_size(wanted, total)
        check_room(part.path.parent, (total or 0) - start, wanted.what)
        with part.path.open("ab" if resumed else "wb") as file:
            done = _copy(answer, file, start, total, wanted, reporter)
    return done == total if total is not None else True


def _copy(
    answer: http.client.HTTPResponse, file: BinaryIO, done: int, total: int | None, wanted: Wanted, reporter: Reporter
) -> int:
    while block := answer.read1(BLOCK_BYTES):
        file.write(block)
        done += len(block)
        if total is None or done > total:
            _check_size(wanted, done)
        reporter.progress(done, total if total else done + 1, f"{wanted.what}: {done / 1e6:,.1f} MB")
        if reporter.should_stop():
            raise Stopped("the download was stopped", "start it again: it goes on from here")
    file.flush()
    os.fsync(file.fileno())
    return done


def _check(wanted: Wanted, part: _Part) -> str:
    """The sha256 of what was fetched; raises `HubError`, and forgets it, where it is not what was promised."""
    sha256 = hashlib.sha256()
    git = hashlib.sha1(b"blob %d\0" % part.bytes, usedforsecurity=False)
    with open_regular(part.path) as file:
        while block := file.read(2**22):
            sha256.update(block)
            if wanted.git_sha1:
                git.update(block)
    size, digest = part.bytes, sha256.hexdigest()
    problem = ""
    if wanted.bytes is not None and size != wanted.bytes:
        problem = f"{size:,} bytes came, of {wanted.bytes:,}"
    elif wanted.sha256 and digest != wanted.sha256:
        problem = f"its sha256 is {digest[:16]}…, not {wanted.sha256[:16]}…"
    elif wanted.git_sha1 and git.hexdigest() != wanted.git_sha1:
        problem = "its checksum is not the one that the Hub states"
    if problem:
        part.forget()
        raise HubError(
            f"{wanted.what} is not what was promised: {problem}", "it was thrown away; try again, and ask its author"
        )
    return digest


def _check_size(wanted: Wanted, size: int | None) -> None:
    if size is not None and size > MOST_BYTES:
        raise HubError(
            f"{wanted.what} has {size / 2**30:,.1f} GiB, more than the {MOST_BYTES >> 30} GiB that models have",
            "choose another file",
        )


def _check_scheme(wanted: Wanted, address: str) -> None:
    scheme = urlsplit(address).scheme
    if scheme not in wanted.schemes:
        problem = f"{wanted.what} lies at an address of the kind '{scheme[:20]}:'"
        raise HubError(problem, f"only {', '.join(wanted.schemes)} is used")
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise offline_error(f"fetch {wanted.what}")


def _pause(seconds: float, reporter: Reporter) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if reporter.should_stop():
            raise Stopped("the download was stopped", "start it again: it goes on from here")
        time.sleep(min(left, 0.2))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows an address to another of the wanted kinds only: never from https to http or to a file."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check_scheme(self._wanted, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
