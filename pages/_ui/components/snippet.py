"""Words to copy: a command, an address, a log. Streamlit's own block of code loads 1.6 MB of script for its colours."""

from pages._ui.components.mount import declare

_mount = declare("snippet")


def snippet(text: str, *, key: str, wraps: bool = True) -> None:
    """Show text as it is, in the letters of code, with a button that copies it. Lines that do not wrap are scrolled."""
    _mount(key=key, data={"text": text, "wraps": wraps})
