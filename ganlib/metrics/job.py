"""`metrics`: models against a data set; a job that can be stopped, killed and continued, alone or under `torchrun`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganlib.base.errors import CheckpointError, InputError, RunError
from ganlib.base.filesystem import list_names, reason
from ganlib.base.workspace import cache_root
from ganlib.compute.device import choose_device
from ganlib.compute.distributed import Processes, processes
from ganlib.dataset import Dataset
from ganlib.features import extractors, inception
from ganlib.metrics.config import MetricsConfig
from ganlib.metrics.measurement import (
    GeneratedPictures,
    append_record,
    evaluate_all,
    measure_baseline,
    reals_file,
    record_file,
    resolve,
)
from ganlib.metrics.names import Metric, parse_metrics
from ganlib.metrics.ppl import PathSteps, open_path_distance
from ganlib.models import checkpoints
from ganlib.models.checkpoints import SUFFIX, Checkpoint
from ganlib.runs import OnlyStops, Reporter, SilentReporter
from ganlib.runs.files import lock
from ganlib.runs.records import read_records

WORK = ".rows"  # features on their way, in the folder of the results
_TRIED = 8  # pictures that an estimate makes


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job of the verb `metrics`: its results are metric-NAME.jsonl in the run's directory."""
    measure(replace(MetricsConfig.from_dict(config), outdir=run_dir), reporter)


def find_networks(wanted: Sequence[Path], root: Path = Path("checkpoints")) -> list[Checkpoint]:
    """The models that are named: files, names below `root`, and all snapshots in directories, in order of kimg.

    Raises `CheckpointError` for what is none, `InputError` for a directory without any."""
    found: list[Path] = []
    for path in wanted:
        if not path.is_dir():
            found.append(checkpoints.find_checkpoint(str(path), root))
            continue
        try:
            names = list_names(path, f"network-snapshot-*{SUFFIX}") or list_names(path, f"[!.]*{SUFFIX}")
        except OSError as error:
            raise InputError(f"{path} cannot be listed: {reason(error)}", "name the models themselves") from error
        inside = [path / name for name in names]
        if not inside:
            raise InputError(f"{path} holds no snapshots", "name a model, or the directory of a run that has saved one")
        found += inside
    return [checkpoints.read_card(path) for path in dict.fromkeys(path.resolve() for path in found)]


def measure(config: MetricsConfig, reporter: Reporter | None = None) -> list[dict[str, Any]]:
    """Measure models and return a record for each of them and each metric, in that order, then the baselines.

    With `config.outdir` each is appended to metric-NAME.jsonl there as soon as it is known, and what those files hold
    already is not measured again: the same options go on where they were stopped. Of several processes the first one
    writes and returns. Raises `InputError`, `DataError` or `CheckpointError` before anything is measured, `HubError`
    where weights cannot be fetched, `Stopped`."""
    config.validate()
    reporter = reporter or SilentReporter()
    with processes(config.device) as group:
        if group.world > 1 and config.outdir is None:
            raise InputError("several processes need a folder in common", "name one with --outdir")
        if config.fetch and group.is_first:
            inception.fetch_weights(extractors.inception_file(), reporter=reporter)
        group.agree(True)  # the others wait for the weights
        plan = plan_measurement(config)
        alone = _alone(config.outdir) if config.outdir and group.is_first else nullcontext()
        with alone:
            return _Measurement(plan, group, reporter).run()


@contextmanager
def _alone(outdir: Path) -> Iterator[None]:
    """Keep a second process from measuring into the same folder."""
    outdir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(lock(outdir / ".measuring", patience_seconds=1.0))
        except RunError as error:
            problem = f"something is being measured into {outdir}"
            raise RunError(problem, "wait for it, or name another folder") from error
        yield


# ---- What is to be done ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MeasurementPlan:
    """What a measurement will do; everything was found and fits."""

    config: MetricsConfig
    cards: Sequence[Checkpoint]
    dataset: Dataset
    metrics: Mapping[Metric, str]
    """Each metric with its features' name, and the digest of their weights."""

    def known(self, card: Checkpoint | None) -> dict[Metric, dict[str, Any]]:
        """The records of a model that were written before; None stands for the baselines, which no model has a part in:
        they are also kept with the statistics of real pictures."""
        found = {}
        for metric, weights in self.metrics.items():
            for folder in (cache_dir() if card is None else None, self.config.outdir):
                if folder is not None:
                    for record in read_records(record_file(folder, metric, is_baseline=card is None)):
                        if self._is_same(record, card, weights):
                            found[metric] = record
        return found

    def is_written(self, record: Mapping[str, Any]) -> bool:
        """Whether a baseline stands in the folder of the results already."""
        folder = self.config.outdir
        return folder is None or record in read_records(record_file(folder, record["metric"], is_baseline=True))

    def _is_same(self, record: Mapping[str, Any], card: Checkpoint | None, weights: str) -> bool:
        used = record.get("features")
        if not isinstance(used, dict) or used.get("digest") != weights or not isinstance(record.get("results"), dict):
            return False
        if record.get("data") != self.dataset.digest[:16]:
            return False
        if card is None:
            return record.get("real_floor") is True
        facts = record.get("digest"), record.get("seed"), record.get("mirror")
        return facts == (card.digest, self.config.seed, self.config.mirror)


