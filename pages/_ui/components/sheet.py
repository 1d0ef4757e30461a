"""A report that is one HTML file, shown in a frame in which nothing runs."""

from pages._ui.components.mount import declare, tag

_mount = declare("sheet")


def report_sheet(html: str, *, key: str, title: str, height: int) -> None:
    """Show a whole page of HTML, `height` pixels high; scripts in it do not run. `title` is for screen readers."""
    _mount(key=key, data={"html": html, "tag": tag(html), "title": title, "height": height})
