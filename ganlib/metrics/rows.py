"""Many rows of numbers, made in blocks by one process or several, kept in files that a killed process goes on from."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import torch

from ganlib.base.filesystem import open_regular
from ganlib.compute.distributed import Processes
from ganlib.runs import Stopped

BLOCK = 64  # rows made between two looks at a request to stop; block b is process b mod W's


def collect_rows(
    make: Callable[[int, int], np.ndarray],
    count: int,
    dim: int,
    *,
    name: str = "",
    folder: Path | None = None,
    group: Processes | None = None,
    progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> np.ndarray:
    """Return rows 0 … count − 1, float32 `[count, dim]`, of which `make(start, stop)` makes `[stop - start, dim]`.

    They lie in a file, so that memory does not grow with their number (4 · dim bytes each on the disk): in `folder`
    under `name`, which must tell all that they depend on but their count, or without a folder in one that goes with the
    process. What `folder` holds already is not made again. Of several processes (which share the folder) each makes its
    blocks, and all but the first return no rows. `progress` is told how many there are. Raises `Stopped`."""
    group = group or Processes()
    assert folder is not None or group.world == 1, "several processes need a folder in common"
    blocks = range(group.rank, math.ceil(count / BLOCK), group.world)
    with _open(folder, f"{name}-{group.rank}of{group.world}.rows") as file:
        have = _whole_blocks(file, blocks, count, dim)
        for number in range(math.ceil(math.ceil(count / BLOCK) / group.world)):
            if group.agree(should_stop is not None and should_stop()):
                raise Stopped
            if have <= number < len(blocks):
                start, stop = _bounds(blocks[number], count)
                rows = np.ascontiguousarray(make(start, stop), np.float32)
                assert rows.shape == (stop - start, dim), (rows.shape, stop - start, dim)
                file.write(rows.tobytes())
            if progress is not None:
                progress(min(count, (number + 1) * group.world * BLOCK))
        file.flush()
        arrived = torch.zeros(1, device=group.device)
        group.sum_(arrived)  # nobody goes on before all have written
        arrived.item()
        if not group.is_first:
            return np.zeros((0, dim), np.float32)
        if group.world == 1:
            return _mapped(file, count, dim)
    assert folder is not None
    return _joined(folder, name, count, dim, group.world)


def forget_rows(folder: Path, name: str = "") -> None:
    """Delete the rows of a name, or all in a folder."""
    for path in Path(folder).glob(f"{name}*.rows"):
        path.unlink(missing_ok=True)


def _open(folder: Path | None, name: str) -> IO[bytes]:
    if folder is None:
        return tempfile.TemporaryFile()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.touch()
    return path.open("r+b")


def _bounds(block: int, count: int) -> tuple[int, int]:
    return block * BLOCK, min(count, (block + 1) * BLOCK)


def _whole_blocks(file: IO[bytes], blocks: range, count: int, dim: int) -> int:
    """How many of the blocks the file holds; what is torn or too much at its end is cut off."""
    size, at, have = file.seek(0, 2), 0, 0
    for block in blocks:
        start, stop = _bounds(block, count)
        if at + (stop - start) * dim * 4 > size:
            break
        at += (stop - start) * dim * 4
        have += 1
    if have < len(blocks):  # else it may hold more than is asked for, which is kept
        file.truncate(at)
        file.seek(at)
    return have


def _mapped(file: IO[bytes], count: int, dim: int) -> np.ndarray:
    return np.memmap(file, np.float32, mode="c", shape=(count, dim))


def _joined(folder: Path, name: str, count: int, dim: int, world: int) -> np.ndarray:
    """The rows of all processes in their order, in a file of their own."""
    with _open(folder, f"{name}-joined.rows") as whole:
        whole.truncate(0)
        parts = [open_regular(folder / f"{name}-{rank}of{world}.rows") for rank in range(world)]
        try:
            for block in range(math.ceil(count / BLOCK)):
                start, stop = _bounds(block, count)
                whole.write(parts[block % world].read((stop - start) * dim * 4))
        finally:
            for part in parts:
                part.close()
        whole.flush()
        return _mapped(whole, count, dim)
