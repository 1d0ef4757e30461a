"""`ganlib.base.options`: what comes as JSON is what the dataclass says, or is refused by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from ganlib.base.errors import InputError
from ganlib.base.options import Options, check_types, option


@dataclass(frozen=True)
class Plain:
    name: str
    mirror: bool = False
    count: int = 1
    share: float = 0.5
    gamma: float | None = None
    crop: Literal["auto", "center"] = "auto"
    betas: tuple[float, ...] = ()
    size: tuple[int, int] = (1, 1)
    folder: Path = Path()


def test_right_values_pass_and_json_becomes_the_fields_type():
    values = {"name": "a", "mirror": True, "count": 3, "share": 1, "gamma": 2, "crop": "center"}
    checked = check_types(Plain, values | {"betas": [0, 0.99], "size": [2, 3], "folder": "x/y"})
    options = Plain(**checked)
    assert options == Plain("a", True, 3, 1.0, 2.0, "center", (0.0, 0.99), (2, 3), Path("x/y"))
    assert isinstance(options.share, float) and isinstance(options.gamma, float)
    assert check_types(Plain, {"name": "a", "gamma": None}) == {"name": "a", "gamma": None}


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("name", 3, "text"),
        ("name", "a\0b", "NUL"),
        ("mirror", "no", "true or false"),
        ("mirror", 1, "true or false"),
        ("count", 64.5, "whole number"),
        ("count", 64.0, "whole number"),
        ("count", True, "whole number"),
        ("count", "8", "whole number"),
        ("count", None, "whole number"),
        ("share", "0.5", "finite number"),
        ("share", False, "finite number"),
        ("share", float("nan"), "finite number"),
        ("share", 10**400, "finite number"),
        ("gamma", "none", "a finite number or nothing"),
        ("crop", "middle", "auto or center"),
        ("crop", ["auto"], "auto or center"),
        ("betas", 0.9, "a list"),
        ("betas", [0.9, "x"], "finite number"),
        ("size", [1], "a list of 2"),
        ("size", [1, 2.5], "whole number"),
        ("folder", "a\0b", "NUL"),
        ("folder", {"a": 1}, "path"),
    ],
)
def test_wrong_types_are_refused_by_name(name, value, hint):
    with pytest.raises(InputError, match=f"^{name} = ") as caught:
        check_types(Plain, {"name": "a"} | {name: value})
    assert hint in caught.value.hint
    assert len(caught.value.message) < 120


def test_names_are_checked_too():
    for values in ({"name": "a", "colour": 1}, {"mirror": True}, ["name"], None):
        with pytest.raises(InputError) as caught:
            check_types(Plain, values, hint="see --help")  # type: ignore[arg-type]
        assert caught.value.hint == "see --help"


def test_a_deep_value_is_not_repeated_whole():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match=r"^name = a list is not possible"):
        check_types(Plain, {"name": deep})


@dataclass(frozen=True)
class Inner(Options):
    side: int = option(8, "in pixels", low=4, high=16)


@dataclass(frozen=True)
class Outer(Options):
    inner: Inner = Inner()
    parts: tuple[Inner, ...] = ()
    rate: float = option(0.5, "a share", above=0, below=1)
    words: str = option("", "a title", longest=5)
    sizes: tuple[int, ...] = option((), "sides", low=1)
    folder: Path | None = None

    def check(self) -> None:
        if self.words == "no" and self.parts:
            raise InputError("no words and parts", "leave one out")


def test_options_go_through_json_and_come_back():
    options = Outer(Inner(4), (Inner(5), Inner(6)), 0.25, "hello", (1, 2), Path("a/b"))
    assert Outer.from_dict(json.loads(json.dumps(options.to_dict()))) == options
    assert Outer().validate() == Outer.from_dict({}) == Outer()


@pytest.mark.parametrize(
    ("values", "what", "hint"),
    [
        ({"inner": {"side": 3}}, "side = 3", "use a whole number from 4 to 16"),
        ({"parts": [{"side": 4}, {"side": 17}]}, "side = 17", "use a whole number from 4 to 16"),
        ({"parts": [4]}, "no table of names and values: 4", ""),
        ({"rate": 0}, "rate = 0", "use a number above 0 below 1"),
        ({"rate": 1.0}, "rate = 1.0", "use a number above 0 below 1"),
        ({"words": "longer"}, "words = 'longer'", "use at most 5 characters"),
        ({"sizes": [2, 0]}, r"sizes = \[2, 0\]", "use a whole number from 1"),
        ({"words": "no", "parts": [{}]}, "no words and parts", "leave one out"),
    ],
)
def test_limits_and_rules_hold_at_every_depth(values, what, hint):
    with pytest.raises(InputError, match=what) as caught:
        Outer.from_dict(values)
    assert caught.value.hint == hint


def test_validate_finds_what_from_dict_finds():
    for wrong in (Outer(rate=2.0), Outer(words="longer"), Outer(sizes=(0,)), Outer(words="no", parts=(Inner(),))):
        with pytest.raises(InputError):
            wrong.validate()
