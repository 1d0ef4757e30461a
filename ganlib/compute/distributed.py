"""One process or many: the few exchanges that training and measuring need, which do nothing in a single process.

Under `torchrun` every process trains the same networks on its share of each batch: of a batch of B pictures, process r
of W takes pictures r, r + W, r + 2W, … (the minibatch statistic's groups then hold the same pictures as in one
process), and gradients are averaged before each step of Adam. Metrics share the pictures out likewise, in blocks.
Process 0 writes the files that others read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from ganlib.base.errors import InputError
from ganlib.compute.device import choose_device

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Processes:
    """This process's place among those that work together."""

    rank: int = 0
    """Number of this process; 0 writes the files."""
    world: int = 1
    """Number of processes."""
    device: torch.device = CPU
    """Where this process computes."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and speaks."""
        return self.rank == 0

    def share(self, values: Tensor) -> Tensor:
        """Return this process's rows of values `[B, …]` that all processes drew alike."""
        return values[self.rank :: self.world]

    def sum_(self, values: Tensor) -> None:
        """Add up a tensor over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(values)

    def mean_(self, tensors: Sequence[Tensor]) -> None:
        """Average tensors of one dtype over all processes, in place and in one exchange."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= self.world
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.reshape(tensor.shape))

    def send_bytes(self, data: bytes) -> bytes:
        """Return process 0's `data` in every process."""
        if self.world == 1:
            return data
        count = torch.tensor([len(data)], device=self.device)
        dist.broadcast(count, 0)
        buffer = torch.zeros(int(count), dtype=torch.uint8, device=self.device)
        if self.is_first and data:
            buffer.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        dist.broadcast(buffer, 0)
        return buffer.cpu().numpy().tobytes()

    def agree(self, flag: bool) -> bool:
        """Return process 0's flag in every process."""
        if self.world == 1:
            return flag
        value = torch.tensor([float(flag)], device=self.device)
        dist.broadcast(value, 0)
        return bool(value.item())


def is_many() -> bool:
    """Return whether `torchrun` started this process together with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Return whether this process is the one that writes files, before any process group exists."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the processes that `torchrun` started, over NCCL between CUDA devices and gloo elsewhere; alone otherwise.

    device: `auto`, `cpu`, `cuda` (each process takes the GPU of its local rank) or `mps`. Raises `DeviceError`."""
    if not is_many():
        yield Processes(device=choose_device(device))
        return
    where = choose_device(device)
    if where.type == "mps":
        raise InputError("several processes cannot share one Apple GPU", "run without torchrun, or with --device cpu")
    if where.type == "cuda":
        where = choose_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
        torch.cuda.set_device(where)
    owned = not dist.is_initialized()
    if owned:
        dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), where)
    finally:
        if owned:
            dist.destroy_process_group()
