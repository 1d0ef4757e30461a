"""A studio in which nothing was made yet: every first step is one click."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Studio

STEPS = (
    ("/compare?model=tiny", "Prepare a data set", "Data sets", "/datasets$"),
    ("/compare?model=tiny&view=faceoff", "Add a model", "Models", "/models"),
    ("/evaluate", "Prepare real pictures", "Data sets", "/datasets$"),
    ("/train", "Prepare pictures", "Data sets", "/datasets$"),
    ("/models?view=blend", re.compile("^Train on from"), "Train", "/train.*preset=transfer.*resume=.*tiny.safetensors"),
)


@pytest.fixture
def nothing_yet(studio: Studio) -> Iterator[None]:
    folders = [folder for folder in (studio.runs, studio.data) if folder.exists()]
    for folder in folders:
        folder.rename(folder.with_name(f"{folder.name}-aside"))
    yield
    for folder in folders:
        if folder.exists():
            folder.rename(folder.with_name(f"{folder.name}-made-{time.time_ns()}"))  # each width may leave one
        folder.with_name(f"{folder.name}-aside").rename(folder)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_button_of_an_empty_page_leads_on_at_the_first_click(page: Page, nothing_yet: None, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for address, button, title, url in STEPS:
        page.goto(address)
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
        expect(page).to_have_url(re.compile(url))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
