"""`ganlib.options`: what comes as JSON is what the dataclass says, or is refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from ganlib.errors import InputError
from ganlib.options import check_types


@dataclass(frozen=True)
class Options:
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
    checked = check_types(Options, values | {"betas": [0, 0.99], "size": [2, 3], "folder": "x/y"})
    options = Options(**checked)
    assert options == Options("a", True, 3, 1.0, 2.0, "center", (0.0, 0.99), (2, 3), Path("x/y"))
    assert isinstance(options.share, float) and isinstance(options.gamma, float)
    assert check_types(Options, {"name": "a", "gamma": None}) == {"name": "a", "gamma": None}


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
        check_types(Options, {"name": "a"} | {name: value})
    assert hint in caught.value.hint
    assert len(caught.value.message) < 120


def test_names_are_checked_too():
    for values in ({"name": "a", "colour": 1}, {"mirror": True}, ["name"], None):
        with pytest.raises(InputError) as caught:
            check_types(Options, values, hint="see --help")  # type: ignore[arg-type]
        assert caught.value.hint == "see --help"


def test_a_deep_value_is_not_repeated_whole():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match=r"^name = a list is not possible"):
        check_types(Options, {"name": deep})
