"""Options of a measurement: one dataclass for the command line, the page and the job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ganlib.base.errors import InputError
from ganlib.base.options import Options, option
from ganlib.features.extractors import OPENERS
from ganlib.metrics.kinds import KINDS
from ganlib.metrics.names import parse_metrics


@dataclass(frozen=True)
class MetricsConfig(Options):
    """Options of one measurement of one or several models."""

    network: tuple[Path, ...] = option(
        help="model files, names in checkpoints/, or run directories: all of their snapshots",
        is_repeated=True,
        metavar="MODEL",
    )
    data: Path = option(help="the set of real pictures to compare with")
    metrics: str = option(
        "kid1k,pr1k",
        "kinds of metrics, each with a number of pictures; `_full` compares with every real one",
        made_of=KINDS,
    )
    outdir: Path | None = option(
        None, "append to metric-NAME.jsonl there; killed, the same command goes on; none only prints"
    )
    features: str = option("auto", "what looks at the pictures: auto or the name of a network", made_of=OPENERS)
    mirror: bool = option(False, "the model was trained with mirrored pictures too")
    real_floor: bool = option(False, "also measure real pictures against other real ones")
    seed: int = option(0, "of the generated pictures", low=0, high=2**31 - 1)
    card: bool = option(True, "write the figures into the card of each model file too")
    fetch: bool = option(False, "first fetch the weights of Inception-v3 where they are not here (96 MB, once)")
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps")

    def check(self) -> None:
        if not self.network:
            raise InputError("no model is named", "give --network a model or a run's directory")
        if not parse_metrics(self.metrics):
            raise InputError("no metric to measure", "name one, such as --metrics kid1k")
