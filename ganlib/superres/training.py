"""Train a compact network that enlarges pictures four times: `python -m ganlib upscaler`, a job that can be continued.

The loss is Charbonnier's on colours, SqueezeNet's feature distance where its weights are (without them, edges take
their place), and a term against lattices. Every `HOLD_OUT`-th picture is never trained on, and measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ganlib.base.errors import CheckpointError, DataError, InputError
from ganlib.base.options import Options, option
from ganlib.compute.device import choose_device
from ganlib.compute.torch_files import load_torch
from ganlib.dataset.files import Files
from ganlib.features import extractors as features
from ganlib.features.perceptual import Distance, edges, open_distance
from ganlib.media import images
from ganlib.runs import Reporter, Stopped, replacing
from ganlib.superres.degradation import degrade
from ganlib.superres.networks import NetworkSpec, UpscalerNetwork, build
from ganlib.superres.weights import Card, save

SCALE = 4
HOLD_OUT = 17
"""Every picture of the first set whose place in the sorted list divides by this is held out (40 of 686)."""
STATE = "training-state-latest.pt"
_EMA_STEPS = 500  # in which the average forgets two thirds
_PIXELS_TO_BORDER = 4  # of the small picture; what lies outside a patch is not known at its border
_LATTICE_WEIGHT, _LATTICE_PIXELS = 5.0, 4
_EPSILON = 1e-3  # of Charbonnier's loss


@dataclass(frozen=True)
class UpscalerConfig(Options):
    """Options of one training of an upscaling network."""

    data: tuple[Path, ...] = option(
        help="folders or zips of pictures; of the first one some are held out", is_repeated=True, metavar="F"
    )
    outdir: Path = option(Path("out"), "where network.safetensors, the state and stats.jsonl go", is_required=True)
    features: int = option(48, "channels of the network", low=4, high=256)
    blocks: int = option(10, "convolutions in its middle", low=1, high=64)
    steps: int = option(10_000, "steps in all", low=1, high=10_000_000)
    batch: int = option(8, "patches in a step", low=1, high=1024)
    patch: int = option(32, "side of a patch of the small picture, in pixels", low=12, high=256)
    rate: float = option(1e-3, "learning rate at the beginning; it falls to 1/50 along a cosine", low=1e-6, high=0.1)
    perceptual: float = option(0.03, "weight of the distance between features", low=0, high=100)
    save_every: int = option(500, "steps between two states on disk", low=1, high=1_000_000, is_flag=False)
    seed: int = option(0, "of everything that is drawn", low=0, high=2**31)
    credit: str = option("", "credit and rights of the pictures, for the card")
    licence: str = option("", "licence of the network, an identifier of SPDX, for the card")
    device: str = option("auto", "auto, cpu, cuda or mps")

    def check(self) -> None:
        if not self.data:
            raise InputError("no pictures are named", "give --data a folder or a zip")


# ---- Pictures ------------------------------------------------------------------------------------------------------


def read_pictures(paths: Sequence[Path], least: int) -> tuple[list[list[np.ndarray]], list[np.ndarray]]:
    """Return the pictures to learn from, a list for each set, and those held out, uint8 `[H, W, 3]` each.

    Smaller ones than `least` pixels a side are mirrored at their edges as far as a tenth, and left out beyond. Raises
    DataError for a set without any."""
    kept: list[list[np.ndarray]] = []
    held: list[np.ndarray] = []
    for number, path in enumerate(paths):
        found: list[np.ndarray] = []
        with Files(path) as files:
            for i, name in enumerate(sorted(files.pictures)):
                pixels = images.decode(files.read(name), name=name)
                if number == 0 and i % HOLD_OUT == 0 and len(held) < 40:
                    held.append(pixels)
                    continue
                short = [max(0, least - side) for side in pixels.shape[:2]]
                if max(short) <= least // 10:
                    sides = ((0, short[0]), (0, short[1]), (0, 0))
                    found.append(np.pad(pixels, sides, mode="reflect") if any(short) else pixels)
        if not found:
            raise DataError(f"{path} has no picture of {least} pixels a side", "give larger ones, or a smaller --patch")
        kept.append(found)
    return kept, held


class Patches:
    """Pairs of patches, each batch decided by the seed and its number alone."""

    def __init__(self, sets: Sequence[Sequence[np.ndarray]], config: UpscalerConfig) -> None:
        self._sets, self._config = sets, config
        # The first set has three quarters, whatever the others' sizes.
        rest = 0.25 / (len(sets) - 1) if len(sets) > 1 else 0.0
        self._shares = [1 - rest * (len(sets) - 1), *[rest] * (len(sets) - 1)]

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The small `[N, 3, P, P]` and the large `[N, 3, 4P, 4P]` patches of a step, RGB in [0, 1]."""
        rng = np.random.default_rng((self._config.seed, step))
        pairs = [self._pair(rng) for _ in range(self._config.batch)]
        return _batch([small for small, _ in pairs]), _batch([large for _, large in pairs])

    def _pair(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        pictures = self._sets[int(rng.choice(len(self._sets), p=self._shares))]
        pixels = pictures[int(rng.integers(len(pictures)))]
        side = self._config.patch * SCALE
        # Smaller first now and then: details grow finer than the scan has them.
        room = min(pixels.shape[:2]) / side
        if room > 1 and rng.random() < 0.5:
            factor = rng.uniform(1 / room, 1)
            high, wide = (max(side, round(length * factor)) for length in pixels.shape[:2])
            pixels = images.resize(pixels, wide, high)
        top, left = (int(rng.integers(length - side + 1)) for length in pixels.shape[:2])
        large = pixels[top : top + side, left : left + side]
        large = np.rot90(large, int(rng.integers(4)))
        large = np.ascontiguousarray(large[:, ::-1] if rng.random() < 0.5 else large)
        return degrade(large, SCALE, rng), large


# ---- The loop ------------------------------------------------------------------------------------------------------


def start_network(spec: NetworkSpec, seed: int) -> UpscalerNetwork:
    """Return a network that enlarges bilinearly, with small random weights beside that.

    The first three channels carry the picture through; the last convolution adds what bilinear enlargement has over
    that of nearest neighbours."""
    torch.manual_seed(seed)
    network = build(spec)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    rectifiers = [layer for layer in network.modules() if isinstance(layer, nn.PReLU)]
    with torch.no_grad():
        for layer in convolutions[1:-1]:
            layer.weight.mul_(0.5)
            index = torch.arange(spec.features)
            layer.weight[index, index, 1, 1] += 1.0
        for layer in convolutions:
            assert layer.bias is not None
            layer.bias.zero_()
        for layer in convolutions[:-1]:
            layer.weight[:3] = 0
            layer.weight[range(3), range(3), 1, 1] = 1
        for rectifier in rectifiers:
            rectifier.weight[:3] = 1
        last = convolutions[-1]
        last.weight.mul_(0.05)
        last.weight[:, :3] = 0
        impulse = torch.zeros(1, 1, 3, 3)
        impulse[..., 1, 1] = 1
        for y in range(3):
            for x in range(3):
                one = torch.zeros(1, 1, 3, 3)
                one[..., y, x] = 1
                wide = F.interpolate(one, scale_factor=spec.scale, mode="bilinear", align_corners=False)
                near = F.interpolate(one, scale_factor=spec.scale, mode="nearest")
                middle = (wide - near)[0, 0, spec.scale : 2 * spec.scale, spec.scale : 2 * spec.scale].flatten()
                for channel in range(3):
                    rows = slice(channel * spec.scale**2, (channel + 1) * spec.scale**2)
                    last.weight[rows, channel, y, x] = middle
    return network


def lattice(error: Tensor, scale: int) -> Tensor:
    """How much of an error `[N, 3, H, W]` repeats with the period of the rearranged pixels: a mean absolute value.

    The error of each of the scale² places is averaged over `_LATTICE_PIXELS`² neighbours; what is the same at all of
    them is a wrong colour, and is judged elsewhere."""
    places = F.avg_pool2d(F.pixel_unshuffle(error, scale), _LATTICE_PIXELS, stride=2)
    apart = places.unflatten(1, (3, scale**2))
    return (apart - apart.mean(dim=2, keepdim=True)).abs().mean()


class Trainer:
    """The network, its average and the optimizer."""

    def __init__(self, config: UpscalerConfig) -> None:
        self.config = config
        self.device = choose_device(config.device)
        self.spec = NetworkSpec("srvgg", SCALE, config.features, config.blocks)
        self.network = start_network(self.spec, config.seed).to(self.device)
        self.average = build(self.spec).to(self.device).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.rate, betas=(0.9, 0.99))
        self.distance: Distance | None = None
        if config.perceptual > 0 and features.squeezenet_file() is not None:
            self.distance = open_distance("squeezenet", device=self.device)
        self.step_number = 0

    def step(self, small: Tensor, large: Tensor) -> dict[str, float]:
        """One step; returns the parts of the loss."""
        small, large = small.to(self.device), large.to(self.device)
        way = self.step_number / self.config.steps
        warm = min(1.0, (self.step_number + 1) / 100)
        rate = self.config.rate * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * min(way, 1.0))) / 2)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        out = self.network(small)
        cut = _PIXELS_TO_BORDER * SCALE
        inside = (slice(None), slice(None), slice(cut, -cut), slice(cut, -cut))
        colour = ((out - large)[inside].square() + _EPSILON**2).sqrt().mean()
        pattern = lattice((out - large)[inside], SCALE)
        if self.distance is not None:
            # From another corner each time: a network that looks at every second pixel would else reward a lattice.
            down, right = np.random.default_rng((self.config.seed, self.step_number, 1)).integers(0, SCALE, 2)
            seen = (slice(None), slice(None), slice(cut + int(down), -cut), slice(cut + int(right), -cut))
            with torch.no_grad():
                wanted = self.distance.embed(large[seen] * 2 - 1)
            unlike = (self.distance.embed(out[seen] * 2 - 1) - wanted).square().sum(dim=1).mean()
        else:
            unlike = (edges(out) - edges(large))[inside].abs().mean()
        loss = colour + _LATTICE_WEIGHT * pattern + self.config.perceptual * unlike
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step_number += 1
        share = 1 / min(self.step_number, _EMA_STEPS)
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, share)
        parts = {"loss": loss, "colour": colour, "lattice": pattern, "features": unlike}
        return {name: part.item() for name, part in parts.items()} | {"rate": rate}

    def state(self) -> dict[str, Any]:
        """Everything that a continued training needs, as tensors and numbers."""
        return {
            "step": self.step_number, "spec": self.spec.to_dict(), "network": self.network.state_dict(),
            "average": self.average.state_dict(), "optimiser": self.optimizer.state_dict(),
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`. Raises CheckpointError for that of another network."""
        if state.get("spec") != self.spec.to_dict():
            raise CheckpointError("the state is that of another network", "choose another --outdir")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimiser"])
        self.step_number = int(state["step"])


def train(config: UpscalerConfig, reporter: Reporter) -> Path:
    """Train, and return the file of the network: `outdir/network.safetensors`, half precision, with its card.

    Called again it goes on from the last state. Raises `DataError` for sets that cannot be read and `Stopped`."""
    config.validate()
    config.outdir.mkdir(parents=True, exist_ok=True)
    sets, held = read_pictures(config.data, config.patch * SCALE)
    patches, trainer = Patches(sets, config), Trainer(config)
    reporter.log(f"{sum(map(len, sets)):,} pictures, {len(held)} held out; {trainer.network.title}")
    reporter.log(f"beside colours: {'edges' if trainer.distance is None else trainer.distance.name}")
    state_file = config.outdir / STATE
    if state_file.is_file():
        trainer.restore(load_torch(state_file))
        reporter.log(f"goes on at step {trainer.step_number}")
    began = time.monotonic()
    sums: dict[str, float] = {}
    for step in range(trainer.step_number, config.steps):
        if reporter.should_stop():
            _write(trainer, held, config, reporter, measured=False)
            raise Stopped
        parts = trainer.step(*patches.batch(step))
        sums = {name: 0.98 * sums.get(name, value) + 0.02 * value for name, value in parts.items()}
        reporter.progress(step + 1, config.steps, f"loss {sums['loss']:.4f}")
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            reporter.stats({"step": step + 1, "seconds": time.monotonic() - began} | sums)
            _write(trainer, held, config, reporter, measured=True)
    return config.outdir / "network.safetensors"


def _write(
    trainer: Trainer, held: list[np.ndarray], config: UpscalerConfig, reporter: Reporter, *, measured: bool
) -> None:
    with replacing(config.outdir / STATE) as temporary:
        torch.save(trainer.state(), temporary)
    metrics = measure(trainer.average, held, trainer.distance, trainer.device) if measured and held else {}
    if metrics:
        reporter.stats({"step": trainer.step_number} | metrics)
        reporter.log(f"step {trainer.step_number}: " + ", ".join(f"{k} {v:.4f}" for k, v in metrics.items()))
    command = " ".join(
        f"--{name.replace('_', '-')} {value}" for name, value in config.to_dict().items()
        if name not in ("data", "outdir", "credit", "licence", "device") and value != getattr(UpscalerConfig, name)
    )  # fmt: skip
    card = Card(
        title="Upscaler ×4", licence=config.licence, data=config.credit or ", ".join(p.name for p in config.data),
        source=f"python -m ganlib upscaler --data {' '.join(path.name for path in config.data)} {command}".strip(),
        metrics=metrics | {"steps": trainer.step_number},
    )  # fmt: skip
    path = save(config.outdir / "network.safetensors", trainer.spec, trainer.average, card)
    reporter.artefact(path)


def measure(
    network: UpscalerNetwork, held: Sequence[np.ndarray], distance: Distance | None, device: torch.device
) -> dict[str, float]:
    """Return means over the pictures, made small by a bicubic kernel and enlarged again: `psnr`, and the feature
    distance; and `lanczos_psnr`, `lanczos_distance` for Lanczos in the network's place."""
    rows: list[tuple[float, float, float, float]] = []
    for large, small in quarters(held):
        high, wide = large.shape[:2]
        with torch.inference_mode():
            ours = network(_unit(small).to(device)).clamp(0, 1).cpu()
        target, plain = _unit(large), _unit(images.resize(small, wide, high))
        far = (0.0, 0.0)
        if distance is not None:
            distance.prepare(target.to(device) * 2 - 1)
            with torch.no_grad():
                far = (float(distance(ours.to(device) * 2 - 1)), float(distance(plain.to(device) * 2 - 1)))
        rows.append((_psnr(ours, target), _psnr(plain, target), *far))
    means = np.mean(rows, axis=0).tolist()
    found = {"psnr": means[0], "lanczos_psnr": means[1]}
    return found | ({"distance": means[2], "lanczos_distance": means[3]} if distance is not None else {})


def quarters(held: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each picture, cut to sides that 4 divides, and its quarter by a bicubic kernel."""
    for pixels in held:
        high, wide = (side // SCALE * SCALE for side in pixels.shape[:2])
        large = pixels[:high, :wide]
        picture = Image.fromarray(large).resize((wide // SCALE, high // SCALE), Image.Resampling.BICUBIC)
        yield large, np.asarray(picture)


def _batch(pictures: Sequence[np.ndarray]) -> Tensor:
    """RGB float `[N, 3, H, W]` in [0, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def _unit(pixels: np.ndarray) -> Tensor:
    return (images.from_pixels(pixels[None]) + 1) / 2


def _psnr(one: Tensor, other: Tensor) -> float:
    """Decibels, of values in [0, 1]."""
    return float(-10 * torch.log10((one - other).square().mean().clamp(min=1e-12)))


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job with the verb `upscaler`: `config` is UpscalerConfig.to_dict(); results go to its outdir, or to the
    job's directory where that is relative."""
    values = UpscalerConfig.from_dict(config)
    train(UpscalerConfig(**{**asdict(values), "outdir": run_dir / values.outdir}), reporter)
