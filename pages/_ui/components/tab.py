"""The browser's tab: says when somebody looks at it again."""

from pages._ui.components.mount import declare, mount

_component = declare("tab")


def tab_seen(*, key: str) -> bool:
    """Whether this run is there because the tab was left and is looked at again; nothing is seen on the page."""
    return mount(_component, key=key, data={}, hears={}, returns={"seen": bool})["seen"] is True
