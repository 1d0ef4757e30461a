"""The model picker on a narrow screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ganlib.models.checkpoints import save_snapshot
from ganlib.networks import tiny_generator
from tests.browser.conftest import Studio, running

NAMES = ("a-first", "b-second", "z-last")


@pytest.fixture
def several(studio: Studio) -> Iterator[list[Path]]:
    paths = [studio.checkpoints / f"{name}.safetensors" for name in NAMES]
    for seed, path in enumerate(paths):
        save_snapshot(path, G_ema=tiny_generator(seed=seed, resolution=32), title=path.stem)
    yield paths
    for path in paths:
        path.unlink()


def test_the_chosen_model_is_in_sight_on_a_narrow_screen(page: Page, several: list[Path]) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    chosen = page.locator('.model[aria-checked="true"]')
    for name in (NAMES[-1], NAMES[0], NAMES[-1]):
        page.goto(f"/?model={name}")
        expect(chosen.locator(".name")).to_have_text(name)
        expect(chosen).to_be_in_viewport(ratio=1)
    page.locator(".model").first.evaluate("card => card.parentElement.scrollTo(0, 0)")
    page.locator(".model").first.click()
    expect(chosen.locator(".name")).to_have_text(NAMES[0])
    expect(chosen).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1280, "height": 844})
    page.locator(".model").last.click()
    expect(chosen.locator(".name")).to_have_text(NAMES[-1])
    page.set_viewport_size({"width": 390, "height": 844})
    expect(chosen).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_every_card_gets_its_cover_after_the_page_has_been_shown(browser, tmp_path, repository) -> None:
    (tmp_path / "checkpoints").mkdir()
    for i in range(6):
        path = tmp_path / "checkpoints" / f"m{i}.safetensors"
        save_snapshot(path, G_ema=tiny_generator(seed=i, resolution=16))
    with running(tmp_path, repository) as studio:
        page = browser.new_context(base_url=studio.url).new_page()
        for _ in range(2):
            page.goto("/")
            expect(page.locator(".model img")).to_have_count(6)
        assert len(list((tmp_path / "cache" / "covers").iterdir())) == 6
