"""What a training run's directory shows: ours, or one made by NVIDIA's tools, whose file names both have."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganlib.base.errors import RunError
from ganlib.base.filesystem import (
    MOST_LINES_BYTES,
    check_regular,
    list_names,
    open_regular,
    read_regular,
    read_text_regular,
    reason,
)
from ganlib.dataset import Dataset
from ganlib.dataset.files import MANY
from ganlib.media import images
from ganlib.runs import RunDir, free_name, replacing
from ganlib.runs.files import mtime, read_json

_SHEET = re.compile(r"fakes(\d+)(?:-(\d+)x\d+-(\w+))?\.(?:png|jpg)")
_SNAPSHOT = re.compile(r"network-snapshot-(\d+)\.(?:safetensors|pkl)")
_NESTED = ("training_set_kwargs", "spec")
_METRIC = re.compile(r"metric-([\w-]+)\.jsonl")


@dataclass(frozen=True)
class Sheet:
    """One sheet of samples."""

    path: Path
    kimg: int
    """Thousands of pictures seen; 0 for the sheet made before the first step."""
    resolution: int | None = None
    """Side of one picture where the file's name tells it (progressive growing), else None."""
    phase: str = ""
    """`faded` or `tuned` in progressive growing, else empty."""
    is_transfer: bool = False
    """Whether the run started from the weights of a model: its first sheet is not untrained then."""

    @property
    def words(self) -> str:
        """Such as `46 kimg` or `120 kimg, 16 px, faded in`; no two sheets of a run have the same words."""
        if self.path.stem == "fakes_init":
            return "at the start" if self.is_transfer else "untrained"
        phase = {"faded": "faded in", "tuned": "tuned"}.get(self.phase, self.phase)
        return f"{self.kimg} kimg" + (f", {self.resolution} px, {phase}" if self.resolution else "")


@dataclass(frozen=True)
class Snapshot:
    """One saved model of a run."""

    path: Path
    kimg: int


