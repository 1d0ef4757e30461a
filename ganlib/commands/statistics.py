"""`statistics`: how varied, how coloured and how fine a model's pictures are beside a data set's."""

from __future__ import annotations

import argparse

from ganlib.commands.flags import printable, read_options, work_in_terminal


def execute(args: argparse.Namespace) -> int:
    from ganlib.compare.statistics import FILE, StatisticsConfig, compare_statistics, summary

    config = read_options(StatisticsConfig, args)
    found = work_in_terminal(
        lambda reporter: compare_statistics(config, reporter),
        stopped="nothing is kept of it: the same command begins anew",
    )
    print(printable(summary(found)))
    print(printable(f"figures in {config.outdir / FILE}"))
    return 0
