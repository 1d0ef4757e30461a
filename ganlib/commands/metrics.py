"""`metrics`: how far models' pictures are from a data set's, as figures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from ganlib.commands.flags import GOES_ON, printable, read_options, work_in_terminal


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="check everything, print what would be measured")


def execute(args: argparse.Namespace) -> int:
    from ganlib.compute.distributed import is_first
    from ganlib.metrics import MetricsConfig, measure
    from ganlib.metrics.job import estimate_seconds, plan_measurement
    from ganlib.metrics.names import doubt_about
    from ganlib.runs import SilentReporter, format_seconds

    config = read_options(MetricsConfig, args)
    if not is_first():
        measure(config, SilentReporter())
        return 0
    if args.dry_run:
        plan = plan_measurement(config)
        names = ", ".join(map(str, plan.metrics))
        for card in plan.cards:
            print(printable(f"{names}: {card.path} against {len(plan.dataset)} pictures of {config.data}"))
        for metric in plan.metrics:
            num_real = len(plan.dataset) * (1 + config.mirror)
            num_real = num_real if metric.full else min(num_real, metric.count)
            if doubt := doubt_about(str(metric), num_real, metric.count):
                print(f"warning: {doubt}")
        print(f"about {format_seconds(estimate_seconds(config))} here")
        return 0
    stopped = GOES_ON if config.outdir else ""
    for record in work_in_terminal(lambda reporter: measure(config, reporter), stopped=stopped):
        _print(record)
    return 0


def _print(record: Mapping[str, Any]) -> None:
    what = str(record.get("snapshot_pkl") or record.get("title"))
    for name, value in record["results"].items():
        low, high = record.get("ci95", {}).get(name, (None, None))
        interval = "" if low is None else f"  (95 %: {low:.5f} … {high:.5f})"
        against = f"{record['num_fake']} against {record['num_real']}" if record["num_real"] else record["num_fake"]
        print(printable(f"{name:<32} {value:>10.5f}{interval}  {what}, {against}, {record['total_time_str']}"))
