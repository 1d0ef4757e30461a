"""Everything that a training run is told. The command line and the page's form are made from this dataclass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ganlib.errors import InputError


def _option(default: Any, help: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": help, **metadata})


@dataclass(frozen=True)
class TrainConfig:
    """Options of one run. Cross-field rules live in `validate`; each field's meaning stands in its metadata `help`."""

    data: str = _option("", "data set: a zip or folder made by `prepare`")
    kimg: float = _option(1000.0, "length of the run in thousands of real pictures shown")
    batch: int = _option(16, "pictures per step")
    snap: float = _option(10.0, "kimg between snapshots")
    tick: float = _option(1.0, "kimg between lines of statistics")
    gamma: float | None = _option(None, "R1 weight; default 0.0002 · resolution² / batch")
    mirror: bool = _option(False, "also show every picture mirrored left to right")
    cond: bool = _option(False, "train with the data set's class labels")
    cbase: int = _option(16384, "channel_base: feature maps at resolution r = cbase / r")
    cmax: int = _option(512, "channel_max: most feature maps at any resolution")
    z_dim: int = _option(512, "length of z")
    w_dim: int = _option(512, "length of w")
    map_depth: int = _option(2, "layers of the mapping network")
    glr: float = _option(0.0025, "learning rate of the generator (Adam)")
    dlr: float = _option(0.0025, "learning rate of the discriminator (Adam)")
    style_mix: float = _option(0.9, "probability of mixing two styles in a picture")
    pl_weight: float = _option(2.0, "weight of the path-length penalty; 0 turns it off")
    ema_kimg: float | None = _option(None, "half-life of the moving-average weights in kimg; default batch · 10 / 32")
    ema_rampup: float | None = _option(0.05, "the half-life is at most this share of the kimg so far")
    resume: str | None = _option(None, "a run directory or training-state file to continue, or a model to start from")
    subset: int | None = _option(None, "use only this many pictures, chosen by the seed")
    seed: int = _option(0, "all randomness of the run flows from it")
    device: str = _option("auto", "auto, cuda, mps or cpu")
    title: str = _option("", "name of the model for people")
    licence: str = _option("", "licence of the weights, written into every snapshot")
    save_state: bool = _option(True, "keep the optimisers' state for exact resume beside the snapshots")

    def validate(self) -> TrainConfig:
        """Return self, or raise `InputError` that names the option and its legal values."""
        if not self.data:
            raise InputError("no data set given", "name one with --data F.zip; make it with `python -m ganlib prepare`")
        positive = ("kimg", "snap", "tick", "glr", "dlr")
        for name in (*positive, "gamma", "style_mix", "pl_weight", "ema_kimg", "ema_rampup"):
            value = getattr(self, name)
            if value is None:
                continue
            low_ok = value > 0 if name in positive else value >= 0
            if not math.isfinite(value) or not low_ok:
                raise InputError(f"{name} = {value} is not possible", "use a finite number above 0")
        if self.style_mix > 1:
            raise InputError(f"style_mix = {self.style_mix} is no probability", "use a number from 0 to 1")
        for name, low, high in (
            ("batch", 1, 4096), ("cbase", 64, 2**18), ("cmax", 4, 4096), ("z_dim", 4, 4096), ("w_dim", 4, 4096),
            ("map_depth", 1, 32), ("seed", 0, 2**31 - 1),
        ):  # fmt: skip
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise InputError(f"{name} = {value!r} is not possible", f"use a whole number from {low} to {high}")
        if self.subset is not None and self.subset < 1:
            raise InputError(f"subset = {self.subset} leaves no picture", "use 1 or more")
        return self

    def r1_gamma(self, resolution: int) -> float:
        """Return the R1 weight: given, or the heuristic 0.0002 · resolution² / batch."""
        return self.gamma if self.gamma is not None else 0.0002 * resolution**2 / self.batch

    def ema_nimg(self) -> float:
        """Return the moving average's half-life in pictures."""
        return 1000.0 * (self.ema_kimg if self.ema_kimg is not None else self.batch * 10 / 32)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Build from JSON data; raises `InputError` on unknown options, then as `validate`."""
        unknown = set(values) - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise InputError(
                f"unknown training options: {', '.join(sorted(unknown))}", "see `python -m ganlib train --help`"
            )
        try:
            return cls(**values).validate()
        except TypeError as error:
            raise InputError(
                f"a training option has the wrong type: {error}", "see `python -m ganlib train --help`"
            ) from error
