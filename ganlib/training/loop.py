"""The training loop, read top to bottom: set-up, steps, statistics, snapshots."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlib import checkpoints, images, latents, networks, runs
from ganlib.dataset import Dataset
from ganlib.device import choose_device, memory_report, out_of_memory_hint
from ganlib.errors import DataError, InputError, RunError
from ganlib.networks.base import GeneratorSpec, one_hot
from ganlib.runs import Reporter
from ganlib.training import losses
from ganlib.training.config import TrainConfig
from ganlib.training.reals import batches
from ganlib.training.state import PL_INTERVAL, R1_INTERVAL, STATE_NAME, Draws, Networks, resume_from, save_state

PL_BATCH_SHRINK = 2
PL_DECAY = 0.01
W_AVG_BETA = 0.998


class Averages:
    """Running mean and standard deviation of named numbers between two ticks."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}

    def add(self, name: str, values: Tensor) -> None:
        """Add all elements of a tensor."""
        v = values.detach().double()
        num, total, square = self._sums.get(name, [0.0, 0.0, 0.0])
        self._sums[name] = [num + v.numel(), total + v.sum().item(), square + v.square().sum().item()]

    def flush(self) -> dict[str, dict[str, float]]:
        """Return `{name: {num, mean, std}}` and start again."""
        out = {}
        for name, (num, total, square) in self._sums.items():
            mean = total / num
            out[name] = {"num": num, "mean": mean, "std": max(square / num - mean**2, 0.0) ** 0.5}
        self._sums.clear()
        return out


def make_spec(config: TrainConfig, dataset: Dataset) -> GeneratorSpec:
    """Return the spec of the generator that a configuration trains on a data set."""
    return networks.architecture("stylegan2").make_spec(
        resolution=dataset.resolution, img_channels=dataset.num_channels,
        label_dim=dataset.label_dim if config.cond else 0, z_dim=config.z_dim, w_dim=config.w_dim,
        channel_base=config.cbase, channel_max=config.cmax, mapping_layers=config.map_depth,
        D={"mbstd_group_size": 4},
    )  # fmt: skip


def _mix_styles(G: Any, z: Tensor, label: Tensor | None, probability: float, draws: Draws) -> tuple[Tensor, Tensor]:
    """Map z and, with the given probability, replace the styles from a random input on by another z's (StyleGAN, 3.1).

    Returns w `[N, w_dim]` of z and w_plus `[N, num_ws, w_dim]`."""
    w = G.mapping(z, label)
    w_plus = w[:, None].repeat(1, G.spec.num_ws, 1)
    if probability > 0 and G.spec.num_ws > 1 and draws.chance(probability):
        cutoff = 1 + draws.integer(G.spec.num_ws - 1)
        other = G.mapping(draws.normal(*z.shape), label)[:, None].expand(-1, G.spec.num_ws - cutoff, -1)
        w_plus = torch.cat([w_plus[:, :cutoff], other], dim=1)
    return w, w_plus


def _step_G(nets: Networks, z: Tensor, label: Tensor | None, config: TrainConfig, draws: Draws, avg: Averages) -> None:
    """One step of the generator: non-saturating logistic loss."""
    nets.D.requires_grad_(False)
    w, w_plus = _mix_styles(nets.G, z, label, config.style_mix, draws)
    if nets.G.spec.truncatable:
        nets.G.w_avg.copy_(w.detach().mean(dim=0).lerp(nets.G.w_avg, W_AVG_BETA))
    logits = nets.D(nets.G.synthesis(w_plus, noise_mode="random", rng=draws.generator), label)
    loss = losses.g_logistic(logits)
    nets.opt_G.zero_grad(set_to_none=True)
    loss.mean().backward()
    nets.opt_G.step()
    nets.D.requires_grad_(True)
    avg.add("Loss/G/loss", loss)
    avg.add("Loss/scores/fake", logits)
    avg.add("Loss/signs/fake", logits.sign())


