"""What happens in one step: the generator, its path length, the discriminator and its penalties.

Every function reads like the equation that it follows. A batch may be worked on in several micro-batches whose
gradients are added up, and by several processes whose gradients are averaged; neither changes what is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganlib.compute.distributed import Processes
from ganlib.networks import bilinear
from ganlib.networks.base import GeneratorSpec
from ganlib.training.config import TrainConfig
from ganlib.training.data_loader import DataLoader
from ganlib.training.losses import LOSSES, energy_distance, gradient_penalty, path_lengths, squared_gradient
from ganlib.training.phases import Phase
from ganlib.training.state import PL_INTERVAL, Draws, Networks
from ganlib.training.watch.statistics import Averages

PL_BATCH_SHRINK = 2
PL_DECAY = 0.01
W_AVG_BETA = 0.998
LOOK_SECONDS = 0.2  # between two looks at a request to stop within a step


Rng = torch.Generator | list[torch.Generator]
RealBatches = list[tuple[Tensor, Tensor | None]]  # real pictures and labels of each micro-batch
Fakes = tuple[Tensor, Tensor | None]  # generated pictures of a process's share and their labels


@dataclass(frozen=True)
class MicroBatch:
    """What is drawn for the generated pictures of one micro-batch."""

    z: Tensor
    """Latents `[N, z_dim]` on the device."""
    other: Tensor | None
    """Latents to mix in, or None."""
    label: Tensor | None
    """One-hot labels `[N, label_dim]`, or None."""
    noise: Rng
    """Generators of the pictures' noise."""
    augment: Rng
    """Generators of the augmentations, on the CPU, where their few numbers are drawn."""


@dataclass(frozen=True)
class Unfinished:
    """Where a step was left, between two updates: what was made of it stays, and the rest is made when it goes on."""

    updates: tuple[str, ...]
    """Names of the updates that were made."""
    drawn: Tensor
    """State of the generator that all numbers of a step are drawn from, before the next update."""
    fakes: Fakes | None = None
    """What G's update leaves for D's."""

    def to_dict(self) -> dict[str, Any]:
        """Return tensors and plain values only; `from_dict` restores it."""
        return {"updates": list(self.updates), "drawn": self.drawn, "fakes": self.fakes}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Unfinished | None:
        """Return what `to_dict` gave; None of None."""
        if values is None:
            return None
        return cls(tuple(values["updates"]), values["drawn"], values.get("fakes"))


class _Asked(Exception):
    """Ends an update whose gradients are not whole yet."""


