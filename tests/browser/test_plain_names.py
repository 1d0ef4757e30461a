"""Words that come from outside are seen as they are: no icon, no arrow, no heading, nothing decoded."""

import pytest
from playwright.sync_api import Page, expect

NAMES = (":material/alarm: -> &amp; <- :streamlit: -- x", "a :red[b] &lt; c >= d ~= e", "Head\n===\nx")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_seen_as_it_is(page: Page, name: str) -> None:
    from urllib.parse import quote

    page.goto(f"/train?run={quote(name)}")
    said = page.get_by_test_id("stAlert").first
    expect(said).to_contain_text("There is no run called")
    text = " ".join(said.inner_text().replace("\u2060", "").split())
    assert f"no run called {' '.join(name.split())}." in text
    assert said.locator("h1, h2, [data-testid=stIconMaterial] ~ [data-testid=stIconMaterial]").count() == 0
