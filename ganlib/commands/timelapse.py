"""`timelapse`: a film of a training run's samples."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import read_options


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a training run's directory, ours or NVIDIA's")
    parser.add_argument("--out", type=Path, metavar="F.mp4", help="film to write (default: RUN/timelapse.mp4)")


def execute(args: argparse.Namespace) -> int:
    from ganlib.base.errors import InputError
    from ganlib.runs import TerminalReporter
    from ganlib.training.watch.folder import TrainingFolder
    from ganlib.training.watch.timelapse import TimelapseJob, make_timelapse
    from ganlib.video import FILM_FORMATS, format_of, suffix_words

    dest = args.out or Path(args.run) / "timelapse.mp4"
    row = format_of(dest)
    if row is None or row.name not in FILM_FORMATS:
        raise InputError(f"cannot tell the format of '{dest}'", f"end --out in {suffix_words(FILM_FORMATS)}")
    job = read_options(TimelapseJob, args, format=row.name)
    TrainingFolder.open(Path(args.run))  # before a folder is made in what is none
    dest.parent.mkdir(parents=True, exist_ok=True)
    print(make_timelapse(job, dest, TerminalReporter()))
    return 0
