"""The training loop, read top to bottom: set-up, steps, statistics, snapshots."""

from __future__ import annotations

import io
import math
import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlib import metrics, runs
from ganlib.base.errors import DeviceError, RunError
from ganlib.compute.device import memory_report, processor_name
from ganlib.compute.distributed import Processes, processes
from ganlib.compute.torch_files import load_torch
from ganlib.models import checkpoints
from ganlib.runs import Reporter, RunDir, SilentReporter
from ganlib.training.augment.ada_control import P_HIGH
from ganlib.training.config import TrainConfig
from ganlib.training.data_loader import DataLoader, Prefetcher
from ganlib.training.losses import LOSSES
from ganlib.training.phases import Phase, Schedule
from ganlib.training.resume import load_exact, load_weights
from ganlib.training.setup import Plan, plan
from ganlib.training.state import STATE_NAME, Networks, save_state
from ganlib.training.steps import Steps, Unfinished, update_ema
from ganlib.training.watch.doctor import FEW_PICTURES
from ganlib.training.watch.sheets import Samples, pick_reals
from ganlib.training.watch.statistics import Averages, Clock, Events, memory, one, tick_line, variety

VARIETY_SAMPLES = 32  # pictures whose differences are measured at each tick
HELD_OUT_SAMPLES = 64
STOP_INTERVAL = 8  # steps between two looks at a stop request, where processes have to agree about it


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Execute a job of verb `train`."""
    train(TrainConfig.from_dict(config), run_dir, reporter)


def train(config: TrainConfig, run_dir: Path | None, reporter: Reporter) -> Path | None:
    """Train and return the path of the last snapshot, or None in all processes but the first.

    Writes into `run_dir`: `training_options.json`, `reals.png`, `fakes_init.png`, `fakesKKKKKK.png`,
    `network-snapshot-KKKKKK.safetensors`, `metric-NAME.jsonl`, `training-state-latest.pt`, and the reporter's
    `stats.jsonl` and `log.txt`. A directory that already holds a training state is continued from it. On a stop request
    it saves and returns. Under `torchrun` all processes call this with the same configuration; the first one
    writes, and the others may have None for `run_dir`.
    Raises `GanlibError` children for bad options, data or files, and `RunError` when the losses are no longer finite.
    """
    with processes(config.device) as group:
        reporter = reporter if group.is_first else SilentReporter()
        planned = plan(config, run_dir, world=group.world)
        try:
            return _Training(planned, run_dir or Path(), reporter, group).run()
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"out of memory: {str(error).splitlines()[0][:300]}", "use a smaller --batch, --cbase or --cmax"
            ) from error


class _Training:
    """One run while it lasts."""

    def __init__(self, planned: Plan, run_dir: Path, reporter: Reporter, group: Processes) -> None:
        self.run_dir, self.reporter, self.group = run_dir, reporter, group
        self.config, self.spec, self.schedule = planned.config, planned.spec, planned.schedule
        self.plan = planned
        torch.manual_seed(self.config.seed)
        self.nets = Networks(self.spec, self.config, group.device, planned.judge)
        self.reals = DataLoader(planned.dataset, self.config, self.spec, group.device)
        say, should_stop = self.reporter.log, self.reporter.should_stop
        self.steps = Steps(self.nets, self.spec, self.config, self.reals, group, say, should_stop)
        self.unfinished: Unfinished | None = None
        self.images_seen, self.step, self.seconds = planned.images_seen, 0, 0.0
        self.last_snapshot: Path | None = None
        self.warned_of_p = False

    # ---- The run ---------------------------------------------------------------------------------------------------

    def run(self) -> Path | None:
        """Train to the end, or until a stop is asked for. Long, because it is read top to bottom."""
        config, nets, group = self.config, self.nets, self.group
        begin = self._start()
        total = int(config.kimg * 1000)
        snapshot = self.run_dir / f"network-snapshot-{self.images_seen // 1000:06d}.safetensors"
        clock = Clock(self.seconds)
        self.last_snapshot = snapshot if snapshot.exists() else None
        if group.is_first:
            self._open_directory(begin)
            if self.last_snapshot is None and self.plan.start.path == self.run_dir / STATE_NAME:
                self._snapshot("", measure=True, seconds=clock.total())  # ended between the state and its snapshot
        if self.images_seen >= total:
            self.reporter.log(f"nothing left to do: the run has its {config.kimg:g} kimg")
            return self.last_snapshot
        events = Events(self.run_dir) if group.is_first else None
        tick_images = snap_images = self.images_seen
        batches = Prefetcher(self._make_batch, _positions(self.schedule, self.images_seen), workers=config.workers)
        stopping = group.world == 1 and self.reporter.should_stop()
        try:
            while self.images_seen < total and not stopping:
                # One step.
                phase = self.schedule.at(self.images_seen)
                waited = time.perf_counter()
                real, label = batches.take()
                clock.waiting += time.perf_counter() - waited
                self._make_step(phase, real, label)
                if self.unfinished is None:
                    self.images_seen += phase.batch
                    self.step += 1
                    update_ema(nets, self.images_seen, phase.batch, config)
                    kimg = self.images_seen / 1000
                    self.reporter.progress(kimg, config.kimg, f"{kimg:.1f} of {config.kimg:g} kimg")
                if group.world == 1 or self.step % STOP_INTERVAL == 0:
                    stopping = group.agree(self.reporter.should_stop())

                # Statistics.
                done = self.images_seen >= total or stopping
                snap = done or self.images_seen - snap_images >= config.snap * 1000
                num_images = self.images_seen - tick_images
                if num_images and (snap or num_images >= config.tick * 1000):
                    self._tick(clock, phase, num_images, events)
                    tick_images = self.images_seen

                # Snapshots.
                ended = self.unfinished is None and phase.end is not None and self.images_seen >= phase.end
                if group.is_first and (snap or ended):
                    started = time.perf_counter()
                    if ended:
                        nets.grow(phase.stage, 1.0)
                    self._snapshot(phase.name if ended else "", measure=snap, seconds=clock.total())
                    clock.maintenance += time.perf_counter() - started
                if snap:
                    snap_images = self.images_seen
        finally:
            batches.close()
            if events is not None:
                events.close()
        return self.last_snapshot

    # ---- Set-up ----------------------------------------------------------------------------------------------------

    def _start(self) -> list[str]:
        """Bring the networks to where the run starts, alike in all processes; return words for the log."""
        start, words = self.plan.start, []
        if start.is_exact and self.group.is_first:
            self.images_seen, self.step, self.seconds, self.unfinished, changes = load_exact(
                start, self.nets, self.config
            )
            words = [f"resumed exactly from {start.path} at {self.images_seen / 1000:.1f} kimg", *changes]
        elif start.path is not None and self.group.is_first:
            words = [f"started from the weights of {start.path}; optimisers are fresh"]
            words += load_weights(start, self.nets)
        if self.group.world > 1:
            self._share_start()
        return words

    def _share_start(self) -> None:
        """Give every process the first one's networks and counters: the others may not see its files."""
        buffer = io.BytesIO()
        unfinished = None if self.unfinished is None else self.unfinished.to_dict()
        counters = {
            "images_seen": self.images_seen, "step": self.step, "seconds": self.seconds, "unfinished": unfinished,
        }  # fmt: skip
        if self.group.is_first:
            torch.save({"networks": self.nets.state_dict(), **counters}, buffer)
        data = self.group.send_bytes(buffer.getvalue())
        state = load_torch(data)
        self.nets.load_state_dict(state["networks"])
        self.images_seen, self.step, self.seconds = state["images_seen"], state["step"], state["seconds"]
        self.unfinished = Unfinished.from_dict(state["unfinished"])

    def _open_directory(self, begin: list[str]) -> None:
        """Write what stands in a run directory from the start, and say what is going to happen."""
        config, spec, reals = self.config, self.spec, self.reals
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.samples = Samples(spec, self.group.device)
        runs.write_json(self.run_dir / "training_options.json", self._options())
        beside = pick_reals(reals, len(self.samples.z), config.seed)
        self.real_variety = max(variety(beside), 1e-6)
        if not (self.run_dir / "reals.png").exists() and (sheet := self._render()) is not None:
            self.samples.save(self.run_dir / "fakes_init.png", sheet)
            self.samples.save(self.run_dir / "reals.png", beside)
        for line in begin:
            self.reporter.log(line)
        count = len(reals.chosen)
        if config.subset is not None and config.subset > count:
            self.reporter.log(f"warning: the subset of {config.subset} is all there is: {count} pictures")
        if count < FEW_PICTURES:
            words = "1 picture is" if count == 1 else f"{count} pictures are"
            self.reporter.log(f"warning: {words} very few to learn from; `python -m ganlib doctor` says what helps")
        for words in self.plan.doubts:
            self.reporter.log(f"warning: {words}")
        millions = sum(p.numel() for p in self.nets.G.parameters()) / 1e6
        self.reporter.log(
            f"{len(reals.chosen)} pictures at {spec.resolution} px, label_dim {spec.label_dim}; {spec.arch}, "
            f"G {millions:.2f} M parameters; loss {config.loss}, gamma {self.nets.gamma:.4g}, aug {config.aug}; "
            f"batch {config.batch}; {self.group.world} × {memory_report(self.group.device)}; "
            f"from {self.images_seen / 1000:.1f} to {config.kimg:g} kimg"
        )

    def _options(self) -> dict[str, Any]:
        """Return the contents of `training_options.json`: the configuration, and the same under NVIDIA's names where
        their tools look for them."""
        config, spec = self.config, self.spec
        return {
            **config.to_dict(), "r1_gamma": self.nets.gamma, "spec": spec.to_dict(),
            "total_kimg": config.kimg, "batch_size": config.batch, "num_gpus": self.group.world,
            "random_seed": config.seed, "run_dir": str(self.run_dir),
            "image_snapshot_ticks": max(1, round(config.snap / config.tick)),
            "network_snapshot_ticks": max(1, round(config.snap / config.tick)),
            "training_set_kwargs": {
                "path": config.data, "resolution": spec.resolution, "use_labels": config.cond,
                "max_size": len(self.reals.chosen), "xflip": config.mirror,
            },
            "ada_target": config.target if self.nets.control is not None else None, "augment_p": self.nets.p,
        }  # fmt: skip

    # ---- Steps -----------------------------------------------------------------------------------------------------

    def _make_batch(self, position: int, count: int) -> tuple[Tensor, Tensor | None]:
        return self.reals.batch(position, count, self.group.rank, self.group.world)

    def _make_step(self, phase: Phase, real: Tensor, label: Tensor | None) -> None:
        device = self.group.device
        real = real.to(device, non_blocking=True)
        label = None if label is None else label.to(device, non_blocking=True)
        self.unfinished = self.steps.step(self.step, phase, real, label, self.unfinished)

    # ---- Statistics ------------------------------------------------------------------------------------------------

    def _tick(self, clock: Clock, phase: Phase, num_images: int, events: Events | None) -> None:
        """Write a record of statistics, and stop a run that has come to nothing."""
        record: dict[str, Any] = dict(self.steps.averages.flush(self.group))
        if not self.group.is_first:
            self._check_finite(record)
            return
        started = time.perf_counter()
        kimg = self.images_seen / 1000
        record["Progress/kimg"] = one(kimg)
        record["Progress/augment"] = one(self.nets.p)
        if self.schedule.num_stages > 1:
            record["Progress/resolution"], record["Progress/alpha"] = one(4 << phase.stage), one(phase.alpha)
        self._check_finite(record)
        if (some := self._render(VARIETY_SAMPLES)) is not None:
            record["Samples/diversity"] = one(variety(some) / self.real_variety)
        if some is not None and len(self.reals.held_out):
            record["Loss/scores/validation"] = self._held_out_scores()
        clock.maintenance += time.perf_counter() - started
        record |= clock.tick(num_images) | memory(self.group.device)
        self.reporter.stats(record)
        self.reporter.log(tick_line(record, has_zero=LOSSES[self.config.loss or "logistic"].has_zero))
        if events is not None:
            events.add(record, kimg)
        if self.nets.p > P_HIGH and not self.warned_of_p:
            self.warned_of_p = True
            self.reporter.log(
                f"warning: the augmentation strength p = {self.nets.p:.2f} is above {P_HIGH}: it may show in the "
                "pictures, and the set is probably too small; more pictures, or --mirror, help"
            )

    def _check_finite(self, record: Mapping[str, Any]) -> None:
        values = [record[name]["mean"] for name in ("Loss/G/loss", "Loss/D/loss") if name in record]
        if all(math.isfinite(value) for value in values):
            return
        kept = f"{self.last_snapshot} is whole; resume from it" if self.last_snapshot else "start again"
        raise RunError(
            f"the losses are no longer finite at {self.images_seen / 1000:g} kimg",
            f"{kept} with smaller --glr and --dlr, or a larger --gamma",
        )

    def _render(self, count: int | None = None) -> np.ndarray | None:
        """Return samples of G_ema; None where the run is to stop and they would take long."""
        return self.samples.render(self.nets.G_ema, count, self.reporter.should_stop)

    @torch.no_grad()
    def _held_out_scores(self) -> dict[str, float]:
        """Return what D says of pictures that it never trained on, augmentation aside."""
        real, label = self.reals.held_out_batch(HELD_OUT_SAMPLES)
        device = self.group.device
        averages = Averages()
        part = None if label is None else label.to(device)
        averages.add("scores", self.nets.D(self.nets.D.match_real(real.to(device)), part))
        return averages.flush()["scores"]

    # ---- Snapshots -------------------------------------------------------------------------------------------------

    def _snapshot(self, phase_name: str, *, measure: bool, seconds: float) -> None:
        """Write a snapshot with its sheet, the training state, and its metrics."""
        config, kimg = self.config, self.images_seen / 1000
        stem = f"{self.images_seen // 1000:06d}"
        if not measure:
            self._save_sheets(stem, phase_name)
            return
        path = self.run_dir / f"network-snapshot-{stem}.safetensors"
        card = self.plan.dataset.card
        credit = "; ".join(str(card[key]) for key in ("credit", "licence") if card.get(key))
        source = f"trained by Latent Atelier: {self.run_dir.name}"
        if self.plan.start.path is not None and not self.plan.start.is_exact:
            source += f", from {self.plan.start.path.name}"
        figures = {"augment_p": self.nets.p} if self.nets.augment is not None else {}
        # The state first: a run that ends between the two goes on from it, and writes what is missing.
        if config.save_state:
            growth = (self.schedule.fade_images, self.schedule.tune_images)
            save_state(
                self.run_dir / STATE_NAME, self.nets, images_seen=self.images_seen, step=self.step, seconds=seconds,
                config=config, growth=growth,
                unfinished=None if self.unfinished is None else self.unfinished.to_dict(),
            )  # fmt: skip
        checkpoints.save_snapshot(
            path, G_ema=self.nets.G_ema, D=self.nets.D, kimg=kimg, title=config.title or self.run_dir.name,
            source=source, licence=config.licence, data=credit, metrics=figures,
            classes=self.plan.dataset.class_names if self.spec.label_dim else (),
            training=self._how(seconds),
        )  # fmt: skip
        self.last_snapshot = path
        self.reporter.artefact(path)
        self._save_sheets(stem, *([phase_name] if phase_name else []), "")
        self._measure(path.name)

    def _save_sheets(self, stem: str, *phase_names: str) -> None:
        """Write the sheet of a snapshot, and of a phase that ended with it, unless a stop would wait for them."""
        if (sheet := self._render()) is not None:
            for name in phase_names:
                self.samples.save(self.run_dir / f"fakes{stem}{'-' if name else ''}{name}.png", sheet)

    def _how(self, seconds: float) -> dict[str, str | float]:
        """For the model's card: the command as it was given, the machine, and how long it took so far."""
        told: dict[str, str | float] = {"hardware": f"{self.group.world} × {processor_name(self.group.device)}"}
        told["seconds"] = round(seconds)
        if (self.run_dir / "job.json").exists() and (command := RunDir(self.run_dir).job["command"]):
            # Whoever gets the model need not learn where things lie on this machine.
            words = shlex.split(command)
            told["command"] = shlex.join(Path(word).name if Path(word).is_absolute() else word for word in words)
        return told

    def _measure(self, snapshot: str) -> None:
        """Measure the snapshot just written and write the figures beside it; a stop request comes first."""
        wanted = metrics.parse_metrics(self.config.metrics)
        if not wanted or self.reporter.should_stop():
            return
        self.reporter.log(f"measuring {', '.join(map(str, wanted))} of {snapshot}")
        try:
            records = metrics.evaluate_all(
                wanted, self.nets.G_ema, self.plan.dataset, mirror=self.config.mirror, snapshot=snapshot,
                cache_dir=self.run_dir / "cache", should_stop=self.reporter.should_stop,
            )  # fmt: skip
        except runs.Stopped:
            return
        for record in records:
            metrics.append_record(self.run_dir, record)
            figures = ", ".join(f"{name} {value:.5g}" for name, value in record["results"].items())
            self.reporter.log(f"{figures} at {self.images_seen / 1000:g} kimg")


def _positions(schedule: Schedule, start: int) -> Iterator[tuple[int, int]]:
    """Yield where each batch begins and how many pictures it has."""
    position = start
    while True:
        count = schedule.at(position).batch
        yield position, count
        position += count
