"""Options from outside (a job's JSON, a form) held against the types that a dataclass states for its fields.

Types that are understood: `bool`, `int`, `float`, `str`, `Path`, `Literal[…]`, `tuple[X, ...]`, `tuple[X, Y]`, and any
of them `| None`. Ranges, and rules between fields, are the dataclass's own business.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ganlib.errors import InputError

_LONGEST_SHOWN = 60  # characters of a wrong value that an error repeats


def check_types(cls: type, values: Mapping[str, Any], *, hint: str = "") -> dict[str, Any]:
    """Return `values` as keyword arguments for the dataclass `cls`, each of its field's type.

    Nothing is guessed: text is no number, 64.5 and true are no whole numbers, 1 is not true. What JSON cannot say is
    translated: a whole number becomes a float, a list a tuple, text a `Path`, where the field wants one. Numbers must
    be finite and text free of NUL, which no path may hold.

    Raises InputError that names the option and what it may be: for a wrong type, an unknown name, a missing field
    without a default, and for `values` that are no mapping. `hint` says where the options are listed; it goes with
    unknown and missing names.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"the options are no table of names and values: {_shown(values)}", hint)
    known = {item.name: item for item in fields(cls) if item.init}
    unknown = [_shown(name) for name in values if name not in known]
    if unknown:
        raise InputError(f"unknown options: {', '.join(sorted(unknown))}", hint)
    for name, item in known.items():
        if name not in values and item.default is MISSING and item.default_factory is MISSING:
            raise InputError(f"the option {name} is missing", hint)
    wanted = typing.get_type_hints(cls)
    checked = {}
    for name, value in values.items():
        try:
            checked[name] = _as_kind(value, wanted[name])
        except ValueError as error:
            raise InputError(f"{name} = {_shown(value)} is not possible", f"use {error}") from None
    return checked


def _as_kind(value: Any, kind: Any) -> Any:
    """`value` as a `kind`. Raises ValueError, whose text says what would have been right."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _as_one_of(value, arguments)
    if origin is typing.Literal:
        for choice in arguments:
            if type(value) is type(choice) and value == choice:
                return choice
        raise ValueError(_listed(arguments))
    if origin is tuple:
        return _as_tuple(value, arguments)
    if kind is types.NoneType and value is None:
        return None
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _as_float(value)
    if kind is str and isinstance(value, str) and "\0" not in value:
        return value
    if kind is Path and isinstance(value, str | Path) and "\0" not in str(value):
        return Path(value)
    if kind not in _WORDS:
        raise TypeError(f"no rule for options of the type {kind}")
    raise ValueError(_WORDS[kind])


_WORDS: dict[Any, str] = {
    types.NoneType: "nothing (null)",
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text without NUL characters",
    Path: "a path without NUL characters",
}


def _as_one_of(value: Any, kinds: tuple[Any, ...]) -> Any:
    wanted = []
    # A whole number stays one where both will do; "or nothing" is said last.
    for kind in sorted(kinds, key=lambda kind: (kind is types.NoneType, kind is float)):
        try:
            return _as_kind(value, kind)
        except ValueError as error:
            wanted.append(str(error))
    raise ValueError(" or ".join(wanted))


def _as_tuple(value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    every = len(kinds) == 2 and kinds[1] is Ellipsis
    if isinstance(value, list | tuple) and (every or len(value) == len(kinds)):
        return tuple(_as_kind(item, kinds[0] if every else kinds[i]) for i, item in enumerate(value))
    raise ValueError("a list" if every else f"a list of {len(kinds)}")


def _as_float(value: int | float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(_WORDS[float])
    return number


def _listed(choices: tuple[Any, ...]) -> str:
    words = [str(choice) for choice in choices]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply; a whole number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
