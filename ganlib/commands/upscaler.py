"""`upscaler`: train an upscaling network on pictures of one's own."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganlib.commands.flags import flags_from_dataclass, values_from_flags

EXAMPLES = (
    "python -m ganlib upscaler --data paintings.zip --outdir out",
    "python -m ganlib upscaler --data paintings.zip drawings/ --steps 20000 --perceptual 0.03 --outdir out",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.superres.training import UpscalerConfig

    parser.add_argument(
        "--data", required=True, nargs="+", type=Path, metavar="F",
        help="folders or zips of pictures; of the first one some are held out",
    )  # fmt: skip
    flags_from_dataclass(parser, UpscalerConfig, skip=("data", "save_every"), required=("outdir",))


def execute(args: argparse.Namespace) -> int:
    from ganlib.runs import Stopped, TerminalReporter, signals_ask
    from ganlib.runs.files import append_text, plain
    from ganlib.superres.training import UpscalerConfig, train

    config = UpscalerConfig(**values_from_flags(UpscalerConfig, args) | {"data": tuple(args.data)}).validate()

    class Keeping(TerminalReporter):
        """A terminal's reporter that also keeps the curve, `stats.jsonl`, among the results."""

        def stats(self, record: Mapping[str, Any]) -> None:
            append_text(config.outdir / "stats.jsonl", json.dumps(plain(record)) + "\n")

        def artefact(self, path: Path) -> None:
            pass  # it is named at the end

    reporter = Keeping()
    try:
        with signals_ask(reporter):
            path = train(config, reporter)
    except Stopped:
        raise KeyboardInterrupt("the same command goes on from here") from None
    print(path)
    return 0
