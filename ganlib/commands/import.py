"""`import`: a model file of another tool becomes a checkpoint of this studio; nothing in the file is run."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import CHECKPOINTS, printable


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE",
        help="NVIDIA's .pkl (StyleGAN2, -ADA, StyleGAN3), rosinality's .pt, or a delta",
    )  # fmt: skip
    parser.add_argument(
        "--dest", type=Path, metavar="PATH", help=f"the new model (default: {CHECKPOINTS}/FILE.safetensors)"
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="a name for people (default: the file's name)")
    parser.add_argument("--licence", default="", metavar="TEXT", help="licence of the weights (default: unknown)")
    parser.add_argument("--source", default="", metavar="TEXT", help="where it comes from (default: format and file)")
    parser.add_argument("--verbose", action="store_true", help="list every object that the file asks for")


def execute(args: argparse.Namespace) -> int:
    from ganlib.models.deltas import is_delta, restore_delta
    from ganlib.models.foreign import ImportConfig, import_with_report
    from ganlib.models.rights import rights_words

    dest = args.dest or CHECKPOINTS / f"{args.file.stem}.safetensors"
    if is_delta(args.file):
        card = restore_delta(args.file, CHECKPOINTS, dest)
        print(printable(f"{card.path}: {card.title}, made anew from {card.parents[0]['title']}"))
        print(printable(rights_words(card.licence)))
        return 0
    config = ImportConfig(args.file, dest, args.title, args.licence, args.source)
    card, report = import_with_report(config)
    spec = card.spec
    with_D = "with" if card.has_discriminator else "without"
    parts = f"{spec.resolution} px, {spec.label_dim or 'no'} classes, {with_D} discriminator"
    print(printable(f"{card.path}: {parts}, {card.bytes / 1e6:.1f} MB"))
    print(printable(f"from: {card.source}"))
    print(report.verdict)
    for note in report.notes:
        print(printable(f"note: {note}"))
    if args.verbose:
        for row in report.asked:
            print(printable(f"asked: {row.name}: {row.meaning}"))
    print(printable(rights_words(card.licence)))
    return 0
