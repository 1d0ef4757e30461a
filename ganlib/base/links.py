"""Numbers, ranges and lists as the parameters of a link, written and read."""

from __future__ import annotations

import re
from typing import TypeVar

from ganlib.base.errors import InputError

T = TypeVar("T", int, float)

LINK_HINT = "Open the page without the link's settings and choose them anew."


def number_text(value: float) -> str:
    """The shortest text that is read back as the same number."""
    return repr(float(value)).removesuffix(".0").replace("e+", "e")


def range_text(first: int, last: int | None) -> str:
    """`4-7` for (4, 7), `4` for (4, 4), `4-` for (4, None), and nothing for all there is, (0, None)."""
    if last is None:
        return f"{first}-" if first else ""
    return f"{first}" if first == last else f"{first}-{last}"


def mix_ranges(mix: tuple[tuple[int, T], ...]) -> list[tuple[int, int, T]]:
    """Neighbouring style inputs of one seed, or one factor, as (first, last, seed)."""
    ranges: list[tuple[int, int, T]] = []
    for layer, seed in mix:
        if ranges and ranges[-1][1:] == (layer - 1, seed):
            ranges[-1] = (ranges[-1][0], layer, seed)
        else:
            ranges.append((layer, layer, seed))
    return ranges


def read_items(key: str, text: str, low: int, high: int) -> list[list[str]]:
    """`a:b,c` → [[a, b], [c]], each of `low` to `high` parts. Raises InputError, as all readers here."""
    items = [item.strip().split(":") for item in text.split(",")] if text else []
    if any(not low <= len(item) <= high for item in items):
        raise InputError(f"'{key}={text[:40]}' in the link is malformed", LINK_HINT)
    return items


def read_whole(key: str, text: str) -> int:
    """A whole number from 0, of at most 10 digits."""
    if not re.fullmatch("[0-9]{1,10}", text):
        raise InputError(f"'{text[:40]}' in '{key}' of the link is no whole number of at most 10 digits", LINK_HINT)
    return int(text)


def read_number(key: str, text: str) -> float:
    """Any number, also one that a recipe then refuses, such as nan."""
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"'{text[:40]}' in '{key}' of the link is no number", LINK_HINT) from error


def read_range(key: str, text: str) -> tuple[int, int | None]:
    """`4-7` → (4, 7); `4` → (4, 4); `4-` → (4, None)."""
    first, dash, last = text.partition("-")
    start = read_whole(key, first)
    if not dash:
        return start, start
    return start, read_whole(key, last) if last else None
