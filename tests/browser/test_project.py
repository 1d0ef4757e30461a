"""Photographs into latent space and on to Explore and Morph, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from ganlib.latents.recipes import Recipe
from ganlib.media.images import encode
from ganlib.models.checkpoints import load_generator
from ganlib.render.renderer import Renderer
from tests.browser.conftest import Studio

PATIENCE_MS = 120_000


def photographs(studio: Studio, folder: Path) -> list[str]:
    """Two pictures that the model can nearly make, wider than high, as files."""
    renderer = Renderer(load_generator(studio.checkpoints / "tiny.safetensors"))
    paths = []
    for seed in (5, 8):
        (square,) = renderer.render([Recipe.of_seed(seed)])
        wide = np.pad(np.repeat(np.repeat(square, 4, 0), 4, 1), ((0, 0), (32, 96), (0, 0)), constant_values=200)
        paths.append(folder / f"photo {seed}.png")
        paths[-1].write_bytes(encode(wide))
    return list(map(str, paths))


def test_two_photographs_become_latents_that_explore_and_morph(page: Page, studio: Studio, tmp_path: Path) -> None:
    page.goto("/project?model=tiny")
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(photographs(studio, tmp_path))
    square = page.get_by_role("group", name=re.compile("The part that is kept"))
    expect(square).to_be_visible(timeout=PATIENCE_MS)
    cut = page.get_by_test_id("stImage").locator("img").first
    expect(cut).to_be_visible()
    before = cut.get_attribute("src") or ""
    square.focus()
    for _ in range(6):
        square.press("ArrowLeft")
    expect(cut).not_to_have_attribute("src", before)
    page.get_by_role("radio", name="Draft").click()
    page.get_by_role("button", name=re.compile("^Start")).click(timeout=PATIENCE_MS)
    card = page.locator("[class*='st-key-projection-']").first
    preview = card.locator("img").first
    expect(preview).to_be_visible(timeout=PATIENCE_MS)
    expect(card.get_by_role("button", name="Morph from photo to photo")).to_be_visible(timeout=PATIENCE_MS)

    wipe = card.get_by_role("slider").first
    expect(wipe).to_be_visible()
    at = wipe.get_attribute("aria-valuenow")
    wipe.focus()
    wipe.press("ArrowRight")
    expect(wipe).not_to_have_attribute("aria-valuenow", at or "")
    card.get_by_role("radio", name="Difference").first.click()
    expect(card.get_by_text("White: the same as the photograph").first).to_be_visible()

    card.get_by_role("button", name="Morph from photo to photo").click()
    page.wait_for_url(re.compile("/morph"))
    expect(page.locator(".timeline .stop, .timeline img").first).to_be_visible(timeout=PATIENCE_MS)
    page.go_back()
    page.get_by_role("button", name="Explore", exact=True).first.click(timeout=PATIENCE_MS)
    page.wait_for_url(re.compile("/explore.*base=photo"))
    expect(page.get_by_text(re.compile("^saved photo")).first).to_be_visible(timeout=PATIENCE_MS)
