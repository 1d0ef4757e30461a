"""`project`: find a picture in a model's latent space, and tune the model to it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganlib.commands.flags import CHECKPOINTS, flags_from_dataclass, printable, values_from_flags

EXAMPLES = (
    "python -m ganlib project --network fruit --target photo.jpg --outdir out",
    "python -m ganlib project --network fruit --target a.png b.png --steps 300 --space w_plus --save-as friends "
    "--outdir out",
    "python -m ganlib project --network fruit --target photo.jpg --pti --box 40,20,300,0 --outdir out",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.projection import ProjectConfig

    parser.add_argument("--network", required=True, metavar="MODEL", help="a model file, or a name in checkpoints/")
    parser.add_argument(
        "--target", required=True, nargs="+", type=Path, metavar="F", help="pictures, or folders of pictures"
    )
    flags_from_dataclass(parser, ProjectConfig, skip=("network", "target", "label"), required=("outdir",))
    parser.add_argument(
        "--class", dest="label", type=int, metavar="N", default=argparse.SUPPRESS,
        help="class of a model with classes (default: the nearest)",
    )  # fmt: skip


def execute(args: argparse.Namespace) -> int:
    from ganlib.checkpoints import find_checkpoint
    from ganlib.projection import ProjectConfig, project
    from ganlib.projection.figures import summary
    from ganlib.runs import Stopped, signals_ask

    given = values_from_flags(ProjectConfig, args)
    given |= {"network": find_checkpoint(args.network, CHECKPOINTS), "target": tuple(args.target)}
    config = ProjectConfig(**given).validate()
    reporter = _reporter(config.outdir)
    try:
        with signals_ask(reporter):
            made = project(config, reporter)
    except Stopped:
        raise KeyboardInterrupt("the same command goes on from here") from None
    for row in made:
        print(printable(f"{row.folder}: {summary(row.figures)}"))
        if row.figures["base"]:
            print(f"kept as {row.figures['base']} beside {row.figures['model']}")
        if row.figures["tuned"]:
            print(printable(f"tuned model: {row.figures['tuned']}"))
    return 0


def _reporter(outdir: Path) -> Any:
    """A terminal's reporter that also keeps the curve, `stats.jsonl`, among the results."""
    import json

    from ganlib.runs import TerminalReporter
    from ganlib.runs.files import append_text, plain

    class Keeping(TerminalReporter):
        def stats(self, record: Mapping[str, Any]) -> None:
            append_text(outdir / "stats.jsonl", json.dumps(plain(record)) + "\n")

        def artefact(self, path: Path) -> None:
            pass  # they are named at the end

    return Keeping()
