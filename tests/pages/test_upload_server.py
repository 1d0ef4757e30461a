"""Uploads to a running studio: they lie on its disk, never in its memory, and are gone when their visitor is."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from tests.browser.conftest import Studio, running

MEGABYTES = 64
PROCESS = Path("/proc")
HEAD = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="big.zip"\r\n\r\n'
TAIL = b"\r\n--edge--\r\n"

pytestmark = pytest.mark.skipif(not (PROCESS / "self" / "fd").exists(), reason="looks into /proc")


@pytest.fixture
def studio(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL", "1")
    monkeypatch.setenv("STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION", "false")
    (tmp_path / "checkpoints").mkdir()
    with running(tmp_path, repository) as studio:
        yield studio


def memory(studio: Studio) -> int:
    """Megabytes that the server holds."""
    lines = (PROCESS / str(studio.pid) / "status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


def kept(studio: Studio) -> list[int]:
    """Megabytes of each nameless file that the server holds open among its data."""
    links = (PROCESS / str(studio.pid) / "fd").iterdir()
    return [link.stat().st_size // 2**20 for link in links if str(studio.data) in str(link.readlink())]


def begin(socket: ClientConnection) -> str:
    """Run the first page as a browser does, to its end; return the name of the session."""
    message = BackMsg()
    message.rerun_script.query_string = ""
    socket.send(message.SerializeToString())
    session = ""
    while True:
        answer = ForwardMsg.FromString(bytes(socket.recv(timeout=120)))  # type: ignore[arg-type]
        kind = answer.WhichOneof("type")
        if kind == "new_session":
            session = answer.new_session.initialize.session_id
        if kind == "script_finished" and session:
            return session


def send(studio: Studio, session: str, *, megabytes: int, promised: int) -> int:
    """Upload random bytes, as many as `megabytes` of those `promised`; return the status, 0 if it was broken off."""
    with closing(http.client.HTTPConnection(urlsplit(studio.url).netloc, timeout=120)) as server:
        server.putrequest("PUT", f"/_stcore/upload_file/{session}/one")
        server.putheader("Content-Type", "multipart/form-data; boundary=edge")
        server.putheader("Content-Length", str(len(HEAD) + promised * 2**20 + len(TAIL)))
        server.endheaders(HEAD)
        for _ in range(megabytes):
            server.send(os.urandom(2**20))
        if megabytes < promised:
            return 0
        server.send(TAIL)
        with server.getresponse() as answer:
            return answer.status


def wait_until_nothing_is_kept(studio: Studio) -> bool:
    until = time.monotonic() + 30
    while kept(studio) and time.monotonic() < until:
        time.sleep(0.2)
    return not kept(studio)


def test_an_upload_lies_on_the_disk_and_is_gone_with_its_visitor(studio: Studio) -> None:
    with connect(f"ws://{urlsplit(studio.url).netloc}/_stcore/stream", max_size=None) as socket:
        session = begin(socket)
        before = memory(studio)
        for number in (1, 2):
            assert send(studio, session, megabytes=MEGABYTES, promised=MEGABYTES) == 204
            assert memory(studio) - before < MEGABYTES // 2, f"after upload {number}"
        assert kept(studio) == [MEGABYTES]  # the second took the place of the first
        assert send(studio, session, megabytes=8, promised=MEGABYTES) == 0
        assert send(studio, session, megabytes=0, promised=1025) == 0  # more than maxUploadSize
        time.sleep(1)
        assert kept(studio) == [MEGABYTES]  # nothing is left of what was broken off
    assert wait_until_nothing_is_kept(studio)
    assert list(studio.data.rglob("*.*")) == []
    assert memory(studio) - before < MEGABYTES // 2