@dataclass(frozen=True)
class TrainingFolder:
    """A training run's directory. Every call reads the disk anew."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> TrainingFolder:
        """Return the run in `path`. Raises RunError where there is none, or too much beside it to be listed."""
        folder = cls(Path(path))
        files = [folder.path / name for name in ("stats.jsonl", "training_options.json", "job.json")]
        if not any(mtime(file) is not None and file.is_file() for file in files):
            raise RunError(
                f"{path} is no training run: it has neither stats.jsonl nor training_options.json",
                "Give a run's directory, such as runs/00042-train-fruit.",
            )
        folder.files()
        return folder

    def files(self, pattern: str = "*") -> list[Path]:
        """What lies in the directory, by names that match `pattern`, in sorted order. Raises RunError."""
        try:
            return [self.path / name for name in list_names(self.path, pattern)]
        except OSError as error:
            hint = "Give a run's directory with nothing else in it."
            raise RunError(f"{self.path} cannot be listed: {reason(error)}", hint) from error

    @property
    def is_ours(self) -> bool:
        """Whether a job of this studio works here; False for a directory that NVIDIA's tools made."""
        return (self.path / "job.json").is_file()

    @property
    def options(self) -> dict[str, Any]:
        """`training_options.json` as it is; empty while there is none."""
        try:
            options = read_json(self.path / "training_options.json")
        except (OSError, ValueError):
            return {}
        return options if isinstance(options, dict) else {}

    @property
    def config(self) -> dict[str, Any]:
        """The options under this studio's names, whoever wrote them; with `resolution` and `num_images` where known."""
        options = self.options
        data, spec = (value if isinstance(value, dict) else {} for value in map(options.get, _NESTED))
        side, count = spec.get("resolution") or data.get("resolution"), data.get("max_size")
        if spec or "total_kimg" not in options:  # ours: NVIDIA's names stand beside our own
            return {"num_images": count, **options, "resolution": options.get("resolution") or side}
        return {
            "kimg": options["total_kimg"], "batch": options.get("batch_size"), "data": data.get("path"),
            "mirror": data.get("xflip"), "num_images": count, "resolution": side, "cond": data.get("use_labels"),
            "resume": options.get("resume_pkl"), "target": options.get("ada_target"),
            "seed": options.get("random_seed"),
        }  # fmt: skip

    def stats(self) -> list[dict[str, Any]]:
        """The ticks in order of kimg; what a resumed run did again replaces what it had done before it was stopped."""
        kept: list[dict[str, Any]] = []
        for record in reversed(RunDir(self.path).stats()):
            kimg = mean_of(record, "Progress/kimg")
            if kimg is not None and (not kept or kimg < _kimg(kept[-1])):
                kept.append(record)
        return kept[::-1]

    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        """The records of every `metric-NAME.jsonl` by metric, oldest first; damaged lines are skipped."""
        found: dict[str, list[dict[str, Any]]] = {}
        for path in self.files("metric-*.jsonl"):
            match = _METRIC.fullmatch(path.name)
            lines = _lines(path) if match else []
            records = [record for record in lines if isinstance(record.get("results"), dict)]
            if match and records:
                found[match[1]] = records
        return found

    def sheets(self) -> list[Sheet]:
        """The sheets of samples in order of time, the one before the first step first."""
        is_transfer = bool(self.config.get("resume"))
        starts = [self.path / f"fakes_init{suffix}" for suffix in (".jpg", ".png")]
        first = [Sheet(path, 0, is_transfer=is_transfer) for path in starts if path.is_file()]
        later = []
        for path in self.files("fakes[0-9]*"):
            if (match := _SHEET.fullmatch(path.name)) and path.is_file():
                later.append(Sheet(path, int(match[1]), int(match[2]) if match[2] else None, match[3] or ""))
        # At equal kimg a phase that fades in comes before the one that settles, and the smaller before the larger.
        return first + sorted(later, key=lambda sheet: (sheet.kimg, sheet.resolution or 0, sheet.phase))

    @property
    def reals(self) -> Path | None:
        """The sheet of real pictures, or None."""
        return next((path for path in (self.path / "reals.png", self.path / "reals.jpg") if path.is_file()), None)

    def snapshots(self) -> list[Snapshot]:
        """The saved models, oldest first."""
        files = [path for path in self.files("network-snapshot-*") if path.is_file()]
        found = [(_SNAPSHOT.fullmatch(path.name), path) for path in files]
        return sorted((Snapshot(path, int(m[1])) for m, path in found if m), key=lambda s: (s.kimg, s.path.name))

    def log_tail(self, lines: int = 50) -> str:
        """The last lines of log.txt; empty if there is none."""
        return RunDir(self.path).log_tail(lines)

    def tile(self, sheet: Path) -> int:
        """Side in pixels of one picture in a sheet. Raises RunError where nothing in the directory tells it."""
        side = self.config.get("resolution")  # a growing network's smaller pictures stand there enlarged
        if not isinstance(side, int) or side < 1:
            raise RunError(
                f"{self.path.name} does not say how large one picture of {sheet.name} is",
                "Put the run's training_options.json beside it.",
            )
        return side


def list_training(root: Path) -> list[TrainingFolder]:
    """The training runs below `root`, newest number first: this studio's jobs of verb `train`, and NVIDIA's folders.

    Those that cannot be read or listed are passed over. Raises RunError where `root` cannot be listed."""
    found = []
    for path in TrainingFolder(Path(root)).files("[0-9]*"):
        number = re.match(r"(\d{5,})(?:-|$)", path.name)
        if not number or not path.is_dir():
            continue
        try:
            folder = TrainingFolder.open(path)
            is_training = not folder.is_ours or RunDir(path).job["verb"] == "train"
        except RunError:
            continue
        if is_training:
            found.append((int(number[1]), folder))
    return [folder for _, folder in sorted(found, key=lambda pair: (pair[0], pair[1].path.name), reverse=True)]


def mean_of(record: Mapping[str, Any], name: str) -> float | None:
    """The mean of a statistic in one tick; None where it is absent, NaN where it was not finite."""
    value = record.get(name)
    if isinstance(value, Mapping) and "mean" in value:
        value = value["mean"]
        if value is None:  # JSON has no NaN: the writer put null
            return float("nan")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def snapshot_kimg(name: object) -> int | None:
    """46 for `network-snapshot-000046.safetensors`; None for any other name."""
    match = _SNAPSHOT.fullmatch(Path(str(name)).name)
    return int(match[1]) if match else None


