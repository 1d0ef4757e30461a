"""`run`: the worker. Does the job in a run directory, whichever verb it has; running it again continues it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.commands.verbs import worker_of

if TYPE_CHECKING:
    from ganlib.runs import Reporter, RunDir


EXIT_CODES = {"done": 0, "failed": 2, "stopped": 130}


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="DIR", help="a run directory, with job.json in it")


def execute(args: argparse.Namespace) -> int:
    from ganlib.runs import RunDir

    return do_job(RunDir.open(args.dir))


def do_job(run: RunDir) -> int:
    """Do a job in this process and return the exit code of its final state.

    Relative paths in its settings are those of the directory that it was asked for in. Of several processes under
    `torchrun` the first one does this, and the others help it without touching the directory.
    """
    from ganlib.runs import RunDir, SilentReporter, work

    job = run.job

    def execute(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
        # PyTorch takes seconds to load: by now the lock is held, and whoever watches sees that the job has begun.
        worker_of(job["verb"])(config, run_dir, reporter)

    run = RunDir(run.path.resolve())
    folder = Path(job["cwd"]) if job.get("cwd") else None
    with chdir(folder) if folder and folder.is_dir() else nullcontext():
        if int(os.environ.get("RANK", "0")) > 0:
            worker_of(job["verb"])(job["config"], run.path, SilentReporter())
            return 0
        return EXIT_CODES[work(run, execute)]
