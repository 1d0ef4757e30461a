"""What a person copies off a page."""

from __future__ import annotations

from urllib.parse import quote

from playwright.sync_api import Page, expect

ADDRESS = "http://example.org/fruit :red: -> b"


def test_an_address_that_is_shown_is_no_link_and_is_copied_as_it_is(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/train?run={quote(ADDRESS)}")
    said = page.get_by_test_id("stAlert").first
    expect(said).to_contain_text("There is no run called")
    expect(page.get_by_test_id("stStatusWidget")).to_be_hidden()
    assert ADDRESS not in said.inner_text() and said.locator("a").count() == 0
    copied = ""
    for _ in range(40):  # the script that listens comes with the page's components, after its words
        said.evaluate("node => getSelection().selectAllChildren(node)")
        page.keyboard.press("Control+C")
        copied = page.evaluate("navigator.clipboard.readText()")
        if ADDRESS in copied:
            break
        page.wait_for_timeout(250)
    assert f"no run called {ADDRESS}." in copied