def _step_path_length(
    nets: Networks, z: Tensor, label: Tensor | None, config: TrainConfig, draws: Draws, avg: Averages
) -> None:
    """One lazy step of path-length regularisation on part of the batch (StyleGAN2, section 3.2)."""
    count = max(1, len(z) // PL_BATCH_SHRINK)
    part = None if label is None else label[:count]
    _, w_plus = _mix_styles(nets.G, z[:count], part, config.style_mix, draws)
    image = nets.G.synthesis(w_plus, noise_mode="random", rng=draws.generator)
    lengths = losses.path_lengths(image, w_plus, draws.normal(*image.shape))
    nets.pl_mean.copy_(nets.pl_mean.lerp(lengths.detach().mean(), PL_DECAY))
    penalty = (lengths - nets.pl_mean).square()
    nets.opt_G.zero_grad(set_to_none=True)
    (penalty.mean() * config.pl_weight * PL_INTERVAL).backward()
    nets.opt_G.step()
    avg.add("Loss/pl_penalty", penalty)


def _step_D(
    nets: Networks, real: Tensor, z: Tensor, label: Tensor | None, config: TrainConfig, draws: Draws, avg: Averages
) -> None:
    """One step of the discriminator: logistic loss on fakes and reals, fed separately."""
    with torch.no_grad():
        _, w_plus = _mix_styles(nets.G, z, label, config.style_mix, draws)
        fake = nets.G.synthesis(w_plus, noise_mode="random", rng=draws.generator)
    fake_logits, real_logits = nets.D(fake, label), nets.D(real, label)
    loss = losses.d_logistic_fake(fake_logits) + losses.d_logistic_real(real_logits)
    nets.opt_D.zero_grad(set_to_none=True)
    loss.mean().backward()
    nets.opt_D.step()
    avg.add("Loss/D/loss", loss)
    avg.add("Loss/scores/real", real_logits)
    avg.add("Loss/signs/real", real_logits.sign())


def _step_r1(nets: Networks, real: Tensor, label: Tensor | None, gamma: float, avg: Averages) -> None:
    """One lazy step of R1: γ/2 · E‖∇D(x)‖², times the interval."""
    real = real.detach().requires_grad_(True)
    penalty = losses.r1_penalty(nets.D(real, label), real)
    nets.opt_D.zero_grad(set_to_none=True)
    (penalty.mean() * (gamma / 2) * R1_INTERVAL).backward()
    nets.opt_D.step()
    avg.add("Loss/r1_penalty", penalty)


@torch.no_grad()
def _update_ema(nets: Networks, images_seen: int, config: TrainConfig) -> None:
    """Move the average towards G: half-life `ema_nimg`, shorter at the start."""
    half_life = config.ema_nimg()
    if config.ema_rampup is not None:
        half_life = min(half_life, images_seen * config.ema_rampup)
    beta = 0.5 ** (config.batch / max(half_life, 1e-8))
    torch._foreach_lerp_(list(nets.G_ema.parameters()), list(nets.G.parameters()), 1 - beta)
    for target, source in zip(nets.G_ema.buffers(), nets.G.buffers(), strict=True):
        target.copy_(source)


# ---- Files of a run ------------------------------------------------------------------------------------------------


def _grid_size(resolution: int) -> tuple[int, int]:
    """Return columns and rows of the sample sheet, near 1000×640 pixels."""
    return max(4, min(16, 960 // resolution)), max(3, min(10, 640 // resolution))


@torch.no_grad()
def _save_fakes(path: Path, G_ema: Any, z: Tensor, label: Tensor | None, columns: int) -> None:
    parts = []
    for start in range(0, len(z), 16):
        part = None if label is None else label[start : start + 16]
        w = G_ema.mapping(z[start : start + 16], part)
        parts.append(images.to_pixels(G_ema.synthesis(w[:, None].expand(-1, G_ema.spec.num_ws, -1))))
    sheet = images.contact_sheet(np.concatenate(parts), columns=columns, gap=0)
    runs.write_bytes(path, images.encode(sheet))


# ---- The loop ------------------------------------------------------------------------------------------------------


def train(config: TrainConfig, run_dir: Path, reporter: Reporter) -> Path:
    """Train and return the path of the last snapshot.

    Writes into `run_dir`: `training_options.json`, `reals.png`, `fakes_init.png`, `fakesKKKKKK.png`,
    `network-snapshot-KKKKKK.safetensors`, `training-state-latest.pt`, and the reporter's `stats.jsonl` and `log.txt`.
    A directory that already holds a training state is continued from it. On a stop request it saves and returns.
    Raises `GanlibError` children for bad options, data or files, and `RunError` when the losses are no longer finite.
    Long, because it is read top to bottom.
    """
    # Set-up.
    config.validate()
    dataset = Dataset.open(Path(config.data))
    if config.cond and not dataset.label_dim:
        raise DataError(
            f"{config.data} has no class labels", "prepare it with --labels folder or prefix, or drop --cond"
        )
    device = choose_device(config.device)
    spec = make_spec(config, dataset)
    torch.manual_seed(config.seed)
    nets, draws = Networks(spec, config, device), Draws(config.seed, device)
    gamma = config.r1_gamma(spec.resolution)
    credit = "; ".join(str(dataset.card[k]) for k in ("credit", "licence") if dataset.card.get(k))
    run_dir.mkdir(parents=True, exist_ok=True)
    own_state = run_dir / STATE_NAME
    source = str(own_state) if own_state.exists() else config.resume
    images_seen = resume_from(source, nets, draws, reporter) if source else 0

    # Sample sheets: the same latents throughout, each label in turn.
    columns, rows = _grid_size(spec.resolution)
    count = columns * rows
    grid_z = torch.cat([torch.from_numpy(latents.seed_z(s, spec.z_dim)) for s in range(count)]).float().to(device)
    grid_label = (
        one_hot([i % spec.label_dim for i in range(count)], spec.label_dim).to(device) if spec.label_dim else None
    )
    runs.write_json(run_dir / "training_options.json", {**config.to_dict(), "r1_gamma": gamma, "spec": spec.to_dict()})
    if not (run_dir / "reals.png").exists():
        shown = np.random.default_rng(config.seed).permutation(len(dataset))[:count]
        sheet = images.contact_sheet(dataset.pixels()[np.sort(shown)], columns=columns, gap=0)
        runs.write_bytes(run_dir / "reals.png", images.encode(sheet))
        _save_fakes(run_dir / "fakes_init.png", nets.G_ema, grid_z, grid_label, columns)
    num_params = sum(p.numel() for p in nets.G.parameters())
    reporter.log(
        f"{len(dataset)} pictures at {spec.resolution} px, label_dim {spec.label_dim}; "
        f"G {num_params / 1e6:.2f} M parameters; {device}; batch {config.batch}; gamma {gamma:.4g}; "
        f"from {images_seen / 1000:.1f} to {config.kimg:g} kimg"
    )

    # Steps.
    total = int(config.kimg * 1000)
    last_snapshot = run_dir / f"network-snapshot-{images_seen // 1000:06d}.safetensors"
    if images_seen >= total:
        if last_snapshot.exists():
            reporter.log(f"nothing left to do: the run has its {config.kimg:g} kimg")
            return last_snapshot
        raise InputError(
            f"the model to resume already has {images_seen / 1000:g} kimg and the run ends at {config.kimg:g}",
            f"give a larger --kimg than {images_seen / 1000:g}",
        )
    avg, real_batches = Averages(), batches(dataset, config, spec, device, images_seen)
    step = images_seen // config.batch
    tick_start, tick_images, snap_images, stopping = time.perf_counter(), images_seen, images_seen, False
    with out_of_memory_hint("use a smaller --batch, --cbase or --cmax"):
        while images_seen < total and not stopping:
            real, label = next(real_batches)
            z_G, z_D = draws.normal(config.batch, spec.z_dim), draws.normal(config.batch, spec.z_dim)
            _step_G(nets, z_G, label, config, draws, avg)
            if config.pl_weight > 0 and step % PL_INTERVAL == 0 and spec.num_ws > 1:
                _step_path_length(nets, z_G, label, config, draws, avg)
            _step_D(nets, real, z_D, label, config, draws, avg)
            if gamma > 0 and step % R1_INTERVAL == 0:
                _step_r1(nets, real, label, gamma, avg)
            images_seen += config.batch
            step += 1
            _update_ema(nets, images_seen, config)
            stopping = reporter.should_stop()
            done = images_seen >= total or stopping

            # Statistics.
            reporter.progress(images_seen / 1000, config.kimg, f"{images_seen / 1000:.1f} of {config.kimg:g} kimg")
            if done or images_seen - tick_images >= config.tick * 1000:
                record: dict[str, Any] = dict(avg.flush())
                seconds = time.perf_counter() - tick_start
                per_kimg = seconds / max(images_seen - tick_images, 1) * 1000
                for name, value in (("Progress/kimg", images_seen / 1000), ("Timing/sec_per_kimg", per_kimg)):
                    record[name] = {"num": 1, "mean": value, "std": 0}
                reporter.stats(record)
                d_loss, g_loss = record["Loss/D/loss"]["mean"], record["Loss/G/loss"]["mean"]
                reporter.log(
                    f"kimg {images_seen / 1000:<8.1f} sec/kimg {per_kimg:<7.1f} G {g_loss:<7.3f} D {d_loss:<7.3f} "
                    f"D(real) {record['Loss/scores/real']['mean']:<7.3f} "
                    f"D(fake) {record['Loss/scores/fake']['mean']:<7.3f} {memory_report(device)}"
                )
                if not np.isfinite([d_loss, g_loss]).all():
                    raise RunError(
                        f"the losses are no longer finite at {images_seen / 1000:.1f} kimg",
                        f"{last_snapshot.name} is whole; resume from it with a larger --gamma or smaller --glr, --dlr",
                    )
                tick_start, tick_images = time.perf_counter(), images_seen

            # Snapshots.
            if done or images_seen - snap_images >= config.snap * 1000:
                snap_start, kimg = time.perf_counter(), images_seen / 1000
                last_snapshot = run_dir / f"network-snapshot-{images_seen // 1000:06d}.safetensors"
                checkpoints.save_snapshot(
                    last_snapshot, G_ema=nets.G_ema, D=nets.D, kimg=kimg, title=config.title or run_dir.name,
                    source=f"trained by Latent Atelier: {run_dir.name}", licence=config.licence, data=credit,
                )  # fmt: skip
                _save_fakes(run_dir / f"fakes{images_seen // 1000:06d}.png", nets.G_ema, grid_z, grid_label, columns)
                if config.save_state:
                    save_state(own_state, nets, draws, images_seen, config)
                reporter.artefact(last_snapshot)
                snap_images = images_seen
                tick_start += time.perf_counter() - snap_start
    return last_snapshot


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Execute a job of verb `train`."""
    train(TrainConfig.from_dict(config), run_dir, reporter)


def sample_sheets(run_dir: Path) -> Sequence[Path]:
    """Return the sample sheets of a run in order of time."""
    return sorted(run_dir.glob("fakes[0-9]*.png"))
