"""`prepare`: any pictures become a square training set, with a report about each of them."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from ganlib.commands.flags import printable, read_options, work_in_terminal


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="check source and settings, print them, do nothing")


def execute(args: argparse.Namespace) -> int:
    from ganlib.dataset import PrepareConfig, prepare
    from ganlib.dataset.classes import find_classes
    from ganlib.dataset.files import Files
    from ganlib.dataset.labels import doubts_about, numbering_of
    from ganlib.dataset.sources import is_ready

    config = read_options(PrepareConfig, args)
    if args.dry_run:
        if is_ready(config):
            with Files(Path(config.source)) as files:
                print(f"{len(files.pictures)} pictures in {config.source}")
                classes, said = find_classes(files, config.labels)
                found = Counter(label for name in files.pictures if (label := classes.of(name)))
                counts = {name: found[name] for name in classes.names_of(found)}
                numbering = [words for words in [numbering_of(list(counts))] if words]
                for words in [*said, *numbering, *(f"warning: {words}" for words in doubts_about(counts))]:
                    print(printable(words))
        print(json.dumps(config.to_dict(), indent=1))
        return 0
    print(work_in_terminal(lambda reporter: prepare(config, reporter=reporter)))
    return 0
