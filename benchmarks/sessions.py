"""Many people at once: N browsers open the studio and move sliders on Explore; what they wait for, and what it costs.

    python benchmarks/sessions.py --browsers 16 --seconds 90 before=../before after=.
    python benchmarks/sessions.py --browsers 4 --url http://127.0.0.1:8501

Several checkouts are measured in turn, `--rounds` times, so that a busy machine is as unfair to one as to the other.
Each gets a server of its own with one untrained model. On a shared machine, compare the processor seconds of the
server, the messages and the bytes: they hardly depend on what else runs. Needs Playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync"]  # fmt: skip
PATIENCE = 60.0  # seconds until a page that has not opened counts as a failure
COUNT = """() => {
    window.pictures = 0; let last = "";
    const inside = (each) => each.shadowRoot ? [each, ...seen(each.shadowRoot)] : [each];
    const seen = (node) => [...node.querySelectorAll("*")].flatMap(inside);
    setInterval(() => {
        const image = seen(document).find((each) => each.tagName === "IMG" && each.naturalWidth >= 16);
        const now = image ? image.src.length + image.src.slice(-64) : "";
        if (now && now !== last) { last = now; window.pictures += 1; }
    }, 50);
}"""


@dataclass
class Figures:
    """What was seen in one round."""

    first: list[float] = field(default_factory=list)
    """Seconds from the address to the first picture, of those who saw one."""
    failures: int = 0
    pictures: int = 0
    messages: int = 0
    """Messages and bytes from the server through the web socket, for opening alone."""
    received: int = 0
    fetched: int = 0
    """Requests over HTTP, for opening alone."""
    opening_cpu: float = 0.0
    """Processor seconds of the server while pages were opened."""
    moving_cpu: float = 0.0
    rss: int = 0
    """Megabytes of the server at the end."""

    def words(self, browsers: int, seconds: float) -> str:
        """One line."""
        middle = f"{statistics.median(self.first):.1f}" if self.first else "-"
        worst = f"{max(self.first):.1f}" if self.first else "-"
        return (
            f"first picture {middle} s (worst {worst}), {self.failures} failed, "
            f"{self.pictures / seconds:.2f} pictures/s; "
            f"for each opening: {self.opening_cpu / browsers:.2f} CPU s, {self.messages / browsers:.0f} messages, "
            f"{self.received / browsers / 1e3:.0f} kB, {self.fetched / browsers:.0f} requests; "
            f"moving {self.moving_cpu:.1f} CPU s; server {self.rss} MB"
        )


@contextmanager
def server(checkout: Path) -> Iterator[tuple[str, int]]:
    """(address, process id) of a studio of its own; stopped at the end."""
    root = Path(tempfile.mkdtemp(prefix="atelier-sessions-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    names = ("ATELIER_CHECKPOINTS", "ATELIER_RUNS", "ATELIER_DATA", "GANLIB_CACHE")
    environment = os.environ | {name: str(root / name.partition("_")[2].lower()) for name in names}
    environment |= {"PYTHONPATH": str(checkout), "MALLOC_ARENA_MAX": "1"}
    make = (
        "import sys; from pathlib import Path; from ganlib.models.checkpoints import save_snapshot; "
        "from ganlib.networks import tiny_generator; "
        "save_snapshot(Path(sys.argv[1]), G_ema=tiny_generator(resolution=64), title='Tiny')"
    )
    (root / "checkpoints").mkdir()
    model = str(root / "checkpoints" / "tiny.safetensors")
    subprocess.run([sys.executable, "-c", make, model], cwd=checkout, env=environment, check=True)
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *options]
    with (root / "app.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=checkout, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(root, ignore_errors=True)


def cpu_seconds(pid: int) -> float:
    """Processor seconds a process has used; 0 where nobody can tell."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int) -> int:
    """Resident megabytes of a process; 0 where nobody can tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS")), 0)


def measure(url: str, pid: int, chromium: str, browsers: int, seconds: float) -> Figures:
    """Open Explore in all browsers at once, then move the sliders in turn for `seconds`."""
    from playwright.sync_api import sync_playwright

    figures = Figures()
    with sync_playwright() as playwright:
        program = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        warm = program.new_page()  # the first visitor after a start waits for the libraries
        warm.goto(f"{url}/explore")
        warm.get_by_role("slider").first.wait_for(timeout=120_000)
        warm.close()
        pages = [program.new_context(viewport={"width": 1280, "height": 900}).new_page() for _ in range(browsers)]
        is_opening = True

        def heard(payload: str | bytes) -> None:
            if is_opening:
                figures.messages += 1
                figures.received += len(payload)

        def fetched(request: Any) -> None:
            figures.fetched += is_opening

        for page in pages:
            page.on("websocket", lambda socket: socket.on("framereceived", heard))
            page.on("request", fetched)
            page.add_init_script(f"addEventListener('DOMContentLoaded', {COUNT})")
        used, began = cpu_seconds(pid), time.monotonic()
        for page in pages:
            page.goto(f"{url}/explore", wait_until="commit", timeout=PATIENCE * 1000)
        waiting = set(pages)
        while waiting and time.monotonic() - began < PATIENCE:
            for page in list(waiting):
                if page.evaluate("window.pictures || 0"):
                    figures.first.append(time.monotonic() - began)
                    waiting.discard(page)
            pages[0].wait_for_timeout(100)
        figures.failures = len(waiting)
        pages[0].wait_for_timeout(1500)  # what comes after the picture belongs to the opening
        is_opening = False
        figures.opening_cpu = cpu_seconds(pid) - used
        used, began = cpu_seconds(pid), time.monotonic()
        opened = [page for page in pages if page not in waiting]
        before = [page.evaluate("window.pictures") for page in opened]
        turn = 0
        while opened and time.monotonic() - began < seconds:
            page = opened[turn % len(opened)]
            page.get_by_role("slider").nth(1).press(("ArrowRight", "ArrowLeft")[turn // len(opened) // 20 % 2])
            turn += 1
            page.wait_for_timeout(max(1, 400 // len(opened)))
        figures.pictures = sum(page.evaluate("window.pictures") for page in opened) - sum(before)
        figures.moving_cpu = cpu_seconds(pid) - used
        figures.rss = megabytes(pid)
        program.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="*", metavar="NAME=DIR", help="checkouts to compare (default: here=.)")
    parser.add_argument("--url", help="a studio that runs already, in their place")
    parser.add_argument("--browsers", type=int, default=16, metavar="N")
    parser.add_argument("--seconds", type=float, default=90.0, metavar="S", help="how long sliders are moved")
    parser.add_argument("--rounds", type=int, default=1, metavar="N")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    args = parser.parse_args()
    if args.url:
        print(measure(args.url, 0, args.chromium, args.browsers, args.seconds).words(args.browsers, args.seconds))
        return
    for _ in range(args.rounds):
        for given in args.checkouts or ["here=."]:
            name, _, folder = given.rpartition("=")
            with server(Path(folder).resolve()) as (url, pid):
                figures = measure(url, pid, args.chromium, args.browsers, args.seconds)
            print(f"{name or folder}: {figures.words(args.browsers, args.seconds)}", flush=True)


if __name__ == "__main__":
    main()
