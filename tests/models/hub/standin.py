"""A stand-in for the Hub's HTTP interface on this computer: what its client asks for a model, and nothing more."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_" + "Kx7Qm2Vt9Lp4Rw8Zs1Nd6Bc3Yf5Gh0Ja"
LFS_SUFFIXES = (".safetensors", ".pkl", ".pt", ".png")


class Repository:
    """A model's files, and what its page says."""

    def __init__(self, files: dict[str, bytes] | None = None, *, private: bool = False, **card: Any) -> None:
        self.files = dict(files or {})
        self.private, self.gated, self.card = private, False, card
        self.tags: list[str] = list(card.get("tags", []))
        self.branches = {"main"}
        self.commits: list[str] = []

    @property
    def sha(self) -> str:
        """A commit's name that changes with the files."""
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()


class StandIn:
    """The server's memory, and levers to make it misbehave."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.asked: list[tuple[str, str, str]] = []
        """Method, path and Range of each request."""
        self.bodies: list[bytes] = []
        self.cut_after: list[int] = []
        """Bytes after which the next answers with a file break off, one by one."""
        self.refuse: dict[str, tuple[int, dict[str, str]]] = {}
        """Beginning of a path → status and headers of the answer."""
        self.lies: dict[str, str] = {}
        """File → the sha256 that is told of it."""
        self.ignores_range = self.is_portal = False
        self.base = ""
        self.uploads: dict[str, bytes] = {}
        self.authorised: set[str] = set()
        """Paths that came with the right token."""

    def count(self, method: str, part: str) -> int:
        """How many requests had this method and this in their path."""
        return sum(1 for verb, path, _ in self.asked if verb == method and part in path)


@contextmanager
def serving() -> Iterator[StandIn]:
    """Run a stand-in; its address is `base`."""
    state = StandIn()

    class Handler(_Handler):
        hub = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        path = unquote(place.path)
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        is_known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if is_known:
            self.hub.authorised.add(path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        self.hub.bodies.append(body)
        for start, (status, headers) in self.hub.refuse.items():
            if path.startswith(start):
                return self._answer(status, b'{"error":"no"}', headers)
        if self.hub.is_portal:
            return self._answer(200, b"<html>Welcome to our hotel</html>", {"Content-Type": "text/html"})
        if self.command in ("GET", "HEAD"):
            return self._read(path, parse_qs(place.query), is_known)
        return self._write(path, body, is_known)

    do_HEAD = do_POST = do_PUT = do_GET

    def _chunks(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _read(self, path: str, query: dict[str, list[str]], is_known: bool) -> None:
        if path == "/api/models":
            word, tag = query.get("search", [""])[0], query.get("filter", [""])[0]
            found = [
                self._info(name) for name, repository in self.hub.repositories.items()
                if word in name and (not tag or tag in repository.tags) and not repository.private
            ]  # fmt: skip
            return self._json(200, found[: int(query.get("limit", ["100"])[0])])
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            if (repository := self._visible(match[1], is_known)) is None:
                return None
            if match[2] and match[2] not in (*repository.branches, repository.sha):
                return self._json(404, {"error": "no revision"}, {"X-Error-Code": "RevisionNotFound"})
            return self._json(200, self._info(match[1], is_full=True))
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            if (repository := self._visible(match[1], is_known)) is None:
                return None
            if repository.gated:
                return self._json(403, {}, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
            if match[3] not in repository.files:
                return self._json(404, {}, {"X-Error-Code": "EntryNotFound"})
            data = repository.files[match[3]]
            # As the Hub does, large files lie elsewhere, where the token is not to be shown.
            return self._answer(302, b"", {"Location": f"/cdn/{hashlib.sha256(data).hexdigest()}"})
        if match := re.fullmatch(r"/cdn/([0-9a-f]{64})", path):
            return self._file(match[1])
        return self._json(404, {"error": "not here"})

    def _file(self, digest: str) -> None:
        everything = [data for repository in self.hub.repositories.values() for data in repository.files.values()]
        data = next(data for data in everything if hashlib.sha256(data).hexdigest() == digest)
        headers, status, start = {"ETag": f'"{digest}"'}, 200, 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", f'"{digest}"') == f'"{digest}"'
        if wanted and same and not self.hub.ignores_range:
            start, status = int(wanted[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        rest = data[start:]
        if self.hub.cut_after:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(rest))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(rest[: self.hub.cut_after.pop(0)])
            self.close_connection = True
            return
        self._answer(status, rest, headers)

    def _visible(self, name: str, is_known: bool) -> Repository | None:
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not is_known):
            self._json(404 if is_known else 401, {"error": "not found"}, {"X-Error-Code": "RepoNotFound"})
            return None
        return repository

    def _info(self, name: str, is_full: bool = False) -> dict[str, Any]:
        repository = self.hub.repositories[name]
        siblings = []
        for path, data in repository.files.items():
            row: dict[str, Any] = {"rfilename": path}
            if is_full:
                git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
                row |= {"size": len(data), "blobId": self.hub.lies.get(path, git)}
                if path.endswith(LFS_SUFFIXES):
                    digest = self.hub.lies.get(path, hashlib.sha256(data).hexdigest())
                    row["lfs"] = {"size": len(data), "sha256": digest, "pointerSize": 134}
            siblings.append(row)
        return {
            "id": name, "sha": repository.sha, "private": repository.private, "gated": repository.gated,
            "downloads": 7, "likes": 3, "lastModified": "2026-03-04T05:06:07.000Z", "tags": repository.tags,
            "cardData": repository.card, "siblings": siblings,
        }  # fmt: skip

    def _write(self, path: str, body: bytes, is_known: bool) -> None:
        if match := re.fullmatch(r"/upload/([0-9a-f]{64})", path):
            self.hub.uploads[match[1]] = body
            return self._answer(200, b"", {})
        if not is_known:
            words = {"X-Error-Message": "Invalid credentials in Authorization header"}
            return self._json(401, {"error": "who are you?"}, words)
        if path == "/api/validate-yaml":
            return self._json(200, {"errors": [], "warnings": []})
        value = json.loads(body) if body and "/commit/" not in path else None
        if path == "/api/repos/create":
            assert isinstance(value, dict)
            name = f"{value['organization']}/{value['name']}"
            answer = {"url": f"{self.hub.base}/{name}"}
            if name in self.hub.repositories:
                return self._json(409, answer | {"error": "You already created this model repo"})
            is_private = bool(value.get("private") or value.get("visibility") == "private")
            self.hub.repositories[name] = Repository(private=is_private)
            return self._json(200, answer)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/branch/(.+)", path):
            self.hub.repositories[match[1]].branches.add(match[2])
            return self._json(201, {})
        if "/preupload/" in path:
            assert isinstance(value, dict)
            modes = [
                {
                    "path": file["path"], "shouldIgnore": False,
                    "uploadMode": "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular",
                }
                for file in value["files"]
            ]  # fmt: skip
            return self._json(200, {"files": modes})
        if path.endswith(".git/info/lfs/objects/batch"):
            assert isinstance(value, dict)
            objects = [
                {
                    "oid": item["oid"], "size": item["size"],
                    "actions": {"upload": {"href": f"{self.hub.base}/upload/{item['oid']}"}},
                }
                for item in value["objects"]
            ]  # fmt: skip
            return self._json(200, {"transfer": "basic", "objects": objects})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
            return self._commit(match[1], body)
        return self._json(404, {"error": "not here"})

    def _commit(self, name: str, body: bytes) -> None:
        repository = self.hub.repositories[name]
        for line in body.decode().splitlines():
            item = json.loads(line)
            if item["key"] == "header":
                repository.commits.append(item["value"]["summary"])
            elif item["key"] == "file":
                repository.files[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
            elif item["key"] == "lfsFile":
                repository.files[item["value"]["path"]] = self.hub.uploads[item["value"]["oid"]]
        address = f"{self.hub.base}/{name}/commit/{repository.sha}"
        self._json(200, {"success": True, "commitOid": repository.sha, "commitUrl": address})

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""
