"""`copies`: are generated pictures copies of training pictures? A report with the nearest ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import printable, read_options, work_in_terminal


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="what was seen of training sets (~/.cache/latent-atelier/copies)"
    )


def execute(args: argparse.Namespace) -> int:
    from ganlib.compare import CopiesConfig, check_copies

    config = read_options(CopiesConfig, args)
    found = work_in_terminal(lambda reporter: check_copies(config, reporter, cache=args.cache))
    for line in str(found).splitlines():
        print(printable(line))
    return 0
