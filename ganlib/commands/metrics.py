"""`metrics`: how far a model's pictures are from a data set's, as figures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganlib.commands.flags import CHECKPOINTS, add_network_flags
from ganlib.errors import InputError

EXAMPLES = (
    "python -m ganlib metrics --network fruit --data data/fruit-64.zip --metrics kid1k,pr1k",
    "python -m ganlib metrics --network F.safetensors --data F.zip --metrics fid5k_full --real-floor --outdir out",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_network_flags(parser)
    parser.add_argument("--data", type=Path, required=True, metavar="F.zip", help="the set to compare with")
    parser.add_argument(
        "--metrics",
        default="kid1k,pr1k",
        metavar="LIST",
        help="kid, fid or pr and a number of pictures; `_full` compares with every real one (default: %(default)s)",
    )
    parser.add_argument(
        "--features", default="auto", metavar="NAME", help="auto, squeezenet or embedded (default: %(default)s)"
    )
    parser.add_argument("--mirror", action="store_true", help="the model was trained with mirrored pictures too")
    parser.add_argument("--real-floor", action="store_true", help="also measure real pictures against real ones")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the generated pictures (default: 0)")
    parser.add_argument("--outdir", type=Path, metavar="DIR", help="append to metric-NAME.jsonl there")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="features of real pictures (~/.cache/latent-atelier)")
    parser.add_argument("--dry-run", action="store_true", help="check everything, print what would be measured")


def execute(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from ganlib import metrics
    from ganlib.checkpoints import find_checkpoint, load_generator
    from ganlib.dataset import Dataset
    from ganlib.device import choose_device
    from ganlib.features import cache_folder, open_extractor
    from ganlib.runs import TerminalReporter

    wanted = metrics.parse_metrics(args.metrics)
    if not wanted:
        raise InputError("no metric to measure", "name one, such as --metrics kid1k")
    if args.seed < 0:
        raise InputError(f"--seed {args.seed} is below 0", "give 0 or more")
    path, dataset = find_checkpoint(args.network, CHECKPOINTS), Dataset.open(args.data)
    device = choose_device(args.device)
    # One extractor for every metric that does not name its own.
    wanted = [m if m.features else replace(m, features=open_extractor(args.features).name) for m in wanted]
    if args.dry_run:
        print(f"{', '.join(map(str, wanted))}: {path} against {len(dataset)} pictures of {args.data}")
        return 0
    G_ema = load_generator(path, device=device)
    if G_ema.spec.resolution != dataset.resolution:
        print(f"note: the model makes {G_ema.spec.resolution} px, the data set has {dataset.resolution} px")
    options: dict[str, Any] = {"reporter": TerminalReporter()}
    records = metrics.evaluate_all(
        wanted, G_ema, dataset, seed=args.seed, mirror=args.mirror, snapshot=path.name,
        cache_dir=args.cache or cache_folder() / "reals", **options,
    )  # fmt: skip
    floors = metrics.real_floor(wanted, dataset, device=device, **options) if args.real_floor else []
    for record in records:
        _print(record, path.name)
        if args.outdir:
            metrics.append_record(args.outdir, record)
    for record in floors:
        _print(record, "real against real")
    return 0


def _print(record: Mapping[str, Any], what: str) -> None:
    for name, value in record["results"].items():
        low, high = record.get("ci95", {}).get(name, (None, None))
        interval = "" if low is None else f"  (95 %: {low:.5f} … {high:.5f})"
        pictures = f"{record['num_fake']} against {record['num_real']}"
        print(f"{name:<32} {value:>10.5f}{interval}  {what}, {pictures}, {record['total_time_str']}")
