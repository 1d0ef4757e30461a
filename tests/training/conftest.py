"""A small labelled data set and a reporter that listens, for all tests of training."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganlib import runs
from ganlib.media import images

TINY: dict[str, Any] = {
    "kimg": 0.064, "batch": 8, "snap": 0.032, "tick": 0.016, "cbase": 128, "cmax": 8, "z_dim": 16, "w_dim": 16,
    "aug": "noaug", "workers": 0,
}  # fmt: skip
TINY_OF = {
    "stylegan2": TINY,
    "progan": {k: v for k, v in TINY.items() if k != "w_dim"} | {"arch": "progan"},
    "dcgan": {k: v for k, v in TINY.items() if k not in ("w_dim", "cbase", "cmax")}
    | {"arch": "dcgan", "ngf": 4, "ndf": 4},
    "fastgan": {k: v for k, v in TINY.items() if k not in ("w_dim", "cbase", "cmax")}
    | {"arch": "fastgan", "ngf": 1, "ndf": 4, "discriminator": "own"},
}


def pictures(count: int = 24, side: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.RandomState(seed)
    return (rng.rand(count, 1, 1, 3) * 200 + rng.rand(count, side, side, 3) * 50).astype(np.uint8)


def write_set(path: Path, pixels: np.ndarray, labels: Any = None) -> Path:
    names = [f"00000/img{i:08d}.png" for i in range(len(pixels))]
    with zipfile.ZipFile(path, "w") as archive:
        for name, picture in zip(names, pixels, strict=True):
            archive.writestr(name, images.encode(picture))
        pairs = None if labels is None else [[n, int(v)] for n, v in zip(names, labels, strict=True)]
        archive.writestr("dataset.json", json.dumps({"labels": pairs}))
    return path


@pytest.fixture(scope="package")
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("data") / "set.zip", pictures(), labels=np.arange(24) % 3)


class Stopper(runs.SilentReporter):
    """Asks the run to stop after a number of steps, and keeps what it is told."""

    def __init__(self, steps: int = 10**9) -> None:
        super().__init__()
        self.steps = steps
        self.records: list[Any] = []
        self.lines: list[str] = []

    def progress(self, done: float, total: float, message: str = "") -> None:
        self.steps -= 1

    def should_stop(self) -> bool:
        return self.steps <= 0

    def stats(self, record: Any) -> None:
        self.records.append(record)

    def log(self, text: str) -> None:
        self.lines.append(text)
