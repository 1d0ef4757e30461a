"""The picture wall: click opens, shift-click or the tick selects, the heart keeps, arrow keys walk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pages._ui.components.mount import Hears, data_url, declare, mount, tag

_component = declare("wall")


@dataclass(frozen=True)
class WallPicture:
    """One place on the wall."""

    id: str
    """What the wall answers with; unique on one wall."""
    title: str
    """What it is called; under the picture the word "seed" is left out."""
    picture: bytes | None = None
    """Picture bytes, or None while the picture is still to be made."""
    kept: bool = False
    """Whether its heart is filled."""


def picture_wall(
    pictures: Sequence[WallPicture],
    *,
    key: str,
    label: str,
    columns: int = 6,
    aspect: float = 1.0,
    pixels: bool = False,
    selected: Sequence[str] = (),
    rev: str = "",
    mode: Literal["", "only", "leave"] = "",
    is_table: bool = False,
    on_select: Callable[[list[str]], None] | None = None,
    on_keep: Callable[[str, bool], None] | None = None,
) -> str | None:
    """Show a grid of pictures and return the id of the one that was opened, else None.

    `on_select(ids)` and `on_keep(id, kept)` are called before the next run of the surrounding fragment. The browser
    owns the selection while a person works on it; `selected` is taken over when `rev` changes. Places without a
    picture ask for it, by another run, when they come into view. In the mode `only` there are no ticks and hearts, and
    a click opens; in the mode `leave` a click selects, and what is selected is crossed out. A wall that `is_table`
    keeps its columns on a narrow screen and can be pushed sideways.
    """

    known = {picture.id for picture in pictures}

    def select(ids: list[str]) -> None:
        if on_select:
            on_select([id for id in ids if id in known or id in selected])

    def keep(message: dict[str, Any]) -> None:
        if on_keep and message["id"] in known:
            on_keep(message["id"], message["kept"])

    rows = [
        {
            "id": picture.id,
            "caption": picture.title.removeprefix("seed "),
            "title": picture.title,
            "kept": picture.kept,
            "src": data_url(picture.picture) if picture.picture else None,
            "tag": tag(picture.picture) if picture.picture else "",
        }
        for picture in pictures
    ]
    settings = {
        "label": label,
        "columns": columns,
        "aspect": f"{aspect:.4f}",
        "pixels": pixels,
        "rev": rev,
        "mode": mode,
        "table": is_table,
    }
    data = {"pictures": rows, "selected": list(selected), **settings}
    hears: Hears = {"select": ([str], select), "keep": ({"id": str, "kept": bool}, keep)}
    opened = mount(_component, key=key, data=data, hears=hears, returns={"open": str, "more": dict})["open"]
    return opened if opened in known else None
