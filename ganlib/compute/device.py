"""Devices and memory: choose where to compute, keep freed memory, turn "out of memory" into advice.

PyTorch is imported inside the functions, so that a process can tune its allocator and print its help before
paying for that import.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganlib.base.errors import DeviceError

if TYPE_CHECKING:
    import torch

DEVICE_NAMES = ("auto", "cpu", "cuda", "cuda:N", "mps")
ALLOCATOR_SWITCH = "GANLIB_MALLOPT"

# Parameter numbers of <malloc.h>; they are part of the ABI of the GNU C library.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_MMAP_THRESHOLD_BYTES = 1 << 30
_TRIM_THRESHOLD_BYTES = (1 << 31) - 1  # mallopt takes a C int; this is the largest one, 2 GiB less a byte

_OUT_OF_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory|CUBLAS_STATUS_ALLOC_FAILED", re.I)


def available_devices() -> list[str]:
    """Names that `choose_device` accepts on this machine, fastest first: `cuda:0`, `mps`, `cpu`."""
    import torch

    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 by instructions of its own (AVX512_BF16 or AMX)."""
    import torch

    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`: `auto` (CUDA, else Apple MPS, else CPU), `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises `DeviceError` for an unknown name and for a device that this machine or this build of PyTorch lacks;
    the hint lists what is available.
    """
    import torch

    available = available_devices()
    wanted = name.strip().lower()
    if wanted == "auto":
        return torch.device(available[0])
    full = "cuda:0" if wanted == "cuda" else wanted
    if full not in available:
        known = re.fullmatch(r"cpu|mps|cuda:\d+", full)
        problem = "is not available here" if known else f"is not a device name (one of {', '.join(DEVICE_NAMES)})"
        raise DeviceError(f"device '{name}' {problem}", f"available here: auto, {', '.join(available)}")
    return torch.device(full)


def tune_allocator() -> bool:
    """Ask the GNU C library to keep freed tensors instead of returning them to the system; True if it agreed.

    Every activation above 32 MiB is otherwise mapped and unmapped by the kernel, smaller ones are often trimmed away,
    and writing to fresh memory costs a page fault per 4 KiB. Measured on a 2-core CPU (glibc 2.36, torch 2.13, one
    thread): a 3x3 convolution, leaky ReLU and gain on 32 MiB tensors takes 0.11 s and no page fault with this,
    against 0.22 s and 41,000 page faults without.

    Sets, through `mallopt`, `M_MMAP_THRESHOLD` to 1 GiB, `M_TRIM_THRESHOLD` to 2 GiB and `M_ARENA_MAX` to 1. Versions
    of glibc that refuse a threshold above 32 MiB get `M_MMAP_MAX` = 0 in its place. One arena matters to worker
    threads: a thread's own arena is made of 64 MiB heaps and sends anything larger back to the kernel. Threads that
    already have an arena keep it, so call this once, first thing in the process; a server whose threads are started
    by others is better started with `MALLOC_ARENA_MAX=1` in its environment, as `make app` does.

    The price is that the process holds up to 2 GiB that it no longer uses. `GANLIB_MALLOPT=0` switches it off. Does
    nothing where the C library is not glibc.
    """
    if os.environ.get(ALLOCATOR_SWITCH, "1") == "0" or not _has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    mallopt.restype = ctypes.c_int
    kept = mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES) == 1 or mallopt(_M_MMAP_MAX, 0) == 1
    untrimmed = mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES) == 1
    mallopt(_M_ARENA_MAX, 1)
    return kept and untrimmed


def give_back() -> None:
    """Return freed memory to the system, which `tune_allocator` otherwise keeps; nothing where the C library is not
    glibc."""
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


class Room:
    """Bounds what the threads of a process hold at a time, together, and gives back the memory of what was large.

    Whoever comes first is let in first. A thread that is inside is inside whatever else it asks for."""

    def __init__(self, size: int, large: int) -> None:
        """`size` in any unit; of `large` or more, memory is given back at the end."""
        self._size, self._large, self._taken = size, large, 0
        self._line, self._left = threading.Lock(), threading.Condition()
        self._mine = threading.local()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Hold `amount` inside this block, and wait for it before; what is larger than the room takes it all."""
        if getattr(self._mine, "is_inside", False):
            yield
            return
        held = min(amount, self._size)
        with self._line, self._left:
            self._left.wait_for(lambda: self._taken + held <= self._size)
            self._taken += held
        self._mine.is_inside = True
        try:
            yield
        finally:
            if held >= self._large:
                give_back()
            self._mine.is_inside = False
            with self._left:
                self._taken -= held
                self._left.notify_all()


def memory_report(device: torch.device | str = "cpu") -> str:
    """One line for a person: the device's name and its free and total memory in GiB."""
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return f"{torch.cuda.get_device_name(device)}: {_gib(free)} of {_gib(total)} GiB free"
    if device.type == "mps":
        used, total = torch.mps.current_allocated_memory(), torch.mps.recommended_max_memory()
        return f"Apple GPU: {_gib(total - used)} of {_gib(total)} GiB free"
    threads = torch.get_num_threads()
    free_bytes, total_bytes = _system_memory_bytes()
    if total_bytes == 0:
        return f"CPU, {threads} threads"
    return f"CPU, {threads} threads: {_gib(free_bytes)} of {_gib(total_bytes)} GiB free"


def processor_name(device: torch.device | str = "cpu") -> str:
    """What computes there, for a model's card: `NVIDIA H200`, `AMD EPYC, 1 threads`, or `CPU, 1 threads`."""
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    name = "CPU"
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except (OSError, ValueError):  # not Linux
        pass
    return f"{name}, {torch.get_num_threads()} threads"


def free_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes of memory that can be had on a device; 0 where the system does not tell.

    On Linux what the system holds for files and would give up counts as free."""
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):  # not Linux
        return _system_memory_bytes()[0]


def crowding() -> float:
    """Return how many times longer work on the processors takes beside what else they had to do in the last minute,
    from 1; 1 too where the system does not tell."""
    try:
        others = os.getloadavg()[0]
    except (AttributeError, OSError):
        return 1.0
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1.0, (others + torch.get_num_threads()) / cores)


@contextmanager
def out_of_memory_hint(hint: str) -> Iterator[None]:
    """Inside this block, running out of memory on any device raises `DeviceError` with `hint`.

    `hint` says what to make smaller, for example "use a smaller --batch". Other errors pass unchanged.
    """
    try:
        yield
    except MemoryError as error:
        raise DeviceError("out of memory", hint) from error
    except RuntimeError as error:  # torch.OutOfMemoryError and the CPU allocator's own are both RuntimeErrors
        if not _OUT_OF_MEMORY.search(str(error)):
            raise
        raise DeviceError(f"out of memory: {str(error).strip().splitlines()[0][:300]}", hint) from error


def _has_glibc() -> bool:
    if sys.platform != "linux":
        return False
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (ValueError, OSError):  # musl and other C libraries do not know the name
        return False


def _system_memory_bytes() -> tuple[int, int]:
    """(available, total) main memory in bytes; (0, 0) where the system does not tell."""
    try:
        page, total = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
        available = os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0, 0
    return available * page, total * page


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:.1f}"
