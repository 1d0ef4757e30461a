"""From pictures, real and generated, to records of figures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganlib import features, runs
from ganlib.dataset import Dataset
from ganlib.errors import InputError
from ganlib.features import FeatureExtractor
from ganlib.metrics.distances import FeatureStats, frechet_distance, kernel_distance, precision_recall, stats_of
from ganlib.metrics.names import Metric, parse_metric
from ganlib.networks.base import Generator
from ganlib.renderer import Renderer
from ganlib.runs import Reporter, Stopped
from ganlib.runs.files import append_text, plain

# ---- Pictures → statistics -----------------------------------------------------------------------------------------

def reference_features(
    dataset: Dataset,
    extractor: FeatureExtractor,
    count: int | None = None,
    *,
    mirror: bool = False,
    keep: bool = True,
    cache_dir: Path | None = None,
    reporter: Reporter | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FeatureStats:
    """Statistics of `count` real pictures (None: all), the same choice every time; `keep` holds their vectors too.

    `mirror` doubles the set by its reflections. With `cache_dir` the result is kept in a file there, named after the
    data set's digest, the extractor's key, the count and the mirror; None computes anew. Raises `DataError` for a
    damaged picture and `Stopped` when `should_stop()`.
    """
    chosen = _choice(dataset, mirror)[:count]
    path = None
    if cache_dir is not None:
        name = f"reals-{dataset.digest[:16]}-{extractor.key}-{len(chosen)}{'-mirror' * mirror}.npz"
        path = Path(cache_dir) / name
        found = FeatureStats.load(path, dim=extractor.dim, keep=keep)
        if found is not None:
            return found
    pictures = _real_pictures(dataset, chosen)
    stats = _collect(pictures, len(chosen), extractor, keep, "real pictures", reporter, should_stop)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        stats.save(path)
    return stats


def _choice(dataset: Dataset, mirror: bool) -> np.ndarray:
    """All pictures in a fixed random order; from len(dataset) on, an index means a reflection."""
    return np.random.default_rng(0).permutation(len(dataset) * (2 if mirror else 1))


def _real_pictures(dataset: Dataset, chosen: np.ndarray, batch: int = 32) -> Iterator[np.ndarray]:
    for start in range(0, len(chosen), batch):
        pictures = []
        for idx in chosen[start : start + batch]:
            pixels, _ = dataset[int(idx) % len(dataset)]
            pictures.append(pixels[:, ::-1] if idx >= len(dataset) else pixels)
        yield np.stack(pictures)


def generated_pictures(G_ema: Generator, count: int, *, labels: np.ndarray | None, seed: int) -> Iterator[np.ndarray]:
    """Yield uint8 `[n, R, R, 3]`, `count` pictures in all, at psi 1 and with random noise where the model has noise.

    Picture i depends on (seed, i) alone. A conditional model draws each class from `labels` `[N]`, the classes of the
    data set's pictures. No other random state is read or changed. Raises `InputError` when labels are missing or
    unknown.
    """
    assert not G_ema.training, "metrics are measured in evaluation mode"
    renderer, spec = Renderer(G_ema), G_ema.spec
    if spec.label_dim and labels is None:
        hint = "give the labelled set that the model was trained on"
        raise InputError(f"the model has {spec.label_dim} classes and the data set has none", hint)
    noise_mode = "random" if "random" in spec.noise_modes else spec.noise_modes[0]
    batch = renderer.default_batch()
    for start in range(0, count, batch):
        rngs = [np.random.default_rng([seed, i]) for i in range(start, min(start + batch, count))]
        z = np.stack([rng.standard_normal(spec.z_dim, dtype=np.float32) for rng in rngs])
        noise_seeds = [int(rng.integers(2**32)) for rng in rngs]
        classes = None if not spec.label_dim or labels is None else [int(rng.choice(labels)) for rng in rngs]
        w_plus = renderer.mapping(z, classes)[:, None].expand(-1, spec.num_ws, -1)
        yield from renderer.synthesize_batches(w_plus, noise_mode=noise_mode, noise_seeds=noise_seeds, batch=batch)


def _collect(
    pictures: Iterator[np.ndarray],
    total: int,
    extractor: FeatureExtractor,
    keep: bool,
    what: str,
    reporter: Reporter | None,
    should_stop: Callable[[], bool] | None,
) -> FeatureStats:
    stats = FeatureStats(extractor.dim, keep=keep)
    for pixels in pictures:
        if should_stop is not None and should_stop():
            raise Stopped
        stats.append(extractor(pixels))
        if reporter is not None:
            reporter.progress(stats.num, total, what)
    return stats


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
    """Measure one metric; arguments, record and errors as `evaluate_all`."""
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
    snapshot: str | None = None,
    reporter: Reporter | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[dict[str, Any]]:
    """Measure a generator against a data set: one record per metric, JSON-able, for `append_record`.

    `G_ema` is in evaluation mode and is used on the device where it is. `extractor` None opens the features that each
    metric names, `auto` where it names none. Metrics of the same features share the generated pictures; the first n of
    a seed are the same for every count. `mirror`: the data set was trained on with reflections. `snapshot`: the model's
    file name, for the record. `reporter` gets progress in pictures; leave it out inside work that has its own.

    A record is NVIDIA's line of `metric-NAME.jsonl` (results, metric, total_time in seconds, total_time_str, num_gpus,
    snapshot_pkl, timestamp) with ci95 where it is known, and what else the figure depends on: features, data, mirror,
    seed, num_real, num_fake. The state of every global random generator is left alone. Raises `InputError` for a metric
    or a model that does not suit the data, `Stopped` when `should_stop()`.
    """
    wanted = [parse_metric(metric) if isinstance(metric, str) else metric for metric in metrics]
    extractors = _open_all(wanted, extractor, G_ema.w_avg.device)
    fakes: dict[str, tuple[FeatureStats, float]] = {}
    records = []
    for metric in wanted:
        opened = extractors[metric.features]
        alike = [other for other in wanted if extractors[other.features].key == opened.key]
        start = time.perf_counter()
        if opened.key not in fakes:
            counts = {other.count for other in alike}
            keep = len(counts) > 1 or any(other.kind != "fid" for other in alike)
            pictures = generated_pictures(G_ema, max(counts), labels=dataset.labels, seed=seed)
            stats = _collect(pictures, max(counts), opened, keep, "generated pictures", reporter, should_stop)
            fakes[opened.key] = stats, time.perf_counter() - start
        fake, shared_seconds = fakes[opened.key]
        start = time.perf_counter()
        real = reference_features(
            dataset, opened, None if metric.full else metric.count, mirror=mirror, keep=metric.kind != "fid",
            cache_dir=cache_dir, reporter=reporter, should_stop=should_stop,
        )  # fmt: skip
        part = fake if fake.num == metric.count else stats_of(fake.vectors[: metric.count])
        record = _measure(metric, opened, real, part)
        seconds = shared_seconds + time.perf_counter() - start
        record |= {"total_time": seconds, "total_time_str": runs.format_seconds(seconds), "snapshot_pkl": snapshot}
        records.append(record | {"data": dataset.digest[:16], "mirror": mirror, "seed": seed})
    return records


def real_floor(
    metrics: Sequence[Metric | str],
    dataset: Dataset,
    *,
    extractor: FeatureExtractor | None = None,
    device: str | torch.device = "cpu",
    reporter: Reporter | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[dict[str, Any]]:
    """Measure real pictures against other real ones of the same set: what a perfect generator would score.

    Two disjoint parts of a metric's count, or half the set each where it is smaller. Records as `evaluate_all` returns
    them, with `real_floor` true. Raises `InputError` for a set too small to be split, `Stopped` when `should_stop()`.
    """
    wanted = [parse_metric(metric) if isinstance(metric, str) else metric for metric in metrics]
    extractors = _open_all(wanted, extractor, torch.device(device))
    order, records = _choice(dataset, False), []
    for metric in wanted:
        opened, start = extractors[metric.features], time.perf_counter()
        count = min(metric.count, len(order) // 2)
        sides = []
        for chosen in (order[:count], order[count:] if metric.full else order[count : 2 * count]):
            pictures = _real_pictures(dataset, chosen)
            sides.append(_collect(pictures, len(chosen), opened, True, "real pictures", reporter, should_stop))
        record = _measure(metric, opened, sides[1], sides[0])
        seconds = time.perf_counter() - start
        record |= {"total_time": seconds, "total_time_str": runs.format_seconds(seconds), "snapshot_pkl": None}
        records.append(record | {"data": dataset.digest[:16], "real_floor": True})
    return records


def append_record(folder: Path, record: Mapping[str, Any]) -> Path:
    """Append a record as one line to `folder/metric-NAME.jsonl`, NVIDIA's name for it; return that path."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder) / f"metric-{record['metric']}.jsonl"
    append_text(path, json.dumps(plain(record), ensure_ascii=False) + "\n")
    return path


