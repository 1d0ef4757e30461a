"""A preview that plays at once: frames in one sheet, a film strip and a playhead that can be dragged."""

from collections.abc import Sequence

from pages._ui.components.mount import data_url, declare, tag

_mount = declare("player")


def film_player(
    sheet: bytes,
    *,
    key: str,
    width: int,
    height: int,
    count: int,
    columns: int,
    seconds: float,
    keys: Sequence[float] = (),
    title: str = "Preview",
) -> None:
    """Play `count` frames of `width` × `height` pixels, laid out in rows of `columns` in one WebP sheet, in a loop.

    `seconds` is the length of one round; `keys` are the shares of it (0 to 1) at which a keyframe stands.
    """
    shape = {"width": width, "height": height, "count": count, "columns": columns}
    data = {"src": data_url(sheet), "seconds": seconds, "keys": list(keys), "title": title, **shape}
    _mount(key=key, data={**data, "tag": tag(f"{tag(sheet)} {seconds} {data['keys']}")})
