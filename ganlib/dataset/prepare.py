"""From a folder or zip of any pictures to a square training set: decode, frame, cut, label, write, report."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from ganlib.dataset.classes import Classes, find_classes, read_object
from ganlib.dataset.config import LEAST_RESOLUTION, PrepareConfig
from ganlib.dataset.files import Files, is_picture_name
from ganlib.dataset.framing import Bounds, Framing, Method, cut, frame_picture, has_plain_ground, letterbox
from ganlib.dataset.reader import CARD_NAME, LABELS_NAME, Dataset
from ganlib.errors import DataError, GanlibError, InputError
from ganlib.images import contact_sheet, decode, encode
from ganlib.runs import Reporter, SilentReporter, Stopped, replacing, write_bytes

PROBED = 48  # pictures that are looked at to decide how `auto` crops the set
PLAIN_MAJORITY = 0.6  # share of them on plain ground that makes it a set of subjects
LEAST_ENLARGED = 0.5  # a crop smaller than this share of the resolution would be mostly interpolation
CHUNK = 16  # pictures per task of a worker
PARALLEL_FROM = 200  # fewer pictures are done before worker processes have started
SHEET_PICTURES = 100
LOGGED = 20  # files that are no pictures, by name in the log; the report has all
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold; the same input gives the same bytes
_TOO_SMALL, _NO_LABEL, _NO_PICTURE = "too small", "no label", "not a picture file"

Picture = tuple[str, str | None]  # its name in the source and its class, as `Classes.of` says


@dataclass(frozen=True)
class Item:
    """What became of one source file."""

    name: str
    status: Literal["kept", "aside", "error"]
    reason: str = ""
    box: Bounds | None = None
    """Left, top, right, bottom of the crop in pixels of the upright source; it may reach beyond it."""
    picture: str = ""
    """Name in the data set; empty unless kept."""
    label: str = ""
    """Name of the class; empty without labels."""

    def to_dict(self) -> dict[str, Any]:
        """Return the line of the report."""
        line: dict[str, Any] = {"name": self.name, "status": self.status, "reason": self.reason}
        line["box"] = None if self.box is None else list(self.box)
        return line | {key: value for key, value in (("picture", self.picture), ("label", self.label)) if value}


@dataclass(frozen=True)
class PrepareReport:
    """What a preparation did: `aside` and `errors` count the files left out by reason."""

    dest: Path
    report: Path
    kept: int
    aside: dict[str, int]
    errors: int
    items: list[Item]
    classes: list[str]
    method: str

    def __str__(self) -> str:
        """Return a few lines for people."""
        lines = [f"{self.kept} of {len(self.items)} files kept in {self.dest}"]
        lines += [f"{count:6d} set aside: {reason}" for reason, count in self.aside.items()]
        if self.errors:
            lines.append(f"{self.errors:6d} unreadable")
        if self.classes:
            shown = ", ".join(self.classes[:12]) + (" …" if len(self.classes) > 12 else "")
            lines.append(f"{len(self.classes)} classes: {shown}")
        if self.aside.get(_TOO_SMALL, 0) > len(self.items) / 2:
            lines.append(self.size_advice)
        return "\n".join([*lines, f"every file and its reason: {self.report}"])

    @property
    def size_advice(self) -> str:
        """Return the resolution that the crops would fill, as a sentence; empty if nothing was cropped."""
        sides = [max(item.box[2] - item.box[0], item.box[3] - item.box[1]) for item in self.items if item.box]
        if not sides:
            return ""
        middle = int(np.median(sides))
        fitting = max(2 ** (middle.bit_length() - 1), LEAST_RESOLUTION)
        return f"The middle crop is {middle} pixels wide: use --resolution {fitting}."


def prepare(config: PrepareConfig, *, reporter: Reporter | None = None) -> PrepareReport:
    """Write the data set `config.dest` and a report beside it (`NAME.report.jsonl`), and return the report.

    The same source and settings give the same bytes. A file that cannot be used is reported and survived. Raises
    InputError for impossible settings, DataError for an unreadable source and when no picture is left, and Stopped when
    `reporter.should_stop()`; then `dest` is untouched. `reporter` None means silence.
    """
    config.validate()
    reporter = reporter or SilentReporter()
    with Files(Path(config.source)) as files:
        names = _chosen(files.pictures, config.max_pictures)
        if not names:
            raise _no_pictures(config, files)
        classes, words = find_classes(files, config.labels)
        source_card = read_object(files, CARD_NAME)
        skipped = _skipped(files, is_labelled=classes.rule == "keep")
        method = _decide(files, names, config)
    reporter.log(f"{len(names)} pictures in {config.source}; crop: {_METHOD_WORDS[method]}" + f"\n{words}".rstrip())
    for item in skipped[:LOGGED]:
        reporter.log(_printable(f"{item.name}: {item.reason}"))
    if len(skipped) > LOGGED:
        reporter.log(f"… and {len(skipped) - LOGGED} more files that are not looked at")
    dest = Path(config.dest)
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{dest.parent} cannot be made: {error.strerror}"
        raise InputError(reason, "Give --dest a folder that can be written to.") from error
    items: list[Item] = []
    pictures = [(name, classes.of(name)) for name in names]
    with (
        replacing(dest) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
        closing(_framed(config, pictures, method, reporter.should_stop)) as outcomes,
    ):
        for item, data in outcomes:
            if reporter.should_stop():
                raise Stopped
            if data:
                number = f"{_count(archive):08d}"
                item = Item(item.name, "kept", box=item.box, picture=f"{number[:5]}/img{number}.png", label=item.label)
                _write(archive, item.picture, data)
            elif item.status == "error":
                reporter.log(_printable(f"{item.name}: {item.reason}"))
            items.append(item)
            reporter.progress(len(items), len(names), f"{_count(archive)} pictures kept")
        report = _summary(config, items, skipped, method, classes)
        if report.kept == 0:
            raise _nothing_left(config, report, classes)
        _write(archive, LABELS_NAME, _labels(report))
        _write(archive, CARD_NAME, _json(_card(config, report, source_card)))
    lines = (json.dumps(item.to_dict()) + "\n" for item in report.items)
    write_bytes(report.report, "".join(lines).encode())
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
    "subject": "scan frames removed, then the subject on its plain ground",
    "page": "scan frames removed, then the centre",
    "whole": "the centre",
    "letterbox": "whole pictures, letterboxed",
}


def _printable(text: str) -> str:
    """`text` without line breaks and control characters, which the names inside a zip may hold."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _chosen(names: Sequence[str], most: int | None) -> list[str]:
    if most is None or most >= len(names):
        return list(names)
    return [names[i * len(names) // most] for i in range(most)]


def _decide(files: Files, names: Sequence[str], config: PrepareConfig) -> str:
    """How the whole set is cropped. `auto` looks at a few pictures: one decision keeps paintings uncropped."""
    if config.crop != "auto":
        return {"center": "whole", "subject": "subject", "letterbox": "letterbox"}[config.crop]
    seen = []
    for name in _chosen(names, PROBED):
        try:
            seen.append(has_plain_ground(decode(files.read(name), name=name)))
        except DataError:
            continue  # reported when its turn comes
    return "subject" if seen and sum(seen) >= PLAIN_MAJORITY * len(seen) else "page"


def _skipped(files: Files, *, is_labelled: bool) -> list[Item]:
    """What is in the source besides pictures, without its own labels and card where they are used."""
    own = (LABELS_NAME, CARD_NAME) if is_labelled else ()
    items = [Item(name, "aside", _NO_PICTURE) for name in files.names if not is_picture_name(name) and name not in own]
    return items + [Item(name, "aside", reason) for name, reason in sorted(files.skipped.items())]


def _no_pictures(config: PrepareConfig, files: Files) -> DataError:
    if any(name.lower().endswith(".zip") for name in files.names):
        return DataError(f"{config.source} holds no pictures but further zips", "Unpack it, and give the folder.")
    return DataError(f"{config.source} has no pictures", "It should hold PNG, JPEG, WebP, GIF, BMP or TIFF files.")


# --- one picture ------------------------------------------------------------------------------------------------------


def _frame_one(
    files: Files, name: str, label: str | None, config: PrepareConfig, method: str
) -> tuple[Item, bytes]:
    """What becomes of a picture of the class `label`, and its PNG bytes; empty if it is left out."""
    if label is None:
        return Item(name, "aside", _NO_LABEL), b""
    try:
        pixels = decode(files.read(name), name=PurePosixPath(name).name)
    except DataError as error:
        return Item(name, "error", error.message), b""
    height, width = pixels.shape[:2]
    if method == "letterbox":
        framing = Framing((0, 0, width, height), (0, 0, 0))
    else:
        crops: dict[str, Method] = {"subject": "subject", "page": "page", "whole": "whole"}
        framing = frame_picture(pixels, crops[method], margin=config.margin)
    left, top, right, bottom = framing.box
    if framing.objection and not config.keep_outliers:
        return Item(name, "aside", framing.objection, framing.box), b""
    if max(right - left, bottom - top) < LEAST_ENLARGED * config.resolution:
        return Item(name, "aside", _TOO_SMALL, framing.box), b""
    square = letterbox(pixels, config.resolution) if method == "letterbox" else cut(pixels, framing, config.resolution)
    return Item(name, "kept", box=framing.box, label=label), encode(square)


def _framed(
    config: PrepareConfig, pictures: Sequence[Picture], method: str, should_stop: Callable[[], bool]
) -> Generator[tuple[Item, bytes], None, None]:
    """Every picture's outcome in the order of `pictures`; few are in memory at a time."""
    if config.workers == 1 or len(pictures) < PARALLEL_FROM:
        with Files(Path(config.source)) as files:
            for name, label in pictures:
                yield _frame_one(files, name, label, config, method)
        return
    chunks = [pictures[i : i + CHUNK] for i in range(0, len(pictures), CHUNK)]
    spawn = multiprocessing.get_context("spawn")  # forking a process that has run PyTorch's threads may hang
    pool = ProcessPoolExecutor(config.workers, mp_context=spawn, initializer=_start_worker, initargs=(config.source,))
    waiting: deque[Future[list[tuple[Item, bytes]]]] = deque()
    workers: set[Any] = set()
    try:
        for chunk in chunks:
            with _signals_held():  # submitting starts the workers, which inherit this
                waiting.append(pool.submit(_frame_in_worker, chunk, config, method))
            if len(workers) < config.workers:
                workers.update(multiprocessing.active_children())
            if len(waiting) > 4 * config.workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        pool.shutdown()
        if should_stop():
            raise Stopped from error
        raise _worker_died({worker.exitcode for worker in workers}) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _worker_died(codes: set[int | None]) -> DataError:
    """Why a worker ended, from all their exit codes: when one dies, the pool terminates the others."""
    died = sorted({code for code in codes if code is not None and code < 0 and code != -signal.SIGTERM})
    if -signal.SIGKILL in died:
        hint = "It may have run out of memory: use --workers 1, or make very large pictures smaller."
        return DataError("a worker process was killed before its work was done", hint)
    if died:
        words = signal.strsignal(-died[0]) or f"signal {-died[0]}"
        return DataError(f"a worker process crashed ({words})", "Use --workers 1 to see at which picture.")
    return DataError("a worker process was ended before its work was done", "Run it again.")


# --- worker processes -------------------------------------------------------------------------------------------------

_OPEN: dict[str, Files] = {}  # the source, open once in each worker process


# Signals that reach every process of a group: a terminal's, a shutdown's. This process answers them for its workers; a
# pool whose workers die while it is starting others waits for these for ever. Not every system tells who sent one.
_TO_GROUP = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, "sigwaitinfo")}


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals to the group wait until the end of the block, and for good in processes that are started within."""
    if not _TO_GROUP:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_GROUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(source: str) -> None:
    """Open the source; end when the parent says so or has died, and leave other signals to the parent."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if _TO_GROUP:
        threading.Thread(target=_end_when_told, args=(parent.pid,), daemon=True).start()
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _OPEN[source] = Files(Path(source))


