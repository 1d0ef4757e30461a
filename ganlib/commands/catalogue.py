"""`catalogue`: well-known public models, their licences, and one of them on request."""

from __future__ import annotations

import argparse
from pathlib import Path

from ganlib.commands.flags import CHECKPOINTS, printable
from ganlib.commands.hub import run_download

_MAY = {True: "may be sold", False: "not for sale", None: "licence not known"}


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", default="", metavar="TEXT", help="only models with this word (default: all)")
    parser.add_argument("--get", default="", metavar="NAME", help="fetch this one, check it, put it into checkpoints/")
    parser.add_argument("--dest", type=Path, default=CHECKPOINTS, metavar="DIR", help="folder (default: %(default)s)")


def execute(args: argparse.Namespace) -> int:
    from ganlib.models import hub

    if args.get:
        entry = hub.find_entry(args.get)
        print(printable(f"{entry.title}: {entry.credit}. {entry.rights}"), flush=True)
        if entry.notes:
            print(printable(f"note: {entry.notes}"), flush=True)
        run_download(hub.DownloadJob(entry=entry.name, dest=args.dest))
        return 0
    table = hub.catalogue()
    words = args.text.lower()
    for entry in table.entries:
        if words in f"{entry.name} {entry.title} {entry.arch} {entry.shows} {entry.licence}".lower():
            size = f", {entry.bytes / 1e6:.0f} MB" if entry.bytes else ""
            print(f"{entry.name}  {entry.arch}, {entry.resolution} px{size}: {entry.shows}")
            print(f"    {entry.licence}, {_MAY[entry.commercial]}; {entry.credit}")
    print(table.checked)
    return 0
