"""`timelapse`: a film of a training run's samples."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import flags_from_dataclass, values_from_flags

EXAMPLES = (
    "python -m ganlib timelapse runs/00042-train-fruit --out fruit.mp4",
    "python -m ganlib timelapse runs/00042-train-fruit --columns 8 --rows 5 --seconds 20 --no-fade --out fruit.gif",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.training.timelapse import TimelapseJob

    parser.add_argument("run", metavar="RUN", help="a training run's directory, ours or NVIDIA's")
    parser.add_argument("--out", type=Path, metavar="F.mp4", help="film to write (default: RUN/timelapse.mp4)")
    flags_from_dataclass(parser, TimelapseJob, skip=("run", "format"))


def execute(args: argparse.Namespace) -> int:
    from ganlib.errors import InputError
    from ganlib.runs import TerminalReporter
    from ganlib.training.folder import TrainingFolder
    from ganlib.training.timelapse import TimelapseJob, make_timelapse
    from ganlib.video import FILM_FORMATS

    dest = args.out or Path(args.run) / "timelapse.mp4"
    kind = dest.suffix.lower().lstrip(".")
    if kind not in FILM_FORMATS:
        raise InputError(f"cannot tell the format of '{dest}'", "end --out in .mp4 or .gif")
    job = TimelapseJob(**{**values_from_flags(TimelapseJob, args), "format": kind})
    TrainingFolder.open(Path(args.run))  # before a folder is made in what is none
    dest.parent.mkdir(parents=True, exist_ok=True)
    print(make_timelapse(job, dest, TerminalReporter()))
    return 0
