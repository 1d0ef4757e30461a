"""Look at every picture of a source and say what gives reason for doubt. Nothing is changed; a person decides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from ganlib.base.errors import DataError, InputError
from ganlib.base.reports import printable
from ganlib.dataset.checks.config import ExamineConfig
from ganlib.dataset.checks.duplicates import Pair, find_pairs, keep_largest
from ganlib.dataset.checks.examination import Examination, Examined
from ganlib.dataset.checks.findings import find, scores_of
from ganlib.dataset.checks.measure import VERSION, Measured, Measures, measure
from ganlib.dataset.checks.store import FILE_NAME, Store, identities
from ganlib.dataset.files import Files
from ganlib.dataset.workers import in_order
from ganlib.runs import Reporter, SilentReporter, Stopped

FLUSH_EVERY = 64  # pictures that a run which is killed may have to measure again
_PAIRS = "pairs"


def examine(config: ExamineConfig, reporter: Reporter | None = None) -> Examination:
    """Measure every picture of `config.source` and write `report.jsonl`, `report.html` and `exclude.txt`.

    The scores stay in `outdir` and are used again: with other thresholds nothing is decoded, and a run that was stopped
    goes on. The same pictures and thresholds give the same report. A picture that cannot be read is reported and
    survived. Raises InputError for impossible settings, DataError for an unreadable source and when it has no pictures,
    and Stopped when `reporter.should_stop()`. `reporter` None means silence.
    """
    config.validate()
    reporter = reporter or SilentReporter()
    source, outdir = Path(config.source), Path(config.outdir)
    with Files(source, should_stop=reporter.should_stop) as files:
        names = _chosen(files.pictures, config.max_pictures)
    if not names:
        raise DataError(f"{source} has no pictures", "It should hold PNG, JPEG, WebP, GIF, BMP or TIFF files.")
    try:
        outdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{outdir} cannot be made: {error.strerror}", "Give --outdir another name.") from error
    reporter.log(f"{len(names)} pictures in {source}")
    with _opened(outdir / FILE_NAME) as store:
        _fill(store, source, names, config.workers, reporter)
        readable, measures, errors = _read(store, names)
        pairs = _pairs(store, readable, measures, reporter) if config.duplicate is not None else []
    scores = scores_of(measures)
    found = find(readable, measures, scores, pairs, config.thresholds)
    by_name = {name: Examined(name, None, {}, error=error) for name, error in errors.items()}
    for name, item, score, findings in zip(readable, measures, scores, found, strict=True):
        copies = {finding.kind: finding.score for finding in findings if finding.kind == "duplicate"}
        by_name[name] = Examined(name, item, copies | score, findings)
    examination = Examination(outdir, config.to_dict(), tuple(by_name[name] for name in names))
    for path in examination.write():
        reporter.artefact(path)
    return examination


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job of verb `examine`; without an `outdir` the report goes into the run's own directory."""
    settings = {"outdir": str(run_dir)} | {key: value for key, value in config.items() if key != "outdir" or value}
    reporter.log(str(examine(ExamineConfig.from_dict(settings), reporter)))


def find_duplicates(
    source: Path | str,
    names: Sequence[str] | None = None,
    *,
    least: float = 0.86,
    workers: int = 2,
    scores: Path | None = None,
    reporter: Reporter | None = None,
) -> dict[str, str]:
    """Return copy → the picture that stays in its place, of all pictures of a folder or zip, or of `names`.

    `least` is the similarity of copies, 0.5 to 1. `scores` is a folder that an examination of the same source was
    written to: what is known there is not measured again; None keeps nothing. Unreadable pictures are in no group.
    Raises as `examine`.
    """
    source, reporter = Path(source), reporter or SilentReporter()
    if names is None:
        with Files(source, should_stop=reporter.should_stop) as files:
            names = files.pictures
    with _opened(None if scores is None else Path(scores) / FILE_NAME) as store:
        _fill(store, source, names, workers, reporter)
        readable, measures, _ = _read(store, names)
        pairs = _pairs(store, readable, measures, reporter)
    return {readable[copy]: readable[pair.first] for copy, pair in keep_largest(measures, pairs, least).items()}


# --- one after the other ----------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path | None) -> Iterator[Store]:
    with closing(Store(path)) as store:
        try:
            yield store
        finally:
            store.flush()


def _chosen(names: Sequence[str], most: int | None) -> list[str]:
    if most is None or most >= len(names):
        return list(names)
    return [names[i * len(names) // most] for i in range(most)]


def _measure_one(files: Files, name: str) -> Measured | str:
    """The measures of a picture, or why there are none."""
    try:
        return measure(files.read(name), name=PurePosixPath(name).name)
    except DataError as error:
        return error.message


def _fill(store: Store, source: Path, names: Sequence[str], workers: int, reporter: Reporter) -> None:
    """Measure what the store does not know of these names."""
    wanted = identities(source, names)
    known = store.known(wanted)
    missing = [name for name in names if name not in known]
    done = len(names) - len(missing)
    reporter.progress(done, len(names))
    work = in_order(_measure_one, source, missing, workers=workers, should_stop=reporter.should_stop)
    with closing(work) as outcomes:
        for name, found in zip(missing, outcomes, strict=True):
            if reporter.should_stop():
                raise Stopped
            store.add(name, wanted[name], found)
            if isinstance(found, str):
                reporter.log(printable(f"{name}: {found}"))
            done += 1
            if done % FLUSH_EVERY == 0:
                store.flush()
            reporter.progress(done, len(names), "measured")
    store.flush()


def _read(store: Store, names: Sequence[str]) -> tuple[list[str], list[Measures], dict[str, str]]:
    """The names with measures, these measures, and name → error of the others."""
    readable, measures, errors = [], [], {}
    for name, found in store.read(names):
        if isinstance(found, str):
            errors[name] = found
        else:
            readable.append(name)
            measures.append(found)
    return readable, measures, errors


def _pairs(store: Store, names: Sequence[str], measures: Sequence[Measures], reporter: Reporter) -> list[Pair]:
    """The pairs among these pictures; looked for once, as long as the pictures stay the same."""
    key = hashlib.sha256(json.dumps([VERSION, [[n, m.digest] for n, m in zip(names, measures, strict=True)]]).encode())
    note = json.loads(store.note(_PAIRS) or "{}")
    if note.get("key") == key.hexdigest():
        return [Pair(*pair) for pair in note["pairs"]]

    def told(done: float, total: float, words: str) -> None:
        if reporter.should_stop():
            raise Stopped
        reporter.progress(done, total, words)

    pairs = find_pairs(measures, store.tiles(names), told=told)
    listed = [[pair.first, pair.second, pair.similarity, pair.mirrored] for pair in pairs]
    store.set_note(_PAIRS, json.dumps({"key": key.hexdigest(), "pairs": listed}))
    return pairs
