"""`upscale`: pictures and films, larger."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ganlib.commands.flags import flags_from_dataclass, printable, values_from_flags

EXAMPLES = (
    "python -m ganlib upscale --source seed0007.png --dest large.png --scale 4",
    "python -m ganlib upscale --source out/ photo.jpg --dest larger --size 3840x2160",
    "python -m ganlib upscale --source morph.mp4 --dest morph-4k.mp4 --size 3840x --model realesr-general-x4v3 "
    "--download",
    "python -m ganlib upscale --list",
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    from ganlib.superres import UpscaleConfig

    parser.add_argument("--source", nargs="+", type=Path, metavar="F", help="pictures, films, or folders of them")
    flags_from_dataclass(parser, UpscaleConfig, skip=("source",))
    parser.add_argument("--download", action="store_true", help="fetch a known model that is not here yet")
    parser.add_argument("--list", action="store_true", help="list the models, their licences and sizes")


def execute(args: argparse.Namespace) -> int:
    from ganlib.errors import InputError
    from ganlib.runs import Stopped, TerminalReporter, signals_ask
    from ganlib.superres import UpscaleConfig, download_model, upscale
    from ganlib.superres.known import KNOWN

    if args.list:
        return _list()
    if not args.source:
        raise InputError("nothing to upscale is named", "give --source a picture, a film or a folder")
    config = UpscaleConfig(**values_from_flags(UpscaleConfig, args) | {"source": tuple(args.source)}).validate()
    reporter = TerminalReporter()
    try:
        with signals_ask(reporter):
            if args.download and config.model in {row.name for row in KNOWN}:
                download_model(config.model, reporter)
            made = upscale(config, reporter)
    except Stopped:
        raise KeyboardInterrupt("the same command goes on from here") from None
    failed = [row for row in made if row.error]
    for row in failed:
        print(printable(f"error: {row.source}: {row.error}"), file=sys.stderr)
    return 2 if failed else 0


def _list() -> int:
    from ganlib.superres import choices

    for choice in choices():
        size = f"{choice.known.bytes / 1e6:.0f} MB" if choice.known else ""
        state = "here" if choice.is_here else f"--download fetches {size}"
        print(printable(f"{choice.name:26} {choice.licence or 'licence unknown':16} {state:28} {choice.about}"))
    return 0
