"""Fields that ask for options: their limits, choices, help and first value are those that the option states.

Each is Streamlit's field of the same name for one option of a dataclass. `value` is what it begins with where that is
not the option's default; `HELD` says that the session holds it already. What is given besides goes to Streamlit.
"""

import types
import typing
from enum import Enum
from functools import cache
from typing import Any

import streamlit as st

from ganlib.base.options import Facts, Options, facts_of, title_of


class First(Enum):
    """Where a field's first value comes from."""

    STATED = "the option's default"
    HELD = "the session"


STATED, HELD = First.STATED, First.HELD
Limits = tuple[float | None, float | None]


def facts_and_default(options: type[Options], name: str, key: str | None = None) -> tuple[Facts, Any]:
    """Return what an option states, and its default, for the field `key`."""
    known: Any = options  # a dataclass, as all options are
    item = known.__dataclass_fields__[name]
    return facts_of(item), item.default


@cache
def _hints(options: Any) -> dict[str, Any]:
    return typing.get_type_hints(options)


def kind_of(options: type[Options], name: str) -> type[Any]:
    """Return the type of an option's value, None left aside."""
    known: Any = options  # a class is hashable, whatever its instances are
    hint = _hints(known)[name]
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return next(kind for kind in kinds if kind is not types.NoneType)


def limits_of(facts: Facts) -> Limits:
    """Return the least and the largest number that a field takes; what lies on an open end is refused in words."""
    low = facts.low if facts.low is not None else facts.above
    return low, facts.high if facts.high is not None else facts.below


def number_input(
    options: type[Options],
    name: str,
    label: str,
    *,
    value: Any = STATED,
    low: float | None = None,
    place: Any = st,
    **more: Any,
) -> Any:
    """Ask for a number; empty is None where the option may be None. `low` is another least number, which the page
    reads in its own way."""
    facts, first, more = _asked(options, name, value, more)
    limits = limits_of(facts)
    least, most, first = _numbers(options, name, limits if low is None else (low, limits[1]), first)
    begin = {} if value is HELD else {"value": first}
    return place.number_input(label, least, most, **begin, **more)


def slider(options: type[Options], name: str, label: str, *, value: Any = STATED, place: Any = st, **more: Any) -> Any:
    """Ask for a number between the option's usual ends, or its limits."""
    facts, first, more = _asked(options, name, value, more)
    low, high, first = _numbers(options, name, facts.usual or limits_of(facts), first)
    begin = {} if value is HELD else {"value": first}
    return place.slider(label, low, high, **begin, **more)


def selectbox(
    options: type[Options], name: str, label: str, *, value: Any = STATED, place: Any = st, **more: Any
) -> Any:
    """Ask for one of the option's choices, in the words of their rows; what is none of them is the first."""
    facts, first, more = _asked(options, name, value, more)
    choices = facts.choices or ()
    names = list(choices)
    begin = {} if value is HELD else {"index": names.index(first) if first in names else 0}
    return place.selectbox(label, names, format_func=lambda choice: title_of(choices, choice), **begin, **more)


def text_input(
    options: type[Options], name: str, label: str, *, value: Any = STATED, place: Any = st, **more: Any
) -> str:
    """Ask for a line."""
    facts, first, more = _asked(options, name, value, more)
    begin = {} if value is HELD else {"value": first}
    return str(place.text_input(label, **begin, **{"max_chars": facts.longest} | more))


def toggle(options: type[Options], name: str, label: str, *, value: Any = STATED, place: Any = st, **more: Any) -> bool:
    """Ask for yes or no."""
    _, first, more = _asked(options, name, value, more)
    begin = {} if value is HELD else {"value": first}
    return bool(place.toggle(label, **begin, **more))


def _asked(options: type[Options], name: str, value: Any, more: dict[str, Any]) -> tuple[Facts, Any, dict[str, Any]]:
    """What the option states, what the field begins with, and what else it is told."""
    facts, default = facts_and_default(options, name, more.get("key"))
    return facts, default if value is STATED else value, {"help": facts.help} | more


def _numbers(options: type[Options], name: str, limits: Limits, first: Any) -> tuple[Any, Any, Any]:
    """Limits and first value, of the option's type. What an address or an earlier run says may lie outside: it is
    shown, and refused in words."""
    low, high = limits
    if isinstance(first, int | float):
        low = None if low is None else min(low, first)
        high = None if high is None else max(high, first)
    kind = kind_of(options, name)
    low, high, first = (kind(each) if isinstance(each, int | float) else each for each in (low, high, first))
    return low, high, first
