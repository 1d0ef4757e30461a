"""From a folder or zip of any pictures to a square training set: decode, frame, cut, label, write, report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import PIL

from ganlib.base.errors import DataError, GanlibError
from ganlib.dataset.classes import Classes, find_classes
from ganlib.dataset.config import HUB, PrepareConfig
from ganlib.dataset.exclusion import EXCLUDED, read_exclusions
from ganlib.dataset.files import Files, is_picture_name
from ganlib.dataset.labels import CARD_NAME, LABELS_NAME
from ganlib.dataset.output import Output, open_output
from ganlib.dataset.pipeline import Maker, Picture, decide, pick_evenly
from ganlib.dataset.reader import Dataset
from ganlib.dataset.report import NO_LABEL, NO_PICTURE, TOO_SMALL, Item, PrepareReport, summarise
from ganlib.dataset.sources import Located, locate
from ganlib.dataset.text import find_own, match, read_object
from ganlib.dataset.workers import in_order
from ganlib.media.images import contact_sheet, encode
from ganlib.runs import Reporter, SilentReporter, Stopped, write_bytes

SHEET_PICTURES = 100
LOGGED = 20  # files that are no pictures, by name in the log; the report has all
FORMAT = 1  # of the pictures that are made; raised when they change, so that no set is half of the old ones
# What does not change the pictures, or is part of what they are made from.
_NOT_SETTINGS = ("source", "dest", "workers", "exclude", "licence", "credit", "labels", "i_have_the_rights", "keep")


def prepare(config: PrepareConfig, *, reporter: Reporter | None = None) -> PrepareReport:
    """Write the data set `config.dest` and a report beside it (`NAME.report.jsonl`), and return the report.

    The same source and settings give the same bytes, also when a preparation was interrupted: what it had made stands
    beside `dest` and is gone on with. A file that cannot be used is reported and survived. Raises InputError for
    impossible settings, DataError for an unreadable source and when no picture is left, and Stopped when
    `reporter.should_stop()`; then `dest` is untouched. `reporter` None means silence.
    """
    config.validate()
    reporter = reporter or SilentReporter()
    with locate(config, reporter) as found:
        return _prepare(config, found, reporter)


def _prepare(config: PrepareConfig, found: Located, reporter: Reporter) -> PrepareReport:
    source, dest = found.path, Path(config.dest)
    with Files(source, should_stop=reporter.should_stop) as files:
        names = pick_evenly(files.pictures, config.max_pictures)
        if not names:
            raise _no_pictures(config, files)
        classes, said = find_classes(files, config.labels)
        source_card = {"licence": found.licence, "credit": found.credit} | read_object(files, CARD_NAME)
        skipped = _skipped(files, found, is_labelled=classes.is_own)
        listed = read_exclusions(config.exclude) if config.exclude else {}
        excluded, unknown = match(listed, files.names, loosely=False)
        skipped += [Item(name, "aside", EXCLUDED) for name in names if name in excluded]
        names = [name for name in names if name not in excluded]
        maker = decide(files, names, config, reporter.should_stop)
        pictures = [(name, classes.of(name)) for name in names]
        fingerprint = _fingerprint(maker, pictures, files.stamp())
    reporter.log(f"{len(names)} pictures in {config.source}; crop: {_words_of(maker)}")
    for words in said:
        reporter.log(_printable(words))
    if config.augment and config.copies != 0:
        reporter.log("warning: training with ADA makes such copies by itself, new ones each time; see docs/datasets.md")
    if unknown:
        shown = ", ".join(sorted(unknown)[:LOGGED]) + (" …" if len(unknown) > LOGGED else "")
        reporter.log(_printable(f"warning: {len(unknown)} names in {config.exclude} are not in the source: {shown}"))
    for item in skipped[:LOGGED]:
        reporter.log(_printable(f"{item.name}: {item.reason}"))
    if len(skipped) > LOGGED:
        reporter.log(f"… and {len(skipped) - LOGGED} more files that are not looked at")
    with open_output(dest, fingerprint) as output:
        items = _make(output, source, maker, pictures, config.workers, reporter)
        report = summarise(dest, [*items, *skipped], maker.method, classes)
        if report.kept == 0:
            output.discard()
            raise _nothing_left(config, report, classes)
        output.finish(_labels(report), _json(_card(config, report, source_card)))
    write_bytes(report.report, report.lines())
    return report


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job of verb `prepare`: the data set, its report and a contact sheet become the job's artefacts."""
    report = prepare(PrepareConfig.from_dict(config), reporter=reporter)
    dataset = Dataset.open(report.dest)
    shown = np.linspace(0, len(dataset) - 1, min(len(dataset), SHEET_PICTURES)).round().astype(int)
    sheet = contact_sheet(np.stack([dataset[int(i)][0] for i in shown]), columns=20 if len(shown) > 20 else 10)
    write_bytes(Path(run_dir) / "sheet.png", encode(sheet))
    for path in (report.dest, report.report, Path(run_dir) / "sheet.png"):
        reporter.artefact(path)
    reporter.log(str(report))


# --- what to do -------------------------------------------------------------------------------------------------------

_METHOD_WORDS: dict[str, str] = {
    "subject": "the subject on its plain ground",
    "page": "the centre",
    "whole": "the centre",
    "smart": "where there is most to look at",
    "letterbox": "whole pictures, letterboxed",
    "squash": "whole pictures, squashed",
}


