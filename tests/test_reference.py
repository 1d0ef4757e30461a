"""docs/options.md, made from the options and the registries, is what it would be made today.
`python -m tests.test_reference` writes it anew."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from ganlib.base.options import facts_of, range_of
from ganlib.commands.flags import flag_of, is_without_default
from ganlib.commands.verbs import VERBS
from ganlib.video import FORMATS

FILE = Path(__file__).parents[1] / "docs" / "options.md"
HEAD = """# Options

Every option of the commands that have jobs, as `python -m ganlib VERB --help` lists them; what a terminal alone needs
is only there. Made from the code by `python -m tests.test_reference`.
"""


def film_formats() -> Iterable[tuple[str, ...]]:
    for row in FORMATS.values():
        suffixes = ", ".join(f"`{each}`" if each else "a new folder" for each in row.suffixes)
        yield row.name, row.title, row.about, suffixes, "yes" if row.sound else "no", f"{row.most_fps:g}"


REGISTRIES = (
    ("Film formats", ("format", "title", "what it is", "suffixes", "sound", "most frames per second"), film_formats),
)
"""Heading, names of columns, and what gives the rows: one line for each registry."""


WORDS = {bool: "yes or no", int: "whole number", float: "number", str: "text", Path: "path", type(None): "none"}


def kind_of(hint: Any) -> str:
    """The type in words."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        return f"list of {kind_of(inner[0])}"
    return WORDS[hint] if hint in WORDS else " or ".join(map(kind_of, inner))


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    heads = list(heads)
    return "\n".join([line(heads), line("---" for _ in heads), *map(line, rows)]) + "\n"


def default_of(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return "" if value is None or text in ("", ".") else f"`{text}`"


def options_of(classes: Iterable[type]) -> Iterable[tuple[str, ...]]:
    for cls in classes:
        hints = typing.get_type_hints(cls)
        for item in fields(cls):
            facts = facts_of(item)
            if not facts.is_flag:
                continue
            legal = [kind_of(hints[item.name]), range_of(facts)]
            legal += [f"one of {', '.join(facts.choices)}"] if facts.choices else []
            legal += [f"made of {', '.join(facts.made_of)}"] if facts.made_of else []
            has_none = is_without_default(item) or facts.is_required
            default = "required" if has_none else default_of(item.default)
            yield f"`--{flag_of(item)}`", "; ".join(filter(None, legal)), default, facts.help


def reference() -> str:
    parts = [HEAD]
    for row in VERBS.values():
        if row.options:
            options = table(("flag", "type and limits", "default", "what it is"), options_of(row.options_classes()))
            parts.append(f"## {row.name}\n\n{row.summary[0].upper()}{row.summary[1:]}.\n\n{options}")
    parts += [f"## {heading}\n\n{table(heads, rows())}" for heading, heads, rows in REGISTRIES]
    return "\n".join(parts)


def test_the_reference_says_what_the_code_says():
    assert FILE.read_text("utf-8") == reference()


def test_every_option_is_explained_in_the_reference():
    rows = [line for line in reference().splitlines() if line.startswith("| `--")]
    assert len(rows) > 200 and not [line for line in rows if line.endswith("|  |")]


if __name__ == "__main__":
    FILE.write_text(reference(), "utf-8")
