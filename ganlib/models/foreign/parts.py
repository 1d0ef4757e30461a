"""What every reader delivers: tensors under NVIDIA's names, and the facts that tensors do not tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ganlib.base.errors import CheckpointError
from ganlib.models.foreign.pickles import UNKNOWN_HINT, Budget, damaged_error, short
from ganlib.models.foreign.values import Array, View, is_tensor
from ganlib.networks.base import MOST_TAPS

MOST_TENSORS = 5000
USUAL_TAPS = [1, 3, 3, 1]
LR_MULTIPLIER = 0.01
Tensors = dict[str, View | Array]


@dataclass
class Parts:
    """One model as its file describes it."""

    kind: str
    """The format, in words."""
    G: dict[str, Tensor]
    """The generator's tensors, float32, without its filters."""
    G_facts: dict[str, Any] = field(default_factory=dict)
    """Hyper-parameters of the spec that tensors do not tell."""
    D: dict[str, Tensor] | None = None
    """The discriminator's tensors; None where the file has none that this studio can use."""
    D_facts: dict[str, Any] = field(default_factory=dict)
    augment_p: float | None = None
    data: str = ""
    """What the file says of its training data."""
    notes: list[str] = field(default_factory=list)
    """What was left out or assumed, in words."""


def read_tensors(found: Mapping[str, View | Array], budget: Budget) -> dict[str, Tensor]:
    """Return float32 tensors by name; raises `CheckpointError` where they are more than the file has."""
    if len(found) > MOST_TENSORS:
        raise damaged_error(f"it has {len(found)} tensors, far more than a model needs")
    for name, value in found.items():
        if value.numel == 0:
            raise damaged_error(f"tensor {short(name)} has no numbers")
        budget.copy(4 * value.numel)
    try:
        return {name: value.tensor() for name, value in found.items()}
    except (RuntimeError, ValueError, TypeError) as error:
        raise damaged_error(f"a tensor in it cannot be read: {short(str(error))}") from error


def not_square(width: Any, height: Any) -> CheckpointError:
    """The error for a model of such pictures."""
    return CheckpointError(
        f"its pictures are not square: {short(str(width))} × {short(str(height))}", "choose a model of square pictures"
    )


def check_square(tensors: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` where the constant or the noise maps of a generator are those of other pictures."""
    maps = [t.shape[-2:] for name, t in tensors.items() if name.endswith(("const", "noise_const")) and t.ndim >= 2]
    height, width = max((tuple(shape) for shape in maps), default=(0, 0))
    if any(tall != wide for tall, wide in maps):
        raise not_square(width, height)


def only_tensors(table: Mapping[Any, Any]) -> Tensors:
    """Return the tensors of a flat mapping, such as a state dict."""
    return {key: value for key, value in table.items() if isinstance(key, str) and is_tensor(value)}


def taps_of(filters: list[Tensor]) -> dict[str, Any]:
    """Return `{"resample_filter": taps}` of a network's low-pass filters `[k, k]` or, long ones, `[k]`; nothing where
    it has none.

    Raises `CheckpointError` for filters that differ, or are no outer product of one row of taps."""
    found: dict[str, Any] = {}
    for number, matrix in enumerate(filters):
        shape = list(matrix.shape)
        if len(set(shape)) != 1 or len(shape) > 2 or shape[0] > MOST_TAPS:
            raise CheckpointError(
                f"its low-pass filter has the shape {shape}, not [k, k] with k up to {MOST_TAPS}", UNKNOWN_HINT
            )
        square = matrix.outer(matrix) if matrix.ndim == 1 else matrix
        normal = square / square.sum()
        row = normal.sum(dim=0)
        if number == 0:
            found, first = checked_taps(row.tolist()), row
        if row.shape != first.shape or not torch.allclose(normal, first.outer(first), atol=1e-6):
            raise CheckpointError("its low-pass filters differ or are not separable", UNKNOWN_HINT)
    return found


def checked_taps(taps: Any) -> dict[str, Any]:
    """Return `{"resample_filter": taps}` as specs write it, of sum 1; raises `CheckpointError` for what is no row of
    up to `MOST_TAPS` numbers with a sum."""
    numbers = [finite(tap) for tap in taps] if isinstance(taps, list | tuple) and len(taps) <= MOST_TAPS else []
    if not numbers or None in numbers or not abs(total := sum(tap for tap in numbers if tap)) > 1e-6:
        raise CheckpointError(f"its low-pass filter is no row of 1 to {MOST_TAPS} numbers", UNKNOWN_HINT)
    share = [(tap or 0.0) / total for tap in numbers]
    usual = [tap / sum(USUAL_TAPS) for tap in USUAL_TAPS]
    return {"resample_filter": list(USUAL_TAPS) if same_taps(share, usual) else share}


def same_taps(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two rows of taps are one filter, but for rounding and scale."""
    shares = [[tap / sum(row) for tap in row] for row in (one, other)]
    return len(one) == len(other) and all(abs(a - b) < 1e-6 for a, b in zip(*shares, strict=True))


def one_of(what: str, values: list[Any]) -> Any:
    """Return the value that all are; raises `CheckpointError` where they differ, None where there are none."""
    kinds = {repr(value) if isinstance(value, int | float | str | None) else "?" for value in values}
    if len(kinds) > 1 or "?" in kinds:
        raise CheckpointError(f"{what} differs between its layers", UNKNOWN_HINT)
    return values[0] if values else None


def finite(value: Any) -> float | None:
    """Return a number of the file as float; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9:
        return float(value)
    return None
