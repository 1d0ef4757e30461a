"""`copies`: which pictures are too near to a training picture; a job that can be stopped and continued.

The training set says itself what near means: how far its pictures are from their nearest *other* one, copies among
them passed over. A picture that is nearer than (almost) any two of them is a copy; so is one whose fine structure, once
it is moved and stretched over a training picture, agrees with that as copies do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ganlib.base.errors import DataError
from ganlib.base.filesystem import MOST_LINES_BYTES, open_regular, reason
from ganlib.base.workspace import cache_root
from ganlib.compare import report
from ganlib.compare.cached_features import VERSION, CachedFeatures, look
from ganlib.compare.config import CopiesConfig
from ganlib.compare.nearest import MEASURE, SAME, SAME_PIXELS, Nearest, choose, find_candidates
from ganlib.compare.sources import Item, Source, batches, open_source
from ganlib.compare.training_set import Reference, Training, stop_if_asked
from ganlib.compute.device import choose_device
from ganlib.dataset import Dataset
from ganlib.features.extractors import open_extractor
from ganlib.runs import Reporter, SilentReporter, write_bytes, write_json
from ganlib.runs.files import read_json

JSONL, PAGE, SUMMARY = report.JSONL, report.PAGE, report.SUMMARY
REALS = "reals.jsonl"
BLOCK = 64  # pictures that are checked, and kept, together
_FOUND = ".found"  # below outdir: the rows of finished blocks


@dataclass(frozen=True)
class CopyCheck:
    """What a check found."""

    folder: Path
    """Holds copies.jsonl, reals.jsonl, report.html and summary.json."""
    rows: tuple[Mapping[str, Any], ...]
    """One for each picture, in order: the lines of copies.jsonl."""
    summary: Mapping[str, Any]
    """Counts, limits and usual distances: the contents of summary.json."""
    reals: tuple[Mapping[str, Any], ...]
    """Some training pictures with the nearest of the checked ones: the lines of reals.jsonl."""

    @classmethod
    def load(cls, folder: Path) -> CopyCheck:
        """Return what `check_copies` wrote. Raises `DataError` where it is missing or damaged."""
        try:
            summary = read_json(folder / SUMMARY)
            rows, reals = (_read_lines(folder / name) for name in (JSONL, REALS))
            if not isinstance(summary, dict) or not all(isinstance(row, dict) for row in rows + reals):
                raise ValueError("not tables")
        except (OSError, ValueError) as error:
            words = f"{folder} holds no copy check: {reason(error)}"
            raise DataError(words, "run `python -m ganlib copies` again") from error
        return cls(folder, rows, summary, reals)

    def __str__(self) -> str:
        """Return a few lines for people."""
        return "\n".join([*report.sentences(self.summary), f"look at {self.folder / PAGE}"])


def check_copies(config: CopiesConfig, reporter: Reporter | None = None, *, cache: Path | None = None) -> CopyCheck:
    """Look for the nearest training pictures of each picture, write the report into `config.outdir` and return it.

    What was seen of the training set is kept below `cache` (None: the cache folder). Called again with the same
    options after it was stopped or killed, it goes on. Raises `GanlibError` for what cannot be, `Stopped` when asked to
    stop."""
    config.validate()
    return _Check(config, reporter or SilentReporter(), cache or cache_root() / "copies").run()


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job of verb `copies`; its results are in the run directory."""
    found = check_copies(replace(CopiesConfig.from_dict(config), outdir=run_dir), reporter)
    for name in (PAGE, JSONL):
        reporter.artefact(run_dir / name)
    for line in report.sentences(found.summary):
        reporter.log(line)


