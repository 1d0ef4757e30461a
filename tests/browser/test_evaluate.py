"""A measurement in a real browser: chosen, watched to its end, read, taken away."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Studio
from tests.metrics.test_metrics import write_set

PATIENCE_MS = 180_000


def test_a_measurement_is_watched_to_its_end_and_taken_away(page: Page, studio: Studio, tmp_path: Path) -> None:
    studio.data.mkdir(exist_ok=True)
    data = write_set(studio.data / "real<b>.zip", side=32)
    page.goto(f"/evaluate?model=tiny&data={data}")
    count = page.get_by_role("slider", name="Pictures")
    expect(count).to_be_visible(timeout=PATIENCE_MS)
    for _ in range(2):
        count.press("ArrowLeft")
    expect(page.get_by_text("250", exact=True).first).to_be_visible()
    expect(page).to_have_url(re.compile("count=250"))
    page.reload()
    expect(page.get_by_text("250", exact=True).first).to_be_visible(timeout=PATIENCE_MS)
    button = page.get_by_role("button", name=re.compile("Measure, about")).first
    expect(button).to_be_enabled(timeout=PATIENCE_MS)
    page.get_by_text("The same from a terminal").click()
    expect(page.get_by_text(re.compile("--metrics kid250,pr250")).first).to_be_visible(timeout=PATIENCE_MS)
    button.click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text(re.compile("^Best: <b>Tiny</b> & small")).first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text(re.compile("^Real pictures against real ones score")).first).to_be_visible()
    with page.expect_download(timeout=PATIENCE_MS) as download:
        page.get_by_test_id("stDownloadButton").first.get_by_role("button").click()
    download.value.save_as(tmp_path / "figures.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "figures.csv").read_text())))
    assert {row["name"] for row in rows} == {"kid250_fruit-d"} and rows[0]["num_fake"] == "250"
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
