"""Training in a real browser: start, watch, stop, refresh, resume, lose the worker, resume, use the model."""

from __future__ import annotations

import os
import re
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from ganlib import runs
from ganlib.media.images import encode
from tests.browser.conftest import Studio

# So small that a step takes milliseconds, and so long that only Stop ends it.
TINY = {"preset": "quick", "cbase": 64, "cmax": 8, "z_dim": 8, "w_dim": 8, "batch": 4}
ENDLESS = {**TINY, "kimg": 100000.0, "snap": 0.1, "tick": 0.02, "title": "Dots"}
PATIENCE_MS = 120_000


@pytest.fixture
def data(studio: Studio) -> Path:
    studio.data.mkdir(exist_ok=True)
    path, rng = studio.data / "dots.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as file:
        for i in range(64):
            file.writestr(f"img{i:03d}.png", encode(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)))
    return path


@pytest.fixture
def quiet(studio: Studio) -> Iterator[None]:
    """No run outlives its test."""
    yield
    for run in runs.list_runs(studio.runs, verb="train"):
        runs.stop(run)


def state(page: Page, words: str) -> None:
    """Wait until the run's label says so."""
    # A label with a tooltip stands in the page twice.
    label = page.locator(".st-key-run-head").get_by_text(words, exact=True).first
    expect(label).to_be_visible(timeout=PATIENCE_MS)


def button(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_a_run_is_started_watched_stopped_lost_and_resumed(page: Page, studio: Studio, data: Path, quiet: None) -> None:
    page.goto(f"/train?{urlencode({**ENDLESS, 'data': data})}")
    expect(page.get_by_text("The same from a terminal")).to_be_visible()
    button(page, "Start training")
    state(page, "running")
    expect(page).to_have_url(re.compile(r"/train\?run=\d{5}-train-dots$"))
    (run,) = runs.list_runs(studio.runs, verb="train")

    # Curves and samples grow without a touch.
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Samples over time")).to_be_visible(timeout=PATIENCE_MS)
    seen = len(run.stats())
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while len(run.stats()) <= seen and time.monotonic() < deadline:
        page.wait_for_timeout(300)
    assert len(run.stats()) > seen

    button(page, "Stop")
    state(page, "stopped")
    page.reload()
    state(page, "stopped")
    done = run.status["done"]
    button(page, "Resume")
    state(page, "running")
    expect(page.get_by_text(re.compile("resumed exactly|continues exactly")).first).to_be_attached(timeout=PATIENCE_MS)

    # The worker dies; the page says so without being asked, and the run goes on where its last snapshot was.
    os.kill(int(run.status["pid"]), signal.SIGKILL)
    state(page, "lost")
    expect(page.get_by_text("Its worker disappeared")).to_be_visible()
    button(page, "Resume")
    state(page, "running")
    button(page, "Stop")
    state(page, "stopped")
    assert run.status["done"] >= done

    page.locator(".st-key-use button").first.click()
    expect(page).to_have_url(re.compile(r"model=\d{5}-train-dots-\d{6}"), timeout=PATIENCE_MS)
    expect(page.locator(".model .name").filter(has_text="Dots")).to_have_count(1)


def test_the_form_survives_a_refresh_and_the_way_back(page: Page, data: Path) -> None:
    page.goto(f"/train?{urlencode({**TINY, 'data': data})}")
    page.get_by_text(re.compile("^Length")).first.click()
    batch = page.get_by_label("batch", exact=True)
    batch.fill("8")
    batch.press("Enter")
    expect(page).to_have_url(re.compile("cbase=64"))
    expect(page).not_to_have_url(re.compile("batch=4"), timeout=PATIENCE_MS)
    page.reload()
    page.get_by_text(re.compile("^Length")).first.click()
    expect(page.get_by_label("batch", exact=True)).to_have_value("8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_telephone(page: Page, data: Path, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/train?{urlencode({**TINY, 'data': data})}")
    expect(page.get_by_role("button", name="Start training")).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
