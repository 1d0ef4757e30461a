"""Options of a measurement: one dataclass for the command line, the page and the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ganlib.errors import InputError
from ganlib.metrics.names import parse_metrics
from ganlib.options import check_types


@dataclass(frozen=True)
class MetricsConfig:
    """Options of one measurement of one or several models."""

    network: tuple[Path, ...]
    """model files, names in checkpoints/, or run directories with snapshots"""
    data: Path
    """the set of real pictures to compare with"""
    metrics: str = "kid1k,pr1k"
    """fid, kid, pr, is or ppl and a number of pictures; `_full` compares with every real one"""
    outdir: Path | None = None
    """append to metric-NAME.jsonl there; killed, the same command goes on; none only prints"""
    features: str = "auto"
    """what looks at the pictures: auto, inception, squeezenet, efficientnet or embedded"""
    mirror: bool = False
    """the model was trained with mirrored pictures too"""
    real_floor: bool = False
    """also measure real pictures against other real ones"""
    seed: int = 0
    """of the generated pictures"""
    card: bool = True
    """write the figures into the card of each model file too"""
    fetch: bool = False
    """first fetch the weights of Inception-v3 where they are not here (96 MB, once)"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps"""

    def validate(self) -> MetricsConfig:
        """Return self, or raise `InputError` that names the option and its legal values."""
        if not self.network:
            raise InputError("no model is named", "give --network a model or a run's directory")
        if not parse_metrics(self.metrics):
            raise InputError("no metric to measure", "name one, such as --metrics kid1k")
        if not 0 <= self.seed < 2**31:
            raise InputError(f"--seed {self.seed} is not between 0 and {2**31 - 1}", "give 0 or more")
        return self

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MetricsConfig:
        """Return the options in JSON data. Raises `InputError` for wrong names, types or values."""
        return cls(**check_types(cls, values)).validate()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` restores it."""
        outdir = None if self.outdir is None else str(self.outdir)
        return asdict(self) | {"network": [str(p) for p in self.network], "data": str(self.data), "outdir": outdir}
