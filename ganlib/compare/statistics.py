"""How varied the pictures are, their colours and their spectra, real against generated; a job.

- *Diversity*: the mean distance between two random pictures, in a distance that is named (see
  `ganlib.features.perceptual`), with a 95 % interval. A model whose pictures are nearer to each other than the reals
  shows less than it was shown.
- *Colours*: the share of each value of red, green and blue, 0 to 255, in 64 bins.
- *Spectra*: the mean over pictures of |FFT|² of the lightness in a Hann window, each picture's own mean taken away,
  in dB; in two dimensions, and over rings of equal frequency from 0 to the finest, a cycle every two pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganlib.base.errors import DataError, InputError
from ganlib.base.filesystem import reason
from ganlib.base.options import Options, option
from ganlib.compare.training_set import stop_if_asked
from ganlib.compute.device import choose_device
from ganlib.dataset import Dataset
from ganlib.features.perceptual import DISTANCES, Distance, open_distance
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.render.renderer import Renderer
from ganlib.runs import Reporter, SilentReporter, write_json
from ganlib.runs.files import read_json

FILE = "statistics.json"
BINS = 64
MOST_PLACES = 64  # of the spectrum in two dimensions that are kept on a side
_BATCH = 16
_Z = 1.96
_LIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class StatisticsConfig(Options):
    """Options of one comparison."""

    network: Path = option(help="a model file, or a name in checkpoints/", is_model=True, metavar="MODEL")
    data: Path = option(help="the data set: a zip or folder")
    outdir: Path = option(Path("statistics"), "where statistics.json goes", is_required=True)
    pictures: int = option(500, "real ones and generated ones; fewer where the set is smaller", low=4, high=50_000)
    psi: float = option(1.0, "truncation of the generated ones", low=-2, high=2, usual=(0, 1.2))
    label: int | None = option(None, "class of the generated pictures (default: each at random)", flag="class", low=0)
    distance: str = option(
        "auto",
        "how far two pictures are",
        choices=DISTANCES,
    )
    seed: int = option(0, "of everything that is drawn", low=0, high=2**31)
    device: str = option("auto", "auto, cpu, cuda or mps")


def compare_statistics(config: StatisticsConfig, reporter: Reporter | None = None) -> dict[str, Any]:
    """Return the statistics of both sides and write them to `outdir/statistics.json`.

    Nothing is kept of a comparison that was stopped: it begins anew. Raises `GanlibError` for what cannot be, and
    `Stopped`."""
    config.validate()
    reporter = reporter or SilentReporter()
    dataset = Dataset.open(config.data, should_stop=reporter.should_stop)
    renderer = Renderer.open(config.network, device=config.device)
    distance = open_distance(config.distance, config.network, device=choose_device(config.device))
    count = min(config.pictures, len(dataset)) // 2 * 2
    if count < 4:
        raise InputError(f"{len(dataset)} real pictures are too few", "compare with a set of 4 or more")
    side = min(dataset.resolution, renderer.spec.resolution)
    sources = {"real": _reals(dataset, count, config.seed), "fake": _fakes(renderer, count, config)}
    found: dict[str, Any] = {}
    for place, (kind, pictures) in enumerate(sources.items()):
        gathered = Gathered(side, device=renderer.device)
        for number, batch in enumerate(pictures):
            stop_if_asked(reporter)
            reporter.progress(place * count + number * _BATCH, 2 * count, f"{kind} pictures")
            gathered.add(images.resize(batch, side, side), distance)
        found[kind] = gathered.result()
    ratio = found["fake"]["diversity"]["mean"] / max(found["real"]["diversity"]["mean"], 1e-12)
    result = {
        "model": renderer.name, "digest": renderer.digest, "data": dataset.path.name, "pictures": count, "side": side,
        "psi": config.psi, "distance": distance.name, "diversity_ratio": round(ratio, 4), **found,
    }  # fmt: skip
    config.outdir.mkdir(parents=True, exist_ok=True)
    write_json(config.outdir / FILE, result)
    reporter.progress(2 * count, 2 * count, "done")
    return result


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job of verb `statistics`; its results are in the run directory."""
    found = compare_statistics(replace(StatisticsConfig.from_dict(config), outdir=run_dir), reporter)
    reporter.artefact(run_dir / FILE)
    reporter.log(summary(found))


