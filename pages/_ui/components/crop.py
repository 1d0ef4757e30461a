"""A square on a photograph: moved, sized and turned; the answer is numbers, not pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pages._ui.components.mount import data_url, declare, mount, tag

_component = declare("crop")
SHAPE = {"rev": str, "x": float, "y": float, "side": float, "angle": float}
MOST_SIDES = 2  # of the longer side of the picture, for the square and its place


@dataclass(frozen=True)
class Square:
    """A square on a picture, in the picture's own pixels."""

    x: float
    """Left edge of the square before it is turned."""
    y: float
    """Upper edge."""
    side: float
    angle: float = 0.0
    """Degrees by which it is turned clockwise about its centre."""


def square_crop(
    picture: bytes,
    width: int,
    height: int,
    square: Square,
    *,
    key: str,
    rev: str,
    on_change: Callable[[Square], None],
) -> None:
    """Show a picture with a square on it; call `on_change` when a person has moved, sized or turned it.

    `width` and `height` are those of the whole photograph, of which `picture` may be a smaller copy. The browser owns
    the square; `square` is taken over when `rev` changes."""

    def changed(message: dict[str, Any]) -> None:
        most = max(width, height) * MOST_SIDES
        x, y, side, angle = (float(message[name]) for name in ("x", "y", "side", "angle"))
        if message["rev"] == rev and 1 <= side <= most and max(abs(x), abs(y), abs(angle)) <= max(most, 360):
            on_change(Square(x, y, side, angle))

    data = {
        "src": data_url(picture), "tag": tag(picture), "width": width, "height": height, "rev": rev,
        "square": {"x": square.x, "y": square.y, "side": square.side, "angle": square.angle},
    }  # fmt: skip
    mount(_component, key=key, data=data, hears={"change": (SHAPE, changed)})
