"""`metrics`: how far models' pictures are from a data set's, as figures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganlib.commands.flags import flags_from_dataclass, printable, values_from_flags

EXAMPLES = (
    "python -m ganlib metrics --network fruit --data data/fruit-64.zip --metrics kid1k,pr1k",
    "python -m ganlib metrics --network runs/00000-train-fruit-64 --data F.zip --metrics kid5k --real-floor --outdir m",
    "python -m ganlib metrics --network F.safetensors --data F.zip --metrics fid50k_full,is50k --fetch --outdir m",
    "torchrun --nproc_per_node 8 -m ganlib metrics --network F.safetensors --data F.zip --metrics fid50k_full "
    "--outdir m",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.metrics import MetricsConfig

    parser.add_argument(
        "--network", required=True, nargs="+", type=Path, metavar="MODEL",
        help="model files, names in checkpoints/, or run directories: all of their snapshots",
    )  # fmt: skip
    flags_from_dataclass(parser, MetricsConfig, skip=("network",), required=("data",))
    parser.add_argument("--dry-run", action="store_true", help="check everything, print what would be measured")


def execute(args: argparse.Namespace) -> int:
    from ganlib.distributed import is_first
    from ganlib.metrics import MetricsConfig, measure
    from ganlib.metrics.job import estimate_seconds, plan_measurement
    from ganlib.metrics.names import doubt_about
    from ganlib.runs import SilentReporter, Stopped, TerminalReporter, format_seconds, signals_ask

    given = values_from_flags(MetricsConfig, args)
    config = MetricsConfig(**(given | {"network": tuple(args.network)})).validate()
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
    reporter = TerminalReporter()
    try:
        with signals_ask(reporter):
            records = measure(config, reporter)
    except Stopped:
        raise KeyboardInterrupt("the same command goes on from here" if config.outdir else "") from None
    for record in records:
        _print(record)
    return 0


def _print(record: Mapping[str, Any]) -> None:
    what = str(record.get("snapshot_pkl") or record.get("title"))
    for name, value in record["results"].items():
        low, high = record.get("ci95", {}).get(name, (None, None))
        interval = "" if low is None else f"  (95 %: {low:.5f} … {high:.5f})"
        against = f"{record['num_fake']} against {record['num_real']}" if record["num_real"] else record["num_fake"]
        print(printable(f"{name:<32} {value:>10.5f}{interval}  {what}, {against}, {record['total_time_str']}"))
