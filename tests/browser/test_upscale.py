"""Upscale in a real browser: a picture goes in, is seen before and after, and comes out four times larger."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Studio

PATIENCE_MS = 120_000


def test_a_picture_is_uploaded_enlarged_compared_and_downloaded(page: Page, studio: Studio, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (5, 6, 3), np.uint8)
    file = tmp_path / "my <b>pear.png"
    Image.fromarray(noise).resize((60, 50), Image.Resampling.BICUBIC).save(file)
    page.goto("/upscale")
    expect(page.get_by_text("Choose pictures or a film")).to_be_visible(timeout=PATIENCE_MS)
    page.locator('input[type="file"]').first.set_input_files(file, timeout=PATIENCE_MS)
    page.get_by_role("button", name=re.compile("Enlarge, about")).click(timeout=PATIENCE_MS)
    download = page.get_by_role("button", name=re.compile(r"^Download .*\.png, "))
    expect(download).to_be_visible(timeout=PATIENCE_MS)

    # The divider goes by keys and by the mouse, and both pictures are enlarged in step.
    divider = page.get_by_role("slider")
    words = "Divider: before, 60 × 50 on the left, after, 240 × 200 on the right"
    expect(divider).to_have_attribute("aria-label", words)
    divider.focus()
    page.keyboard.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "52")
    frame = page.locator(".compare").bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + frame["width"] * 0.52, frame["y"] + frame["height"] * 0.8)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.25, frame["y"] + frame["height"] * 0.8, steps=4)
    page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "25")
    page.keyboard.press("+")
    styles = page.locator(".compare img").evaluate_all("images => images.map((image) => image.style.transform)")
    assert len(styles) == 2 and styles[0] == styles[1] and "scale(1.25)" in styles[0]
    page.get_by_role("button", name="Fit the whole picture").click()
    expect(page.get_by_role("button", name="Smaller")).to_be_disabled()

    with page.expect_download(timeout=PATIENCE_MS) as fetched:
        download.click()
    with Image.open(io.BytesIO(Path(fetched.value.path()).read_bytes())) as made:
        assert made.size == (240, 200)


def test_it_is_no_wider_than_a_telephone(page: Page, studio: Studio) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/upscale")
    expect(page.get_by_text("Pictures become")).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