def load_statistics(folder: Path) -> dict[str, Any]:
    """Return what `compare_statistics` wrote. Raises `DataError` where it is missing or damaged."""
    try:
        found = read_json(folder / FILE)
        if not isinstance(found, dict) or not {"real", "fake", "diversity_ratio"} <= found.keys():
            raise ValueError("something is missing")
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} holds no statistics: {reason(error)}", "compare again") from error
    return found


def summary(found: Mapping[str, Any]) -> str:
    """Return one line about a comparison."""
    real, fake = (found[kind]["diversity"] for kind in ("real", "fake"))
    return (
        f"{found['distance']}: two generated pictures are {fake['mean']:.4f} ± {fake['reach']:.4f} apart, two real "
        f"ones {real['mean']:.4f} ± {real['reach']:.4f}: {found['diversity_ratio']:.2f} times as varied"
    )


class Gathered:
    """What is summed up over pictures of one side, batch by batch."""

    def __init__(self, side: int, *, device: str | torch.device = "cpu") -> None:
        """`device`: where the distance is."""
        self.device = device
        self.histogram = np.zeros((3, BINS), np.int64)
        self.power = np.zeros((side, side), np.float64)
        self.count = 0
        self.distances: list[float] = []
        window = np.hanning(side + 1)[:side]
        self._window = (window[:, None] * window).astype(np.float32)

    def add(self, pixels: np.ndarray, distance: Distance | None = None) -> None:
        """Take in pictures uint8 `[n, side, side, 3]`; with a distance, the first half is compared with the second."""
        for channel in range(3):
            self.histogram[channel] += np.bincount(pixels[..., channel].ravel() // (256 // BINS), minlength=BINS)
        grey = pixels.astype(np.float32) @ _LIGHTNESS / 255
        grey = (grey - grey.mean(axis=(1, 2), keepdims=True)) * self._window
        self.power += (np.abs(np.fft.fft2(grey)) ** 2).sum(axis=0)
        self.count += len(pixels)
        half = len(pixels) // 2
        if distance is not None and half:
            x = images.from_pixels(pixels).to(self.device)
            distance.prepare(x[:half])
            self.distances += distance(x[half : 2 * half]).sqrt().tolist()

    def result(self) -> dict[str, Any]:
        """Return the statistics as JSON-able numbers."""
        values = np.array(self.distances or [0.0])
        reach = _Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        power = np.fft.fftshift(self.power / max(1, self.count) / float((self._window**2).sum()))
        shares = self.histogram / max(1, int(self.histogram[0].sum()))
        return {
            "diversity": {"mean": round(float(values.mean()), 6), "reach": round(reach, 6), "pairs": len(values)},
            "histogram": np.round(shares, 6).tolist(),
            "radial": np.round(_decibels(radial(power)), 3).tolist(),
            "spectrum": np.round(_decibels(_pooled(power)), 2).tolist(),
        }


def radial(power: np.ndarray) -> np.ndarray:
    """Return the mean of a centred power spectrum `[S, S]` over rings of equal frequency: `[S // 2 + 1]`, from 0 to
    half a cycle per pixel."""
    side = len(power)
    along = np.arange(side) - side // 2
    ring = np.rint(np.hypot(along[:, None], along)).astype(np.int64)
    inside = ring <= side // 2
    counts = np.bincount(ring[inside], minlength=side // 2 + 1)
    sums: np.ndarray = np.bincount(ring[inside], weights=power[inside], minlength=side // 2 + 1)
    return sums / np.maximum(counts, 1)


def _pooled(power: np.ndarray) -> np.ndarray:
    """A spectrum with at most `MOST_PLACES` places a side."""
    step = max(1, len(power) // MOST_PLACES)
    side = len(power) // step
    return power[: side * step, : side * step].reshape(side, step, side, step).mean(axis=(1, 3))


def _decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, 1e-12))


def _reals(dataset: Dataset, count: int, seed: int) -> Iterator[np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(dataset))[:count].tolist()
    for start in range(0, count, _BATCH):
        yield np.stack([dataset[i][0] for i in order[start : start + _BATCH]])


def _fakes(renderer: Renderer, count: int, config: StatisticsConfig) -> Iterator[np.ndarray]:
    rng = np.random.default_rng([config.seed, 1])
    kinds = renderer.spec.label_dim
    for start in range(0, count, _BATCH):
        size = min(_BATCH, count - start)
        seeds = rng.integers(0, 2**32, size).tolist()
        labels = rng.integers(0, kinds, size).tolist() if kinds and config.label is None else [config.label] * size
        recipes = [Recipe.of_seed(s, psi=config.psi, label=label) for s, label in zip(seeds, labels, strict=True)]
        yield renderer.render(recipes)