def sheet_pictures(folder: TrainingFolder, sheet: Path, count: int) -> np.ndarray:
    """The first `count` pictures of a sheet (all if there are fewer), uint8 `[n, side, side, 3]`.

    The same place holds the same latent in every sheet of a run. Raises RunError, or DataError for a damaged file.
    """
    return cut(_read(sheet), folder.tile(sheet), count)


def cut(pixels: np.ndarray, side: int, count: int) -> np.ndarray:
    """Cut a sheet `[H, W, 3]` into its first `count` pictures of `side` pixels, row by row."""
    columns, rows = pixels.shape[1] // side, pixels.shape[0] // side
    if not columns or not rows:
        raise RunError(f"a sheet of {pixels.shape[1]}×{pixels.shape[0]} px holds no picture of {side} px")
    whole = pixels[: rows * side, : columns * side].reshape(rows, side, columns, side, 3)
    return np.ascontiguousarray(whole.swapaxes(1, 2).reshape(-1, side, side, 3)[:count])


def sheet_part(
    folder: TrainingFolder, sheet: Path, *, columns: int, rows: int, side: int, smooth: bool = True
) -> bytes:
    """The first pictures of a sheet as a PNG of `columns` × `rows`, each enlarged to `side` pixels."""
    pictures = sheet_pictures(folder, sheet, columns * rows)
    pictures = images.resize(pictures, side, side, smooth=smooth)
    return images.encode(images.contact_sheet(pictures, columns=columns, gap=0))


def look_at_data(
    path: Path, *, count: int = 8, side: int = 64, without: str = "", should_stop: Callable[[], bool] = lambda: False
) -> tuple[str, bytes]:
    """A training set in words, and its pictures spread over the set, in a row, as PNG.

    What is to be known of its classes before training on them stands in lines of its own; `without` as in
    `Dataset.doubts`. Raises DataError, also for a folder with more than `MANY` files, and Stopped when `should_stop()`.
    """
    dataset = Dataset.open(path, bounds=MANY, should_stop=should_stop)
    chosen = sorted({i * len(dataset) // count for i in range(count)})
    pictures = [images.resize(dataset.small(i, side), side, side) for i in chosen]
    kinds = f", {dataset.label_dim} classes" if dataset.label_dim else ""
    words = "\n".join([f"{len(dataset):,} pictures of {dataset.resolution} px{kinds}", *dataset.doubts(without)])
    return words, images.encode(images.contact_sheet(np.stack(pictures), columns=count, gap=0))


def keep_snapshot(snapshot: Path, root: Path, name: str) -> Path:
    """Put a snapshot among the models below `root` as `name.safetensors` and return where it is.

    A hard link where the disk allows it (snapshots never change), else a copy. A model of that name stays as it is if
    it is the same file or has the same bytes; otherwise the new one gets a number. Raises OSError (a full disk).
    """
    check_regular(snapshot)
    root.mkdir(parents=True, exist_ok=True)

    def path_of(name: str) -> Path:
        return root / f"{name}.safetensors"

    dest = path_of(free_name(name, lambda name: path_of(name).exists() and not _same(path_of(name), snapshot)))
    if not dest.exists():
        with replacing(dest) as temporary:
            try:
                os.link(snapshot, temporary)
            except OSError:  # another disk, or one without links
                shutil.copyfile(snapshot, temporary)
    return dest


def _same(one: Path, other: Path) -> bool:
    if one.samefile(other):
        return True
    with open_regular(one) as first, open_regular(other) as second:
        digests = [hashlib.file_digest(file, "sha256").digest() for file in (first, second)]
    return digests[0] == digests[1]


def _read(path: Path) -> np.ndarray:
    try:
        return images.decode(read_regular(path, max_bytes=images.MAX_FILE_BYTES), name=path.name)
    except OSError as error:
        raise RunError(f"{path.name} cannot be read: {error.strerror}", "Look whether the run still exists.") from error


def _kimg(record: Mapping[str, Any]) -> float:
    kimg = mean_of(record, "Progress/kimg")
    assert kimg is not None  # only records with it are kept
    return kimg


def _lines(path: Path) -> Sequence[dict[str, Any]]:
    records = []
    try:
        text = read_text_regular(path, max_bytes=MOST_LINES_BYTES, errors="replace")
    except OSError:
        return []
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
