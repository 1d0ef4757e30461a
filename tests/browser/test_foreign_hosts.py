"""A workspace full of Markdown and HTML, in a real browser: no request leaves for another host, no page breaks."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode, urlsplit

from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.conftest import Studio, running
from tests.hostile_workspace import HOST, WORDS, make_workspace


def watch(page: Page, url: str) -> list[str]:
    """Requests to other hosts, as they come."""
    foreign: list[str] = []

    def look(request: Request) -> None:
        if request.url.startswith(("http", "ws")) and urlsplit(request.url).netloc != urlsplit(url).netloc:
            foreign.append(request.url)

    page.on("request", look)
    return foreign


def test_no_page_asks_another_host_for_anything(browser: Browser, tmp_path: Path, repository: Path) -> None:
    workspace = make_workspace(tmp_path)
    with running(tmp_path, repository) as studio:
        page = browser.new_context(base_url=studio.url).new_page()
        foreign = watch(page, studio.url)
        for name, query in workspace.addresses():
            page.goto(f"/{'' if name == 'gallery' else name}?{urlencode(query)}")
            expect(page.get_by_test_id("stHeading").first).to_be_visible()
            expect(page.get_by_test_id("stStatusWidget")).to_be_hidden()
            expect(page.get_by_test_id("stException")).to_have_count(0)
            assert page.locator(f'[src*="{HOST}"]').count() == 0, (name, query)
            assert page.locator(f'a[href*="{HOST}"]').count() == 0, (name, query)
        assert foreign == []
        assert "Traceback" not in (tmp_path / "app.log").read_text()


def test_what_slips_into_a_page_is_not_asked_for(browser: Browser, studio: Studio) -> None:
    page = browser.new_context(base_url=studio.url).new_page()
    page.goto("/")
    expect(page.get_by_test_id("stHeading").first).to_be_visible()
    refused = page.evaluate(
        """(host) => new Promise((resolve) => {
            addEventListener("securitypolicyviolation", (event) => resolve(event.blockedURI));
            document.body.append(Object.assign(new Image(), { src: `http://${host}/x.png` }));
        })""",
        HOST,
    )
    assert HOST in refused


def test_what_is_chosen_of_many_is_shown_as_it_is(browser: Browser, tmp_path: Path, repository: Path) -> None:
    workspace = make_workspace(tmp_path)
    with running(tmp_path, repository) as studio:
        page = browser.new_context(base_url=studio.url).new_page()
        foreign = watch(page, studio.url)
        page.goto(f"/evaluate?{urlencode({'data': str(workspace.dataset)})}")
        field = page.get_by_test_id("stMultiSelect").filter(has_text="Models")
        expect(field).to_be_visible()
        field.get_by_role("combobox").click()
        page.get_by_role("option").first.click()
        page.keyboard.press("Escape")
        expect(field).to_contain_text(WORDS[:20])
        for place in (field, page.get_by_role("listbox")):
            assert place.locator("img, a, code, strong").count() == 0
        page.wait_for_timeout(1000)
        assert foreign == []
