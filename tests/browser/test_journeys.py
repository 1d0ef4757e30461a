"""What a person does, in a real browser: gallery → explore → morph → a film that loops."""

from __future__ import annotations

import re
import subprocess
import zipfile
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from playwright.sync_api import Locator, Page, expect

from ganlib.latents.favourites import load_favourites
from ganlib.latents.recipes import parse_embedded
from ganlib.media.images import decode, read_recipe_text


def cells(page: Page) -> Locator:
    return page.locator(".wall .cell")


def stage(page: Page) -> Locator:
    return page.locator(".stage img[data-tag]")


def tag(page: Page) -> str:
    """What names the picture's content, once it has stood still for a moment."""
    seen = ""
    for _ in range(50):
        now = str(stage(page).get_attribute("data-tag"))
        if now == seen:
            return now
        seen = now
        page.wait_for_timeout(300)
    raise AssertionError("the picture never stands still")


def drag(page: Page, slider: str, share: float) -> None:
    """Drag a slider to a share of its track, in steps, as a hand does."""
    track = page.locator(slider)
    track.scroll_into_view_if_needed()
    box = track.bounding_box()
    assert box is not None
    height = box["y"] + box["height"] / 2
    start = box["x"] + box["width"] * 0.68
    end = box["x"] + box["width"] * share
    page.mouse.move(start, height)
    page.mouse.down()
    for step in range(1, 6):
        page.mouse.move(start + (end - start) * step / 5, height)
    page.mouse.up()


