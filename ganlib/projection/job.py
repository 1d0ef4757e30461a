"""`project`: pictures in, latents out; a job that can be stopped, killed and continued to the same result."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlib.base.errors import CheckpointError, InputError
from ganlib.base.filesystem import reason
from ganlib.compute.device import choose_device, crowding, out_of_memory_hint
from ganlib.compute.torch_files import UNREADABLE, load_torch
from ganlib.features.perceptual import open_distance
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.models import checkpoints
from ganlib.models.checkpoints import Checkpoint
from ganlib.models.deltas import save_delta
from ganlib.networks.base import Generator
from ganlib.projection import figures, outputs
from ganlib.projection.config import ProjectConfig
from ganlib.projection.prior import Prior
from ganlib.projection.search import Search
from ganlib.projection.starts import choose_labels, choose_starts, priors_of
from ganlib.projection.target import crop_square, find_targets, read_target, to_network
from ganlib.projection.tuning import Tuning
from ganlib.runs import Reporter, SilentReporter, Stopped, free_name, replacing, write_bytes, write_json
from ganlib.runs.files import read_json
from ganlib.runs.records import thin

DELTA = "tuned-delta.safetensors"
STATE_EVERY = 50  # steps between two states on disk
PREVIEW_SECONDS = 1.0
PREVIEW = "preview.png"
_FORMAT = 1  # of the state file and of what decides a result
_PIXELS_AT_ONCE = {"cpu": 8 * 128 * 128, "cuda": 16 * 512 * 512, "mps": 4 * 512 * 512}
_MOST_AT_ONCE = 16
_TUNING_WEIGHT = 1.3  # a step of tuning, in steps of one picture's search
_TRYING_SECONDS = 2.0  # after which two tries of a step must do
_OPENING_SECONDS = 4.0  # until a process has loaded PyTorch and the networks


@dataclass(frozen=True)
class Projection:
    """One finished projection."""

    name: str
    folder: Path
    """Holds target.png, proj.png, projected_w.npz, figures.json, and proj.mp4 and tuned.* where they were wanted."""
    figures: Mapping[str, Any]
    """The contents of figures.json."""


@dataclass(frozen=True)
class _Target:
    name: str
    file: Path
    folder: Path
    pixels: np.ndarray
    save_as: str
    key: str
    """Equal keys are equal results."""


def project(config: ProjectConfig, reporter: Reporter | None = None) -> list[Projection]:
    """Find the latents of pictures and write them under `config.outdir`, one picture right there, each of several in
    a folder of its own.

    Called again with the same options after it was stopped or killed, it goes on and ends with the same result; what is
    finished is not made again. Raises `InputError`, `DataError` or `CheckpointError` before anything is written, and
    `Stopped` when `reporter.should_stop()`."""
    config.validate()
    return _Project(config, reporter or SilentReporter()).run()


class _Project:
    """The model, the distance and the pictures of one call."""

    def __init__(self, config: ProjectConfig, reporter: Reporter) -> None:
        self.config, self.reporter = config, reporter
        self.card = checkpoints.read_card(config.network)
        self.device = choose_device(config.device)
        self.targets = _read_targets(config, self.card)
        self.distance = open_distance(config.distance, config.network, device=self.device)
        self.generator = checkpoints.load_generator(config.network, device=self.device)
        self.at_once = self.batch_size()
        self.done = 0.0
        # In steps of one picture's search, so that a smaller last batch and tuning count as what they take.
        self.tuning = config.pti_steps * _TUNING_WEIGHT if config.pti else 0.0
        self.total = len(self.targets) * (config.steps + self.tuning)
        self._shown_at = 0.0

    def batch_size(self) -> int:
        """How many pictures are searched for at once."""
        budget = _PIXELS_AT_ONCE.get(self.device.type, _PIXELS_AT_ONCE["cpu"])
        return max(1, min(_MOST_AT_ONCE, budget // self.card.spec.resolution**2))

    def run(self) -> list[Projection]:
        for target in self.targets:
            _refuse_another(target)
        self.config.outdir.mkdir(parents=True, exist_ok=True)
        self.reporter.log(f"distance: {self.distance.name}. {self.distance.meaning}")
        finished: list[Projection] = []
        for number, start in enumerate(range(0, len(self.targets), self.at_once)):
            batch = self.targets[start : start + self.at_once]
            with out_of_memory_hint("choose a smaller model, or `--device cpu`"):
                finished += self._batch(batch, number)
        self.reporter.progress(self.total, self.total, "done")
        return finished

    # -- the search ------------------------------------------------------------------------------------------------

    def _batch(self, batch: list[_Target], number: int) -> list[Projection]:
        known = [_finished(target) for target in batch]
        if all(known):
            self.done += len(batch) * (self.config.steps + self.tuning)
            return [row for row in known if row is not None]
        image = to_network(np.stack([target.pixels for target in batch]), self.card.spec).to(self.device)
        vectors = self.distance.prepare(image)
        labels = choose_labels(self.generator, self.distance, vectors, self.config)
        priors = priors_of(self.generator, labels)
        start = choose_starts(self.generator, self.distance, vectors, labels, priors, self.config)
        search = Search(self.generator, self.distance, image, start, labels, priors, self.config)
        state_file = self.config.outdir / f"search-{number + 1}.state"
        key = _digest([target.key for target in batch])
        way = self._search(search, batch, state_file, key)
        made = []
        for i, target in enumerate(batch):
            before = number * self.at_once
            self.done = (before + len(batch)) * self.config.steps + (before + i) * self.tuning
            row = known[i] or self._finish(target, search, i, labels[i], priors[i], way)
            made.append(row)
        self.done = (number * self.at_once + len(batch)) * (self.config.steps + self.tuning)
        state_file.unlink(missing_ok=True)
        return made

    def _search(self, search: Search, batch: list[_Target], state_file: Path, key: str) -> list[Tensor]:
        """Go all the way, from the state on disk where there is one; return the w_plus that were looked at, each
        `[N, 1 or num_ws, w_dim]`."""
        rows = search.spec.num_ws if self.config.space == "w_plus" else 1
        way: list[Tensor] = []
        if (state := _load_state(state_file, key)) is not None:
            search.restore(state["search"])
            way = list(state["way"].unbind(0))
            self.reporter.log(f"goes on at step {search.step_number}")
        else:
            self._look(search, way, rows, batch)
        every = look_every(self.config.steps)
        while search.step_number < self.config.steps:
            if self.reporter.should_stop():
                self._save(state_file, key, search, way)
                raise Stopped
            search.step()
            at = search.step_number
            if at % every == 0 or at == self.config.steps:
                self._look(search, way, rows, batch)
            if at % STATE_EVERY == 0 or at == self.config.steps:
                self._save(state_file, key, search, way)
        return way

    def _look(self, search: Search, way: list[Tensor], rows: int, batch: list[_Target]) -> None:
        found, image = search.look()
        way.append(search.w_plus()[:, :rows].detach().clone())
        at = search.step_number
        photographs = f" for {len(batch)} of {len(self.targets)} pictures" if len(self.targets) > 1 else ""
        self.reporter.progress(self.done + at * len(batch), self.total, f"step {at} of {search.steps}{photographs}")
        values = {target.name: value for target, value in zip(batch, found.tolist(), strict=True)}
        self.reporter.stats({"stage": "search", "step": at, "distance": values, "mean": float(found.mean())})
        self._preview([target.pixels for target in batch], image, at == search.steps)

    def _preview(self, targets: list[np.ndarray], image: Tensor, is_last: bool) -> None:
        """Write preview.png, at most every second: each target, and beside it the picture of the moment."""
        if not is_last and time.monotonic() - self._shown_at < PREVIEW_SECONDS:
            return
        self._shown_at = time.monotonic()
        pairs = [picture for pair in zip(targets, images.to_pixels(image), strict=True) for picture in pair]
        path = self.config.outdir / PREVIEW
        write_bytes(path, images.encode(images.contact_sheet(np.stack(pairs), columns=2)), durable=False)
        self.reporter.artefact(path)

    def _save(self, path: Path, key: str, search: Search, way: list[Tensor]) -> None:
        _write_state(path, {"key": key, "search": search.state(), "way": torch.stack(way)})

    # -- one picture's results -------------------------------------------------------------------------------------

    def _finish(
        self, target: _Target, search: Search, i: int, label: int | None, prior: Prior, way: list[Tensor]
    ) -> Projection:
        folder, w_plus = target.folder, search.best_w[i]
        folder.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            pixels = images.to_pixels(self.generator.synthesis(w_plus[None], noise_mode=search.mode))[0]
        base = ""
        if target.save_as:
            base = outputs.keep_latent(self.card.folder, target.save_as, w_plus, self.card)
        recipe = Recipe(base=base, label=label) if base else None
        written = [
            outputs.write_picture(folder / "target.png", target.pixels, None, self.card),
            outputs.write_picture(folder / "proj.png", pixels, recipe, self.card),
            folder / "projected_w.npz",
        ]
        write_bytes(written[-1], outputs.latent_bytes(w_plus))
        row: dict[str, Any] = {
            "key": target.key, "name": target.name, "file": target.file.name, "model": self.card.name,
            "digest": self.card.digest, "space": self.config.space, "steps": self.config.steps,
            "seed": self.config.seed, "label": label, "base": base, "distance_name": self.distance.name,
            "distance_meaning": self.distance.meaning, "best_step": int(search.best_step[i]),
            "before": figures.measure(pixels, target.pixels, float(search.best[i])), "after": None, "tuned": "",
            **figures.ordinariness(w_plus, prior),
        }  # fmt: skip
        if self.config.space == "z":
            row["z"] = [round(value, 6) for value in search.best_z[i].tolist()]
        tuning = self._tune(target, w_plus, prior) if self.config.pti else None
        if tuning is not None:
            after, tuned_card, tuned = self._write_tuned(target, tuning, w_plus, label)
            row |= {"after": after, "tuned": tuned_card.path.name, "delta": DELTA, "tuning_steps": tuning.step_number}
            written += [folder / "tuned.png", tuned, folder / DELTA]
        if self.config.film:
            written.append(self._film(target, [step[i] for step in way], tuning, w_plus, search.mode))
        write_json(folder / figures.FILE, row)
        (folder / "tuning.state").unlink(missing_ok=True)
        for path in [*written, folder / figures.FILE]:
            self.reporter.artefact(path)
        self.reporter.log(f"{target.name}: {figures.summary(row)}")
        return Projection(target.name, folder, row)

    def _tune(self, target: _Target, w_plus: Tensor, prior: Prior) -> Tuning:
        image = to_network(target.pixels[None], self.card.spec).to(self.device)
        tuning = Tuning(
            self.generator, self.distance, image, w_plus[None], prior, steps=self.config.pti_steps,
            seed=self.config.seed,
        )  # fmt: skip
        state_file = target.folder / "tuning.state"
        if (state := _load_state(state_file, target.key)) is not None:
            tuning.restore(state["tuning"])
        while not tuning.is_done:
            if self.reporter.should_stop():
                _write_state(state_file, {"key": target.key, "tuning": tuning.state()})
                raise Stopped
            tuning.step()
            at = tuning.step_number
            if at % 10 == 0 or tuning.is_done:
                found, image_now = tuning.look()
                words = f"tuning to {target.name}, step {at}"
                self.reporter.progress(self.done + at * _TUNING_WEIGHT, self.total, words)
                self.reporter.stats({"stage": "tuning", "step": at, "distance": {target.name: found}, "mean": found})
                self._preview([target.pixels], image_now, tuning.is_done)
            if at % STATE_EVERY == 0:
                _write_state(state_file, {"key": target.key, "tuning": tuning.state()})
        return tuning

    def _write_tuned(
        self, target: _Target, tuning: Tuning, w_plus: Tensor, label: int | None
    ) -> tuple[dict[str, float], Checkpoint, Path]:
        """The tuned model: beside the model that it comes from where the latent is kept, else among the results."""
        tuned = tuning.result()
        path = target.folder / "tuned.safetensors"
        base = target.save_as or "picture"
        if target.save_as:
            path = self.card.folder.with_name(f"{self.card.name}-{target.save_as}{checkpoints.SUFFIX}")
        card = outputs.save_tuned(path, tuned, self.card, target.name)
        save_delta(target.folder / DELTA, card, self.card)
        base = outputs.keep_latent(card.folder, base, w_plus, card)
        with torch.no_grad():
            pixels = images.to_pixels(tuned.synthesis(w_plus[None], noise_mode=tuning.mode))[0]
        outputs.write_picture(target.folder / "tuned.png", pixels, Recipe(base=base, label=label), card)
        return figures.measure(pixels, target.pixels, tuning.best), card, card.path

    def _film(self, target: _Target, way: list[Tensor], tuning: Tuning | None, w_plus: Tensor, mode: str) -> Path:
        chosen = [*thin(way, outputs.FILM_FRAMES), w_plus]
        pictures: Iterator[np.ndarray] = outputs.render_way(self.generator, _alike(chosen), mode)
        count = len(chosen)
        if tuning is not None:
            pictures = chain(pictures, _bending(tuning, w_plus, mode))
            count += outputs.TUNING_FRAMES
        return outputs.write_way(target.folder / "proj.mp4", target.pixels, pictures, count, self.reporter)


def _alike(way: list[Tensor]) -> list[Tensor]:
    """The w_plus of a way with the same number of rows."""
    rows = max(len(w) for w in way)
    return [w.expand(rows, -1) for w in way]


def _bending(tuning: Tuning, w_plus: Tensor, mode: str) -> Iterator[np.ndarray]:
    """The picture while the model's weights go from its own to the tuned ones."""
    for k in range(1, outputs.TUNING_FRAMES + 1):
        yield from outputs.render_way(tuning.blend(k / outputs.TUNING_FRAMES), [w_plus], mode)


