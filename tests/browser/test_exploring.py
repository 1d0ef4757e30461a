"""Directions and the latent map, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from ganlib.latents.editing import list_directions
from ganlib.latents.favourites import load_favourites
from tests.browser.conftest import Studio

PATIENCE_MS = 120_000


def test_a_direction_is_found_named_and_moves_the_picture(page: Page, studio: Studio) -> None:
    page.goto("/explore?model=tiny&seeds=4")
    page.get_by_role("radio", name="Directions", exact=True).click(timeout=PATIENCE_MS)
    count = page.get_by_label("How many", exact=True)
    count.fill("1", timeout=PATIENCE_MS)
    count.press("Enter")
    page.get_by_role("button", name="Find them").click()
    name = page.get_by_placeholder("pca-01")
    name.fill("Ripeness & <b>size</b>", timeout=PATIENCE_MS)
    name.press("Enter")
    slider = page.get_by_role("slider", name="Ripeness & <b>size</b>")
    expect(slider).to_be_visible(timeout=PATIENCE_MS)
    assert [d.title for d in list_directions(studio.checkpoints / "tiny")[0]] == ["Ripeness & <b>size</b>"]
    slider.focus()
    for _ in range(4):
        slider.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"edits=pca-01%3A0\.2"), timeout=PATIENCE_MS)

    # The name and the edit are there again after a reload.
    page.reload()
    expect(page.get_by_role("slider", name="Ripeness & <b>size</b>")).to_have_value("0.2", timeout=PATIENCE_MS)


def test_the_map_shows_opens_and_gathers(page: Page, studio: Studio) -> None:
    page.goto("/explore?model=tiny&seeds=4")
    page.get_by_role("radio", name="Map", exact=True).click(timeout=PATIENCE_MS)
    canvas = page.locator(".map canvas")
    canvas.scroll_into_view_if_needed(timeout=PATIENCE_MS)
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    # The lasso gathers points, and they become favourites.
    page.keyboard.down("Shift")
    page.mouse.move(x - 60, y - 60)
    page.mouse.down()
    for dx, dy in ((60, -60), (60, 60), (-60, 60), (-60, -60)):
        page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(page.locator(".map-words")).to_have_text(re.compile("[0-9]+ selected"))
    page.get_by_role("button", name="Keep them as favourites").click(timeout=PATIENCE_MS)
    expect(page.get_by_text(re.compile("favourites kept"))).to_be_visible(timeout=PATIENCE_MS)
    assert len(load_favourites(studio.checkpoints / "tiny")) >= 1
    (studio.checkpoints / "tiny" / "favourites.json").unlink()  # other tests count them

    # A pointer that rests shows the picture, and a click puts it on the bench.
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".map .card img")).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("Enter")
    expect(page).not_to_have_url(re.compile("seeds=4(&|$)"), timeout=PATIENCE_MS)


def test_the_address_is_copied_and_no_script_for_coloured_code_is_loaded(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/explore?model=tiny&seed=7")
    words = page.locator(".snippet")
    expect(words).to_contain_text("/explore?")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copy", exact=True)).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == words.inner_text()
    assert [url for url in asked if "Highlighter" in url] == []
