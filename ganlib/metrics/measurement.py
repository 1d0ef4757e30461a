"""From pictures, real and generated, to records of figures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganlib import runs
from ganlib.base.errors import InputError
from ganlib.compute.distributed import Processes
from ganlib.dataset import Dataset
from ganlib.features import extractors as features
from ganlib.features.extractors import FeatureExtractor
from ganlib.metrics.distances import FeatureStats, stats_of
from ganlib.metrics.kinds import Seen
from ganlib.metrics.names import Metric, doubt_about, parse_metric
from ganlib.metrics.ppl import PathSteps, open_path_distance
from ganlib.metrics.rows import BLOCK, collect_rows, forget_rows
from ganlib.networks.base import Generator
from ganlib.render.renderer import Renderer
from ganlib.runs import Reporter
from ganlib.runs.files import append_text, plain

REALS, FAKES, STEPS = "real pictures", "generated pictures", "small steps"
"""What progress is told of."""


@dataclass(frozen=True)
class _How:
    """What is the same for all that one call measures."""

    work_dir: Path | None = None
    group: Processes = field(default_factory=Processes)
    reporter: Reporter | None = None
    should_stop: Callable[[], bool] | None = None

    def collect(self, make: Callable[[int, int], np.ndarray], count: int, dim: int, name: str, what: str) -> np.ndarray:
        """The rows, with progress in `what`; empty in all processes but the first."""

        def progress(done: int) -> None:
            if self.reporter is not None and self.group.is_first:
                self.reporter.progress(done, count, what)

        return collect_rows(
            make, count, dim, name=name, folder=self.work_dir, group=self.group, progress=progress,
            should_stop=self.should_stop,
        )  # fmt: skip

    def forget(self, name: str) -> None:
        if self.work_dir is not None and self.group.is_first:
            forget_rows(self.work_dir, name)


# ---- Pictures → statistics -----------------------------------------------------------------------------------------


def reference_features(
    dataset: Dataset,
    extractor: FeatureExtractor,
    count: int | None = None,
    *,
    mirror: bool = False,
    keep: bool = True,
    cache_dir: Path | None = None,
    work_dir: Path | None = None,
    group: Processes | None = None,
    reporter: Reporter | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FeatureStats:
    """Statistics of `count` real pictures (None: all); `keep` holds their vectors too.

    Which ones is decided by what is in them, so that the same set in another order gives the same. `mirror` doubles the
    set by its reflections. With `cache_dir` the result is kept in a file there, named after the data set's digest, the
    extractor's key, the count and the mirror; None computes anew. Of several processes only the first returns what all
    have seen. Raises `DataError` for a damaged picture and `Stopped` when `should_stop()`.
    """
    how = _How(work_dir, group or Processes(), reporter, should_stop)
    chosen = _choice(dataset, mirror)[:count]
    path = reals_file(dataset, extractor, count, mirror=mirror, cache_dir=cache_dir)
    stats = None
    if path is not None and how.group.is_first:
        stats = FeatureStats.load(path, dim=extractor.dim, keep=keep)
    if how.group.agree(stats is not None):
        return stats if stats is not None else FeatureStats(extractor.dim, keep=keep)

    def make(start: int, stop: int) -> np.ndarray:
        return extractor(_real_pictures(dataset, chosen[start:stop]))

    name = f"reals-{dataset.digest[:12]}-{extractor.key}{'-mirror' * mirror}"
    rows = how.collect(make, len(chosen), extractor.dim, name, REALS)
    stats = stats_of(rows, keep=keep)
    if path is not None and how.group.is_first:
        path.parent.mkdir(parents=True, exist_ok=True)
        stats.save(path)
        how.forget(name)
    return stats


def reals_file(
    dataset: Dataset, extractor: FeatureExtractor, count: int | None, *, mirror: bool, cache_dir: Path | None
) -> Path | None:
    """Where `reference_features` keeps its result, whether it is there or not; None without `cache_dir`."""
    num = len(dataset) * (2 if mirror else 1)
    num = num if count is None else min(num, count)
    name = f"reals-{dataset.digest[:16]}-{extractor.key}-{num}{'-mirror' * mirror}.npz"
    return None if cache_dir is None else Path(cache_dir) / name


def _choice(dataset: Dataset, mirror: bool) -> np.ndarray:
    """All pictures in an order that their contents decide; from len(dataset) on, an index means a reflection."""
    prints = [(one, idx) for idx, one in enumerate(dataset.fingerprints)]
    if mirror:  # a reflection's place has nothing to do with that of its picture
        prints += [(one[16:] + one[:16], len(dataset) + idx) for one, idx in prints]
    return np.array([idx for _, idx in sorted(prints)])


def _real_pictures(dataset: Dataset, chosen: np.ndarray) -> np.ndarray:
    pictures = []
    for idx in chosen:
        pixels, _ = dataset[int(idx) % len(dataset)]
        pictures.append(pixels[:, ::-1] if idx >= len(dataset) else pixels)
    return np.stack(pictures)


class GeneratedPictures:
    """Pictures of a generator at psi 1 and with random noise where the model has noise; each has a number.

    Picture i depends on (seed, i) alone. A conditional model draws each class from the classes of the data set's
    pictures. No other random state is read or changed.
    """

    def __init__(self, G_ema: Generator, *, labels: np.ndarray | None, seed: int) -> None:
        """`labels` `[N]`: the classes of the data set. Raises `InputError` when they are missing or unknown."""
        assert not G_ema.training, "metrics are measured in evaluation mode"
        self.renderer, self.spec, self.seed = Renderer(G_ema), G_ema.spec, seed
        if self.spec.label_dim and labels is None:
            hint = "give the labelled set that the model was trained on"
            raise InputError(f"the model has {self.spec.label_dim} classes and the data set has none", hint)
        # In the order of the classes: the order of the pictures makes no difference.
        self.labels = np.sort(labels) if self.spec.label_dim and labels is not None else None

    def __call__(self, start: int, stop: int) -> np.ndarray:
        """Pictures start … stop − 1, uint8 `[n, R, R, 3]`."""
        rngs = [np.random.default_rng([self.seed, i]) for i in range(start, stop)]
        z = np.stack([rng.standard_normal(self.spec.z_dim, dtype=np.float32) for rng in rngs])
        noise_seeds = [int(rng.integers(2**32)) for rng in rngs]
        classes = None if self.labels is None else [int(rng.choice(self.labels)) for rng in rngs]
        w_plus = self.renderer.mapping(z, classes)[:, None].expand(-1, self.spec.num_ws, -1)
        noise_mode = "random" if "random" in self.spec.noise_modes else self.spec.noise_modes[0]
        return self.renderer.synthesize(w_plus, noise_mode=noise_mode, noise_seeds=noise_seeds)


def generated_pictures(G_ema: Generator, count: int, *, labels: np.ndarray | None, seed: int) -> Iterator[np.ndarray]:
    """Yield uint8 `[n, R, R, 3]`, `count` pictures in all; as `GeneratedPictures`."""
    make = GeneratedPictures(G_ema, labels=labels, seed=seed)
    for start in range(0, count, BLOCK):
        yield make(start, min(start + BLOCK, count))


# ---- Measuring -----------------------------------------------------------------------------------------------------


def evaluate(
    metric: Metric | str,
    G_ema: Generator,
    dataset: Dataset,
    *,
    extractor: FeatureExtractor | None = None,
    seed: int = 0,
    mirror: bool = False,
    cache_dir: Path | None = None,
    snapshot: str | None = None,
    reporter: Reporter | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Measure one metric in one process; arguments, record and errors as `evaluate_all`."""
    return evaluate_all(
        [metric], G_ema, dataset, extractor=extractor, seed=seed, mirror=mirror, cache_dir=cache_dir,
        snapshot=snapshot, reporter=reporter, should_stop=should_stop,
    )[0]  # fmt: skip


