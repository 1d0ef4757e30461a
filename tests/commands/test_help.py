"""What `--help` of every verb says, held to the texts in tests/commands/help: flags, values, defaults
and examples do not change unnoticed. `python -m tests.commands.test_help` writes them anew."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from unittest import mock

import pytest

from ganlib.__main__ import VERBS, main

TEXTS = Path(__file__).parent / "help"


def help_of(verb: str) -> str:
    """One line for each flag, without the summary of usage, which versions of Python wrap in their own ways."""
    out = io.StringIO()
    with (
        mock.patch.dict(os.environ, COLUMNS="10000"), contextlib.redirect_stdout(out),
        contextlib.suppress(SystemExit),
    ):  # fmt: skip
        main([*filter(None, [verb]), "--help"])
    usage, _, rest = out.getvalue().partition("\n\n")
    assert usage.startswith("usage:")
    return "\n".join(line.rstrip() for line in rest.splitlines()).strip() + "\n"


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_says_what_it_said(verb):
    assert help_of(verb) == (TEXTS / f"{verb or 'ganlib'}.txt").read_text("utf-8")


def test_no_text_is_of_a_verb_that_is_gone():
    assert {path.stem for path in TEXTS.iterdir()} == {"ganlib", *VERBS}


if __name__ == "__main__":
    for name in ("", *VERBS):
        (TEXTS / f"{name or 'ganlib'}.txt").write_text(help_of(name), "utf-8")
