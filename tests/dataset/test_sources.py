"""Films, data sets of the Hub and lists of addresses become training sets; nothing here leaves this machine."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from ganlib.base.errors import DataError, InputError
from ganlib.dataset import Dataset, PrepareConfig, prepare
from ganlib.dataset.sources import addresses
from ganlib.media.images import encode
from ganlib.runs import SilentReporter, Stopped

Answer = tuple[int, dict[str, str], bytes]


def picture(seed: int, side: int = 32) -> bytes:
    return encode(np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8))


@contextmanager
def serving(answer: Callable[[str], Answer]) -> Iterator[tuple[str, Counter[str]]]:
    """A web server of `answer(path)`; yields its address and how often each path was asked for."""
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked[self.path] += self.command == "GET"
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- films ------------------------------------------------------------------------------------------------------------


def film(path: Path, seconds: int = 3) -> Path:
    """Ten pictures per second whose left half grows lighter with time."""
    frames = np.zeros((seconds * 10, 48, 64, 3), np.uint8)
    frames[:, :, :32] = np.linspace(20, 230, len(frames)).astype(np.uint8)[:, None, None, None]
    iio.imwrite(path, frames, fps=10)
    return path


def test_a_film_gives_frames_named_after_their_time(tmp_path):
    config = PrepareConfig(str(film(tmp_path / "a.mp4")), str(tmp_path / "out.zip"), 32, fps=2, unframe="none")
    report = prepare(config)
    assert [item.name for item in report.items] == [f"{i / 2:010.3f}s.png" for i in range(6)] and report.kept == 6
    assert [item.name for item in report.items][3] == "000001.500s.png"
    light = Dataset.open(report.dest).pixels()[:, :, 4].mean(axis=(1, 2))
    assert (np.diff(light) > 15).all()
    assert Dataset.open(report.dest).card["source"] == "a.mp4"
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "out.zip", "out.report.jsonl"}


def test_films_that_are_none_and_stops_are_survived(tmp_path):
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(DataError, match=r"text\.mp4 is no film"):
        prepare(PrepareConfig(str(tmp_path / "text.mp4"), str(tmp_path / "out.zip"), 32))
    with pytest.raises(DataError, match="does not exist"):
        prepare(PrepareConfig(str(tmp_path / "missing.mp4"), str(tmp_path / "out.zip"), 32))

    class Stopper(SilentReporter):
        def should_stop(self) -> bool:
            return True

    source = film(tmp_path / "a.mp4", 1)
    with pytest.raises(Stopped):
        prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 32, fps=5), reporter=Stopper())
    assert prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 32, fps=5)).kept == 5
    for fps in (0, float("nan"), 1000, True):
        with pytest.raises(InputError):
            PrepareConfig("a.mp4", "b.zip", fps=fps).validate()


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(addresses, "SECONDS_BETWEEN", 0.0)


def site(path: str) -> Answer:
    if path == "/robots.txt":
        return 200, {}, b"User-agent: *\nDisallow: /private/\n"
    if path in ("/a.png", "/b%20b.png", "/same/a.png", "/private/c.png"):
        return 200, {"Content-Type": "image/png"}, picture(len(path))
    if path == "/moved":
        return 302, {"Location": "/a.png"}, b""
    if path == "/sly":
        return 302, {"Location": "/private/c.png"}, b""
    if path == "/local":
        return 302, {"Location": "file:///etc/passwd"}, b""
    if path == "/round":
        return 302, {"Location": "/round"}, b""
    if path == "/page.html":
        return 200, {"Content-Type": "text/html"}, b"<html>"
    if path == "/lie.png":
        return 200, {"Content-Type": "image/png"}, b"this is text"
    if path == "/huge.png":
        return 200, {"Content-Type": "image/png", "Content-Length": str(10**12)}, b""
    if path == "/busy.png":
        return 503, {}, b""
    return 404, {}, b""


def test_addresses_are_fetched_once_and_only_where_it_is_allowed(tmp_path, quick):
    with serving(site) as (base, asked):
        paths = ["a.png", "b%20b.png", "same/a.png", "moved", "private/c.png", "sly", "local", "round", "page.html"]
        paths += ["lie.png", "huge.png", "busy.png", "gone.png"]
        listed = "\n".join(["# mine", "", *(f"{base}/{path}" for path in paths), "ftp://x/y.png", f"{base}/a.png"])
        (tmp_path / "list.txt").write_text(listed)
        config = PrepareConfig(str(tmp_path / "list.txt"), str(tmp_path / "out.zip"), 32, i_have_the_rights=True)
        report = prepare(config)
        assert report.kept == 4 and report.errors == 10
        reasons = {item.name.removeprefix(base): item.reason for item in report.items if item.status == "error"}
        for path, words in {
            "/private/c.png": "robots.txt", "/sly": "robots.txt", "/local": "no http", "/round": "led on",
            "/page.html": "text/html", "/lie.png": "text", "/huge.png": "larger", "/busy.png": "503",
            "/gone.png": "404", "ftp://x/y.png": "no http",
        }.items():  # fmt: skip
            assert words in reasons[path], (path, reasons[path])
        assert asked["/private/c.png"] == 0 and asked["/robots.txt"] == 1 and asked["/a.png"] == 2
        names = {path.name for path in (tmp_path / "out.downloads").iterdir()}
        assert len(names) == 5 and any(name.endswith("-b-b.png") for name in names)
        again = prepare(config)
        assert again.kept == 4 and asked["/b%20b.png"] == 1 and asked["/busy.png"] == 2 and asked["/gone.png"] == 1


def test_nothing_is_fetched_without_the_right_to(tmp_path, quick):
    with serving(site) as (base, asked):
        (tmp_path / "list.txt").write_text(f"{base}/a.png\n")
        with pytest.raises(InputError, match="may use") as caught:
            prepare(PrepareConfig(str(tmp_path / "list.txt"), str(tmp_path / "out.zip"), 32))
        assert "--i-have-the-rights" in caught.value.hint and not asked
        (tmp_path / "list.txt").write_text("# nothing\n")
        with pytest.raises(DataError, match="no addresses"):
            prepare(PrepareConfig(str(tmp_path / "list.txt"), str(tmp_path / "o.zip"), 32, i_have_the_rights=True))


@pytest.mark.parametrize(("robots", "kept"), [(404, 1), (401, 0), (500, 0)])
def test_a_site_without_rules_is_open_and_one_that_hides_them_is_closed(tmp_path, quick, robots, kept):
    def answer(path: str) -> Answer:
        return (robots, {}, b"") if path == "/robots.txt" else site(path)

    with serving(answer) as (base, _):
        (tmp_path / "list.txt").write_text(f"{base}/a.png\n")
        failed = addresses.fetch(tmp_path / "list.txt", tmp_path / "downloads", SilentReporter())
        assert len(failed) == 1 - kept


def test_a_host_is_asked_with_pauses(tmp_path, monkeypatch):
    monkeypatch.setattr(addresses, "SECONDS_BETWEEN", 7.0)
    slept: list[float] = []
    monkeypatch.setattr(addresses.time, "sleep", slept.append)
    clock = iter(np.arange(0, 1e6, 0.5))
    monkeypatch.setattr(addresses.time, "monotonic", lambda: float(next(clock)))
    with serving(site) as (base, _):
        (tmp_path / "list.txt").write_text(f"{base}/a.png\n{base}/same/a.png\n")
        assert addresses.fetch(tmp_path / "list.txt", tmp_path / "downloads", SilentReporter()) == {}
    assert 5 <= len(slept) <= 14


# --- the Hub ----------------------------------------------------------------------------------------------------------


def hub(files: dict[str, bytes]) -> Callable[[str], Answer]:
    """What the client of the Hub asks for a data set `me/set` of these files."""
    info = {
        "id": "me/set", "sha": "f" * 40, "siblings": [{"rfilename": name} for name in files],
        "cardData": {"license": "cc0-1.0"}, "private": False, "gated": False, "tags": [], "downloads": 0,
    }  # fmt: skip
    tree = [{"type": "file", "path": name, "size": len(data), "oid": "0" * 40} for name, data in files.items()]

    def answer(path: str) -> Answer:
        path = path.partition("?")[0]
        as_json = {"Content-Type": "application/json"}
        if path.startswith("/api/datasets/me/set/tree/"):
            return 200, as_json, json.dumps(tree).encode()
        if path == "/api/datasets/me/set" or path.startswith("/api/datasets/me/set/revision/"):
            return 200, as_json, json.dumps(info).encode()
        name = path.removeprefix(f"/datasets/me/set/resolve/{'f' * 40}/")
        if name in files:
            return 200, {"ETag": f'"{abs(hash(name)):x}"', "X-Repo-Commit": "f" * 40}, files[name]
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"

    return answer


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return tmp_path


def test_picture_files_of_the_hub_are_fetched_once(own_cache, monkeypatch):
    files = {"train/cat/1.png": picture(1), "train/dog/2.png": picture(2), "README.md": b"#", "model.bin": b"x" * 9}
    with serving(hub(files)) as (base, asked):
        monkeypatch.setenv("HF_ENDPOINT", base)
        config = PrepareConfig("hf:me/set", str(own_cache / "out.zip"), 32, labels="folder")
        report = prepare(config)
        prepare(config)
    dataset = Dataset.open(report.dest)
    assert dataset.class_names == ["cat", "dog"] and report.aside == {}
    assert (dataset.card["licence"], dataset.card["source"]) == ("cc0-1.0", "hf:me/set")
    assert "me/set" in dataset.card["credit"]
    fetched = {path.rpartition("/")[2]: count for path, count in asked.items() if "/resolve/" in path}
    assert fetched == {"1.png": 1, "2.png": 1}


def test_tables_of_the_hub_give_pictures_and_classes(own_cache, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = {
        "image": [{"bytes": picture(i), "path": f"{i}.png"} for i in range(3)], "label": [2, 0, 2], "note": ["x"] * 3
    }  # fmt: skip
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["a", "b", "c"]}}
    table = pyarrow.table(rows).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    out = BytesIO()
    parquet.write_table(table, out)
    with serving(hub({"data/train-0.parquet": out.getvalue()})) as (base, _):
        monkeypatch.setenv("HF_ENDPOINT", base)
        report = prepare(PrepareConfig("hf:me/set", str(own_cache / "out.zip"), 32))
    dataset = Dataset.open(report.dest)
    assert dataset.class_names == ["a", "b", "c"] and dataset.labels is not None
    assert dataset.labels.tolist() == [2, 0, 2] and report.aside == {}
    assert np.array_equal(dataset[1][0], np.asarray(Image.open(BytesIO(picture(1)))))
    assert {path.name for path in own_cache.iterdir()} == {"cache", "out.zip", "out.report.jsonl"}


def test_sets_that_are_not_there_and_no_network_are_explained(own_cache, monkeypatch):
    with serving(hub({"readme.md": b"x"})) as (base, _):
        monkeypatch.setenv("HF_ENDPOINT", base)
        for name, words in (("me/set", "no picture files"), ("me/other", "404")):
            with pytest.raises(DataError, match=words) as caught:
                prepare(PrepareConfig(f"hf:{name}", str(own_cache / "out.zip"), 32))
            assert caught.value.hint
    for name in ("me", "me/", "a/b/c", "me/se t"):
        with pytest.raises(InputError, match="no data set"):
            prepare(PrepareConfig(f"hf:{name}", str(own_cache / "out.zip"), 32))
    with pytest.raises(DataError, match="cannot be fetched") as caught:  # the server has gone
        prepare(PrepareConfig("hf:me/set", str(own_cache / "out.zip"), 32))
    assert "network" in caught.value.hint