def evaluate_all(
    metrics: Sequence[Metric | str],
    G_ema: Generator,
    dataset: Dataset,
    *,
    extractor: FeatureExtractor | None = None,
    seed: int = 0,
    mirror: bool = False,
    cache_dir: Path | None = None,
    work_dir: Path | None = None,
    group: Processes | None = None,
    snapshot: str | None = None,
    digest: str = "",
    reporter: Reporter | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[dict[str, Any]]:
    """Measure a generator against a data set: one record per metric, JSON-able, for `append_record`.

    `G_ema` is in evaluation mode and is used on the device where it is. `extractor` None opens the features that each
    metric names, the best there are where it names none. Metrics of the same features share the generated pictures; the
    first n of a seed are the same for every count. `mirror`: the data set was trained on with reflections. `work_dir`:
    a folder where features are kept while they are collected, so that a killed process goes on; `digest` is the model's
    then. `group`: the processes that share the work; they need a `work_dir` in common, and all but the first return
    nothing. `snapshot`: the model's file name, for the record. `reporter` gets progress in pictures; leave it out
    inside work that has its own.

    A record is NVIDIA's line of `metric-NAME.jsonl` (results, metric, total_time in seconds, total_time_str, num_gpus,
    snapshot_pkl, timestamp) with ci95 where it is known, and what else the figure depends on: features, data, mirror,
    seed, num_real, num_fake. The state of every global random generator is left alone. Raises `InputError` for a metric
    or a model that does not suit the data, `Stopped` when `should_stop()`.
    """
    wanted = [parse_metric(metric) if isinstance(metric, str) else metric for metric in metrics]
    how = _How(work_dir, group or Processes(), reporter, should_stop)
    extractors = _open_all([m for m in wanted if not m.row.of_steps], extractor, G_ema.w_avg.device)
    pictures = GeneratedPictures(G_ema, labels=dataset.labels, seed=seed)
    model = f"{digest[:16] or 'model'}-{dataset.digest[:8]}-{seed}"
    shared: dict[str, tuple[np.ndarray, float]] = {}
    records = []
    for metric in wanted:
        start, before = time.perf_counter(), 0.0
        if metric.row.of_steps:
            record = _measure_path(metric, G_ema, pictures.labels, seed, model, how)
        else:
            opened = extractors[_wanted(metric)]
            if opened.key not in shared:
                alike = [other for other in wanted if not other.row.of_steps and extractors[_wanted(other)] is opened]
                rows = _fakes(pictures, opened, max(other.count for other in alike), f"{model}-{opened.key}", how)
                shared[opened.key] = rows, time.perf_counter() - start
                start = time.perf_counter()
            rows, before = shared[opened.key]
            real = FeatureStats(opened.dim)
            if metric.row.needs_reals:
                real = reference_features(
                    dataset, opened, None if metric.full else metric.count, mirror=mirror,
                    keep=metric.row.keeps_vectors, cache_dir=cache_dir, work_dir=work_dir, group=group,
                    reporter=reporter, should_stop=should_stop,
                )  # fmt: skip
            record = _measure(metric, opened, real, rows[: metric.count]) if how.group.is_first else {}
        seconds = before + time.perf_counter() - start
        record |= {"total_time": seconds, "total_time_str": runs.format_seconds(seconds), "snapshot_pkl": snapshot}
        record |= {"num_gpus": how.group.world, "data": dataset.digest[:16], "mirror": mirror, "seed": seed}
        records.append(record | ({"digest": digest} if digest else {}))
    how.forget(model)
    return records if how.group.is_first else []


def _fakes(pictures: GeneratedPictures, extractor: FeatureExtractor, count: int, name: str, how: _How) -> np.ndarray:
    """Features of the first `count` generated pictures, `[count, dim]`."""

    def make(start: int, stop: int) -> np.ndarray:
        return extractor(pictures(start, stop))

    return how.collect(make, count, extractor.dim, name, FAKES)


def measure_baseline(
    metrics: Sequence[Metric | str],
    dataset: Dataset,
    *,
    extractor: FeatureExtractor | None = None,
    device: str | torch.device = "cpu",
    work_dir: Path | None = None,
    reporter: Reporter | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[dict[str, Any]]:
    """Measure real pictures against other real ones of the same set: what a perfect generator would score.

    Two disjoint parts of a metric's count, or half the set each where it is smaller; metrics that look at no real
    pictures have none. Records as `evaluate_all` returns them, with `real_floor` true. Raises `InputError` for a set
    too small to be split, `Stopped` when `should_stop()`.
    """
    wanted = [parse_metric(metric) if isinstance(metric, str) else metric for metric in metrics]
    wanted = [metric for metric in wanted if metric.row.needs_reals]
    how = _How(work_dir, Processes(), reporter, should_stop)
    extractors = _open_all(wanted, extractor, torch.device(device))
    order, records = _choice(dataset, False), []
    found: dict[str, np.ndarray] = {}
    for metric in wanted:
        opened, start = extractors[_wanted(metric)], time.perf_counter()
        count = min(metric.count, len(order) // 2)
        last = len(order) if metric.full else 2 * count
        name = f"reals-{dataset.digest[:12]}-{opened.key}"
        if len(found.get(opened.key, ())) < last:

            def make(start: int, stop: int, opened: FeatureExtractor = opened) -> np.ndarray:
                return opened(_real_pictures(dataset, order[start:stop]))

            found[opened.key] = how.collect(make, last, opened.dim, name, REALS)
        rows = found[opened.key]
        record = _measure(metric, opened, stats_of(rows[count:last]), rows[:count])
        seconds = time.perf_counter() - start
        record |= {"total_time": seconds, "total_time_str": runs.format_seconds(seconds), "snapshot_pkl": None}
        records.append(record | {"num_gpus": 1, "data": dataset.digest[:16], "real_floor": True})
        how.forget(name)
    return records


def append_record(folder: Path, record: Mapping[str, Any]) -> Path:
    """Append a record as one line to `folder/metric-NAME.jsonl`, NVIDIA's name for it; return that path.

    What real pictures score goes to `floor-NAME.jsonl`: readers of NVIDIA's files expect a model in every line."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = record_file(folder, record["metric"], is_baseline=bool(record.get("real_floor")))
    append_text(path, json.dumps(plain(record), ensure_ascii=False) + "\n")
    return path


def record_file(folder: Path, name: object, *, is_baseline: bool = False) -> Path:
    """Where the records of a metric, or those of its baseline, are in a folder."""
    return Path(folder) / f"{'floor' if is_baseline else 'metric'}-{name}.jsonl"


def resolve(metrics: Sequence[Metric], wanted: str = "auto") -> dict[Metric, str]:
    """Metrics with the names of the features that they will be measured on (`wanted` where they name none), and the
    digests of those features' weights. Raises `InputError` where they are not on this machine."""
    found = {}
    for metric in metrics:
        if metric.row.of_steps:
            name, digest, _ = open_path_distance(metric.features)
        else:
            opened = _open_all([replace(metric, features=_wanted(metric, wanted))], None, torch.device("cpu"))
            name, digest = next((one.name, one.weights_digest) for one in opened.values())
        found[replace(metric, features=name)] = digest
    return found


def _wanted(metric: Metric, otherwise: str = "auto") -> str:
    """The features that a metric asks for, or its kind is about."""
    return metric.features or metric.row.features or otherwise


def _open_all(
    metrics: Sequence[Metric], extractor: FeatureExtractor | None, device: torch.device
) -> dict[str, FeatureExtractor]:
    """The extractor by what each metric wants; a given one is for all. Raises `InputError`."""
    found: dict[str, FeatureExtractor] = {}
    by_name: dict[str, FeatureExtractor] = {}
    for metric in metrics:
        if extractor is not None and metric.features not in (None, extractor.name):
            raise InputError(f"{metric} is on other features than {extractor.name}", f"ask for {metric.kind}… alone")
        opened = extractor
        if opened is None:
            opened = features.open_extractor(_wanted(metric), device=device)
            opened = by_name.setdefault(opened.key, opened)
        if metric.row.needs_classes and opened.classifier is None:
            hint = "it is a score of Inception-v3: `--fetch` downloads its weights; kid1k and ppl2_wend1k do without"
            raise InputError(f"{metric} needs the classes of a picture, which {opened.name} does not know", hint)
        found[_wanted(metric)] = opened
    return found


def _measure(metric: Metric, extractor: FeatureExtractor, real: FeatureStats, rows: np.ndarray) -> dict[str, Any]:
    """Compare features of generated pictures `[N, dim]` with real ones and return the record, without times and without
    what it does not know."""
    about = {"name": extractor.name, "digest": extractor.weights_digest, "resize": "antialiased bicubic"}
    return _record(metric, Seen(rows, real, extractor), about)


def _record(metric: Metric, seen: Seen, about: Mapping[str, Any]) -> dict[str, Any]:
    """The record of what was `seen`, with facts `about` the network that looked."""
    name = str(replace(metric, features=about["name"]))
    found = {name + end: known for end, known in metric.row.figures(seen).items()}
    doubt = doubt_about(name, seen.real.num, len(seen.rows))
    return {
        "results": {key: known.value for key, known in found.items()}, "metric": name,
        "ci95": {key: list(known.ci95) for key, known in found.items() if known.ci95 is not None},
        "timestamp": time.time(), "num_real": seen.real.num, "num_fake": len(seen.rows), "features": dict(about),
    } | ({"warning": doubt} if doubt else {})  # fmt: skip


def _measure_path(
    metric: Metric, G_ema: Generator, labels: np.ndarray | None, seed: int, model: str, how: _How
) -> dict[str, Any]:
    """Measure small steps and return the record, without times; empty in all processes but the first."""
    features_name, digest, distance = open_path_distance(metric.features, device=G_ema.w_avg.device)
    steps = PathSteps(G_ema, distance, labels=labels, seed=seed)
    rows = how.collect(steps, metric.count, 1, f"{model}-{metric.kind}-{features_name}-{digest[:12]}", STEPS)
    if not how.group.is_first:
        return {}
    about = {"name": features_name, "digest": digest, "distance": distance.name}
    return _record(metric, Seen(rows, FeatureStats(1), None), about)
