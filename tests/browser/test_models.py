"""Models, from a stranger's file to a blend and the bin, in a real browser."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page, expect

from ganlib.models.checkpoints import read_card
from ganlib.networks import tiny_generator
from tests.browser.conftest import Studio

PATIENCE_MS = 120_000


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        import os

        return os.system, ("echo ran > ran.txt",)


def test_a_strangers_model_is_imported_seen_blended_and_deleted(page: Page, studio: Studio, tmp_path: Path) -> None:
    state = tiny_generator(seed=8, resolution=32).state_dict()
    file = tmp_path / "friend <b>1 & 2.pt"
    torch.save(state, file)
    evil = tmp_path / "gift.pkl"
    evil.write_bytes(pickle.dumps({"G_ema": Evil()}))

    # A hostile file is refused, and the report names what it asked for.
    page.goto("/models")
    page.get_by_role("radio", name="Import").click(timeout=PATIENCE_MS)
    expect(page).to_have_url(re.compile("view=import"), timeout=PATIENCE_MS)
    page.locator('input[type="file"]').set_input_files(evil, timeout=PATIENCE_MS)
    page.get_by_role("button", name="Import", exact=True).click(timeout=PATIENCE_MS)
    expect(page.get_by_text("Refused: it asks for posix.system")).to_be_visible(timeout=PATIENCE_MS)

    # A good one becomes a model.
    page.get_by_label("Upload a model").locator("button").last.click(timeout=PATIENCE_MS)
    page.locator('input[type="file"]').set_input_files(file, timeout=PATIENCE_MS)
    name = page.get_by_label("Name", exact=True)
    expect(name).to_have_count(1, timeout=PATIENCE_MS)  # while the page follows there is the old one too
    expect(name).to_have_value("friend <b>1 & 2", timeout=PATIENCE_MS)
    name.fill("Friend & I")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text(re.compile("Harmless: it asks for"))).to_be_visible(timeout=PATIENCE_MS)
    made = studio.checkpoints / "Friend-I.safetensors"
    assert read_card(made).title == "Friend & I"
    page.get_by_role("button", name="About it").first.click(timeout=PATIENCE_MS)
    expect(page.get_by_text("ask the author before you sell")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Gallery").first.click(timeout=PATIENCE_MS)
    expect(page).to_have_url(re.compile("model=Friend-I"), timeout=PATIENCE_MS)
    expect(page.locator(".wall .cell img").first).to_be_visible(timeout=PATIENCE_MS)

    # With the studio's own it makes a third, under the stricter licence.
    page.goto("/models?view=blend")
    page.get_by_role("button", name="Keep it as a model").click(timeout=PATIENCE_MS)
    expect(page.get_by_text("Blended from:")).to_be_visible(timeout=PATIENCE_MS)
    blends = [path for path in studio.checkpoints.glob("*.safetensors") if read_card(path).parents]
    assert len(blends) == 1

    # Both go again, by the second button only.
    for path in (*blends, made):
        page.goto(f"/models?model={path.stem}")
        page.get_by_role("button", name="Delete this model").click(timeout=PATIENCE_MS)
        assert path.exists()
        page.get_by_role("button", name="Delete for good").click(timeout=PATIENCE_MS)
        expect(page.get_by_text(re.compile("is deleted"))).to_be_visible(timeout=PATIENCE_MS)
        assert not path.exists()


@pytest.mark.parametrize("query", ["", "?view=import", "?view=hub", "?view=catalogue", "?view=blend", "?model=tiny"])
def test_no_view_is_wider_than_a_telephone(page: Page, studio: Studio, query: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/models{query}")
    words = {"": "About it", "?view=import": "Upload a model", "?view=hub": "Search the Hugging Face Hub",
             "?view=catalogue": "Only what may be sold", "?view=blend": "The average of strangers",
             "?model=tiny": "Delete this model"}  # fmt: skip
    expect(page.get_by_text(re.compile(words[query])).first).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_export_is_downloaded_with_its_licence(page: Page, studio: Studio, tmp_path: Path) -> None:
    page.goto("/models?model=tiny")
    page.get_by_text("Export", exact=True).click(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Make the file").click(timeout=PATIENCE_MS)
    file = page.get_by_role("button", name=re.compile(r"tiny\.pt, "))
    with page.expect_download(timeout=PATIENCE_MS) as download:
        file.click(timeout=PATIENCE_MS)
    download.value.save_as(tmp_path / "tiny.pt")
    assert "G_ema" in torch.load(tmp_path / "tiny.pt", weights_only=True)
    with page.expect_download(timeout=PATIENCE_MS) as download:
        page.get_by_role("button", name="Licence", exact=True).click()
    assert download.value.suggested_filename.endswith(".licence.txt")
