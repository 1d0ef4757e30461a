"""One picture, large, that never jumps or flickers while it changes."""

from pages._ui.components.mount import data_url, declare, tag

_mount = declare("stage")


def picture_stage(
    picture: bytes,
    *,
    key: str,
    width: int,
    height: int,
    title: str,
    caption: str = "",
    note: str = "",
    side: int = 512,
    pixels: bool = False,
) -> None:
    """Show Picture bytes; `width` and `height` are the picture's own, `side` the longest side on screen, in pixels."""
    words = {"title": title, "caption": caption, "note": note}
    shape = {"width": width, "height": height, "side": side, "pixels": pixels}
    _mount(key=key, data={"src": data_url(picture), "tag": tag(picture), **words, **shape})
