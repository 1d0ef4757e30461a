"""`doctor`: what a training run's numbers mean, in plain words."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

MARKS = {"stop": "STOP", "warning": "warning", "note": "note", "good": "ok"}


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="RUN", help="a training run's directory, ours or NVIDIA's")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON lines")


def execute(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from ganlib.training.watch.doctor import examine
    from ganlib.training.watch.folder import TrainingFolder

    folder = TrainingFolder.open(args.dir)
    for finding in examine(folder.stats(), metrics=folder.metrics(), config=folder.config):
        if args.json:
            print(json.dumps(asdict(finding)))
            continue
        print(f"{MARKS[finding.severity]}: {finding.title}. {finding.words}")
        if finding.advice:
            print(f"    {finding.advice}")
    return 0