class Steps:
    """The steps of one run; `step` makes one."""

    def __init__(
        self,
        nets: Networks,
        spec: GeneratorSpec,
        config: TrainConfig,  # resolved
        reals: DataLoader,
        processes: Processes,
        say: Callable[[str], None],  # takes a line for the log
        should_stop: Callable[[], bool] | None = None,  # looked at within a step too; None leaves steps whole
    ) -> None:
        assert config.loss is not None
        self.nets, self.spec, self.config, self.reals, self.processes = nets, spec, config, reals, processes
        self.loss = LOSSES[config.loss]
        self.draws = Draws(config.seed, processes.device)
        self.averages, self.say = Averages(), say
        self.micro_batch = config.batch_gpu
        self._reused: Fakes | None = None  # pictures of G's update, where D's sees the same
        self._cutoff: int | None = None  # first style input that the other z of a mixture takes
        self.mixed = processes.device.type == "cuda" and spec.params.get("num_fp16_res", 0) > 0
        self._statistics = [
            buffer
            for network in (nets.G, nets.D)
            for module in network.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm | parametrizations._SpectralNorm)
            for buffer in module.buffers()
        ]
        # Several processes have to agree about a stop, which they do between steps.
        self._should_stop = should_stop if processes.world == 1 else None
        self._looked, self._looks = 0.0, False
        if self._should_stop is not None and processes.device.type == "cpu":
            self._look_in_every_layer()

    def accumulation(self, batch: int) -> int:
        """Return how many micro-batches this process's share of a batch has: the fewest that keep to `micro_batch`."""
        share = batch // self.processes.world
        if self.micro_batch is None:
            return 1
        return next(n for n in range(1, share + 1) if share % n == 0 and share // n <= self.micro_batch)

    def step(
        self, number: int, phase: Phase, real: Tensor, label: Tensor | None, begun: Unfinished | None = None
    ) -> Unfinished | None:
        """Make step `number` with this process's share of real pictures `[share, C, R, R]` and labels, on its device,
        or, from where it was left, the rest of it. Returns where it was left, None where it was made.

        All randomness is a function of the number."""
        nets, batch = self.nets, phase.batch
        self.draws.begin(number)
        nets.grow(phase.stage, phase.alpha)
        reals = nets.D.match_real(real), label
        updates = [("G", nets.opt_G, self._generator)]
        if nets.uses_path_length and number % PL_INTERVAL == 0:
            updates.append(("path length", nets.opt_G, self._path_length))
        updates.append(("D", nets.opt_D, self._discriminator))
        if nets.r1_interval > 1 and number % nets.r1_interval == 0:
            updates.append(("penalty", nets.opt_D, self._lazy_penalty))
        made = () if begun is None else begun.updates
        self._reused = None
        if begun is not None:
            self.draws.generator.set_state(begun.drawn)
            self._reused = begun.fakes
        for name, optimizer, add_gradients in updates:
            if name in made:
                continue
            before = self.draws.generator.get_state()
            try:
                with bilinear.bfloat16(nets.bfloat16):
                    self._update(optimizer, add_gradients, batch, reals)
            except _Asked:
                return Unfinished(made, before, self._reused)
            made = (*made, name)
        if nets.control is not None:
            nets.control.step(batch, add_up=self.processes.sum_)
            nets.set_p(nets.control.p)
        return None

    # ---- Requests to stop ------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """End the update where a stop is asked for."""
        if not self._looks or self._should_stop is None:
            return
        if (now := time.monotonic()) - self._looked > LOOK_SECONDS:
            self._looked = now
            if self._should_stop():
                raise _Asked

    def _look_in_every_layer(self) -> None:
        """Look before each layer's output is computed, and whenever a gradient reaches it: on a processor one may
        take many seconds. Elsewhere layers only queue their work, and a look between micro-batches is as good."""

        def at_gradient(gradient: Tensor) -> None:
            self._look()
            if gradient.requires_grad:  # a penalty differentiates it once more
                gradient.register_hook(at_gradient)

        def before(module: nn.Module, arguments: Any) -> None:
            self._look()

        def after(module: nn.Module, arguments: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.requires_grad:
                output.register_hook(at_gradient)

        for network in (self.nets.G, self.nets.D):
            for module in network.modules():
                if next(module.parameters(recurse=False), None) is not None:
                    module.register_forward_pre_hook(before)
                    module.register_forward_hook(after)

    def _update(
        self,
        optimizer: torch.optim.Adam,
        add_gradients: Callable[[int, RealBatches], None],
        batch: int,
        reals: tuple[Tensor, Tensor | None],
    ) -> None:
        """Move the weights of one optimizer by the gradients that `add_gradients` adds up over a batch's micro-batches.

        Where memory does not hold one, everything that was counted or drawn is put back, and the same is done in more
        micro-batches: the weights move once. Where a stop is asked for, it is put back too, and `_Asked` is raised."""
        real, label = reals
        while True:
            kept = self._counted()
            optimizer.zero_grad(set_to_none=True)
            accumulation = self.accumulation(batch)
            labels = [None if label is None else label[i::accumulation] for i in range(accumulation)]
            own = [(real[i::accumulation], labels[i]) for i in range(accumulation)]
            try:
                self._looks = True
                add_gradients(batch, own)
                break
            except _Asked:
                optimizer.zero_grad(set_to_none=True)
                self._put_back(*kept)
                raise
            except torch.OutOfMemoryError:
                micro_batch = batch // self.processes.world // accumulation
                if micro_batch == 1 or self.processes.world > 1:
                    raise
                self.micro_batch = micro_batch // 2
            finally:
                self._looks = False
            optimizer.zero_grad(set_to_none=True)
            self._put_back(*kept)
            if self.processes.device.type == "cuda":
                torch.cuda.empty_cache()
            self.say(
                f"{micro_batch} pictures at once do not fit into memory: going on with {self.micro_batch}, whose "
                f"gradients are added up to batches of {batch} (--batch-gpu {self.micro_batch})"
            )
        self._finish(optimizer)

    def _counted(self) -> tuple[Any, ...]:
        """What the micro-batches of an update change besides gradients."""
        nets = self.nets
        control = None if nets.control is None else nets.control.state_dict()
        w_avg = nets.G.w_avg.clone() if self.spec.truncatable else None
        statistics = [buffer.clone() for buffer in self._statistics]
        return self.draws.generator.get_state(), self.averages.mark(), control, nets.pl_mean.clone(), w_avg, statistics

    def _put_back(
        self, drawn: Tensor, averages: Mapping[str, int], control: Mapping[str, Any] | None, pl_mean: Tensor,
        w_avg: Tensor | None, statistics: list[Tensor],
    ) -> None:  # fmt: skip
        """Return to what `_counted` gave."""
        nets = self.nets
        self.draws.generator.set_state(drawn)
        self.averages.return_to(averages)
        if nets.control is not None and control is not None:
            nets.control.load_state_dict(control)
        nets.pl_mean.copy_(pl_mean)
        for buffer, value in zip(self._statistics, statistics, strict=True):
            buffer.copy_(value)
        if w_avg is not None:
            nets.G.w_avg.copy_(w_avg)
        nets.train_D(True)

    # ---- The generator ---------------------------------------------------------------------------------------------

    def _generator(self, batch: int, own: RealBatches) -> None:
        """Adversarial loss of G."""
        nets, accumulation = self.nets, len(own)
        latents = self._latents(batch, accumulation)
        nets.train_D(False)
        w_means, made = [], []
        has_energy = (self.config.energy_weight or 0.0) > 0
        for micro, (real, real_label) in zip(latents, own, strict=True):
            w, w_plus = self._mix_styles(micro)
            w_means.append(w.detach().mean(dim=0))
            fake = nets.G.training_images(w_plus, micro.noise)
            made.append((fake.detach(), micro.label))
            seen: list[Tensor] = []
            logits = nets.D(self._augmented(fake, micro), micro.label, seen if has_energy else None)
            real_logits = None
            if self.loss.is_relative:
                with torch.no_grad():
                    real_logits = nets.D(self._augmented(real, micro), real_label)
            loss = self.loss.of_G(logits, real_logits)
            total = loss.mean()
            if has_energy:
                with torch.no_grad():
                    truth = list(nets.D.features(self._augmented(real, micro), real_label))
                distance = energy_distance(seen, truth, micro.label, real_label)
                self.averages.add("Loss/G/energy", distance)
                total = total + (self.config.energy_weight or 0.0) * distance
            (total / accumulation).backward()
            self.averages.add("Loss/G/loss", loss)
            self._observe("fake", logits)
        if self.config.reuse_fakes:
            self._reused = _interleaved(made)
        nets.train_D(True)
        if self.spec.truncatable:
            mean = torch.stack(w_means).mean(dim=0)
            self.processes.mean_([mean])
            nets.G.w_avg.copy_(mean.lerp(nets.G.w_avg, W_AVG_BETA))

    def _path_length(self, batch: int, own: RealBatches) -> None:
        """One lazy step of path-length regularisation on part of the batch (StyleGAN2, section 3.2)."""
        nets, accumulation = self.nets, len(own)
        count = max(batch // PL_BATCH_SHRINK, accumulation * self.processes.world)
        for micro in self._latents(count, accumulation):
            _, w_plus = self._mix_styles(micro)
            image = nets.G.training_images(w_plus, micro.noise)
            lengths = path_lengths(image, w_plus, _normal_like(image, micro.noise))
            mean = lengths.detach().mean()
            self.processes.mean_([mean])
            nets.pl_mean.copy_(nets.pl_mean.lerp(mean, PL_DECAY / accumulation))
            penalty = (lengths - nets.pl_mean).square()
            (penalty.mean() * (self.config.pl_weight or 0.0) * PL_INTERVAL / accumulation).backward()
            self.averages.add("Loss/pl_penalty", penalty)

    # ---- The discriminator -----------------------------------------------------------------------------------------

    def _discriminator(self, batch: int, own: RealBatches) -> None:
        """Adversarial loss of D, generated and real pictures fed separately, with the penalties that are not lazy."""
        nets, accumulation = self.nets, len(own)
        latents = self._latents(batch, accumulation)
        shares = self.draws.uniform(batch, 1, 1, 1) if self.loss.has_gradient_penalty else None
        every_step = nets.r1_interval == 1
        for i, (micro, (real, real_label)) in enumerate(zip(latents, own, strict=True)):
            if self._reused is None:
                fake = self._fakes(micro)
            else:
                pictures, labels = self._reused
                fake = pictures[i::accumulation]
                micro = replace(micro, label=None if labels is None else labels[i::accumulation])
            if every_step:
                real, fake = real.detach().requires_grad_(True), fake.requires_grad_(self.loss.is_relative)
            seen_fake, seen_real = self._augmented(fake, micro), self._augmented(real, micro)
            fake_logits, real_logits = nets.D(seen_fake, micro.label), nets.D(seen_real, real_label)
            loss = self.loss.of_D(fake_logits, real_logits)
            total = loss.mean()
            if every_step:
                total = total + self._penalties(real_logits, real, fake_logits, fake) * (nets.gamma / 2)
            if shares is not None:
                share = self.processes.share(shares)[i::accumulation].to(real.device)
                penalty = gradient_penalty(nets.D, seen_real, seen_fake, real_label, share)
                self.averages.add("Loss/gp", penalty)
                total = total + self.config.gp_weight * penalty.mean() + self.config.drift * real_logits.square().mean()
            (total / accumulation).backward()
            self.averages.add("Loss/D/loss", loss)
            self._observe("real", real_logits)
            if nets.control is not None:
                nets.control.observe(real_logits.detach())

    def _lazy_penalty(self, batch: int, own: RealBatches) -> None:
        """One lazy step of R1 (and R2, where the loss is relative): γ/2 · E‖∇D(x)‖², times the interval."""
        nets, accumulation = self.nets, len(own)
        latents = self._latents(batch, accumulation)
        for micro, (real, real_label) in zip(latents, own, strict=True):
            real = real.detach().requires_grad_(True)
            real_logits = nets.D(self._augmented(real, micro), real_label)
            fake, fake_logits = real, real_logits
            if self.loss.is_relative:
                fake = self._fakes(micro).requires_grad_(True)
                fake_logits = nets.D(self._augmented(fake, micro), micro.label)
            penalty = self._penalties(real_logits, real, fake_logits, fake)
            (penalty * (nets.gamma / 2) * nets.r1_interval / accumulation).backward()

    def _penalties(self, real_logits: Tensor, real: Tensor, fake_logits: Tensor, fake: Tensor) -> Tensor:
        """Mean of R1, and of R2 where the loss is relative."""
        r1 = squared_gradient(real_logits, real)
        self.averages.add("Loss/r1_penalty", r1)
        if not self.loss.is_relative:
            return r1.mean()
        r2 = squared_gradient(fake_logits, fake)
        self.averages.add("Loss/r2_penalty", r2)
        return r1.mean() + r2.mean()

    # ---- Parts -----------------------------------------------------------------------------------------------------

    def _latents(self, batch: int, accumulation: int) -> list[MicroBatch]:
        """Draw for a batch of generated pictures and return this process's micro-batches of it.

        All of the batch is drawn in every process, so that they agree; each keeps its share."""
        draws, device = self.draws, self.processes.device
        z, other, self._cutoff = draws.normal(batch, self.spec.z_dim), None, None
        if self.config.style_mix > 0 and self.spec.num_ws > 1 and draws.chance(self.config.style_mix):
            self._cutoff = 1 + draws.integer(self.spec.num_ws - 1)
            other = draws.normal(batch, self.spec.z_dim)
        seeds, labels = draws.picture_seeds(batch), self.reals.draw_labels(draws.generator, batch)

        def micro(values: Tensor, i: int) -> Tensor:
            return self.processes.share(values)[i::accumulation].to(device)

        out = []
        for i in range(accumulation):
            noise, augment = draws.generators(self.processes.share(seeds)[i::accumulation])
            mixed = None if other is None else micro(other, i)
            out.append(MicroBatch(micro(z, i), mixed, None if labels is None else micro(labels, i), noise, augment))
        return out

    def _mix_styles(self, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """Map z and replace the styles from the cutoff on by those of another z (StyleGAN, section 3.1).

        Returns w `[N, w_dim]` of z and w_plus `[N, num_ws, w_dim]`."""
        G = self.nets.G
        w = G.mapping(micro.z, micro.label)
        w_plus = w[:, None].repeat(1, self.spec.num_ws, 1)
        if micro.other is not None:
            assert self._cutoff is not None
            mixed = G.mapping(micro.other, micro.label)[:, None].expand(-1, self.spec.num_ws - self._cutoff, -1)
            w_plus = torch.cat([w_plus[:, : self._cutoff], mixed], dim=1)
        return w, w_plus

    @torch.no_grad()
    def _fakes(self, micro: MicroBatch) -> Tensor:
        """Generated pictures that no gradient flows through to G."""
        _, w_plus = self._mix_styles(micro)
        return self.nets.G.training_images(w_plus, micro.noise)

    def _augmented(self, image: Tensor, micro: MicroBatch) -> Tensor:
        self._look()  # in every micro-batch of every update
        return image if self.nets.augment is None else self.nets.augment(image, rng=micro.augment)

    def _observe(self, kind: str, logits: Tensor) -> None:
        """Keep what D says of real or fake pictures: its scores, their signs, and how often it is right."""
        signs = logits.detach().sign()
        self.averages.add(f"Loss/scores/{kind}", logits)
        self.averages.add(f"Loss/signs/{kind}", signs)
        if not self.loss.has_gradient_penalty:
            right = signs if kind == "real" else -signs
            self.averages.add(f"Loss/accuracy/{kind}", (right + 1) / 2)

    def _finish(self, optimizer: torch.optim.Adam) -> None:
        """Average the gradients over the processes and move the weights."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self.processes.mean_(gradients)
        if self.mixed:
            for gradient in gradients:  # half precision overflows now and then; one such step must not end the run
                torch.nan_to_num_(gradient, nan=0.0, posinf=1e5, neginf=-1e5)
        optimizer.step()


def _interleaved(parts: list[Fakes]) -> Fakes:
    """Put micro-batches, the i-th of which holds every so-many-th picture from i on, back into the share's order."""
    pictures = torch.stack([fake for fake, _ in parts], dim=1).flatten(0, 1)
    labels = [label for _, label in parts if label is not None]
    return pictures, torch.stack(labels, dim=1).flatten(0, 1) if labels else None


def _normal_like(image: Tensor, rng: Rng) -> Tensor:
    """Return N(0, 1) like image, each picture's from its own generator."""
    if isinstance(rng, torch.Generator):
        return torch.randn(image.shape, generator=rng, device=rng.device).to(image.device)
    return torch.stack([torch.randn(image.shape[1:], generator=g) for g in rng]).to(image.device)


@torch.no_grad()
def update_ema(nets: Networks, images_seen: int, batch: int, config: TrainConfig) -> None:
    """Move the average towards G: half-life `ema_nimg`, shorter at the start. Batch normalisation's statistics are
    averaged like the weights that they belong to; other buffers are copied."""
    half_life = config.ema_nimg()
    if config.ema_rampup is not None:
        half_life = min(half_life, images_seen * config.ema_rampup)
    beta = 0.5 ** (batch / max(half_life, 1e-8))
    torch._foreach_lerp_(list(nets.G_ema.parameters()), list(nets.G.parameters()), 1 - beta)
    averaged = {
        id(buffer)
        for module in nets.G_ema.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for buffer in (module.running_mean, module.running_var)
    }
    for target, source in zip(nets.G_ema.buffers(), nets.G.buffers(), strict=True):
        if id(target) in averaged:
            target.lerp_(source, 1 - beta)
        else:
            target.copy_(source)
