"""`blend`: one model of two."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import CHECKPOINTS, printable


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--network", required=True, metavar="MODEL", help="the first model: a file, or the name of one in checkpoints/"
    )
    parser.add_argument(
        "--other", required=True, metavar="MODEL",
        help="the second, trained on from the first or from the same ancestor: the average of unrelated models draws "
        "nothing",
    )  # fmt: skip
    parser.add_argument(
        "--amount", type=float, metavar="X", help="share of the second, 0 … 1 (default: 0.5, with --swap-at 1)"
    )
    parser.add_argument(
        "--swap-at", type=int, metavar="PX",
        help="layers up to this side are the first model's (pose, shape), above it the second's (texture, colour)",
    )  # fmt: skip
    parser.add_argument(
        "--smooth", type=float, default=0.0, metavar="N",
        help="with --swap-at: spread the step over N doublings of the side (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--dest", type=Path, required=True, metavar="PATH", help="the new model, .safetensors")
    parser.add_argument("--title", default="", metavar="TEXT", help="a name for people (default: both names)")
    parser.add_argument("--half", action="store_true", help="store half precision: half the size")


def execute(args: argparse.Namespace) -> int:
    from ganlib.models import rights
    from ganlib.models.blending import blend, check_dest
    from ganlib.models.checkpoints import find_checkpoint

    check_dest(args.dest)
    first, second = (find_checkpoint(name, CHECKPOINTS) for name in (args.network, args.other))
    args.dest.parent.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    card = blend(
        first, second, args.dest, amount=args.amount, swap_at=args.swap_at, smooth=args.smooth, title=args.title,
        half=args.half, report=notes.append,
    )  # fmt: skip
    print(printable(f"{card.path}: {card.title}, {card.bytes / 1e6:.1f} MB"))
    print(printable(card.source))
    for note in notes:
        print(printable(f"note: {note}"))
    print(printable(f"licence: {rights.rights_words(card.licence)}"))
    return 0
