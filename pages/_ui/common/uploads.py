"""Uploads go to the disk in pieces: no file of a visitor is ever whole in memory.

Streamlit keeps what it receives in memory, and hands a copy of it to every run of a page. Before it receives a file,
the file is written to the disk here, and Streamlit is given a ticket in its place, which `st.file_uploader` returns as
the file's content; `content` returns the file. When Streamlit forgets the ticket, because the file was taken out or
its session is over, the file is closed; it has no name, and is gone with that, also when the server is killed.

Of Streamlit this needs the address that uploads are sent to, and its manager of uploads. Where a version has others,
the files are held in memory as Streamlit does it, and the log says so.
"""

import asyncio
import errno
import hashlib
import io
import logging
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

import streamlit as st
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import runtime

from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.runs import replacing

ROUTE = "_stcore/upload_file"
PICTURE_BYTES = 2**28
"""Of an upload that is read as one picture or one font; whatever is freed afterwards stays with the process, see
`ganlib.compute.device.tune_allocator`."""
SWEEP_SECONDS = 5.0
_log = logging.getLogger(__name__)
_PLACE = re.compile(rf"/{ROUTE}/(?P<session>[^/]+)/(?P<file>[^/]+)$")
_TICKET = re.compile(rb"atelier-upload-[0-9a-f]{32}")
_MOST_AROUND = 64 * 2**10  # bytes of a form around its file


@dataclass
class _Kept:
    """One upload on the disk; its file is open for as long as its ticket is good."""

    file: BinaryIO
    session_id: str
    file_id: str
    problem: OSError | None = None
    """Why not all of it is there."""
    left_at: float | None = None
    """When its session was first seen to be away, on the monotonic clock."""
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept: dict[bytes, _Kept] = {}


class _Reader(io.RawIOBase):
    """An upload from its beginning, at a place of its own: two runs of a page may read one at the same time."""

    def __init__(self, kept: _Kept) -> None:
        self._kept, self._at = kept, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._kept.lock:
            if whence == io.SEEK_CUR:
                offset, whence = self._at + offset, io.SEEK_SET
            self._at = self._kept.file.seek(offset, whence)
        return self._at

    def readinto(self, buffer: Any) -> int:
        with self._kept.lock:
            if self._kept.file.closed:
                raise OSError(errno.ENOENT, "it is gone with its session")
            self._kept.file.seek(self._at)
            length = self._kept.file.readinto(buffer)  # type: ignore[attr-defined]
        self._at += length
        return int(length)


def content(upload: Any, *, max_bytes: int | None = None) -> BinaryIO:
    """Return an upload of `st.file_uploader`, open for reading at its beginning.

    Raises GanlibError for one that did not fit on the disk, is gone, or is larger than `max_bytes`. Whoever reads it
    may meet an OSError.
    """
    file = _content(upload)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if max_bytes is not None and size > max_bytes:
        raise GanlibError(
            f"{upload.name} has {size / 1e6:,.0f} MB; {max_bytes / 1e6:,.0f} are allowed here", "Choose a smaller file."
        )
    return file


def _content(upload: Any) -> BinaryIO:
    ticket = bytes(upload.getbuffer()[:64])
    if not _TICKET.fullmatch(ticket):
        warn_of_memory()
        return cast(BinaryIO, upload)
    kept = _kept.get(ticket)
    if kept is None:
        raise GanlibError(f"{upload.name} is gone with the session that it came in", "Upload it again.")
    if kept.problem is not None:
        raise _not_kept(upload, kept.problem)
    return cast(BinaryIO, io.BufferedReader(_Reader(kept), 2**20))


@cache
def warn_of_memory() -> None:
    """Say once that an upload came to a page in memory; a page that runs without a server has no other way."""
    if runtime.exists():
        _log.warning("uploads are held in memory: Streamlit %s does not receive them at /%s", st.__version__, ROUTE)


def _not_kept(upload: Any, error: OSError) -> GanlibError:
    return GanlibError(
        f"{upload.name} cannot be kept: {error.strerror or error}", "Free some disk space and upload it again."
    )


def keep_upload(upload: Any, path: Path, *, max_bytes: int | None = None) -> None:
    """Write an upload to `path`, whole or not at all; folders above it are made.

    Raises GanlibError where it cannot be written (a full disk), and as `content`.
    """
    content(upload, max_bytes=max_bytes)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            write_upload(upload, temporary)
    except OSError as error:
        raise _not_kept(upload, error) from error


def write_upload(upload: Any, path: Path) -> None:
    """Write an upload to `path`, in pieces. Raises OSError (a full disk), and GanlibError as `content`."""
    with path.open("wb") as out:
        shutil.copyfileobj(content(upload), out, 2**20)


def digest_of(upload: Any, length: int) -> str:
    """The first `length` letters of an upload's sha256. Raises as `content`."""
    return hashlib.file_digest(content(upload), "sha256").hexdigest()[:length]  # type: ignore[arg-type]


def _server() -> Any:
    """Streamlit's runtime, if it is there and as it is known here; else None."""
    server = runtime.get_instance() if runtime.exists() else None
    return server if hasattr(server, "is_active_session") and hasattr(server, "uploaded_file_mgr") else None


