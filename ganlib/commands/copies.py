"""`copies`: are generated pictures copies of training pictures? A report with the nearest ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import CHECKPOINTS, flags_from_dataclass, printable, values_from_flags

EXAMPLES = (
    "python -m ganlib copies --network fruit --data data/fruit-64.zip --seeds 0-199 --outdir out/copies",
    "python -m ganlib copies --source out/drop --data data/fruit-64.zip --outdir out/copies",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.compare import CopiesConfig

    parser.add_argument("--network", metavar="MODEL", help="a model file, or a name in checkpoints/")
    flags_from_dataclass(parser, CopiesConfig, skip=("network", "label"), required=("data", "outdir"))
    parser.add_argument(
        "--class", dest="label", type=int, metavar="N", default=argparse.SUPPRESS,
        help="class of seeds, for a model with classes",
    )  # fmt: skip
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="what was seen of training sets (~/.cache/latent-atelier/copies)"
    )


def execute(args: argparse.Namespace) -> int:
    from ganlib.checkpoints import find_checkpoint
    from ganlib.compare import CopiesConfig, check_copies
    from ganlib.runs import Stopped, TerminalReporter, signals_ask

    given = values_from_flags(CopiesConfig, args)
    given["network"] = find_checkpoint(args.network, CHECKPOINTS) if args.network else None
    config = CopiesConfig(**given).validate()
    reporter = TerminalReporter()
    try:
        with signals_ask(reporter):
            found = check_copies(config, reporter, cache=args.cache)
    except Stopped:
        raise KeyboardInterrupt("the same command goes on from here") from None
    for line in str(found).splitlines():
        print(printable(line))
    return 0
