"""Uploads go to the disk in pieces: no file of a visitor is ever whole in memory.

Streamlit keeps what it receives in memory, and hands a copy of it to every run of a page. Before it receives a file,
the file is written to the disk here, and Streamlit is given a ticket in its place, which `st.file_uploader` returns as
the file's content; `content` returns the file. When Streamlit forgets the ticket, because the file was taken out or
its session is over, the file is closed; it has no name, and is gone with that.
"""

import asyncio
import hashlib
import re
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import streamlit as st
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import runtime

from ganlib.workspace import data_root

SWEEP_SECONDS = 15.0
_ROUTE = re.compile(r"/_stcore/upload_file/(?P<session>[^/]+)/(?P<file>[^/]+)$")
_TICKET = re.compile(rb"atelier-upload-[0-9a-f]{32}")
_MOST_AROUND = 64 * 2**10  # bytes of a form around its file


@dataclass(frozen=True)
class _Kept:
    """One upload on the disk; its file is open for as long as its ticket is good."""

    file: BinaryIO
    session_id: str
    file_id: str


_kept: dict[bytes, _Kept] = {}


def content(upload: Any) -> BinaryIO:
    """Return an upload of `st.file_uploader`, open for reading at its beginning; it is not the caller's to close."""
    ticket = bytes(upload.getbuffer()[:64])
    known = _kept.get(ticket) if _TICKET.fullmatch(ticket) else None
    file: BinaryIO = known.file if known is not None else upload  # a server without our entrance gives the file itself
    file.seek(0)
    return file


def write_upload(upload: Any, path: Path) -> None:
    """Write an upload to `path`, in pieces. Raises OSError (a full disk)."""
    with path.open("wb") as out:
        shutil.copyfileobj(content(upload), out)


def digest_of(upload: Any, length: int) -> str:
    """The first `length` letters of an upload's sha256."""
    return hashlib.file_digest(content(upload), "sha256").hexdigest()[:length]  # type: ignore[arg-type]


class UploadsToDisk:
    """ASGI middleware: receives the files and passes tickets on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = _ROUTE.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "PUT" else None
        # Streamlit turns these away before it reads a byte.
        if place is None or not runtime.exists() or not runtime.get_instance().is_active_session(place["session"]):
            await self.app(scope, receive, send)
            return
        most = int(st.get_option("server.maxUploadSize")) * 2**20
        if int(Headers(scope=scope).get("content-length", "0") or 0) > most:
            await self.app(scope, receive, send)
            return
        try:
            received = await _receive(Request(scope, receive), most)
        except ClientDisconnect:
            return
        except _RefusedError as error:
            await PlainTextResponse(str(error), error.status)(scope, receive, send)
            return
        await self._hand_over(received, _Kept(received.file, place["session"], place["file"]), scope, send)

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
                else:
                    kept.file.close()
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
        self.file.write(data[start:end])


async def _receive(request: Request, most: int) -> _Received:
    """Write the file of a form to a file without a name on the disk of the data. Raises _RefusedError."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise _RefusedError("Expected 1 file", 400)
    folder = data_root() / "uploads"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
    except OSError as error:
        raise _RefusedError(f"The upload cannot be kept: {error.strerror}", 507) from error
    received, size = _Received(boundary, file), 0
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
        file.flush()
        if received.num_parts != 1:
            raise _RefusedError(f"Expected 1 file, but got {received.num_parts}", 400)
    except OSError as error:
        file.close()
        raise _RefusedError(f"The upload cannot be kept: {error.strerror}", 507) from error
    except MultipartParseError as error:
        file.close()
        raise _RefusedError("The form cannot be read", 400) from error
    except BaseException:
        file.close()
        raise
    return received


def sweep() -> int:
    """Close the files whose tickets Streamlit no longer has; return how many are left."""
    uploads = runtime.get_instance().uploaded_file_mgr
    for ticket, kept in list(_kept.items()):
        if not uploads.get_files(kept.session_id, [kept.file_id]):
            del _kept[ticket]
            kept.file.close()
    return len(_kept)


@asynccontextmanager
async def swept(app: object) -> AsyncIterator[None]:
    """Sweep for as long as the server runs."""

    async def again_and_again() -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            sweep()

    task = asyncio.create_task(again_and_again())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        for kept in _kept.values():
            kept.file.close()
        _kept.clear()