def plan_measurement(config: MetricsConfig) -> MeasurementPlan:
    """Look at models, data and features. Raises as `measure`."""
    config.validate()
    cards = find_networks(config.network)
    dataset = Dataset.open(config.data)
    plan = MeasurementPlan(config, cards, dataset, resolve(parse_metrics(config.metrics), config.features))
    for card in cards:
        if card.spec.label_dim and dataset.labels is None:
            problem = f"{card.title} has {card.spec.label_dim} classes and the data set has none"
            raise InputError(problem, "give the labelled set that the model was trained on")
        if dataset.labels is not None and card.spec.label_dim and dataset.label_dim > card.spec.label_dim:
            problem = f"the data set has {dataset.label_dim} classes and {card.title} {card.spec.label_dim}"
            raise InputError(problem, "give the labelled set that the model was trained on")
    return plan


def count_pictures(plan: MeasurementPlan) -> tuple[int, int, int]:
    """How many pictures are to be generated, steps measured, and real pictures looked at, over all models."""
    fakes = steps = 0
    missing_anywhere: set[Metric] = set()
    for card in plan.cards:
        missing = plan.metrics.keys() - plan.known(card).keys()
        missing_anywhere |= missing
        most: dict[str | None, int] = {}
        for metric in missing:
            if metric.row.of_steps:
                steps += metric.count
            else:
                most[metric.features] = max(most.get(metric.features, 0), metric.count)
        fakes += sum(most.values())
    num = len(plan.dataset)
    config, reals = plan.config, dict[Path, int]()
    baselines = dict[str | None, int]()
    for metric in missing_anywhere:
        if metric.row.needs_reals:
            extractor = extractors.open_extractor(str(metric.features))
            count = None if metric.full else metric.count
            path = reals_file(plan.dataset, extractor, count, mirror=config.mirror, cache_dir=cache_dir())
            if path is not None and not path.is_file():
                whole = num * (2 if config.mirror else 1)
                reals[path] = whole if count is None else min(count, whole)
    if config.real_floor:
        for metric in plan.metrics.keys() - plan.known(None).keys():
            if metric.row.needs_reals:
                half = num if metric.full else min(2 * metric.count, num)
                baselines[metric.features] = max(baselines.get(metric.features, 0), half)
    return fakes, steps, sum(reals.values()) + sum(baselines.values())


def cache_dir() -> Path:
    """Where statistics of real pictures are kept."""
    return cache_root() / "reals"


def estimate_seconds(config: MetricsConfig) -> float:
    """About how long a measurement will take here, from a few pictures of the first model. Raises as `measure`."""
    plan = plan_measurement(config)
    fakes, steps, reals = count_pictures(plan)
    device = choose_device(config.device)
    G_ema = checkpoints.load_generator(plan.cards[0].path, device=device, verify=False)
    pictures = GeneratedPictures(G_ema, labels=plan.dataset.labels, seed=0)
    names = {m.features for m in plan.metrics if not m.row.of_steps}
    making = looking = stepping = matrices = 0.0
    if names:
        pixels, making = _timed(lambda: pictures(0, _TRIED))
        for name in names:
            extractor = extractors.open_extractor(str(name), device=device)
            looking += _timed(lambda opened=extractor: opened(pixels))[1] / len(names)
            each = sum(m.row.seconds(extractor.dim) for m in plan.metrics if m.features == name)
            matrices += each * len(plan.cards)
    if steps:
        name = next(m.features for m in plan.metrics if m.row.of_steps)
        distance = open_path_distance(name, device=device)[2]
        paths = PathSteps(G_ema, distance, labels=pictures.labels, seed=0)
        stepping = _timed(lambda: paths(0, _TRIED))[1]
    return (fakes * (making + looking) + reals * looking + steps * stepping) / _TRIED + matrices


def _timed(make: Any) -> tuple[Any, float]:
    made, seconds = None, []
    for _ in range(4):  # the first time is slower than all others, and now and then something else is at work
        start = time.perf_counter()
        made = make()
        seconds.append(time.perf_counter() - start)
    return made, min(seconds)


# ---- Doing it --------------------------------------------------------------------------------------------------------