class UploadsToDisk:
    """ASGI middleware: receives the files and passes tickets on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server, place = _server(), _PLACE.search(scope["path"]) if scope["type"] == "http" else None
        if server is None or place is None or scope["method"] != "PUT":
            await self.app(scope, receive, send)
            if place is not None and scope["method"] == "DELETE":
                sweep()
            return
        most = int(st.get_option("server.maxUploadSize")) * 2**20
        length = Headers(scope=scope).get("content-length", "")
        # Streamlit turns these away before it reads a byte.
        if not server.is_active_session(place["session"]) or (length.isdecimal() and int(length) > most):
            await self.app(scope, receive, send)
            return
        try:
            received = await _receive(Request(scope, receive), most)
        except ClientDisconnect:
            return
        except _RefusedError as error:
            await PlainTextResponse(str(error), error.status)(scope, receive, send)
            return
        kept = _Kept(received.file, place["session"], place["file"], received.problem)
        await self._hand_over(received, kept, scope, send)

    async def _hand_over(self, received: "_Received", kept: _Kept, scope: Scope, send: Send) -> None:
        """Give Streamlit the ticket in the file's place, and keep the file if it takes it."""
        ticket = f"atelier-upload-{secrets.token_hex(16)}".encode()
        edge = b"--" + received.boundary
        body = b"".join([edge, b"\r\n", *received.headers, b"\r\n", ticket, b"\r\n", edge, b"--\r\n"])
        headers = MutableHeaders(raw=list(scope["headers"]))
        headers["content-length"] = str(len(body))

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] < 300:
                    _kept[ticket] = kept
                    sweep()  # of what this takes the place of
                else:
                    _close(kept.file)
            await send(message)

        await self.app({**scope, "headers": headers.raw}, receive, answer)


class _RefusedError(Exception):
    """An upload that is not taken; its words and `status` are the answer."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.status = status


@dataclass
class _Received:
    """One file of a form of many parts: what stood before it, and the file itself."""

    boundary: bytes
    file: BinaryIO
    headers: list[bytes] = field(default_factory=list)
    name: bytes = b""
    num_parts: int = 0
    problem: OSError | None = None

    def part(self) -> None:
        self.num_parts += 1

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self.name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        if self.num_parts == 1:
            self.headers += [self.name + b": " if self.name else b"", data[start:end]]
        self.name = b""

    def header_end(self) -> None:
        self.headers += [b"\r\n"] * (self.num_parts == 1)

    def write(self, data: bytes, start: int, end: int) -> None:
        """What the disk does not take is dropped, with what was written before; the page tells why, see `content`."""
        if self.problem is None:
            try:
                self.file.write(data[start:end])
            except OSError as error:
                self.fail(error)

    def fail(self, error: OSError) -> None:
        self.problem = error
        _close(self.file)


def _close(file: BinaryIO) -> None:
    with suppress(OSError):  # what is still to be written on a full disk
        file.close()


async def _receive(request: Request, most: int) -> _Received:
    """Write the file of a form to a file without a name on the disk of the data. Raises _RefusedError."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise _RefusedError("Expected 1 file", 400)
    received, size = _Received(boundary, io.BytesIO()), 0
    try:
        folder = workspace.data_root() / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        received.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
    except OSError as error:
        received.fail(error)
    parser = MultipartParser(boundary, {
        "on_part_begin": received.part, "on_header_field": received.header_name, "on_header_end": received.header_end,
        "on_header_value": received.header_value, "on_part_data": received.write,
    })  # fmt: skip
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > most + _MOST_AROUND:
                raise _RefusedError("File too large", 413)
            await asyncio.to_thread(parser.write, piece)
        parser.finalize()
        if received.num_parts != 1:
            raise _RefusedError(f"Expected 1 file, but got {received.num_parts}", 400)
        if received.problem is None:
            received.file.flush()
    except OSError as error:
        received.fail(error)
    except MultipartParseError as error:
        _close(received.file)
        raise _RefusedError("The form cannot be read", 400) from error
    except BaseException:
        _close(received.file)
        raise
    return received


def sweep() -> int:
    """Close the files whose tickets Streamlit no longer has; return how many are left.

    Streamlit ends a session that was left when the next one comes or goes; its uploads are not kept for that long.
    """
    server, now = _server(), time.monotonic()
    patience = float(st.get_option("server.disconnectedSessionTTL"))
    for ticket, kept in list(_kept.items()):
        is_left = server is not None and not server.is_active_session(kept.session_id)
        kept.left_at = None if not is_left else now if kept.left_at is None else kept.left_at
        if kept.left_at is not None and now - kept.left_at > patience:
            server.uploaded_file_mgr.remove_session_files(kept.session_id)
        records = server.uploaded_file_mgr.get_files(kept.session_id, [kept.file_id]) if server is not None else []
        if not any(record.data == ticket for record in records):
            del _kept[ticket]
            _close(kept.file)
    return len(_kept)


@asynccontextmanager
async def swept(app: object) -> AsyncIterator[None]:
    """Sweep for as long as the server runs."""

    async def again_and_again() -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            sweep()  # quick: as many look-ups as there are uploads

    if _server() is None:
        _log.warning("uploads are held in memory: Streamlit %s has another manager of them", st.__version__)
    task = asyncio.create_task(again_and_again())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        for kept in _kept.values():
            _close(kept.file)
        _kept.clear()