def idle(page: Page) -> None:
    """Wait until the page has run to its end: a download button of an earlier run leads nowhere."""
    expect(page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')).to_be_visible()


def film(path: Path, side: int) -> np.ndarray:
    """Every frame of a film, float `[n, H, W, 3]`."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path)]
    raw = subprocess.run(
        [*command, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, side, side, 3).astype(float)


def test_the_first_deep_link_after_a_start_has_the_navigation(page: Page) -> None:
    """The first request to a fresh server: Streamlit may run the page without app.py."""
    page.goto("/explore?model=tiny&seeds=3")
    expect(stage(page)).to_be_visible()
    menus = page.get_by_test_id("stTopNav").locator("a, button")
    expect(menus).to_have_text(["Gallery", "Create", "Library", "Train"])
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.get_by_test_id("stTopNavLink").filter(has_text="Gallery").click()
    expect(cells(page)).to_have_count(24)
    expect(menus).to_have_count(4)


SECTIONS = {
    "Create": ["Explore", "Morph", "Project", "Upscale", "Drop"],
    "Library": ["Models", "Data sets"],
    "Train": ["Train", "Evaluate", "Compare"],
}


def test_every_page_is_two_clicks_away_and_its_section_is_marked(page: Page) -> None:
    page.goto("/")
    expect(cells(page)).to_have_count(24)
    for section, titles in SECTIONS.items():
        menu = page.get_by_test_id("stTopNavSection").filter(has_text=section)
        for title in titles:
            menu.click()
            expect(page.get_by_role("menuitem")).to_have_text(titles)
            page.get_by_role("menuitem", name=title, exact=True).click()
            expect(page.get_by_role("heading", name=title, level=1, exact=True)).to_be_visible()
            expect(page).to_have_title(f"{title} · Latent Atelier")
            expect(page.get_by_role("menuitem")).to_have_count(0)
            idle(page)
            weights = (
                page.get_by_test_id("stTopNavSection")
                .locator("p")
                .evaluate_all("all => all.map(each => [each.innerText, getComputedStyle(each).fontWeight])")
            )
            assert [name for name, weight in weights if weight == "600"] == [section]
    page.go_back()
    expect(page).to_have_title("Evaluate · Latent Atelier")


def test_on_a_phone_the_pages_unfold_and_fold_away_again(browser, studio) -> None:
    phone = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari"
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, base_url=studio.url, user_agent=phone, has_touch=True
    )
    page = context.new_page()
    page.goto("/")
    expect(cells(page)).to_have_count(24)
    page.get_by_test_id("stExpandSidebarButton").tap()
    side = page.get_by_test_id("stSidebar")
    for words in ["Gallery", *SECTIONS, *chain(*SECTIONS.values())]:
        expect(side.get_by_text(words, exact=True).first).to_be_in_viewport()
    side.get_by_role("link", name="Evaluate").tap()
    expect(page.get_by_role("heading", name="Evaluate", level=1)).to_be_visible()
    expect(side).to_have_attribute("data-collapsed", "true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_gallery_to_explore_to_a_saved_picture_and_back(page: Page, tmp_path: Path) -> None:
    page.goto("/")
    expect(cells(page)).to_have_count(24)
    expect(page.locator(".wall img.shown")).to_have_count(24)
    expect(page.locator(".model .name").first).to_have_text("<b>Tiny</b> & small")

    cells(page).nth(5).locator(".frame").click()
    expect(page).to_have_url(re.compile(r"/explore\?model=tiny&seeds=5&psi=0\.7$"))
    expect(stage(page)).to_be_visible()
    first = tag(page)

    drag(page, "#range-psi", 0.2)
    expect(page).to_have_url(re.compile(r"psi=-0\.[0-9]+$"))
    expect(stage(page)).not_to_have_attribute("data-tag", first)
    dragged = tag(page)

    page.get_by_role("button", name="Undo").click()
    expect(stage(page)).to_have_attribute("data-tag", first)
    expect(page.locator("#range-psi")).to_have_value("0.7")
    page.get_by_role("button", name="Redo").click()
    expect(stage(page)).to_have_attribute("data-tag", dragged)

    idle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="PNG").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == "tiny-seed5.png"
    recipe, _, model = parse_embedded(read_recipe_text(saved.read_bytes()) or "")
    assert model == "tiny" and recipe.seeds == ((5, 1.0),) and recipe.psi < 0
    assert decode(saved.read_bytes()).shape == (32, 32, 3)

    page.get_by_role("button", name="Reset").click()
    expect(stage(page)).to_have_attribute("data-tag", first)
    expect(page).to_have_url(re.compile(r"psi=0\.7$"))
    page.get_by_text("Recipe", exact=True).click()
    page.locator("input[type=file]").set_input_files(saved)
    expect(stage(page)).to_have_attribute("data-tag", dragged)
    expect(page).to_have_url(re.compile(rf"psi={re.escape(f'{recipe.psi:g}')}$"))

    # The address alone reproduces the picture, in a window that knows nothing else.
    page.goto(page.url)
    expect(stage(page)).to_have_attribute("data-tag", dragged)


def test_a_quick_hand_loses_nothing(page: Page) -> None:
    """Keys faster than the server answers: the browser reports old addresses meanwhile, which must not win."""
    page.goto("/explore?seeds=7&psi=0.5")
    slider = page.locator("#range-psi")
    expect(slider).to_have_value("0.5")
    idle(page)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    slider.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(250)
    idle(page)
    page.wait_for_timeout(1500)
    idle(page)
    expect(slider).to_have_value("0.56")
    expect(page).to_have_url(re.compile(r"psi=0\.56"))
    quick = tag(page)

    # One run of edits is one step back: to the state before it, with picture and sliders.
    page.go_back()
    expect(slider).to_have_value("0.5")
    expect(page).to_have_url(re.compile(r"psi=0\.5$"))
    expect(stage(page)).not_to_have_attribute("data-tag", quick)
    page.go_forward()
    expect(slider).to_have_value("0.56")
    expect(stage(page)).to_have_attribute("data-tag", quick)


def test_the_wall_selects_keeps_and_walks_by_keyboard(page: Page, studio, tmp_path: Path) -> None:
    page.goto("/?model=tiny&show=100-111")
    expect(cells(page)).to_have_count(12)
    cells(page).nth(1).locator(".frame").click(modifiers=["Shift"])
    expect(page.get_by_text("1 selected")).to_be_visible()
    expect(page.get_by_role("button", name="Make a morph")).to_be_in_viewport()
    cells(page).nth(1).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(cells(page).nth(8)).to_be_focused()
    page.keyboard.press(" ")
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.keyboard.press("h")
    expect(page.get_by_text("Favourites 1")).to_be_visible()
    kept = load_favourites(studio.checkpoints / "tiny")
    assert [favourite.recipe.seeds for favourite in kept] == [((108, 1.0),)]

    idle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="ZIP").click()
    download.value.save_as(tmp_path / "some.zip")
    with zipfile.ZipFile(tmp_path / "some.zip") as archive:
        assert archive.namelist() == ["tiny-seed101.png", "tiny-seed108.png", "LICENCE.txt"]
    idle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Contact sheet").click()
    download.value.save_as(tmp_path / "sheet.png")
    assert decode((tmp_path / "sheet.png").read_bytes()).shape == (32, 2 * 32 + 2, 3)

    page.get_by_text("Selection 2").click()
    expect(cells(page)).to_have_count(2)
    page.get_by_role("button", name="Make a morph").click()
    expect(page.locator(".timeline .stop")).to_have_count(2)
    expect(page).to_have_url(re.compile(r"/morph\?model=tiny&k="))
    page.go_back()
    expect(cells(page)).to_have_count(2)


def test_bad_seeds_are_explained_and_nothing_is_lost(page: Page) -> None:
    page.goto("/")
    expect(cells(page)).to_have_count(24)
    seeds = page.get_by_label("Seeds", exact=True)
    for text, words in (("-1", "Seeds are whole numbers from 0"), ("6625-6600", "Write 6600-6625")):
        seeds.fill(text)
        seeds.press("Enter")
        expect(page.get_by_text(words)).to_be_visible()
        expect(cells(page)).to_have_count(24)
    seeds.fill("1,5,9-12")
    seeds.press("Enter")
    expect(cells(page)).to_have_count(6)
    expect(page.get_by_role("alert")).to_have_count(0)
    assert cells(page).locator("figcaption .mono").all_inner_texts() == ["1", "5", "9", "10", "11", "12"]
    page.get_by_role("button").filter(has_text="chevron_right").click()
    expect(cells(page).first.locator("figcaption .mono")).to_have_text("13")


def test_a_file_that_is_no_picture_is_refused_in_a_sentence(page: Page, tmp_path: Path) -> None:
    page.goto("/explore?model=tiny&seeds=3")
    expect(stage(page)).to_be_visible()
    before = tag(page)
    (tmp_path / "holiday.png").write_text("this is text")
    page.get_by_text("Recipe", exact=True).click()
    page.locator("input[type=file]").set_input_files(tmp_path / "holiday.png")
    expect(page.get_by_text("it is text")).to_be_visible()
    uploader, problem = page.get_by_test_id("stFileUploader").bounding_box(), page.get_by_role("alert").bounding_box()
    assert uploader is not None and problem is not None and problem["y"] >= uploader["y"] + uploader["height"]
    expect(stage(page)).to_have_attribute("data-tag", before)


def test_text_that_is_no_seed_stays_until_it_is_mended(page: Page) -> None:
    page.goto("/explore?model=tiny&seeds=3")
    expect(stage(page)).to_be_visible()
    before = tag(page)
    seed = page.locator("#seed-a")
    for text, words in (("-1", "Seeds are whole numbers from 0"), ("99999999999", "too large")):
        seed.fill(text)
        seed.press("Enter")
        expect(page.locator("#seed-a-problem")).to_contain_text(words)
        expect(seed).to_have_value(text)
        expect(stage(page)).to_have_attribute("data-tag", before)
    seed.fill("4")
    seed.press("Enter")
    expect(page.locator("#seed-a-problem")).to_be_hidden()
    expect(page).to_have_url(re.compile("seeds=4$"))
    expect(stage(page)).not_to_have_attribute("data-tag", before)


def test_the_choices_of_a_film_survive_a_refresh(page: Page) -> None:
    page.goto("/morph?model=tiny&k=seeds%3D1%401.5~seeds%3D2%401.5")
    expect(page.get_by_label("Seconds each")).to_have_value("1.50")
    page.get_by_text("Around", exact=True).click()
    expect(page).to_have_url(re.compile("curve=slerp"))
    page.get_by_text("Loop", exact=True).click()
    expect(page).to_have_url(re.compile("loop=0"))
    page.reload()
    expect(page.get_by_label("Seconds each")).to_have_value("1.50")
    expect(page.get_by_role("switch", name="Loop").or_(page.get_by_role("checkbox", name="Loop"))).not_to_be_checked()
    expect(page.get_by_text("2 pictures · 1.5 s")).to_be_visible()


def test_three_seeds_become_a_film_that_loops_without_a_jump(page: Page, tmp_path: Path) -> None:
    page.goto("/morph?model=tiny")
    page.get_by_label("Seconds each").fill("1")
    page.get_by_label("Seconds each").press("Enter")
    page.get_by_label("Add seeds").fill("1-3")
    page.get_by_label("Add seeds").press("Enter")
    expect(page.locator(".timeline .stop")).to_have_count(3)
    expect(page.get_by_text("3 pictures · 3.0 s · 90 frames")).to_be_visible()
    expect(page.locator(".player canvas").first).to_have_attribute("width", "32")

    # Keyframes are reordered by keyboard and removed; the address follows.
    page.locator(".timeline .card").nth(0).focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"k=seeds%3D2.*seeds%3D1.*seeds%3D3"))

    first, last = (page.locator(".timeline .thumb").nth(place).bounding_box() for place in (0, 2))
    assert first is not None and last is not None
    page.mouse.move(first["x"] + 20, first["y"] + 20)
    page.mouse.down()
    page.mouse.move(last["x"], last["y"] + 20, steps=3)
    page.mouse.move(last["x"] + last["width"], last["y"] + 20, steps=3)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"k=seeds%3D1.*seeds%3D3.*seeds%3D2"))

    page.get_by_role("button", name="Export the film").click()
    expect(page.get_by_text("python -m ganlib run")).to_be_visible()
    page.reload()  # while it is made: everything is still there
    expect(page.locator(".timeline .stop")).to_have_count(3)
    expect(page.get_by_text("Finished films")).to_be_visible(timeout=60_000)
    page.reload()
    expect(page.locator("video")).to_be_visible()
    idle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="3 pictures").click()
    download.value.save_as(tmp_path / "film.mp4")

    frames = film(tmp_path / "film.mp4", 32)
    assert frames.shape == (90, 32, 32, 3)
    steps = np.abs(frames - np.roll(frames, -1, axis=0)).mean(axis=(1, 2, 3))  # the last one is the seam
    assert steps.min() > 0, "a frame is repeated"
    assert steps[-1] < 1.5 * steps[:-1].max(), "the loop jumps at its seam"
