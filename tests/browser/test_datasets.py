"""From an upload to a set and on to Train, in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from ganlib.dataset import Dataset
from ganlib.media.images import encode
from tests.browser.conftest import Studio

PATIENCE_MS = 120_000


def picture(seed: int) -> np.ndarray:
    """Large shapes, unlike those of other seeds."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 16, axis=0), 16, axis=1)


def cpu_seconds(pid: int) -> float:
    """What a process has worked so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    path = tmp_path / "holiday photos.zip"
    with zipfile.ZipFile(path, "w") as file:
        for i in range(16):
            file.writestr(f"photo {i:02d}.png", encode(picture(i)))
        file.writestr("copy <b>of 3</b>.png", encode(picture(3)))
        file.writestr("torn.jpg", b"no picture")
    return path


def test_an_upload_is_reviewed_prepared_and_seen_in_train(page: Page, studio: Studio, photos: Path) -> None:
    page.goto("/datasets")
    page.locator('input[type="file"]').set_input_files(photos, timeout=PATIENCE_MS)
    page.get_by_role("button", name="Look at holiday photos.zip").click(timeout=PATIENCE_MS)
    expect(page).to_have_url(re.compile("source="), timeout=PATIENCE_MS)
    page.get_by_role("button", name="Look through the pictures").click(timeout=PATIENCE_MS)

    # The copy is crossed out by itself; a click takes it back, another leaves it out again.
    cell = page.locator(".wall.leaving .cell").filter(has_text=re.compile("copy|photo 03"))
    expect(page.locator(".wall.leaving .cell.selected")).to_have_count(1, timeout=PATIENCE_MS)
    expect(cell.first).to_be_visible()
    left_out = page.locator(".wall.leaving .cell.selected .frame")
    left_out.click()
    expect(page.get_by_text("0 of them left out")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Leave all out").click()
    expect(page.get_by_text("1 of them left out")).to_be_visible(timeout=PATIENCE_MS)

    page.get_by_role("button", name="On to the framing").click()
    expect(page.get_by_text("Before and after")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="On to the set").click()
    name = page.get_by_label("Name of the set")
    name.fill("my fruit", timeout=PATIENCE_MS)
    name.press("Enter")
    page.get_by_role("button", name="Prepare the set").click()
    page.get_by_role("button", name="Train with it").click(timeout=PATIENCE_MS)
    expect(page).to_have_url(re.compile(r"/train\?.*data="), timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Start training")).to_be_visible(timeout=PATIENCE_MS)
    made = Dataset.open(studio.data / "my-fruit-64.zip")
    assert len(made) == 16 and made.resolution == 64

    # It is on the shelf, and can be looked through.
    page.goto("/datasets")
    page.get_by_role("button", name="my-fruit-64.zip", exact=True).click(timeout=PATIENCE_MS)
    expect(page.locator(".wall .cell")).to_have_count(16, timeout=PATIENCE_MS)


@pytest.mark.parametrize("step", ["", "findings", "framing", "make"])
def test_no_step_is_wider_than_a_telephone(page: Page, photos: Path, step: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/datasets?source={photos}&step={step}" if step else "/datasets")
    if step:  # a link to a path that nobody chose in this studio
        look = page.get_by_role("button", name="Look at it")
        expect(look).to_be_visible(timeout=PATIENCE_MS)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        look.click()
    words = {"": "Upload a zip, or pictures", "findings": "Nothing is deleted", "framing": "Before and after"}
    expect(page.get_by_text(re.compile(words.get(step, "Name of the set"))).first).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_long_look_ends_when_its_tab_is_closed(page: Page, studio: Studio) -> None:
    folder = studio.data / "slow"
    folder.mkdir(parents=True)
    large = encode(np.repeat(np.repeat(picture(1), 50, axis=0), 50, axis=1))
    for i in range(12):
        (folder / f"{i}.png").write_bytes(large)
    page.goto(f"/datasets?source={folder}&step=framing")
    expect(page.get_by_text("Cutting a dozen pictures")).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_timeout(1000)
    page.close()
    time.sleep(4)
    ended = cpu_seconds(studio.pid)
    time.sleep(2)
    shutil.rmtree(folder)
    assert cpu_seconds(studio.pid) - ended < 0.3, "the server goes on working for nobody"
