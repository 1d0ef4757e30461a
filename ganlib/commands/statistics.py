"""`statistics`: how varied, how coloured and how fine a model's pictures are beside a data set's."""

from __future__ import annotations

import argparse

from ganlib.commands.flags import CHECKPOINTS, flags_from_dataclass, printable, values_from_flags

EXAMPLES = ("python -m ganlib statistics --network fruit --data data/fruit-64.zip --outdir out/statistics",)


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.compare.statistics import StatisticsConfig

    parser.add_argument("--network", required=True, metavar="MODEL", help="a model file, or a name in checkpoints/")
    flags_from_dataclass(parser, StatisticsConfig, skip=("network", "label"), required=("data", "outdir"))
    parser.add_argument(
        "--class", dest="label", type=int, metavar="N", default=argparse.SUPPRESS,
        help="class of the generated pictures (default: each at random)",
    )  # fmt: skip


def execute(args: argparse.Namespace) -> int:
    from ganlib.checkpoints import find_checkpoint
    from ganlib.compare.statistics import FILE, StatisticsConfig, compare_statistics, summary
    from ganlib.runs import Stopped, TerminalReporter, signals_ask

    given = values_from_flags(StatisticsConfig, args) | {"network": find_checkpoint(args.network, CHECKPOINTS)}
    config = StatisticsConfig(**given).validate()
    reporter = TerminalReporter()
    try:
        with signals_ask(reporter):
            found = compare_statistics(config, reporter)
    except Stopped:
        raise KeyboardInterrupt("nothing is kept of it: the same command begins anew") from None
    print(printable(summary(found)))
    print(printable(f"figures in {config.outdir / FILE}"))
    return 0