def _end_when_told(parent: int | None) -> None:
    while signal.sigwaitinfo(_TO_GROUP).si_pid != parent:
        continue
    os._exit(1)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _frame_in_worker(pictures: Sequence[Picture], config: PrepareConfig, method: str) -> list[tuple[Item, bytes]]:
    return [_frame_one(_OPEN[config.source], name, label, config, method) for name, label in pictures]


# --- what is written --------------------------------------------------------------------------------------------------


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _TIMESTAMP)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _count(archive: zipfile.ZipFile) -> int:
    return len(archive.filelist)


def _summary(
    config: PrepareConfig, items: list[Item], skipped: list[Item], method: str, classes: Classes
) -> PrepareReport:
    every = sorted([*items, *skipped], key=lambda item: item.name)
    aside = Counter(item.reason for item in every if item.status == "aside")
    return PrepareReport(
        dest=Path(config.dest),
        report=Path(config.dest).with_suffix(".report.jsonl"),
        kept=sum(item.status == "kept" for item in every),
        aside=dict(sorted(aside.items(), key=lambda pair: (-pair[1], pair[0]))),
        errors=sum(item.status == "error" for item in every),
        items=every,
        classes=list(classes.names)  # a class keeps its number even where none of its pictures is kept
        or sorted({item.label for item in every if item.status == "kept" and item.label}),
        method=method,
    )


