"""`nft`: a collection of pieces with traits, rarity, metadata, hashes and addresses; nothing is minted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ganlib.base.errors import InputError
from ganlib.commands.flags import printable, read_options, work_in_terminal


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", type=Path, metavar="DIR", help="look through a finished collection, make none")
    parser.add_argument("--dry-run", action="store_true", help="show traits and costs of the first ones, write nothing")


def execute(args: argparse.Namespace) -> int:
    if args.check is not None:
        return _check(args.check)
    from ganlib.compute.distributed import is_first
    from ganlib.nft import NftConfig, make_drop
    from ganlib.runs import SilentReporter

    if not hasattr(args, "network"):
        raise InputError("no model is named", "give --network, or --check to look through a collection")
    config = read_options(NftConfig, args)
    if args.dry_run:
        return _preview(config)
    drop = work_in_terminal(
        lambda reporter: make_drop(config, reporter if is_first() else SilentReporter()),
        stopped="finished pieces are kept; the same command continues",
    )
    if is_first():
        skipped = drop.skipped["near"] + drop.skipped["copies"]
        looked = drop.skipped["looked"]
        print(f"{drop.pieces} pieces in {drop.root}; {skipped} of {looked} candidates were too like others")
        for kind, cid in drop.cids.items():
            print(f"{kind:<11} ipfs://{cid}")
        print(f"provenance  {drop.provenance_hash}")
        for line in drop.missed:
            print(printable(f"target not met: {line}"))
        for line in config.advice():
            print(f"warning: {line}")
    return 0


def _check(folder: Path) -> int:
    from ganlib.nft import advise_drop, validate_drop

    problems = validate_drop(folder)
    for problem in problems:
        print(printable(problem))
    if problems:
        hint = "run the command that made it again, or put back the files as they were"
        raise InputError(f"{len(problems)} problem{'s' * (len(problems) != 1)} in {folder}", hint)
    for line in advise_drop(folder):
        print(printable(f"warning: {line}"))
    print(f"{folder}: no problems")
    return 0


def _preview(config: Any) -> int:
    from ganlib.nft import estimate_drop, preview_drop
    from ganlib.runs import format_seconds

    seen = preview_drop(config, thumbnails=0)
    cost = estimate_drop(config)
    print(f"{len(seen.pieces)} pieces of the first {seen.looked} of {seen.candidates} candidates, {seen.near} too like")
    for row in seen.rarity.table:
        wanted = "" if row.wanted is None else f", wanted {row.wanted:.0%}" + ("" if row.is_met else ": not met")
        print(printable(f"  {row.trait:<16} {row.value:<16} {row.share:6.1%}{wanted}"))
    if seen.pieces:
        print(printable(f"such as {seen.pieces[0].name}: {seen.pieces[0].description}".rstrip(": ")))
    if seen.warning:
        print(printable(seen.warning))
    for line in config.advice():
        print(f"warning: {line}")
    print(f"about {format_seconds(cost.seconds)} and {cost.bytes / 1e6:.1f} MB for {cost.pieces} pieces")
    if seen.problem is not None:
        raise seen.problem
    return 0
