"""`train`: a run directory below --outdir, worked on in the foreground; Ctrl-C stops it at a resumable point."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from ganlib.commands.flags import values_from_flags


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.training import PRESETS

    parser.add_argument("--outdir", type=Path, default=Path("runs"), help="where the run directory goes (runs)")
    parser.add_argument("--name", help="name of the run (default: the data set's)")
    parser.add_argument("--preset", choices=PRESETS, help="settings to start from; flags given beside it count more")
    parser.add_argument("--dry-run", action="store_true", help="check data and settings, print them, do nothing")


def execute(args: argparse.Namespace) -> int:
    from ganlib.compute.distributed import is_first
    from ganlib.runs import SilentReporter
    from ganlib.training import TrainConfig, train
    from ganlib.training.presets import with_preset
    from ganlib.training.setup import plan

    given = values_from_flags(TrainConfig, args)
    config = with_preset(args.preset, given) if args.preset else TrainConfig.from_dict(given)
    if not is_first():
        train(config, None, SilentReporter())
        return 0
    planned = plan(config)
    if args.dry_run:
        data, start = planned.dataset, planned.start
        print(f"{len(data)} pictures of {data.resolution} px, {data.label_dim} classes, in {config.data}")
        for words in planned.doubts:
            print(f"warning: {words}")
        how = "exactly from" if start.is_exact else "from the weights of"
        print(f"starts {how} {start.path}" if start.path else "starts from nothing")
        print(json.dumps(planned.config.to_dict(), indent=1))
        return 0
    from ganlib.commands.run import do_job
    from ganlib.runs import create_run

    command = shlex.join(["python", "-m", "ganlib", *sys.argv[1:]])
    run = create_run(args.outdir, "train", args.name or Path(config.data).stem, config.to_dict(), command=command)
    print(run.path, flush=True)
    return do_job(run)
