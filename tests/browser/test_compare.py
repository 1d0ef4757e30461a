"""The quiz played to a score with the arrow keys, and the report of a copy check opened, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from ganlib.compare.votes import load_games
from ganlib.media import images
from tests.browser.conftest import Studio
from tests.compare.conftest import write_set

PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def reals(studio: Studio) -> Iterator[Path]:
    coarse = np.random.default_rng(1).integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
    yield write_set(studio.data / "plums", images.resize(coarse, 32, 32))


def test_a_quiz_is_played_to_a_score_with_the_arrow_keys(page: Page, studio: Studio, reals: Path) -> None:
    page.goto(f"/compare?model=tiny&view=quiz&data={reals}")
    page.get_by_role("radio", name="5", exact=True).click(timeout=PATIENCE_MS)
    expect(page.get_by_role("radio", name="5", exact=True)).to_be_checked()
    page.get_by_role("button", name="Begin").click()
    for round in range(5):
        expect(page.locator(f'.pair-box[data-round="{round}"]')).to_be_focused(timeout=PATIENCE_MS)
        # Nothing of a picture is told apart: both come from one file, onto canvases of one size.
        sizes = page.locator(".pair-half canvas").evaluate_all("all => all.map((c) => [c.width, c.height])")
        assert sizes == [[384, 384], [384, 384]] and page.locator(".pair-box img").count() == 0
        if round == 2:  # the browser is closed and opened again
            expect(page).to_have_url(re.compile("game=[0-9a-f]{16}"))
            page.reload()
            expect(page.locator(f'.pair-box[data-round="{round}"]')).to_be_visible(timeout=PATIENCE_MS)
        page.keyboard.press("ArrowLeft" if round % 2 else "ArrowRight")
        if round < 4:
            expect(page.locator(".pair-half .verdict").first).to_have_text(re.compile("real|generated"))
    expect(page.get_by_text(re.compile(r"^\d of 5 right"))).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("with 95 % confidence")).to_be_visible()
    (game,) = load_games(studio.runs)
    assert (game.kind, game.model, game.other, game.rounds) == ("quiz", "tiny", "plums", 5)
    with page.expect_download(timeout=PATIENCE_MS) as download:
        page.get_by_role("button", name="CSV").click()
    assert "quiz,tiny" in download.value.path().read_text()


def test_a_copy_check_is_run_and_its_report_opened(page: Page, studio: Studio, reals: Path) -> None:
    page.goto(f"/compare?model=tiny&view=copies&data={reals}")
    seeds = page.get_by_role("textbox", name="Seeds")
    seeds.fill("0-7", timeout=PATIENCE_MS)
    seeds.press("Enter")
    page.get_by_text("The same from a terminal").click()
    expect(page.get_by_text("--seeds 0-7")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Check for copies").click()
    expect(page.get_by_text(re.compile("of 8 pictures")).first).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_text("Open the report").click()
    report = page.frame_locator("iframe.sheet")
    expect(report.get_by_role("heading", name="Copy check of tiny")).to_be_visible(timeout=PATIENCE_MS)
    assert report.locator(".pair img").count() >= 8
    with page.expect_download(timeout=PATIENCE_MS) as download:
        page.get_by_role("button", name="Report", exact=True).click()
    assert download.value.suggested_filename.endswith(".html")
    page.get_by_role("radio", name="Side by side").click()
    page.get_by_role("radio", name="Nearest real", exact=True).click()
    expect(page.locator(".compare img").first).to_be_visible(timeout=PATIENCE_MS)


def test_the_page_is_not_wider_than_a_telephone(page: Page, reals: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for view, words in (("sides", "Real · 12 pictures"), ("quiz", "Begin"), ("copies", "Check for copies")):
        page.goto(f"/compare?model=tiny&view={view}&data={reals}")
        expect(page.get_by_text(words).first).to_be_visible(timeout=PATIENCE_MS)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
