"""A text file of picture addresses, fetched slowly, once, and only where the site allows it.

Each host is asked once a second at most (or as seldom as its robots.txt wishes), and what robots.txt forbids is not
asked for. What was fetched stays in the folder with `addresses.jsonl`, so that a second run fetches only the rest.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
import urllib.robotparser
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from ganlib.base.errors import DataError
from ganlib.base.filesystem import MOST_LINES_BYTES, read_regular, read_text_regular, reason
from ganlib.dataset.files import is_picture_name
from ganlib.media.images import decode
from ganlib.runs import Reporter, Stopped, write_bytes
from ganlib.runs.files import append_text

INDEX = "addresses.jsonl"
AGENT = "latent-atelier"
SECONDS_BETWEEN = 1.0  # requests to one host
LONGEST_DELAY = 30.0  # that a robots.txt may ask for
TIMEOUT_SECONDS = 30.0  # without a sign of life
MOST_SECONDS = 300.0  # for one answer
MOST_BYTES = 64 * 2**20  # of a picture
ROBOTS_BYTES = 512 * 1024
MOST_REDIRECTS = 5
_SUFFIXES = {
    "image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif", "image/tiff": ".tif",
    "image/avif": ".avif", "image/heic": ".heic", "image/bmp": ".bmp",
}  # fmt: skip
_NETWORK = (OSError, http.client.HTTPException, ValueError)  # URLError is an OSError; ValueError: an odd address


class _RefusedError(Exception):
    """An address that is not used, with the reason, and whether another time may go better."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