class _Measurement:
    """One call of `measure`."""

    def __init__(self, plan: MeasurementPlan, group: Processes, reporter: Reporter) -> None:
        self.plan, self.config, self.group = plan, plan.config, group
        self.reporter = _Overall(reporter, sum(count_pictures(plan)))
        self.work_dir = None if self.config.outdir is None else self.config.outdir / WORK

    def run(self) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        for card in self.plan.cards:
            if card.spec.resolution != self.plan.dataset.resolution:
                words = f"note: {card.name} makes {card.spec.resolution} px, the data set has "
                self.reporter.log(f"{words}{self.plan.dataset.resolution} px")
            records += self._one(card)
        if self.config.real_floor and self.group.is_first:
            records += self._baselines()
        if self.work_dir is not None and self.group.is_first and self.work_dir.is_dir():
            shutil.rmtree(self.work_dir)
        self.reporter.finish()
        return records

    def _one(self, card: Checkpoint) -> list[dict[str, Any]]:
        known = self.plan.known(card)
        # What is left is decided by one process: the others must collect the same.
        left = [str(metric) for metric in self.plan.metrics if metric not in known]
        names = json.loads(self.group.send_bytes(json.dumps(left).encode()))
        if names:
            self.reporter.stage(card.name)
            G_ema = checkpoints.load_generator(card.path, device=self.group.device)
            found = evaluate_all(
                names, G_ema, self.plan.dataset, seed=self.config.seed, mirror=self.config.mirror,
                cache_dir=cache_dir(), work_dir=self.work_dir, group=self.group, snapshot=card.path.name,
                digest=card.digest, reporter=self.reporter, should_stop=self.reporter.should_stop,
            )  # fmt: skip
            for metric, record in zip([m for m in self.plan.metrics if str(m) in names], found, strict=False):
                known[metric] = record | self._about(card)
                self._keep(known[metric], card.name)
            if self.config.card and self.group.is_first:
                self._write_card(card, [known[metric] for metric in self.plan.metrics])
        return [known[metric] for metric in self.plan.metrics if metric in known]

    def _about(self, card: Checkpoint) -> dict[str, Any]:
        about = {"network": str(card.path), "title": card.title, "kimg": card.kimg}
        return about | {"data_path": str(self.config.data)}

    def _keep(self, record: Mapping[str, Any], what: str) -> None:
        figures = ", ".join(f"{name} {value:.5g}" for name, value in record["results"].items())
        self.reporter.log(f"{what}: {figures}")
        if "warning" in record:
            self.reporter.log(f"warning: {record['warning']}")
        if self.config.outdir is not None:
            self.reporter.artefact(append_record(self.config.outdir, record))

    def _write_card(self, card: Checkpoint, records: Sequence[Mapping[str, Any]]) -> None:
        if card.path in [path.resolve() for path in extractors.bundled_models()]:
            self.reporter.log(f"the card of {card.name}, which belongs to the program, stays as it is")
            return
        results = {name: value for record in records for name, value in record["results"].items()}
        try:
            checkpoints.change_card(card.path, metrics=results)
        except CheckpointError as error:
            self.reporter.log(f"the card of {card.name} stays as it is: {error.message}")

    def _baselines(self) -> list[dict[str, Any]]:
        known = self.plan.known(None)
        left = [metric for metric in self.plan.metrics if metric.row.needs_reals and metric not in known]
        if left:
            self.reporter.stage("real against real")
            found = measure_baseline(
                left, self.plan.dataset, device=self.group.device, work_dir=self.work_dir, reporter=self.reporter,
                should_stop=self.reporter.should_stop,
            )  # fmt: skip
            for metric, record in zip(left, found, strict=True):
                known[metric] = record | {"title": "real against real", "data_path": str(self.config.data)}
                append_record(cache_dir(), known[metric])
        for record in known.values():
            if not self.plan.is_written(record):
                self._keep(record, "real against real")
        return [known[metric] for metric in self.plan.metrics if metric in known]


class _Overall(OnlyStops):
    """Tells of all models' pictures as one number, whichever part they belong to."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        super().__init__(reporter)
        self._inner, self._total = reporter, total
        self._finished, self._part, self._of = 0.0, 0.0, ("", 0.0)
        self._title = ""

    def stage(self, title: str) -> None:
        """Begin with another model."""
        self._title = title
        self._end_part()

    def progress(self, done: float, total: float, message: str = "") -> None:
        if (message, total) != self._of or done < self._part:
            self._end_part()
        self._part, self._of = done, (message, total)
        far = min(self._finished + done, self._total)
        words = f"{done:g} of {total:g} {message}" if done < total else "computing the figures"
        self._inner.progress(far, self._total, f"{self._title}: {words}")

    def finish(self) -> None:
        """All is done."""
        self._inner.progress(max(self._total, 1), max(self._total, 1), "measured")

    def log(self, text: str) -> None:
        self._inner.log(text)

    def artefact(self, path: Path) -> None:
        self._inner.artefact(path)

    def _end_part(self) -> None:
        self._finished += self._of[1]
        self._part, self._of = 0.0, ("", 0.0)
