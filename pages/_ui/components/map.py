"""The latent map: thousands of points to hover, open and lasso."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pages._ui.components.mount import Hears, data_url, declare, mount, tag

_component = declare("map")


@dataclass(frozen=True)
class MapPoint:
    """One picture on the map."""

    x: float
    """-1 (left) to 1."""
    y: float
    """-1 (bottom) to 1."""
    title: str
    cluster: int = 0
    mark: str = ""
    """`heart` for a favourite, `photo` for a projection, `here` for the picture on the bench; empty for others."""


def latent_map(
    points: Sequence[MapPoint],
    *,
    key: str,
    rev: str,
    seen: tuple[int, bytes] | None,
    selected: Sequence[int] = (),
    on_hover: Callable[[int], None],
    on_select: Callable[[list[int]], None],
) -> int | None:
    """Show the map; return the index of the point that was opened, else None.

    `on_hover(index)` and `on_select(indices)` are called before the next run of the surrounding fragment; the picture
    of the point hovered over comes back as `seen`, (index, picture bytes). Points are taken over when `rev` changes.
    """

    def hovered(message: dict[str, Any]) -> None:
        if message["rev"] == rev and 0 <= message["index"] < len(points):
            on_hover(message["index"])

    def chosen(message: dict[str, Any]) -> None:
        if message["rev"] == rev:
            on_select([i for i in message["indices"] if 0 <= i < len(points)])

    rows = [[round(p.x, 3), round(p.y, 3), p.cluster, p.mark, p.title] for p in points]
    picture = {"index": seen[0], "src": data_url(seen[1]), "tag": tag(seen[1])} if seen is not None else None
    data = {"points": rows, "rev": rev, "seen": picture, "selected": list(selected)}
    point = {"rev": str, "index": int}
    hears: Hears = {"hover": (point, hovered), "select": ({"rev": str, "indices": [int]}, chosen)}
    answer = mount(_component, key=key, data=data, hears=hears, returns={"open": point})["open"]
    is_here = answer is not None and answer["rev"] == rev and 0 <= answer["index"] < len(points)
    return int(answer["index"]) if is_here else None
