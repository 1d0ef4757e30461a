"""What a run will cost, from a few real steps of it: seconds per kimg, memory and hours."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ganlib import runs
from ganlib.base.errors import DeviceError
from ganlib.compute.device import choose_device, memory_report
from ganlib.compute.distributed import Processes
from ganlib.runs import Reporter, Stopped, format_seconds
from ganlib.training.config import TrainConfig
from ganlib.training.data_loader import DataLoader
from ganlib.training.setup import plan
from ganlib.training.state import PL_INTERVAL, Networks
from ganlib.training.steps import Steps
from ganlib.training.watch.statistics import memory

FILE_NAME = "estimate.json"
LONGEST_SECONDS = 60.0  # of measuring
PLAIN_STEPS = 3


@dataclass(frozen=True)
class Estimate:
    """What a run costs on this machine."""

    seconds_per_kimg: float
    """Time of training, snapshots and metrics not counted."""
    hours: float
    """Time of the whole run at that speed."""
    memory_gb: float
    """Largest memory in use, in GiB: the device's on CUDA, the process's elsewhere."""
    num_parameters: int
    """Weights of the generator."""
    device: str
    """Where it was measured, for people."""
    words: str
    """The same in a sentence."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return dataclasses.asdict(self)


def measure(config: TrainConfig, reporter: Reporter) -> Estimate:
    """Make a few steps of a run without writing anything, and return what the run will cost.

    Plain steps and steps with the lazy penalties are timed apart and weighed by how often they come; a growing network
    is measured at its full size. Raises `GanlibError` children as the run itself would, `Stopped` on request."""
    planned = plan(config)
    config, spec = planned.config, planned.spec
    group = Processes(device=choose_device(config.device))
    nets = Networks(spec, config, group.device, planned.judge)
    reals = DataLoader(planned.dataset, config, spec, group.device)
    steps = Steps(nets, spec, config, reals, group, reporter.log)
    phase = planned.schedule.at(10**15)
    real, label = (None if part is None else part.to(group.device) for part in reals.batch(0, phase.batch, 0, 1))
    assert real is not None

    def timed(number: int) -> float:
        if reporter.should_stop():
            raise Stopped
        start = time.perf_counter()
        steps.step(number, phase, real, label)
        if group.device.type == "cuda":
            torch.cuda.synchronize(group.device)
        return time.perf_counter() - start

    # Which steps do what: number 0 has both penalties, PL_INTERVAL the path length alone, 1 neither.
    begun = time.perf_counter()
    try:
        both = timed(0)
        reporter.progress(1, PLAIN_STEPS + 3, "measuring a step")
        plain = timed(1)
        for i in range(1, PLAIN_STEPS):
            if time.perf_counter() - begun > LONGEST_SECONDS:
                break
            plain = min(plain, timed(1))
            reporter.progress(1 + i, PLAIN_STEPS + 3, "measuring a step")
        if time.perf_counter() - begun < LONGEST_SECONDS:
            both = min(both, timed(0))
        path = plain
        if nets.uses_path_length:
            path = timed(PL_INTERVAL)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"one picture at a time does not fit into memory ({memory_report(group.device)})",
            "use smaller --cbase and --cmax, or pictures of a lower resolution",
        ) from error
    step = plain
    if nets.uses_path_length:
        step += max(path - plain, 0.0) / PL_INTERVAL
    if nets.r1_interval > 1:
        step += max(both - path, 0.0) / nets.r1_interval
    seconds = step / phase.batch * 1000
    left = max(config.kimg - planned.images_seen / 1000, 0.0)
    whole = format_seconds(seconds * left)
    used = memory(group.device)
    gigabytes = used.get("Resources/peak_gpu_mem_gb", used["Resources/cpu_mem_gb"])["mean"]
    fitting = "" if steps.micro_batch in (None, config.batch_gpu) else f", {steps.micro_batch} pictures at once"
    reporter.progress(PLAIN_STEPS + 3, PLAIN_STEPS + 3)
    return Estimate(
        seconds_per_kimg=seconds, hours=seconds * left / 3600, memory_gb=gigabytes,
        num_parameters=sum(p.numel() for p in nets.G.parameters()), device=memory_report(group.device),
        words=f"about {whole} for {left:g} kimg at {seconds:.3g} s a kimg, {gigabytes:.1f} GiB{fitting}",
    )  # fmt: skip


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Execute a job of verb `estimate`: writes `estimate.json`."""
    result = measure(TrainConfig.from_dict(config), reporter)
    runs.write_json(run_dir / FILE_NAME, result.to_dict())
    reporter.log(result.words)
    reporter.artefact(run_dir / FILE_NAME)
