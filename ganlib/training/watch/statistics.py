"""What a run measures of itself: averages between two ticks, time, memory, and how varied its samples are."""

from __future__ import annotations

import importlib.util
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlib.compute.distributed import Processes
from ganlib.runs import format_seconds

THUMBNAIL = 16  # px; samples are compared at this side, where composition and colour count and grain does not


class Averages:
    """Running mean and standard deviation of named numbers between two ticks.

    Numbers stay on their device until `flush`, so that nothing waits for it in between."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Tensor]] = {}

    def add(self, name: str, values: Tensor) -> None:
        """Add all elements of a tensor."""
        v = values.detach().float()
        self._parts.setdefault(name, []).append(torch.stack([torch.ones_like(v).sum(), v.sum(), v.square().sum()]))

    def mark(self) -> dict[str, int]:
        """Return how much was added by now, for `return_to`."""
        return {name: len(parts) for name, parts in self._parts.items()}

    def return_to(self, mark: Mapping[str, int]) -> None:
        """Forget what was added since `mark`; nothing may have been flushed in between."""
        self._parts = {name: self._parts[name][:count] for name, count in mark.items()}

    def flush(self, processes: Processes | None = None) -> dict[str, dict[str, float]]:
        """Return `{name: {num, mean, std}}` over all processes, and start again."""
        names = sorted(self._parts)
        sums = [torch.stack(self._parts[name]).cpu().double().sum(dim=0) for name in names]
        self._parts.clear()
        if not names:
            return {}
        table = torch.stack(sums)
        if processes is not None and processes.world > 1:
            moved = table.float().to(processes.device)
            processes.sum_(moved)
            table = moved.cpu().double()
        out = {}
        for name, (num, total, square) in zip(names, table.tolist(), strict=True):
            mean = total / num
            out[name] = {"num": num, "mean": mean, "std": max(square / num - mean**2, 0.0) ** 0.5}
        return out


def one(value: float) -> dict[str, float]:
    """Return a number in the form of an average."""
    return {"num": 1, "mean": float(value), "std": 0}


def variety(pixels: np.ndarray) -> float:
    """Return the mean distance between two different pictures of uint8 `[N, H, W, C]`, as the root mean square of their
    difference at 16 px, in grey levels; 0 for fewer than two pictures."""
    if len(pixels) < 2:
        return 0.0
    step = max(1, pixels.shape[1] // THUMBNAIL)
    small = pixels[:, : pixels.shape[1] // step * step, : pixels.shape[2] // step * step].astype(np.float64)
    n, height, width, channels = small.shape
    small = small.reshape(n, height // step, step, width // step, step, channels).mean(axis=(2, 4)).reshape(n, -1)
    # The mean over pairs of |a − b|² is twice the total variance; its root is what two pictures differ by.
    variance = small.var(axis=0, ddof=1).mean()
    return float(np.sqrt(2 * variance))


class Clock:
    """Times of a run in seconds: of a tick, of what is no training in it, and of waiting for data."""

    def __init__(self, seconds_before: float = 0.0) -> None:
        self.start = time.perf_counter() - seconds_before
        self.tick_start = time.perf_counter()
        self.maintenance = self.waiting = 0.0
        self.num_ticks = 0

    def total(self) -> float:
        """Return the seconds of the run so far, earlier stretches included."""
        return time.perf_counter() - self.start

    def tick(self, num_images: int) -> dict[str, dict[str, float]]:
        """Return the times of the tick that ends now, in NVIDIA's names, and begin the next."""
        now = time.perf_counter()
        seconds = max(now - self.tick_start - self.maintenance, 1e-9)
        record = {
            "Timing/sec_per_tick": one(seconds),
            "Timing/sec_per_kimg": one(seconds / max(num_images, 1) * 1000),
            "Timing/data_wait_sec": one(self.waiting),
            "Timing/maintenance_sec": one(self.maintenance),
            "Timing/total_sec": one(self.total()),
            "Progress/tick": one(self.num_ticks),
        }
        self.num_ticks += 1
        self.tick_start, self.maintenance, self.waiting = now, 0.0, 0.0
        return record


def memory(device: torch.device) -> dict[str, dict[str, float]]:
    """Return the memory in use: the process's largest so far, and the device's since the last call, in GiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    record = {"Resources/cpu_mem_gb": one(used / 2**30)}
    if device.type == "cuda":
        record["Resources/peak_gpu_mem_gb"] = one(torch.cuda.max_memory_allocated(device) / 2**30)
        torch.cuda.reset_peak_memory_stats(device)
    return record


def tick_line(record: Mapping[str, Any], *, has_zero: bool = True) -> str:
    """Return the line that a person reads at each tick, laid out as NVIDIA's tools have it.

    has_zero: whether a verdict above 0 means real; where it does not, mean verdicts stand in the place of r_t."""

    def value(name: str) -> float:
        return record[name]["mean"] if name in record else 0.0

    parts = [
        f"tick {value('Progress/tick'):<5.0f}", f"kimg {value('Progress/kimg'):<8.1f}",
        f"time {format_seconds(value('Timing/total_sec')):<12s}", f"sec/tick {value('Timing/sec_per_tick'):<7.1f}",
        f"sec/kimg {value('Timing/sec_per_kimg'):<7.2f}", f"maintenance {value('Timing/maintenance_sec'):<6.1f}",
        f"cpumem {value('Resources/cpu_mem_gb'):<6.2f}", f"gpumem {value('Resources/peak_gpu_mem_gb'):<6.2f}",
        f"augment {value('Progress/augment'):.3f}", f"G {value('Loss/G/loss'):.3f}", f"D {value('Loss/D/loss'):.3f}",
    ]  # fmt: skip
    if has_zero:
        parts.append(f"r_t {value('Loss/signs/real'):.3f}")
    else:
        parts.append(f"D(real) {value('Loss/scores/real'):.3f} D(fake) {value('Loss/scores/fake'):.3f}")
    if "Progress/alpha" in record:
        parts.append(f"side {value('Progress/resolution'):.0f} alpha {value('Progress/alpha'):.2f}")
    return " ".join(parts)


class Events:
    """TensorBoard's event file beside the statistics, where the tensorboard package is installed."""

    def __init__(self, run_dir: Path) -> None:
        self._writer: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(run_dir))

    def add(self, record: Mapping[str, Any], kimg: float) -> None:
        """Write the means of a record."""
        if self._writer is None:
            return
        for name, value in record.items():
            self._writer.add_scalar(name, value["mean"], global_step=int(kimg * 1000))
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
