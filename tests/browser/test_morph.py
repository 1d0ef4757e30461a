"""Morph's timeline, and several tabs of one person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ganlib.latents.favourites import add_favourite
from ganlib.latents.recipes import Recipe
from ganlib.models.checkpoints import save_snapshot
from ganlib.networks import tiny_generator
from tests.browser.conftest import Studio


def address(model: str, seeds: range) -> str:
    return f"/morph?model={model}&k=" + "~".join(f"seeds%3D{seed}%26psi%3D0.7%402" for seed in seeds)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("count", [3, 6, 12])
def test_the_timeline_says_how_many_pictures_lie_beyond_its_edge(page: Page, width, count):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address("tiny", range(1, count + 1)))
    cards = page.locator(".timeline .card")
    expect(cards).to_have_count(count)
    page.wait_for_timeout(500)
    hidden = cards.evaluate_all(
        """(cards) => { const end = cards[0].closest(".timeline").getBoundingClientRect().right;
        return cards.filter((card) => card.getBoundingClientRect().right > end + card.clientWidth / 2).length; }"""
    )
    more = page.locator(".more.after")
    if not hidden:
        expect(more).to_be_hidden()
        return
    expect(more).to_have_text(f"{hidden} more")
    for _ in range(12):
        if more.is_hidden():
            break
        more.click()
        page.wait_for_timeout(700)
    expect(more).to_be_hidden()
    expect(page.locator(".more.before")).to_be_visible()
    expect(cards.last).to_be_in_viewport()


@pytest.fixture
def kinds(studio: Studio) -> Iterator[str]:
    path = studio.checkpoints / "kinds.safetensors"
    save_snapshot(path, G_ema=tiny_generator(label_dim=3), title="Kinds", classes=["apple", "pear", "plum"])
    yield "kinds"
    path.unlink()


def test_a_keyframe_has_a_menu_of_classes_and_keeps_the_choice_in_the_address(page: Page, kinds):
    page.goto(address(kinds, range(1, 4)).replace("seeds%3D1%26", "seeds%3D1%26label%3D1%26"))
    menus = page.locator(".timeline .kinds")
    expect(menus).to_have_count(3)
    expect(menus.first).to_have_value("1")
    before = page.locator(".timeline img").first.get_attribute("src")
    menus.first.select_option(label="plum")
    expect(page.locator(".timeline img").first).not_to_have_attribute("src", before)
    expect(menus.first).to_have_value("2")
    page.wait_for_function("decodeURIComponent(location.search).includes('label=2')")
    page.reload()
    expect(page.locator(".timeline .kinds").first).to_have_value("2")


def test_a_tab_shows_what_another_kept_as_soon_as_it_is_looked_at(page: Page, studio: Studio):
    page.goto(address("tiny", range(1, 3)))
    expect(page.get_by_text("Favourites", exact=False).first).to_be_visible()
    expect(page.locator(".timeline .card")).to_have_count(2)
    page.wait_for_timeout(1500)
    folder: Path = studio.checkpoints / "tiny"
    add_favourite(folder, Recipe.of_seed(4711, psi=0.7))
    try:
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        expect(page.get_by_role("button", name="Favourites 1")).to_be_visible()
    finally:
        (folder / "favourites.json").unlink()