def fetch(listed: Path, folder: Path, reporter: Reporter) -> dict[str, str]:
    """Fetch what `listed` names into `folder`; return address → reason of those that were not to be had.

    The list has one http or https address per line; `#` begins a comment. What went wrong for good is not tried again.
    Raises DataError for a list without addresses, and Stopped when `reporter.should_stop()`.
    """
    try:
        lines = read_regular(listed, max_bytes=MOST_LINES_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        hint = "Give a text file with one address per line."
        raise DataError(f"{listed} cannot be read: {reason(error)}", hint) from error
    wanted = list(dict.fromkeys(words for line in lines if (words := line.strip()) and not words.startswith("#")))
    if not wanted:
        raise DataError(f"{listed} holds no addresses", "Write one per line, such as https://example.org/a.jpg.")
    folder.mkdir(parents=True, exist_ok=True)
    known = {record["url"]: record for record in _records(folder / INDEX)}
    failed, hosts = {}, _Hosts(reporter)
    for i, url in enumerate(wanted):
        if reporter.should_stop():
            raise Stopped
        record = known.get(url, {})
        if record.get("file") and (folder / record["file"]).is_file():
            continue
        if record.get("reason") and not record.get("passing"):
            failed[url] = record["reason"]
            continue
        try:
            name, data = _fetch_one(url, hosts)
            write_bytes(folder / name, data, durable=False)
            record = {"url": url, "file": name}
        except _RefusedError as refusal:
            record = {"url": url, "reason": str(refusal), "passing": refusal.passing}
            failed[url] = str(refusal)
        append_text(folder / INDEX, json.dumps(record) + "\n")
        reporter.progress(i + 1, len(wanted), f"{i + 1 - len(failed)} addresses fetched")
    return failed


def _records(index: Path) -> Iterator[dict[str, Any]]:
    if not index.is_file():
        return
    for line in read_text_regular(index, max_bytes=MOST_LINES_BYTES, errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # a line that was cut off by a kill
            continue
        if isinstance(record, dict) and isinstance(record.get("url"), str):
            yield record


def _fetch_one(url: str, hosts: _Hosts) -> tuple[str, bytes]:
    """A name of our own for the picture and its bytes."""
    place = url
    for _ in range(MOST_REDIRECTS + 1):
        if urlsplit(place).scheme not in ("http", "https") or not urlsplit(place).hostname:
            raise _RefusedError("no http or https address")
        hosts.ask(place)
        status, headers, data = _get(place, MOST_BYTES)
        if status in (301, 302, 303, 307, 308) and headers.get("Location"):
            place = urljoin(place, headers["Location"])
            continue
        break
    else:
        raise _RefusedError(f"led on more than {MOST_REDIRECTS} times")
    if status != 200:
        raise _RefusedError(f"answered {status}", passing=status == 429 or status >= 500)
    kind = headers.get_content_type()
    if not kind.startswith("image/") and kind not in ("application/octet-stream", "binary/octet-stream"):
        raise _RefusedError(f"no picture but {kind}")
    try:
        decode(data, name="what is there")
    except DataError as error:
        raise _RefusedError(error.message) from error
    last = unquote(urlsplit(url).path).rpartition("/")[2]
    suffix = last[last.rfind(".") :].lower() if is_picture_name(last) else _SUFFIXES.get(kind, ".png")
    words = re.sub(r"[^A-Za-z0-9]+", "-", last.rpartition(".")[0] or last).strip("-")[:60]
    return f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{words or 'picture'}{suffix}", data


class _Hosts:
    """What each host allows, and when it was asked last."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._rules: dict[str, urllib.robotparser.RobotFileParser] = {}
        self._last: dict[str, float] = {}

    def ask(self, url: str) -> None:
        """Wait until the host may be asked for `url`; raises _RefusedError where it may not."""
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        if host not in self._rules:
            self._rules[host] = _robots(host)
        rules = self._rules[host]
        if not rules.can_fetch(AGENT, url):
            raise _RefusedError("the site's robots.txt forbids it", passing=bool(getattr(rules, "unreachable", False)))
        delay = min(max(float(rules.crawl_delay(AGENT) or 0), SECONDS_BETWEEN), LONGEST_DELAY)
        while (remaining := self._last.get(host, -delay) + delay - time.monotonic()) > 0:
            if self._reporter.should_stop():
                raise Stopped
            time.sleep(min(remaining, 0.2))
        self._last[host] = time.monotonic()


def _robots(host: str) -> urllib.robotparser.RobotFileParser:
    """The rules of a host: none where it has no robots.txt, and everything forbidden where it cannot be asked."""
    rules = urllib.robotparser.RobotFileParser(f"{host}/robots.txt")
    try:
        place = f"{host}/robots.txt"
        for _ in range(MOST_REDIRECTS + 1):
            status, headers, data = _get(place, ROBOTS_BYTES)
            if status not in (301, 302, 303, 307, 308) or not headers.get("Location"):
                break
            place = urljoin(place, headers["Location"])
            if urlsplit(place).scheme not in ("http", "https"):
                break
    except _RefusedError:
        status, data = 503, b""
    if status == 200:
        rules.parse(data.decode("utf-8", "replace").splitlines())
    elif 400 <= status < 500 and status not in (401, 403, 429):
        rules.parse([])
    else:
        rules.disallow_all = True  # type: ignore[attr-defined]
        rules.unreachable = True  # type: ignore[attr-defined]
    return rules


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        """Each step is asked for by itself, because it may lead to another host."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def _get(url: str, most_bytes: int) -> tuple[int, Message, bytes]:
    request = urllib.request.Request(url, headers={"User-Agent": f"{AGENT} (training-set preparation)"})
    try:
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
            if int(answer.headers.get("Content-Length") or 0) > most_bytes:
                raise _RefusedError(f"larger than {most_bytes:,} bytes")
            data, deadline = bytearray(), time.monotonic() + MOST_SECONDS
            while part := answer.read1(2**16):
                data += part
                if len(data) > most_bytes:
                    raise _RefusedError(f"larger than {most_bytes:,} bytes")
                if time.monotonic() > deadline:
                    raise _RefusedError(f"took longer than {MOST_SECONDS:.0f} s", passing=True)
            return answer.status, answer.headers, bytes(data)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, b""
    except _NETWORK as error:
        reason = getattr(error, "reason", error)
        raise _RefusedError(f"cannot be fetched: {reason}", passing=True) from error
