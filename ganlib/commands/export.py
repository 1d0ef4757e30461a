"""`export`: a model as a file of other tools."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import CHECKPOINTS, printable


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.models.export import EXPORTS, PARTS

    parser.add_argument(
        "--network", required=True, metavar="MODEL", help="a model file, or the name of one in checkpoints/"
    )
    parser.add_argument(
        "--format", required=True, choices=EXPORTS,
        help="; ".join(f"{row.name}: {row.title} ({row.suffix})" for row in EXPORTS.values()),
    )  # fmt: skip
    parser.add_argument("--dest", type=Path, required=True, metavar="FILE", help="the new file, of the format's suffix")
    parser.add_argument(
        "--part", default="whole", choices=PARTS,
        help=f"of {' and '.join(row.name for row in EXPORTS.values() if row.write)}: "
        f"{'; '.join(f'{name} is {part.sentence}' for name, part in PARTS.items())} (default: %(default)s)",
    )  # fmt: skip


def execute(args: argparse.Namespace) -> int:
    from ganlib.models import rights
    from ganlib.models.checkpoints import find_checkpoint, read_card
    from ganlib.models.export import check_export, export_model

    card = read_card(find_checkpoint(args.network, CHECKPOINTS))
    row = check_export(card, args.dest, args.format, args.part)
    args.dest.parent.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    path = export_model(card.path, args.dest, args.format, part=args.part, report=notes.append)
    print(printable(f"{path}: {row.title}, {path.stat().st_size / 1e6:.1f} MB"))
    for note in notes:
        print(printable(f"note: {note}"))
    print(printable(f"licence: {rights.rights_words(card.licence)}"))
    return 0
