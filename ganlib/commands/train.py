"""`train`: a run directory below --outdir, worked on in the foreground; Ctrl-C stops it at a resumable point."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from ganlib.commands.flags import flags_from_dataclass, values_from_flags

EXAMPLES = (
    "python -m ganlib train --data data/fruit-64.zip --outdir runs --kimg 200 --cbase 4096 --cmax 128 --mirror",
    "python -m ganlib train --data data/fruit-64.zip --outdir runs --dry-run",
    "python -m ganlib run runs/00042-train-fruit-64    # continues a run that was stopped",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.training.config import TrainConfig

    parser.add_argument("--outdir", type=Path, default=Path("runs"), help="where the run directory goes (runs)")
    parser.add_argument("--name", help="name of the run (default: the data set's)")
    parser.add_argument("--dry-run", action="store_true", help="check data and settings, print them, do nothing")
    flags_from_dataclass(parser, TrainConfig, required=("data",))


def execute(args: argparse.Namespace) -> int:
    from ganlib.commands.run import do_job
    from ganlib.dataset import Dataset
    from ganlib.runs import create_run
    from ganlib.training.config import TrainConfig
    from ganlib.training.state import find_resume

    config = TrainConfig(**values_from_flags(TrainConfig, args)).validate()
    data = Dataset.open(Path(config.data))
    if config.resume:
        find_resume(config.resume)
    if args.dry_run:
        print(f"{len(data)} pictures of {data.resolution} px, {data.label_dim} classes, in {config.data}")
        print(json.dumps(config.to_dict(), indent=1))
        return 0
    command = shlex.join(["python", "-m", "ganlib", *sys.argv[1:]])
    run = create_run(args.outdir, "train", args.name or Path(config.data).stem, config.to_dict(), command=command)
    print(run.path, flush=True)
    return do_job(run)
