"""Flags made from a dataclass follow its fields."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from ganlib.commands.flags import flags_from_dataclass, values_from_flags
from ganlib.training.config import TrainConfig


@dataclass(frozen=True)
class Example:
    source: str
    """Where to read."""
    num_steps: int = 3
    """Number of steps, 100 % of them."""
    rate: float | None = None
    """Rate per kimg."""
    mirror: bool = False
    layout: Literal["rows", "columns"] = "rows"
    sizes: tuple[int, ...] = (1, 2)
    dest: Path = field(default=Path("out"), metadata={"help": "where to write"})


def parser_of(cls: type, **options: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    flags_from_dataclass(parser, cls, **options)
    return parser


def given(*argv: str) -> dict[str, Any]:
    return values_from_flags(Example, parser_of(Example, required=("source",)).parse_args(["--source", "x", *argv]))


def test_only_given_flags_have_values():
    assert given() == {"source": "x"}


def test_values_have_the_type_of_their_field():
    argv = ["--num-steps", "7", "--rate", "0.5", "--mirror", "--layout", "columns"]
    assert given(*argv, "--sizes", "4,8,16", "--dest", "a/b") == {
        "source": "x",
        "num_steps": 7,
        "rate": 0.5,
        "mirror": True,
        "layout": "columns",
        "sizes": (4, 8, 16),
        "dest": Path("a/b"),
    }


def test_optional_fields_accept_none_and_switches_can_be_turned_off():
    assert given("--rate", "none", "--no-mirror") == {"source": "x", "rate": None, "mirror": False}


@pytest.mark.parametrize("argv", [["--num-steps", "1.5"], ["--layout", "diagonal"], ["--sizes", "1,x"], ["--rate", ""]])
def test_a_value_of_another_type_is_refused(argv, capsys):
    with pytest.raises(SystemExit):
        given(*argv)
    assert argv[0] in capsys.readouterr().err


def test_help_comes_from_the_fields():
    text = " ".join(parser_of(Example, skip=("layout",)).format_help().split())
    assert "--num-steps N Number of steps, 100 % of them (default: 3)" in text
    assert "where to write (default: out)" in text
    assert "--layout" not in text


def test_every_training_option_has_a_flag_with_a_help_text():
    actions = {action.dest: action for action in parser_of(TrainConfig)._actions}
    for name in TrainConfig.__dataclass_fields__:
        assert actions[name].help, name