class _Check:
    def __init__(self, config: CopiesConfig, reporter: Reporter, cache: Path) -> None:
        self.config, self.reporter = config, reporter
        self.source: Source = open_source(config, reporter.should_stop)
        extractor = open_extractor(config.features, device=choose_device(config.device))
        self.training = Training(Dataset.open(config.data, should_stop=reporter.should_stop), extractor, cache)
        self.sample = min(config.sample, len(self.training.dataset))
        self.total = float(len(self.training.dataset) + self.sample + len(self.source.items))
        self._began = 0.0
        self.checked: list[Item] = []
        self.unread: dict[str, str] = {}

    def run(self) -> CopyCheck:
        out = self.config.outdir
        out.mkdir(parents=True, exist_ok=True)
        training = self.training.look(self._told, self.reporter)
        self._began += len(training)
        reference = self.training.measure(training, self.sample, self._told, self.reporter)
        self._began += self.sample
        limits = Limits.of(reference, self.config)
        rows, checked = self._rows(training, limits)
        for name, why in self.unread.items():
            self.reporter.log(f"{name} is not checked: {why}")
        reals = self._reals(checked, rows, limits)
        summary = self._summary(rows, reference, limits)
        for name, lines in ((JSONL, rows), (REALS, reals)):
            write_bytes(out / name, "".join(json.dumps(line) + "\n" for line in lines).encode())
        page = report.as_page(rows, summary, reference, self._reader(), self._training_picture)
        write_bytes(out / PAGE, page.encode())
        write_json(out / SUMMARY, summary)  # last: where it is, the rest is whole
        self.reporter.progress(self.total, self.total, "done")
        return CopyCheck(out, tuple(rows), summary, tuple(reals))

    def _told(self, done: float, words: str) -> None:
        self.reporter.progress(self._began + done, self.total, words)

    def _rows(self, training: CachedFeatures, limits: Limits) -> tuple[list[dict[str, Any]], CachedFeatures]:
        facts = [self.source.mark, self.training.folder.name, limits.to_dict(), VERSION, MEASURE]
        facts += [[item.name, item.recipe and item.recipe.to_json()] for item in self.source.items]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
        folder = self.config.outdir / _FOUND / key
        rows: list[dict[str, Any]] = []
        parts: list[CachedFeatures] = []
        self.checked, self.unread = [], {}
        for start in range(0, len(self.source.items), BLOCK):
            stop_if_asked(self.reporter)
            self._told(start, "comparing pictures")
            items = self.source.items[start : start + BLOCK]
            path = folder / f"{start:07d}.json"
            known = _read_block(path, len(items))
            count = len(known["rows"]) if known else 0
            seen = CachedFeatures.load(path.with_suffix(".npz"), count, self.training.extractor.dim) if count else None
            if known is None or (seen is None and count):
                seen, unread = self._look(items)
                there = [item for item in items if item.name not in unread]
                known = {"rows": self._compare(there, seen, training, limits) if seen else [], "unread": unread}
                if seen is not None:
                    seen.save(path.with_suffix(".npz"))
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, known, durable=False)
            rows += known["rows"]
            self.unread |= known["unread"]
            self.checked += [item for item in items if item.name not in known["unread"]]
            parts += [] if seen is None else [seen]
        if not parts:
            name, why = next(iter(self.unread.items()))
            raise DataError(f"none of {len(self.unread):,} pictures can be read: {name}: {why}", "check the folder")
        return rows, CachedFeatures.join(parts)

    def _look(self, items: Sequence[Item]) -> tuple[CachedFeatures | None, dict[str, str]]:
        """What is seen of the pictures that can be read, None where none can; names of the others, and why."""
        parts = []
        unread = {}
        for start, found in zip(range(0, len(items), self.source.batch), batches(self.source, items), strict=True):
            for item, each in zip(items[start:], found, strict=False):
                if isinstance(each, DataError):
                    unread[item.name] = str(each)
            pixels = [each for each in found if not isinstance(each, DataError)]
            if not pixels:
                continue
            is_even = len({picture.shape for picture in pixels}) == 1
            stacks = [np.stack(pixels)] if is_even else [picture[None] for picture in pixels]
            parts += [look(stack, self.training.extractor, mirrored=True) for stack in stacks]
        return CachedFeatures.join(parts) if parts else None, unread

    def _compare(
        self, items: Sequence[Item], seen: CachedFeatures, training: CachedFeatures, limits: Limits
    ) -> list[dict[str, Any]]:
        near, deep, _ = choose(seen, training, find_candidates(seen, training))
        return [self._row(item, i, near, deep, limits) for i, item in enumerate(items)]

    def _row(self, item: Item, i: int, near: Nearest, deep: Nearest, limits: Limits) -> dict[str, Any]:
        similarity = max(near.similarity[i], deep.similarity[i])
        spaces = {
            "pixels": _space(near, i, limits.usual[0], self.training.dataset.names),
            "features": _space(deep, i, limits.usual[1], self.training.dataset.names),
        }
        verdict, reason = limits.verdict(near.distance[i], deep.distance[i], similarity)
        recipe = {} if item.recipe is None else {"recipe": item.recipe.to_dict()}
        times = min(space["times"] for space in spaces.values())
        row = {"name": item.name, **recipe, "verdict": verdict, "reason": reason, "times": times, **spaces}
        return row | {"similarity": round(float(similarity), 4)}

    def _reals(
        self, checked: CachedFeatures, rows: Sequence[Mapping[str, Any]], limits: Limits
    ) -> list[dict[str, Any]]:
        """Training pictures, spread over the set by chance, with the nearest of the checked ones."""
        idx, seen = self.training.some(self.reporter)
        near, deep, _ = choose(seen, checked, find_candidates(seen, checked))
        names = [str(row["name"]) for row in rows]
        return [
            {
                "name": self.training.dataset.names[index],
                "index": index,
                "pixels": _space(near, i, limits.usual[0], names),
                "features": _space(deep, i, limits.usual[1], names),
            }
            for i, index in enumerate(idx)
        ]

    def _summary(self, rows: Sequence[Mapping[str, Any]], reference: Reference, limits: Limits) -> dict[str, Any]:
        config, dataset = self.config, self.training.dataset
        counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("copy", "close", "own")}
        times = {
            space: {
                "lowest": round(min(row[space]["times"] for row in rows), 4),
                "median": round(float(np.median([row[space]["times"] for row in rows])), 4),
            }
            for space in ("pixels", "features")
        }
        return {
            "pictures": len(rows), **counts, "times": times, "unread": self.unread,
            "data": dataset.path.name, "data_digest": dataset.digest, "training_pictures": len(dataset),
            "what": config.source.name if config.source else config.network.stem if config.network else "",
            "seeds": config.seeds, "psi": config.psi, "features": self.training.extractor.name,
            "sample": len(reference.pixels), "sample_with_copies": reference.num_same,
            "copy_percent": config.copy_percent, "close_percent": config.close_percent, **limits.to_dict(),
        }  # fmt: skip

    def _reader(self) -> report.Pictures:
        def read(wanted: Sequence[int]) -> Iterator[np.ndarray]:
            for found in batches(self.source, [self.checked[i] for i in wanted]):
                for each in found:
                    if isinstance(each, DataError):
                        raise each  # it could be read a moment ago
                    yield each

        return read

    def _training_picture(self, index: int) -> np.ndarray:
        return self.training.dataset[index][0]