def _nothing_left(config: PrepareConfig, report: PrepareReport, classes: Classes) -> GanlibError:
    reasons = [f"{count} × {reason}" for reason, count in report.aside.items()]
    reasons += [item.reason for item in report.items if item.status == "error"][:3]
    hint = "Use --crop center, or --keep-outliers, to take them as they are."
    unlabelled = [item.name for item in report.items if item.reason == _NO_LABEL]
    if len(unlabelled) > len(report.items) / 2:
        hint = classes.hint(unlabelled)
    elif report.aside.get(_TOO_SMALL, 0) > len(report.items) / 2:
        hint = report.size_advice
    elif report.errors:
        hint = "Give a folder or zip of PNG, JPEG or WebP pictures."
    return DataError(f"no picture of {config.source} can be used: {'; '.join(reasons)}", hint)


def _labels(report: PrepareReport) -> bytes:
    if not report.classes:
        return _json({"labels": None})
    number = {name: i for i, name in enumerate(report.classes)}
    kept = (item for item in report.items if item.status == "kept")
    return _json({"labels": [[item.picture, number[item.label]] for item in kept]})


def _card(config: PrepareConfig, report: PrepareReport, source: Mapping[str, Any]) -> dict[str, Any]:
    """Where the set comes from. No paths and no times, so that it says nothing about the machine it was made on.

    Licence and credit that are not given are those of the card in the `source`, if it is a set itself.
    """
    stated = {key: value for key in ("licence", "credit") if isinstance(value := source.get(key), str)}
    settings = {
        key: value
        for key, value in config.to_dict().items()
        if key in ("resolution", "crop", "margin", "keep_outliers", "labels", "max_pictures")
    }
    return {
        "source": Path(config.source).resolve().name,
        "licence": config.licence or stated.get("licence", ""),
        "credit": config.credit or stated.get("credit", ""),
        "pictures": report.kept,
        "aside": report.aside,
        "unreadable": report.errors,
        "classes": report.classes,
        "method": report.method,
        "settings": settings,
    }
