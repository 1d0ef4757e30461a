"""Uploads go to the disk in pieces; Streamlit's own route takes a ticket in their place."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import time
import tracemalloc
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit
from starlette.applications import Starlette
from streamlit.runtime import Runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec
from streamlit.web.server.starlette import starlette_routes

from ganlib.base.errors import GanlibError
from pages._ui.common import uploads
from pages._ui.common.uploads import UploadsToDisk, content, digest_of, keep_upload, sweep

PIECE = 2**16
HEAD = (
    b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a \xc3\xa9.zip"\r\n'
    b"Content-Type: application/zip\r\n\r\n"
)
TAIL = b"\r\n--edge--\r\n"
FULL = Path("/dev/full")


def run_apart(work: Coroutine[Any, Any, None]) -> None:
    """Run in a thread of its own: where a browser is open for other tests, this one has a loop already."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


class Server:
    """Streamlit's upload route behind the middleware, with one visitor whose session is `s`."""

    def __init__(self) -> None:
        self.manager = MemoryUploadedFileManager("/_stcore/upload_file")
        self.sessions = {"s"}
        known = SimpleNamespace(is_active_session=lambda id: id in self.sessions, uploaded_file_mgr=self.manager)
        self.runtime = known
        self.app = UploadsToDisk(Starlette(routes=starlette_routes.create_upload_routes(known, self.manager, "")))  # type: ignore[arg-type]

    def put(
        self, pieces: Iterator[bytes] | list[bytes], session: str = "s", method: str = "PUT", **headers: str
    ) -> int:
        """Send a body and return the status of the answer, 0 without one."""
        given = {"content-type": "multipart/form-data; boundary=edge"} | headers
        scope = {"type": "http", "method": method, "path": f"/_stcore/upload_file/{session}/f", "query_string": b"",
                 "headers": [(k.encode(), v.encode()) for k, v in given.items()], "http_version": "1.1",
                 "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2), "scheme": "http", "root_path": ""}  # fmt: skip
        answers: list[Any] = []
        body = iter(pieces)

        async def receive() -> dict[str, Any]:
            piece = next(body, None)
            if piece == b"gone":
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

        async def send(message: Any) -> None:
            answers.append(message)

        run_apart(self.app(scope, receive, send))
        return int(answers[0]["status"]) if answers else 0

    def upload(self, session: str = "s") -> UploadedFile:
        """What `st.file_uploader` returns."""
        (record,) = self.manager.get_files(session, ["f"])
        return UploadedFile(record, None)  # type: ignore[arg-type]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("ATELIER_DATA", str(tmp_path / "data"))
    made = Server()
    monkeypatch.setattr(uploads.runtime, "exists", lambda: True)
    monkeypatch.setattr(uploads.runtime, "get_instance", lambda: made.runtime)
    monkeypatch.setattr(starlette_routes, "is_xsrf_enabled", lambda: False)
    monkeypatch.setattr(starlette_routes, "_set_cors_headers", _nothing, raising=False)
    yield made
    for session in made.sessions:
        made.manager.remove_session_files(session)
    assert sweep() == 0 and open_files(tmp_path) == 0


async def _nothing(*arguments: Any) -> None:
    return None


def open_files(folder: Path) -> int:
    """How many files below a folder this process holds open though they have no name; 0 where nobody can tell."""
    links = Path("/proc/self/fd")
    opened = links.iterdir() if links.exists() else ()
    return sum(str(folder) in str(link.readlink()) for link in opened if link.is_symlink())


def form(data: bytes) -> Iterator[bytes]:
    whole = HEAD + data + TAIL
    yield from (whole[i : i + PIECE] for i in range(0, len(whole), PIECE))


def test_a_file_goes_to_the_disk_and_never_lies_in_memory_whole(server, tmp_path):
    megabytes, block = 48, os.urandom(2**20)
    digest = hashlib.sha256(block * megabytes).hexdigest()

    def pieces() -> Iterator[bytes]:
        yield HEAD
        for _ in range(megabytes):
            yield from (block[i : i + PIECE] for i in range(0, len(block), PIECE))
        yield TAIL

    tracemalloc.start()
    assert server.put(pieces()) == 204
    upload = server.upload()
    keep_upload(upload, tmp_path / "kept.zip")
    assert digest_of(upload, 64) == digest
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20, f"{peak / 2**20:.0f} MB of a file of {megabytes} MB were in memory at once"
    assert (upload.name, upload.type) == ("a é.zip", "application/zip")
    assert hashlib.sha256((tmp_path / "kept.zip").read_bytes()).hexdigest() == digest
    assert list((tmp_path / "data" / "uploads").iterdir()) == []  # it has no name that could be left behind


FULL_PIECE, FALSE_TICKET = b"x" * (PIECE - len(HEAD)), b"atelier-upload-" + b"0" * 32


@pytest.mark.parametrize("data", [b"", b"abc", b"\r\n--edgy\r\n" * 9000, FULL_PIECE, FALSE_TICKET])
def test_every_byte_arrives(server, data):
    assert server.put(form(data)) == 204
    assert content(server.upload()).read() == data
    assert content(server.upload()).read() == data  # from its beginning each time


def test_a_file_is_closed_when_its_session_is_over(server, tmp_path):
    server.put(form(b"abc"))
    assert sweep() == 1 and open_files(tmp_path) == 1
    server.manager.remove_session_files("s")
    assert sweep() == 0 and open_files(tmp_path) == 0


def test_a_file_is_closed_when_it_is_taken_out(server, tmp_path):
    server.put(form(b"abc"))
    upload = server.upload()
    assert server.put([], method="DELETE") == 204
    assert open_files(tmp_path) == 0
    with pytest.raises(GanlibError, match=r"a é\.zip is gone"):
        content(upload)


def test_a_file_is_closed_when_its_visitor_stays_away(server, tmp_path, monkeypatch):
    server.put(form(b"abc"))
    now = time.monotonic()
    server.sessions.clear()
    for seconds, left in ((0, 1), (100, 1), (130, 0)):
        monkeypatch.setattr(uploads.time, "monotonic", lambda later=now + seconds: later)
        assert sweep() == left
    assert server.manager.get_files("s", ["f"]) == []  # Streamlit alone keeps it until another visitor comes or goes


def test_a_visitor_who_comes_back_finds_the_file(server, monkeypatch):
    server.put(form(b"abc"))
    now = time.monotonic()
    for seconds, sessions in ((0, set()), (100, {"s"}), (200, set()), (300, {"s"})):
        server.sessions = sessions
        monkeypatch.setattr(uploads.time, "monotonic", lambda later=now + seconds: later)
        assert sweep() == 1
    assert content(server.upload()).read() == b"abc"


def test_two_visitors_with_files_of_one_name_get_their_own(server):
    server.sessions.add("t")
    assert (server.put(form(b"mine")), server.put(form(b"yours"), session="t")) == (204, 204)
    assert [content(server.upload(session)).read() for session in "st"] == [b"mine", b"yours"]


def test_two_runs_of_a_page_read_one_file_at_the_same_time(server):
    server.put(form(bytes(range(256)) * 2**13))
    one, other = content(server.upload()), content(server.upload())
    begun = one.read(2**20 + 7)
    assert other.read() == begun + one.read() == bytes(range(256)) * 2**13


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_on_the_page_and_keeps_nothing(server, tmp_path, monkeypatch):
    monkeypatch.setattr(uploads.tempfile, "TemporaryFile", lambda dir: FULL.open("w+b"))
    for data in (b"abc", bytes(2**21)):  # found when the end is written out, and in the middle
        assert server.put(form(data)) == 204
        with pytest.raises(GanlibError, match=r"a é\.zip cannot be kept: No space left on device") as caught:
            keep_upload(server.upload(), tmp_path / "kept" / "a.zip")
        assert "Free some disk space" in caught.value.hint
    assert list(tmp_path.glob("kept/*")) == []


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_copy_that_does_not_fit_leaves_nothing(server, tmp_path, monkeypatch):
    server.put(form(bytes(2**21)))
    monkeypatch.setattr(uploads.shutil, "copyfileobj", lambda *_: FULL.write_bytes(b"x"))
    with pytest.raises(GanlibError, match="No space left"):
        keep_upload(server.upload(), tmp_path / "kept" / "a.zip")
    assert list((tmp_path / "kept").iterdir()) == []


def test_this_streamlit_receives_uploads_where_they_are_taken_to_the_disk():
    version = f"Streamlit {streamlit.__version__} takes uploads in another way: see pages/_ui/common/uploads.py"
    assert starlette_routes.BASE_ROUTE_UPLOAD_FILE == uploads.ROUTE, version
    for name in ("uploaded_file_mgr", "is_active_session"):
        assert hasattr(Runtime, name), version
    for name in ("get_files", "remove_session_files"):
        assert hasattr(MemoryUploadedFileManager, name), version
    assert UploadedFileRec._fields == ("file_id", "name", "type", "data"), version
    assert callable(streamlit.App), version


def test_another_streamlit_keeps_uploads_itself_and_the_log_says_so(server, monkeypatch, caplog):
    monkeypatch.setattr(uploads.runtime, "get_instance", lambda: SimpleNamespace())
    assert server.put(form(b"abc")) == 204
    uploads.warn_of_memory.cache_clear()
    assert content(server.upload()).read() == b"abc"
    assert "uploads are held in memory" in caplog.text

    async def start() -> None:
        async with uploads.swept(None):
            pass

    caplog.clear()
    run_apart(start())
    assert "uploads are held in memory" in caplog.text


def test_a_picture_has_a_size_that_is_read_and_a_larger_one_is_refused(server, tmp_path):
    server.put(form(bytes(3_000_000)))
    assert len(content(server.upload(), max_bytes=3_000_000).read()) == 3_000_000
    for refused in (content, partial(keep_upload, path=tmp_path / "kept" / "a.png")):
        with pytest.raises(GanlibError, match=r"a é\.zip has 3 MB; 2 are allowed here"):
            refused(server.upload(), max_bytes=2_000_000)
    assert not (tmp_path / "kept").exists()


def test_nobody_else_can_upload(server, tmp_path):
    assert server.put(form(b"abc"), session="other") == 400
    assert not (tmp_path / "data").exists()


def test_what_streamlit_refuses_is_not_kept(server, monkeypatch):
    monkeypatch.setattr(starlette_routes, "is_xsrf_enabled", lambda: True)
    assert server.put(form(b"abc")) == 403
    assert sweep() == 0


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([HEAD + b"abc", b"gone"], 0),
        ([b"no form at all"], 400),
        ([HEAD + b"a\r\n" + HEAD + b"b" + TAIL], 400),
        ([b"--edge\r\nA: " + b"x" * 200_000 + b"\r\n\r\nabc" + TAIL], 400),
    ],
)
def test_broken_forms_are_refused_and_leave_nothing(server, tmp_path, pieces, status):
    assert server.put(pieces) == status
    assert sweep() == 0 and open_files(tmp_path) == 0


def test_too_large_files_are_refused_before_they_are_read(server, monkeypatch):
    monkeypatch.setattr(uploads.st, "get_option", lambda name: 1)
    monkeypatch.setattr(starlette_routes.config, "get_option", lambda name: 1)
    sent = []

    def endless() -> Iterator[bytes]:
        yield HEAD
        while True:
            sent.append(1)
            yield b"x" * PIECE

    assert server.put(endless()) == 413 and len(sent) < 25
    assert server.put(endless(), **{"content-length": str(2**30)}) == 413 and len(sent) < 25


def test_without_our_entrance_the_file_is_what_streamlit_gives():
    assert content(io.BytesIO(b"abc")).read() == b"abc"
