"""Flags made from a dataclass follow its fields."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.commands.flags import command_line, flags_from_dataclass, read_options, values_from_flags
from ganlib.training.config import TrainConfig

KINDS = {"dot": "a dot", "line": "a line"}


@dataclass(frozen=True)
class Example(Options):
    source: str = option(help="where to read")
    num_steps: int = option(3, "number of steps, 100 % of them", low=1, high=9)
    rate: float | None = option(None, "rate per kimg")
    mirror: bool = False
    layout: Literal["rows", "columns"] = "rows"
    sizes: tuple[int, ...] = (1, 2)
    dest: Path = option(Path("out"), "where to write")
    label: int | None = option(None, "class", flag="class")
    targets: tuple[Path, ...] = option((), "pictures", is_repeated=True, metavar="F")
    kind: str = option("dot", "what is drawn", choices=KINDS)
    secret: str = option("", "for jobs alone", is_flag=False)


def parser_of(cls: type, **options: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    flags_from_dataclass(parser, cls, **options)
    return parser


def given(*argv: str) -> dict[str, Any]:
    return values_from_flags(Example, parser_of(Example).parse_args(["--source", "x", *argv]))


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
    assert "--num-steps N number of steps, 100 % of them (default: 3)" in text
    assert "where to write (default: out)" in text
    assert "--layout" not in text and "--secret" not in text
    assert "--class N|none class" in text and "--targets F [F ...]" in text
    assert "what is drawn; one of dot, line (default: dot)" in text


def test_a_registered_kind_is_a_choice_of_every_reader(monkeypatch):
    monkeypatch.setitem(KINDS, "star", "a star")
    assert "one of dot, line, star" in " ".join(parser_of(Example).format_help().split())
    assert Example.from_dict({"source": "x", "kind": "star"}).kind == "star"
    with pytest.raises(InputError, match="kind = 'moon'") as caught:
        Example.from_dict({"source": "x", "kind": "moon"})
    assert caught.value.hint == "use dot, line or star"


WRITTEN = [
    Example("x"),
    Example("a b", 7, 0.1 + 0.2, True, "columns", (4, 8), Path("it's"), 3, (Path("a"), Path("-b c")), "line"),
    Example("-x", rate=1e-9, dest=Path("-out")),
]


@pytest.mark.parametrize("options", WRITTEN)
def test_the_command_of_options_gives_the_same_options(options):
    """What a page shows to copy, typed into a shell."""
    words = shlex.split(command_line("example", options, "--loud"))
    assert words[:4] == ["python", "-m", "ganlib", "example"] and words[-1] == "--loud"
    assert read_options(Example, parser_of(Example).parse_args(words[4:-1])) == options


def test_a_command_says_what_differs_and_no_more():
    assert command_line("x", Example("in", rate=0.5)) == "python -m ganlib x --source in --rate 0.5"
    assert "--secret" not in command_line("x", replace(Example("in"), secret="s"))
    assert command_line("x", Example("in", rate=0.5), leave_out=("rate",)) == "python -m ganlib x --source in"


def test_limits_hold_for_flags_too():
    with pytest.raises(InputError, match="num_steps = 10 is not possible") as caught:
        read_options(Example, parser_of(Example).parse_args(["--source", "x", "--num-steps", "10"]))
    assert caught.value.hint == "use a whole number from 1 to 9"


def test_every_training_option_has_a_flag_with_a_help_text():
    actions = {action.dest: action for action in parser_of(TrainConfig)._actions}
    for name in TrainConfig.__dataclass_fields__:
        assert actions[name].help, name
