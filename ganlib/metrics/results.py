"""Figures that were written: of measurements, and of training runs; which is best, and what is as good."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ganlib.metrics.kinds import is_lower_better, kind_of
from ganlib.metrics.names import doubt_about
from ganlib.runs import list_runs
from ganlib.runs.records import read_records

_FILE = re.compile(r"(metric|floor)-[\w-]+\.jsonl")
_KIMG = re.compile(r"network-snapshot-(\d+)\..*")


@dataclass(frozen=True)
class Figure:
    """One number of one model."""

    name: str
    """Such as `kid1k_fruit-d` or `pr1k3_fruit-d_recall`."""
    value: float
    low: float | None
    """Of the 95 % interval; None where it is not known."""
    high: float | None
    kimg: float | None
    """Thousands of pictures that the model was trained on; None where it is not known."""
    title: str
    group: str
    """The run that a snapshot is of, or the model's title: what one line of a chart shows."""
    snapshot: str
    """The model's file name; empty for what real pictures score."""
    data: str
    """The first digits of the data set's digest."""
    data_name: str
    num_fake: int
    num_real: int
    timestamp: float
    """Unix seconds."""

    @property
    def is_baseline(self) -> bool:
        """Whether real pictures were measured against real ones."""
        return not self.snapshot

    @property
    def doubt(self) -> str:
        """Why it is not to be relied on; empty where it is."""
        return doubt_about(self.name, self.num_real, self.num_fake)

    @property
    def is_lower_better(self) -> bool:
        """Whether a smaller value is the better one."""
        return is_lower_better(self.name)


def read_figures(folder: Path, *, data_path: str = "") -> list[Figure]:
    """The figures in a folder's metric-NAME.jsonl and floor-NAME.jsonl; damaged lines and values are passed over.

    `data_path`: the data set of records that do not name theirs."""
    found: list[Figure] = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        if _FILE.fullmatch(path.name):
            for record in read_records(path):
                found += _figures(record, Path(folder), data_path)
    return found


def _figures(record: Mapping[str, Any], folder: Path, data_path: str) -> list[Figure]:
    results, bounds = record.get("results"), record.get("ci95")
    snapshot = record.get("snapshot_pkl")
    if not isinstance(results, dict) or not (isinstance(snapshot, str) or record.get("real_floor") is True):
        return []
    snapshot = Path(snapshot).name if isinstance(snapshot, str) else ""
    match = _KIMG.fullmatch(snapshot)
    kimg = _number(record.get("kimg"))
    network = Path(str(record.get("network") or folder / snapshot))
    title = str(record.get("title") or Path(snapshot).stem)
    place = Path(str(record.get("data_path") or data_path))
    found = []
    for name, value in results.items():
        if _number(value) is None:
            continue
        ends = bounds.get(name) if isinstance(bounds, dict) else None
        low, high = (_number(end) for end in ends) if isinstance(ends, list) and len(ends) == 2 else (None, None)
        figure = Figure(
            name=str(name), value=float(value), low=low, high=high,
            kimg=kimg if kimg is not None else float(match[1]) if match else None,
            title=title, group=network.parent.name if match else title, snapshot=snapshot,
            data=str(record.get("data") or ""), data_name=place.stem,
            num_fake=int(_number(record.get("num_fake")) or 0), num_real=int(_number(record.get("num_real")) or 0),
            timestamp=_number(record.get("timestamp")) or 0.0,
        )  # fmt: skip
        kind = kind_of(name)
        if kind is None or not name.endswith(kind.aside):
            found.append(figure)
    return found


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def figures_of_runs(root: Path) -> list[Figure]:
    """The newest figure of each name, model and data set, of the measurements and training runs below `root`; in order
    of name, group and kimg."""
    newest: dict[tuple[str, ...], Figure] = {}
    for run in list_runs(root):
        job = run.job
        if job["verb"] in ("metrics", "train"):
            for figure in read_figures(run.path, data_path=str(job["config"].get("data") or "")):
                key = figure.name, figure.group, figure.snapshot, figure.data
                if key not in newest or newest[key].timestamp < figure.timestamp:
                    newest[key] = figure
    return sorted(newest.values(), key=lambda figure: (figure.name, figure.group, figure.kimg or 0.0))


def best_of(figures: Iterable[Figure]) -> Figure | None:
    """The best of figures of one name on one data set, real pictures' own left aside; None where there is none."""
    models = [figure for figure in figures if not figure.is_baseline]
    if not models:
        return None
    choose = min if models[0].is_lower_better else max
    return choose(models, key=lambda figure: figure.value)


def as_good_as(best: Figure, figures: Iterable[Figure]) -> list[Figure]:
    """Others whose interval and that of the best have values in common: the measurement does not tell them apart."""
    if best.low is None or best.high is None:
        return []
    return [
        other for other in figures
        if other is not best and not other.is_baseline and other.low is not None and other.high is not None
        and other.low <= best.high and best.low <= other.high
    ]  # fmt: skip


def to_csv(figures: Sequence[Figure]) -> str:
    """A table with a head, a line for each figure."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(Figure.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(figure) for figure in figures)
    return stream.getvalue()


def to_json(figures: Sequence[Figure]) -> str:
    """A list of objects."""
    return json.dumps([asdict(figure) for figure in figures], indent=1, ensure_ascii=False) + "\n"