def _words_of(maker: Maker) -> str:
    kinds = [words for words, is_removed in (("scan", maker.scan), ("picture", maker.picture)) if is_removed]
    removed = f"{' and '.join(kinds)} frames removed, then " if kinds and maker.method != "whole" else ""
    return removed + _METHOD_WORDS[maker.method]


def _make(
    output: Output, source: Path, maker: Maker, pictures: Sequence[Picture], workers: int, reporter: Reporter
) -> list[Item]:
    """Make what is not in the output yet, and return all items of the pictures."""
    items = [item for done in output.done for item in done]
    if output.done:
        reporter.log(f"going on after {len(output.done)} pictures that an interrupted preparation had done")
    num_done = len(output.done)
    rest = pictures[num_done:]
    with closing(in_order(maker.make, source, rest, workers=workers, should_stop=reporter.should_stop)) as made:
        for outcomes in made:
            if reporter.should_stop():
                raise Stopped
            added = output.add(outcomes)
            for item in added:
                if item.status == "error" or item.note:
                    reporter.log(_printable(_line(item)))
            items += added
            num_done += 1
            reporter.progress(num_done, len(pictures), f"{output.num_pictures} pictures kept")
    return items


def _fingerprint(maker: Maker, pictures: Sequence[Picture], stamp: Sequence[Any]) -> str:
    """What the pictures of a set depend on, in short: interrupted work goes on only where this is the same."""
    settings = {k: v for k, v in dataclasses.asdict(maker.config).items() if k not in _NOT_SETTINGS}
    facts = [FORMAT, PIL.__version__, maker.method, maker.scan, maker.picture, sorted(maker.kept), settings]
    facts += [list(pictures), stamp]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _line(item: Item) -> str:
    """A file and what is wrong with it; errors of reading begin with the file's own name."""
    words = item.reason or item.note
    own = PurePosixPath(item.name).name
    return f"{item.name}{words.removeprefix(own)}" if words.startswith(f"{own} ") else f"{item.name}: {words}"


def _printable(text: str) -> str:
    """`text` without line breaks and control characters, which the names inside a zip may hold."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _skipped(files: Files, found: Located, *, is_labelled: bool) -> list[Item]:
    """What is in the source besides pictures, without its own labels and card where they are used."""
    own = found.own + (tuple(find_own(files, name) for name in (LABELS_NAME, CARD_NAME)) if is_labelled else ())
    others = [name for name in files.names if not is_picture_name(name) and name not in own]
    items = [Item(name, "aside", _ZIP_INSIDE if name.lower().endswith(".zip") else NO_PICTURE) for name in others]
    items += [Item(name, "aside", reason) for name, reason in sorted(files.skipped.items())]
    return items + [Item(name, "error", reason) for name, reason in sorted(found.failed.items())]


_ZIP_INSIDE = "a zip inside the source: unpack it first"


def _no_pictures(config: PrepareConfig, files: Files) -> DataError:
    if any(name.lower().endswith(".zip") for name in files.names):
        return DataError(f"{config.source} holds no pictures but further zips", "Unpack it, and give the folder.")
    return DataError(f"{config.source} has no pictures", "It should hold PNG, JPEG, WebP, GIF, BMP or TIFF files.")


# --- what is written --------------------------------------------------------------------------------------------------


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _nothing_left(config: PrepareConfig, report: PrepareReport, classes: Classes) -> GanlibError:
    reasons = [f"{count} × {reason}" for reason, count in report.aside.items()]
    reasons += [item.reason for item in report.items if item.status == "error"][:3]
    hint = "Use --crop center, or --keep-outliers, to take them as they are."
    unlabelled = [item.name for item in report.items if item.reason == NO_LABEL]
    if report.aside.get(EXCLUDED, 0) > len(report.items) / 2:
        hint = f"The list {config.exclude} names most of them: delete lines from it, or leave --exclude out."
    elif len(unlabelled) > len(report.items) / 2:
        hint = classes.hint(unlabelled)
    elif report.aside.get(TOO_SMALL, 0) > len(report.items) / 2:
        hint = report.size_advice
    elif report.errors:
        hint = "Give a folder or zip of PNG, JPEG or WebP pictures."
    return DataError(f"no picture of {config.source} can be used: {'; '.join(reasons)}", hint)


def _labels(report: PrepareReport) -> bytes:
    """The set's dataset.json; further keys beside `labels` are ignored by other readers of this layout."""
    kept = [item for item in report.items if item.status == "kept"]
    number = {name: i for i, name in enumerate(report.classes)}
    labels = [[item.picture, number[item.label]] for item in kept] if report.classes else None
    aspects = [[item.picture, item.aspect] for item in kept if item.aspect is not None]
    return _json({"labels": labels} | ({"aspects": aspects} if aspects else {}))


def _card(config: PrepareConfig, report: PrepareReport, source: Mapping[str, Any]) -> dict[str, Any]:
    """Where the set comes from. No paths and no times, so that it says nothing about the machine it was made on.

    Licence and credit that are not given are those of the card in the `source`, if it is a set itself.
    """
    stated = {key: value for key in ("licence", "credit") if isinstance(value := source.get(key), str)}
    settings = {key: value for key, value in config.to_dict().items() if key not in _NOT_SETTINGS}
    settings["labels"] = Path(config.labels).name
    return {
        "source": config.source if config.source.startswith(HUB) else Path(config.source).resolve().name,
        "licence": config.licence or stated.get("licence", ""),
        "credit": config.credit or stated.get("credit", ""),
        "pictures": report.kept,
        "copies": report.copies,
        "aside": report.aside,
        "unreadable": report.errors,
        "classes": report.classes,
        "method": report.method,
        "settings": settings,
    }
