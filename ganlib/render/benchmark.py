"""How fast a generator runs here, and what share of the machine's convolution speed that is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from ganlib.base.errors import InputError
from ganlib.compute.device import memory_report, out_of_memory_hint
from ganlib.render.renderer import Renderer

# (channels, side) of the 3x3 convolutions tried for the peak: from many channels on small maps to few on large ones.
PEAK_SHAPES = ((512, 16), (512, 32), (256, 64), (128, 128), (64, 256))


@dataclass(frozen=True)
class Speed:
    """One line of the table."""

    batch: int
    images_per_second: float


@dataclass(frozen=True)
class Benchmark:
    """Everything that one measurement says."""

    device: str
    """The device's name and memory."""
    dtype: str
    """Number format of the peak measurement, and of most of the network."""
    gflop_per_image: float
    """Arithmetic of one picture as this code does it, 10^9 operations; a multiplication with addition counts two."""
    peak_gflops: float
    """Fastest of several plain 3x3 convolutions, 10^9 operations per second."""
    rows: tuple[Speed, ...]
    """One per batch size."""


def measure(renderer: Renderer, *, batches: Sequence[int] = (1, 4, 16), seconds: float = 3.0) -> Benchmark:
    """Time `renderer`'s synthesis (w_plus → image tensor, noise const) for each batch size, `seconds` each.

    The speed is that of the fastest call, so that other work on the machine disturbs it little. Raises InputError for
    a batch below 1 or a time that is not positive, DeviceError when memory runs out.
    """
    if not batches or min(batches) < 1:
        raise InputError("a batch size is below 1", "give sizes like 1,4,16")
    if not math.isfinite(seconds) or seconds <= 0:
        raise InputError(f"cannot measure for {seconds} seconds", "give a number above 0")
    generator, spec, device = renderer.generator, renderer.spec, renderer.device
    half = device.type == "cuda" and int(spec.params.get("num_fp16_res", 0)) > 0
    mode = spec.noise_modes[0]

    def synthesis(batch: int) -> Callable[[], object]:
        w_plus = renderer.w_avg.repeat(batch, spec.num_ws, 1)
        return lambda: generator.synthesis(w_plus, noise_mode=mode)

    with torch.no_grad(), out_of_memory_hint("give smaller batch sizes with --batches"):
        with FlopCounterMode(display=False) as counter:
            synthesis(1)()
        rows = tuple(Speed(n, n / fastest_seconds(synthesis(n), device, seconds)) for n in batches)
        peak = convolution_peak(device, torch.float16 if half else torch.float32, seconds)
    return Benchmark(
        device=memory_report(device),
        dtype="float16" if half else "float32",
        gflop_per_image=counter.get_total_flops() / 1e9,
        peak_gflops=peak,
        rows=rows,
    )


def convolution_peak(device: torch.device, dtype: torch.dtype = torch.float32, seconds: float = 3.0) -> float:
    """The fastest plain 3x3 convolution of several shapes and both memory layouts, in GFLOP/s, within `seconds`."""
    best = 0.0
    for channels, side in PEAK_SHAPES:
        for layout in (torch.contiguous_format, torch.channels_last):
            batch = 1 if device.type == "cpu" else 16
            x = torch.randn(batch, channels, side, side, device=device, dtype=dtype).to(memory_format=layout)
            w = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype).to(memory_format=layout)
            share = seconds / (2 * len(PEAK_SHAPES))
            elapsed = fastest_seconds(partial(F.conv2d, x, w, padding=1), device, share)
            best = max(best, 2 * 9 * batch * channels**2 * side**2 / elapsed / 1e9)
    return best


def fastest_seconds(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Duration of the fastest of the calls made within `seconds`, two at least, after one that is not counted."""
    best, num_calls = math.inf, 0
    work()
    _synchronize(device)
    end = time.perf_counter() + seconds
    while num_calls < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        _synchronize(device)
        best, num_calls = min(best, time.perf_counter() - start), num_calls + 1
    return best


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
