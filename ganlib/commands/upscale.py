"""`upscale`: pictures and films, larger."""

from __future__ import annotations

import argparse
import sys

from ganlib.commands.flags import printable, read_options, work_in_terminal


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--download", action="store_true", help="fetch a known model that is not here yet")
    parser.add_argument("--list", action="store_true", help="list the models, their licences and sizes")


def execute(args: argparse.Namespace) -> int:
    from ganlib.superres import UpscaleConfig, download_model, upscale
    from ganlib.superres.registry import KNOWN

    if args.list:
        return _list()
    config = read_options(UpscaleConfig, args)
    if args.download and config.model in KNOWN:
        work_in_terminal(lambda reporter: download_model(config.model, reporter))
    made = work_in_terminal(lambda reporter: upscale(config, reporter))
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
