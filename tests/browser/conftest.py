"""A studio with one tiny model on a free port, and a Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from ganlib.models.checkpoints import save_snapshot
from ganlib.networks import tiny_generator

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_SECONDS = 60
# On a deep link Streamlit's own front end asks for these below the page's path before it finds the server's root.
PROBES = ("/_stcore/health", "/_stcore/host-config")

expect.set_options(timeout=45_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@dataclass(frozen=True)
class Studio:
    """A running app."""

    url: str
    checkpoints: Path
    runs: Path
    data: Path
    pid: int = 0


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if program is None:
        pytest.skip(f"no Chromium is installed (looked for {', '.join(CHROMIUM_NAMES)}; CHROMIUM names another)")
    with sync_playwright() as playwright:
        # Without the graphics process: drawing in software is quicker that way.
        browser = playwright.chromium.launch(executable_path=program, args=["--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def running(root: Path, repository: Path) -> Iterator[Studio]:
    """A server over the workspace `root`, on a free port; stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "ATELIER_CHECKPOINTS": str(root / "checkpoints"),
        "ATELIER_RUNS": str(root / "runs"),
        "ATELIER_DATA": str(root / "data"),
        "GANLIB_CACHE": str(root / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
    with (root / "app.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", *options],
            cwd=repository,
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/_stcore/health", process, root / "app.log")
            yield Studio(url, root / "checkpoints", root / "runs", root / "data", process.pid)
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Studio]:
    root = tmp_path_factory.mktemp("studio")
    (root / "checkpoints").mkdir()
    generator = tiny_generator(seed=3, resolution=32)
    save_snapshot(root / "checkpoints" / "tiny.safetensors", G_ema=generator, title="<b>Tiny</b> & small", kimg=1)
    with running(root, repository) as studio:
        yield studio


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the app did not start:\n{log.read_text()}")


@pytest.fixture
def page(browser: Browser, studio: Studio) -> Iterator[Page]:
    """A fresh window; at the end of the test its console must be silent."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=studio.url)
    page = context.new_page()
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.location.get("url", "").endswith(PROBES):
            complaints.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    yield page
    context.close()
    assert complaints == []
