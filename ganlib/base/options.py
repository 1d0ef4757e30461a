"""One way to state an option. A frozen dataclass that inherits from `Options` states each of its fields once, with
`option(default, help, …)`: its type, limits, choices, group and words. Flags and their help, the command that a page
shows, JSON in and out, the pages' fields and the reference of the documentation are all made from that.

    @dataclass(frozen=True)
    class Blur(Options):
        radius: float = option(2.0, "how far it reaches, in pixels", low=0, high=100)
        edges: str = option("mirror", "what lies beyond the picture", choices=("mirror", "black"))

Types that are understood: `bool`, `int`, `float`, `str`, `Path`, `Literal[…]`, `tuple[X, ...]`, `tuple[X, Y]`, other
`Options` and classes with `to_dict`, `from_dict` and `validate` like theirs, and any of them `| None`. Rules between
fields are the dataclass's own: `check`.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from ganlib.base.errors import InputError

_LONGEST_SHOWN = 60  # characters of a wrong value that an error repeats


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of an option beside its name, type and default."""

    help: str = ""
    """One sentence, with the unit."""
    group: str = ""
    """Under which heading it stands in forms, help and documentation."""
    low: float | None = None
    """Least number, and the largest; of a list, of each of its numbers. None means no limit."""
    high: float | None = None
    above: float | None = None
    """What a number must be above, and below."""
    below: float | None = None
    usual: tuple[float, float] | None = None
    """What a slider offers, where the limits lie far beyond use."""
    choices: Collection[str] | None = None
    """What a text may be. A registry may be given itself: what is registered later is a choice too."""
    made_of: Collection[str] | None = None
    """A registry whose names a text is made of, with more around them; help names them, `check` reads the text."""
    longest: int | None = None
    """Most characters of a text."""
    flag: str = ""
    """Name of the flag without its dashes, where it is not the field's with - for _."""
    metavar: str = ""
    """What stands for the value in the help of the command line."""
    is_required: bool = False
    """Whether the command line insists on it, though the dataclass has a default."""
    is_model: bool = False
    """Whether it names a model: a file, or a name in checkpoints/."""
    is_repeated: bool = False
    """Whether a list is written in words, `--target A B`, and not with commas."""
    is_flag: bool = True
    """Whether the command line has it; otherwise only JSON does."""
    is_expert: bool = False
    """Whether it is for those who know what it means, and folded away in forms."""


def option(default: Any = MISSING, help: str = "", **facts: Any) -> Any:
    """Return a dataclass field with `Facts`."""
    return field(default=default, metadata={"facts": Facts(help=help, **facts)})


def facts_of(item: Field[Any]) -> Facts:
    """Return what is known of a field; nothing where it was not made by `option`."""
    return item.metadata.get("facts", _NO_FACTS)


_NO_FACTS = Facts()


@dataclass(frozen=True)
class Choice:
    """What a registry says of one of its names, where that is all there is to know."""

    title: str
    """For people, a few words."""
    sentence: str = ""
    """What it does or is good for."""


def title_of(choices: Collection[str], name: str) -> str:
    """Return what people call a choice: the title of its row, its words where the registry holds words, or its name."""
    row = choices.get(name, name) if isinstance(choices, Mapping) else name
    return row if isinstance(row, str) else str(getattr(row, "title", name))


class Options:
    """Base of a dataclass of options."""

    verb: ClassVar[str] = ""
    """Whose `--help` lists them; empty where no command does."""

    def validate(self) -> Self:
        """Return self. Raises InputError that names the option and its legal values."""
        check_types(type(self), {item.name: getattr(self, item.name) for item in _given(type(self))})
        self.check()
        return self

    def check(self) -> None:
        """Raise InputError where options, each legal by itself, do not go together."""

    @classmethod
    def refusal(cls, name: str, value: Any) -> InputError | None:
        """Return a better error than `name = value is not possible` for a value of the wrong type or outside its
        limits; None where there is none."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        return {item.name: _as_json(getattr(self, item.name)) for item in _given(type(self))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the options in JSON data. Raises InputError for wrong names and types, then as `validate`."""
        hint = f"see `python -m ganlib {cls.verb} --help`" if cls.verb else ""
        made = cls(**check_types(cls, values, hint=hint))
        made.check()
        return made


def _given(cls: type) -> Iterator[Field[Any]]:
    return (item for item in fields(cls) if item.init)


def _as_json(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Path):
        return str(value)
    return [_as_json(item) for item in value] if isinstance(value, tuple | list) else value


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
    known = {item.name: item for item in _given(cls)}
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
            _check_limits(checked[name], facts_of(known[name]))
        except ValueError as error:
            if issubclass(cls, Options) and (refused := cls.refusal(name, value)) is not None:
                raise refused from None
            called = facts_of(known[name]).flag or name
            raise InputError(f"{called} = {_shown(value)} is not possible", f"use {error}") from None
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
        raise ValueError(format_choices(arguments))
    if origin is tuple:
        return _as_tuple(value, arguments)
    if isinstance(kind, type) and hasattr(kind, "from_dict"):  # other options, and what else goes through JSON
        if isinstance(value, kind):
            value.validate()  # type: ignore[attr-defined]
            return value
        return kind.from_dict(value)
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


def _check_limits(value: Any, facts: Facts) -> None:
    """Raise ValueError, whose text says what is legal, for a value outside the limits of its option."""
    if isinstance(value, tuple):
        for item in value:
            _check_limits(item, facts)
    elif isinstance(value, str):
        if facts.choices is not None and value not in facts.choices:
            raise ValueError(format_choices(facts.choices))
        if facts.longest is not None and len(value) > facts.longest:
            raise ValueError(f"at most {facts.longest} characters")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        too_low = (facts.low is not None and value < facts.low) or (facts.above is not None and value <= facts.above)
        too_high = (facts.high is not None and value > facts.high) or (facts.below is not None and value >= facts.below)
        if too_low or too_high:
            raise ValueError(f"{'a whole number' if isinstance(value, int) else 'a number'} {range_of(facts)}")


def range_of(facts: Facts) -> str:
    """Return the limits of a number in words: `from 1 to 20`, `above 0`; empty where there are none."""
    lower = [f"from {_number(facts.low)}"] if facts.low is not None else []
    lower += [f"above {_number(facts.above)}"] if facts.above is not None else []
    upper = [f"to {_number(facts.high)}"] if facts.high is not None else []
    upper += [f"below {_number(facts.below)}"] if facts.below is not None else []
    return " ".join(lower + upper)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:g}"


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


def format_choices(choices: Collection[Any]) -> str:
    """Return the choices as a text: `a, b or c`."""
    words = [str(choice) for choice in choices]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply; a whole number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
