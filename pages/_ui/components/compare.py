"""Before and after: a handle that wipes between two pictures, which are enlarged and moved in step."""

from pages._ui.components.mount import data_url, declare, tag

_mount = declare("compare")


def before_after(
    left: bytes | str,
    right: bytes | str,
    *,
    key: str,
    width: int,
    height: int,
    labels: tuple[str, str] = ("before", "after"),
    start: float = 0.5,
    pixels: bool = False,
) -> None:
    """Show two pictures over each other with a divider that is dragged, or moved with the arrow keys.

    `left` and `right`: PNG, WebP or JPEG bytes, or data URLs; both are fitted into `width` : `height`, whose numbers
    are those of the larger picture, so that "1:1" shows each of its pixels as one. `labels` name them for eyes and
    screen readers. `start`: the divider's first place, 0 to 1. `pixels` shows single pixels sharply when enlarged. The
    wheel, a pinch, or plus and minus enlarge; dragging moves what is enlarged; a double click fits it again."""
    urls = [data_url(side) if isinstance(side, bytes) else side for side in (left, right)]
    data = {
        "left": urls[0], "right": urls[1], "tag": tag("".join(map(tag, urls))), "labels": list(labels),
        "width": max(1, width), "height": max(1, height), "start": min(1.0, max(0.0, start)), "pixels": pixels,
    }  # fmt: skip
    _mount(key=key, data=data)