def _open_all(
    metrics: Sequence[Metric], extractor: FeatureExtractor | None, device: torch.device
) -> dict[str | None, FeatureExtractor]:
    """The extractor of each `metric.features`; None stands for the given one, or for `auto`."""
    if extractor is None:
        return {name: features.open_extractor(name or "auto", device=device) for name in {m.features for m in metrics}}
    for metric in metrics:
        if metric.features not in (None, extractor.name):
            raise InputError(f"{metric} is on other features than {extractor.name}", f"ask for {metric.kind}… alone")
    return {None: extractor, extractor.name: extractor}


def _measure(metric: Metric, extractor: FeatureExtractor, real: FeatureStats, fake: FeatureStats) -> dict[str, Any]:
    """Compare two sets and return the record, without times and without what it does not know."""
    name = str(replace(metric, features=extractor.name))
    record: dict[str, Any] = {"results": {}, "metric": name}
    if metric.kind == "fid":
        record["results"][name] = frechet_distance(real, fake)
    elif metric.kind == "kid":
        distance = kernel_distance(real.vectors, fake.vectors, device=extractor.device)
        record["results"][name] = distance.value
        record["ci95"] = {name: list(distance.ci95)}
    else:
        precision, recall = precision_recall(real.vectors, fake.vectors, device=extractor.device)
        record["results"] |= {f"{name}_precision": precision, f"{name}_recall": recall}
    return record | {
        "num_gpus": 1, "timestamp": time.time(), "num_real": real.num, "num_fake": fake.num,
        "features": {"name": extractor.name, "digest": extractor.weights_digest},
    }  # fmt: skip
