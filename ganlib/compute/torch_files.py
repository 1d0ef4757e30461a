"""Files of `torch.save`, read without running anything that they name."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

from ganlib.base.filesystem import open_regular

# What `load_torch` and `np.load` were seen to raise on damaged, foreign and hostile files.
UNREADABLE = (
    OSError, RuntimeError, LookupError, ValueError, TypeError, EOFError, AttributeError, ArithmeticError,
    AssertionError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


def load_torch(file: Path | bytes, *, max_bytes: int | None = None) -> Any:
    """Return what a file, or its bytes, holds: tensors in main memory and plain values. Raises one of `UNREADABLE`."""
    with io.BytesIO(file) if isinstance(file, bytes) else open_regular(file, max_bytes=max_bytes) as stream:
        return torch.load(stream, map_location="cpu", weights_only=True)
