"""`examine`: what gives reason for doubt in a folder or zip of pictures; nothing is changed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ganlib.commands.flags import read_options, work_in_terminal


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="check source and settings, print them, do nothing")


def execute(args: argparse.Namespace) -> int:
    from ganlib.dataset.checks.config import ExamineConfig
    from ganlib.dataset.examine import examine
    from ganlib.dataset.files import Files

    config = read_options(ExamineConfig, args)
    if args.dry_run:
        with Files(Path(config.source)) as files:
            print(f"{len(files.pictures)} pictures in {config.source}")
        print(json.dumps(config.to_dict(), indent=1))
        return 0
    print(work_in_terminal(lambda reporter: examine(config, reporter)))
    return 0
