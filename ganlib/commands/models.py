"""`models`: what lies in a folder, read from the headers alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import CHECKPOINTS, printable


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dir", type=Path, default=CHECKPOINTS, help="folder to look in (default: %(default)s)")


def execute(args: argparse.Namespace) -> int:
    from ganlib.base.errors import InputError
    from ganlib.models.checkpoints import list_checkpoints

    cards, problems = list_checkpoints(args.dir)
    if not cards and not args.dir.is_dir():
        raise InputError(f"no folder {args.dir}", "name an existing one with --dir, or train a model first")
    rows = [["name", "side px", "classes", "kimg", "MB", "licence", "title"]]
    for card in cards:
        numbers = [str(card.spec.resolution), str(card.spec.label_dim), f"{card.kimg:g}", f"{card.bytes / 1e6:.1f}"]
        rows.append([_cell(text) for text in (card.name, *numbers, card.licence, card.title)])
    if cards:
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    else:
        print(f"no models in {args.dir}")
    for problem in problems:
        print(printable(f"not usable: {problem.message}" + (f" ({problem.hint})" if problem.hint else "")))
    return 0


def _cell(text: str) -> str:
    """Text of an unknown author for a column: one line, not endless."""
    text = printable(text[:100])
    return text if len(text) <= 60 else f"{text[:59]}…"
