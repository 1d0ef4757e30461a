"""`examine`: what gives reason for doubt in a folder or zip of pictures; nothing is changed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ganlib.commands.flags import flags_from_dataclass, values_from_flags

EXAMPLES = (
    "python -m ganlib examine --source pictures.zip --outdir out/examined",
    "python -m ganlib examine --source pictures.zip --outdir out/examined --outlier 2.5 --border none",
    "python -m ganlib prepare --source pictures.zip --dest data/set.zip --exclude out/examined/exclude.txt",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.dataset.checks.config import ExamineConfig

    flags_from_dataclass(parser, ExamineConfig, required=("source", "outdir"))
    parser.add_argument("--dry-run", action="store_true", help="check source and settings, print them, do nothing")


def execute(args: argparse.Namespace) -> int:
    from ganlib.dataset.checks.config import ExamineConfig
    from ganlib.dataset.examine import examine
    from ganlib.dataset.files import Files
    from ganlib.runs import Stopped, TerminalReporter, signals_ask

    config = ExamineConfig(**values_from_flags(ExamineConfig, args)).validate()
    if args.dry_run:
        with Files(Path(config.source)) as files:
            print(f"{len(files.pictures)} pictures in {config.source}")
        print(json.dumps(config.to_dict(), indent=1))
        return 0
    reporter = TerminalReporter()
    try:
        with signals_ask(reporter):
            print(examine(config, reporter))
    except Stopped:
        raise KeyboardInterrupt("the same command goes on from here") from None
    return 0
