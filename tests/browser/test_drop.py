"""A collection from the Gallery to a folder on the disk, in a real browser."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from playwright.sync_api import Page, expect

from ganlib.models.checkpoints import change_card
from ganlib.nft import validate_drop
from tests.browser.conftest import Studio

PATIENCE_MS = 120_000


def test_a_drop_of_twenty_is_made_downloaded_and_opened(page: Page, studio: Studio, tmp_path: Path) -> None:
    change_card(studio.checkpoints / "tiny.safetensors", licence="CC0-1.0")
    page.goto("/drop?model=tiny&seeds=0-29")
    name = page.get_by_label("Name of the collection", exact=True)
    name.fill("Orchard <b>1</b>", timeout=PATIENCE_MS)
    name.press("Enter")
    count = page.get_by_role("spinbutton", name="How many pieces")
    count.fill("20")
    count.press("Enter")
    floor = page.get_by_role("slider", name="No two closer than")
    floor.focus()
    for _ in range(6):
        floor.press("ArrowLeft")
    expect(page.get_by_text(re.compile("^20 pieces")).first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".wall .cell img").first).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Make the collection").click()
    page.get_by_role("radio", name="Collections", exact=True).click(timeout=PATIENCE_MS)
    button = page.get_by_role("button", name=re.compile("^Download"))
    expect(button.first).to_be_visible(timeout=PATIENCE_MS)
    with page.expect_download(timeout=PATIENCE_MS) as download:
        button.first.click()
    download.value.save_as(tmp_path / "drop.zip")
    with zipfile.ZipFile(tmp_path / "drop.zip") as archive:
        archive.extractall(tmp_path / "drop")
    assert validate_drop(tmp_path / "drop") == []
    items = sorted((tmp_path / "drop" / "metadata").glob("[0-9]*.json"))
    assert len(items) == 20
    assert json.loads(items[0].read_text())["name"].startswith("Orchard <b>1</b> #")


def test_the_page_is_not_wider_than_a_telephone(page: Page, studio: Studio) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/drop?model=tiny&seeds=0-5")
    expect(page.get_by_role("button", name="Make the collection")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Rarity", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
