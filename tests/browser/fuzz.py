"""Minutes of hostile addresses in a real browser: `python -m tests.browser.fuzz --minutes 5 --seed 1`.

A failure is a box with an exception, a request to another host, a complaint of the browser's console, a page that does
not come to rest, or a server that takes more than 1.5 GB. Each is printed with the address that repeats it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from playwright.sync_api import ConsoleMessage, Page, sync_playwright
from playwright.sync_api import Error as BrowserError

from tests.browser.conftest import CHROMIUM_NAMES, PROBES, Studio, running
from tests.fuzzing import MOST_MEBIBYTES, REST_SECONDS, Fuzz
from tests.hostile_workspace import make_workspace
from tests.parameters import REPOSITORY

REST = """() => !document.querySelector('[data-testid="stStatusWidgetRunningIcon"]')
    && document.querySelector('[data-testid="stApp"]')?.getAttribute('data-test-script-state') !== 'running'
    && document.querySelectorAll('[data-testid="stMainBlockContainer"] *').length > 3"""
# The browser itself says so of addresses that are too long for the server, before anything of ours is there.
TOLD_BY_BROWSER = ("431",)


class Look:
    """One window, and what was wrong in it."""

    def __init__(self, page: Page, studio: Studio) -> None:
        self.page, self.studio, self.wrong = page, studio, list[str]()
        page.on("request", lambda request: self._ask(request.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.wrong.append(f"uncaught: {error}"))

    def _ask(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob", "about") and f"{parts.scheme}://{parts.netloc}" != self.studio.url:
            self.wrong.append(f"asked {url[:200]}")

    def _hear(self, message: ConsoleMessage) -> None:
        where = message.location.get("url", "")
        if message.type in ("error", "warning") and not where.endswith(PROBES):
            self.wrong.append(f"{message.type}: {message.text[:300]} ({where[:100]})")

    def open(self, address: str) -> list[str]:
        """Open an address, agree to its question if there is one, and return what was wrong."""
        self.wrong = []
        try:
            self.page.goto(address, wait_until="commit", timeout=REST_SECONDS * 1000)
            self._rest()
            agree = self.page.get_by_role("button", name="Look at it", exact=True)
            if agree.count() and self.page.get_by_text("This link names a file or folder").count():
                agree.first.click(timeout=5000)
                self._rest()
            if self.page.get_by_test_id("stException").count():
                self.wrong.append("an exception: " + self.page.get_by_test_id("stException").first.inner_text()[:300])
        except BrowserError as error:
            self.wrong.append(f"no rest: {str(error).splitlines()[0][:200]}")
        mebibytes = resident_mebibytes(self.studio.pid)
        if mebibytes > MOST_MEBIBYTES:
            self.wrong.append(f"the server has {mebibytes:.0f} MiB")
        return [words for words in self.wrong if not any(sign in words for sign in TOLD_BY_BROWSER)]

    def _rest(self) -> None:
        self.page.wait_for_timeout(400)
        self.page.wait_for_function(REST, timeout=REST_SECONDS * 1000)


def resident_mebibytes(pid: int) -> float:
    """Memory that a process has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> int:
    """Fuzz for some minutes and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if program is None:
        print("no Chromium is installed; CHROMIUM names one")
        return 2
    opened, failures, most = 0, 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        workspace = make_workspace(root / "workspace")
        fuzz = Fuzz(workspace, root / "foreign", args.seed)
        with running(workspace.root, REPOSITORY) as studio, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--disable-gpu"])
            until = time.monotonic() + args.minutes * 60
            look = Look(browser.new_context(base_url=studio.url).new_page(), studio)
            while time.monotonic() < until:
                for page, query in fuzz.round():
                    if time.monotonic() > until:
                        break
                    path = "" if page == "gallery" else page
                    address = f"{studio.url}/{path}?{urlencode(query, errors='surrogatepass')}"
                    wrong = look.open(address)
                    opened, most = opened + 1, max(most, resident_mebibytes(studio.pid))
                    if wrong:
                        failures += 1
                        print(f"{address[:1500]}\n    " + "\n    ".join(dict.fromkeys(wrong)), flush=True)
            browser.close()
        traces = (workspace.root / "app.log").read_text(errors="replace").count("Traceback (most recent call last)")
    print(f"{opened} addresses, {failures} with failures, {traces} tracebacks in the log, at most {most:.0f} MiB")
    return int(failures > 0 or traces > 0)


if __name__ == "__main__":
    sys.exit(main())