# ---- Targets, keys and states --------------------------------------------------------------------------------------


def look_every(steps: int) -> int:
    """After how many steps the picture is looked at: for the best, the curve, the preview and the film."""
    return min(10, max(4, steps // 100))


def _read_targets(config: ProjectConfig, card: Checkpoint) -> list[_Target]:
    files = find_targets(config.target)
    if len(config.box) not in (0, 4, 4 * len(files)):
        hint = "give four numbers for all, or four for each"
        raise InputError(f"{len(config.box)} numbers of box for {len(files)} pictures", hint)
    targets, taken = [], set[str]()
    for i, file in enumerate(files):
        own = (config.box * len(files))[4 * i : 4 * i + 4] if config.box else ()
        box = (own[0], own[1], own[2], own[3]) if own else None
        pixels = crop_square(read_target(file), card.spec.resolution, crop=config.crop, box=box)
        if card.spec.img_channels == 1:  # what the model can show of it
            pixels = images.to_pixels(to_network(pixels[None], card.spec))[0]
        name = free_name(outputs.safe_stem(file.stem), taken.__contains__)
        taken.add(name)
        one = len(files) == 1
        save_as = config.save_as if one or not config.save_as else f"{config.save_as}-{name}"[:60].rstrip("-_.")
        folder = config.outdir if one else config.outdir / name
        targets.append(_Target(name, file, folder, pixels, save_as, _key(config, card, pixels, save_as)))
    return targets


def _key(config: ProjectConfig, card: Checkpoint, pixels: np.ndarray, save_as: str) -> str:
    """What decides the result of one picture, as a hash."""
    deciding = config.to_dict()
    for name in ("network", "target", "outdir", "crop", "box", "device"):
        del deciding[name]
    picture = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    return _digest([_FORMAT, card.digest, picture, deciding, save_as])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _finished(target: _Target) -> Projection | None:
    """The result that is there already, if it is that of the same options and picture."""
    try:
        row = read_json(target.folder / figures.FILE)
        same = row["key"] == target.key
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Projection(target.name, target.folder, row) if same else None


def _refuse_another(target: _Target) -> None:
    """Raise InputError where another projection's results lie in a target's folder: they may be the better ones."""
    path = target.folder / figures.FILE
    try:
        row = read_json(path)
    except (OSError, ValueError):
        return
    if isinstance(row, dict) and row.get("key") not in (None, target.key):
        words = f"{row.get('name', 'a picture')}, {row.get('steps', '?')} steps in {row.get('space', '?')}"
        raise InputError(f"{target.folder} holds another projection: {words}", "name another --outdir, or move it away")


def _write_state(path: Path, state: Mapping[str, Any]) -> None:
    try:
        with replacing(path, durable=False) as temporary:
            torch.save(dict(state), temporary)
    except OSError as error:
        raise CheckpointError(f"{path.name} could not be written: {reason(error)}", "free some disk space") from error


def _load_state(path: Path, key: str) -> Mapping[str, Any] | None:
    """The state on disk of the same work; None where there is none, it is another's, or it was damaged."""
    if not path.is_file():
        return None
    try:
        state = load_torch(path)
        return state if state["key"] == key else None
    except UNREADABLE:
        return None


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job of verb `project`; its results are in the run directory."""
    made = project(replace(ProjectConfig.from_dict(config), outdir=run_dir), reporter)
    reporter.log(f"{len(made)} picture{'s' * (len(made) != 1)} projected")


# ---- What it takes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProjectEstimate:
    """What a projection takes on this machine, from a few steps made just now."""

    alone_seconds: float
    """With the machine to itself."""
    step_seconds: float
    """Of one step of the search, for all pictures that are searched for at once, with the machine to itself."""
    tuning_step_seconds: float
    """0 without tuning."""
    distance_name: str
    distance_meaning: str
    """One sentence about what is made small."""
    is_on_processor: bool
    """Whether other work on the processors makes it slower."""

    @property
    def seconds(self) -> float:
        """Beside what else the machine has to do at this moment."""
        return self.alone_seconds * (crowding() if self.is_on_processor else 1.0)


def estimate_project(config: ProjectConfig, pictures: int = 1, *, tries: int = 3) -> ProjectEstimate:
    """Return what `pictures` pictures would take; makes a few steps towards a grey one, and reads no target."""
    card = checkpoints.read_card(config.network)
    device = choose_device(config.device)
    generator = checkpoints.load_generator(config.network, device=device, verify=False)
    distance = open_distance(config.distance, config.network, device=device)
    budget = _PIXELS_AT_ONCE.get(device.type, _PIXELS_AT_ONCE["cpu"])
    at_once = max(1, min(_MOST_AT_ONCE, budget // card.spec.resolution**2, pictures))
    spec = card.spec
    image = torch.zeros(at_once, spec.img_channels, spec.resolution, spec.resolution, device=device)
    prior = _rough_prior(generator)
    length = spec.z_dim if config.space == "z" else spec.w_dim
    start = torch.full((at_once, length), 0.1, device=device)
    labels: list[int | None] = [0 if spec.label_dim else None] * at_once
    search = Search(generator, distance, image, start, labels, [prior] * at_once, config)
    step, look = _fastest(search.step, tries, device), _fastest(search.look, 2, device)
    tuning_step = 0.0
    if config.pti:
        tuning = Tuning(generator, distance, image[:1], search.w_plus()[:1], prior, steps=100, seed=0)
        tuning_step = _fastest(tuning.step, tries, device) * 1.3  # the others are looked at and held near the latent
    looks = config.steps / look_every(config.steps)
    frames = (min(looks, outputs.FILM_FRAMES) + outputs.TUNING_FRAMES * config.pti) * config.film
    is_compared = config.space == "z" or not (spec.truncatable and config.start in ("auto", "average"))
    each = config.steps * step + (looks + frames + config.starts * is_compared) * look
    seconds = _OPENING_SECONDS + pictures * (each / at_once + config.pti_steps * tuning_step)
    return ProjectEstimate(seconds, step, tuning_step, distance.name, distance.meaning, device.type == "cpu")


def _rough_prior(generator: Generator) -> Prior:
    size = generator.spec.w_dim
    device = generator.w_avg.device
    samples = torch.ones(2, size, device=device)
    return Prior(torch.zeros(size, device=device), 1.0, samples, torch.eye(size, device=device), 1.0)


def _fastest(step: Any, tries: int, device: torch.device) -> float:
    """Seconds of a step at its best. On the processor those that this thread was at work: while others take turns with
    it the clock on the wall tells more of them than of the step."""
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    best, since = float("inf"), time.perf_counter()
    for i in range(tries):
        if i > 1 and time.perf_counter() - since > _TRYING_SECONDS:
            break
        began = clock()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, clock() - began)
    return best