@dataclass(frozen=True)
class Limits:
    """Distances that decide, in pixels and in features."""

    usual: tuple[float, float]
    """The median of training pictures to their nearest other one."""
    close: tuple[float, float]
    copy: tuple[float, float]

    @classmethod
    def of(cls, reference: Reference, config: CopiesConfig) -> Limits:
        """Return the limits that a training set's own distances give."""
        percents = (50.0, config.close_percent, config.copy_percent)
        return cls(*(reference.limits(percent) for percent in percents))

    def verdict(self, pixels: float, features: float, similarity: float) -> tuple[str, list[str]]:
        """Return `copy`, `close` or `own` for the distances of a picture to its nearest training pictures and the
        similarity of its fine structure; and what says so: any of `pixels`, `features`, `structure`."""
        told = {"pixels": pixels < max(self.copy[0], SAME_PIXELS), "features": features < self.copy[1]}
        told["structure"] = similarity >= SAME
        for verdict in ("copy", "close"):
            if reason := [name for name, is_near in told.items() if is_near]:
                return verdict, reason
            told = {"pixels": pixels < self.close[0], "features": features < self.close[1]}
        return "own", []

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict, rounded."""
        rows = {"usual": self.usual, "close": self.close, "copy": self.copy}
        return {
            "limits": {name: {"pixels": round(row[0], 5), "features": round(row[1], 5)} for name, row in rows.items()}
        }


def _space(nearest: Nearest, i: int, usual: float, names: Sequence[str]) -> dict[str, Any]:
    index = int(nearest.index[i])
    return {
        "nearest": names[index],
        "index": index,
        "distance": round(float(nearest.distance[i]), 5),
        "times": round(float(nearest.distance[i]) / max(usual, 1e-9), 4),
        "mirrored": bool(nearest.mirrored[i]),
    }


def _read_lines(path: Path) -> tuple[dict[str, Any], ...]:
    with open_regular(path, max_bytes=MOST_LINES_BYTES) as lines:
        return tuple(json.loads(line) for line in lines)


def _read_block(path: Path, count: int) -> dict[str, Any] | None:
    try:
        block = read_json(path)
        is_whole = len(block["rows"]) + len(block["unread"]) == count
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return block if is_whole else None
