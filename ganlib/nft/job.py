"""Make a collection: look, choose, film, write. Every step leaves whole files, so that running it again continues it.

Below the collection's folder `.nft-work` keeps what was seen of each block of candidates, and pictures until they have
a number. Several processes share the blocks and the films; they meet by waiting for each other's files, which works
under `torchrun` on a shared file system too. The first of them numbers the pieces and writes the words.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from ganlib.base.errors import DataError, GanlibError, InputError
from ganlib.latents.recipes import Recipe, embed_text
from ganlib.media import images
from ganlib.models.checkpoints import find_checkpoint
from ganlib.nft.candidates import BLOCK, CandidateFeatures, Chooser, Viewer
from ganlib.nft.config import NftConfig
from ganlib.nft.documents import Drop, write_words
from ganlib.nft.films import write_film
from ganlib.nft.metadata import Places, check_rights, fill_template, words_of
from ganlib.nft.traits import traits_of
from ganlib.runs import Reporter, SilentReporter, Stopped, write_bytes, write_json
from ganlib.runs.files import read_json

WORK = ".nft-work"
_SETTINGS = "settings.json"
_POLL_SECONDS = 0.05
_KINDS = ("image", "animation", "metadata")


def make_drop(config: NftConfig, reporter: Reporter | None = None) -> Drop:
    """Make the collection in `config.outdir`, or continue it, and return what it is.

    Under `torchrun` all processes call this; those after the first help and return an empty drop. Raises `InputError`
    for options that do not work out, such as a floor so high that there are too few pieces, for a model whose pictures
    must not be sold, and for a folder with something else in it; `Stopped` when `reporter.should_stop()`.
    """
    config.validate()
    reporter = reporter or SilentReporter()
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        return _Maker(config, reporter, rank, world, lambda: None).run()
    with _helpers(config) as check:
        return _Maker(config, reporter, 0, config.workers, check).run()


class _Maker:
    """One process of those that make a collection."""

    def __init__(self, config: NftConfig, reporter: Reporter, rank: int, world: int, check: Callable[[], None]) -> None:
        if world > 1:
            torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // world)))
        self.config, self.reporter, self.rank, self.world, self.check = config, reporter, rank, world, check
        self.viewer = Viewer.open(config)
        self.candidates = self.viewer.candidates()
        self.places = Places(config.outdir, config.layout, config.suffix)
        self.work = config.outdir / WORK
        self.chooser = Chooser(config)
        self._done = 0.0
        expected = config.count or len(self.candidates)
        self._total = expected * (3.0 if config.seconds else 2.0)

    def run(self) -> Drop:
        """Do this process's part, and all that only the first one does."""
        self._begin()
        self._look_at_all()
        self.chooser.check(len(self.candidates))
        recipes = [self.candidates[i] for i in self.chooser.taken]
        self._total = len(recipes) * (3.0 if self.config.seconds else 2.0)
        if self.config.seconds:
            self._film(recipes)
        if self.rank > 0:
            return Drop(self.config.outdir, 0, {}, "", {})
        self._number(recipes)
        self._wait((self.places.path("animation", n) for n in self._numbers(recipes)) if self.config.seconds else ())
        drop = write_words(
            self.config, self.viewer, self.places, recipes, self.chooser,
            lambda done: self._progress(self._total - len(recipes) + done, "metadata"),
        )  # fmt: skip
        self._progress(self._total, f"{len(recipes)} pieces")
        return drop

    # -- beginning -------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Make the folder and note what is drawn in it, or see that it is this very collection."""
        settings = {"drawing": self._digest(), "candidates": len(self.candidates)}
        path = self.work / _SETTINGS
        if self.rank > 0:
            self._wait([path])
        elif warning := check_rights(self.viewer.card, allowed=self.config.allow_noncommercial):
            self.reporter.log(warning)
        if self.rank == 0 and not path.exists():
            there = [p.name for p in sorted(self.config.outdir.glob("*")) if not p.name.startswith(".")]
            if there:
                hint = "choose an empty --outdir"
                raise InputError(f"{self.config.outdir} holds other files, such as {there[0][:60]}", hint)
            self._try_words()
            self.places.make(_KINDS if self.config.seconds else ("image", "metadata"))
            (self.work / "pictures").mkdir(parents=True, exist_ok=True)
            write_json(path, settings)
        try:
            found = read_json(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read", "choose another --outdir") from error
        if not isinstance(found, dict) or found.get("drawing") != settings["drawing"]:
            hint = "choose another --outdir, or repeat the options that it was begun with; words may differ"
            raise InputError(f"{self.config.outdir} holds pictures of another collection", hint)
        if self.rank == 0:
            self._try_words()

    def _try_words(self) -> None:
        """Fail for a template with an unknown trait now, and not after hours of rendering."""
        look, _ = self.viewer.look(self.candidates[:1])
        titles = [d.title for d in self.viewer.directions]
        traits = traits_of(self.config, self.viewer.card, titles, self.candidates[:1], look)[0]
        count = self.config.count or len(self.candidates)
        last = self.config.start + count - 1  # the longest number
        fill_template(self.config, words_of(self.config, last, count, self.candidates[0], traits, count))

    def _digest(self) -> str:
        """sha256 over all that decides pictures and films."""
        facts = {
            "model": [self.viewer.card.digest, self.viewer.card.name, self.viewer.card.licence],
            "candidates": [recipe.to_dict() for recipe in self.candidates],
            "features": self.viewer.extractor.key if self.viewer.extractor else "",
            "directions": [
                [d.title, sha256(d.vector.numpy().tobytes()).hexdigest(), d.first, d.last]
                for d in self.viewer.directions
            ],
            "files": self.viewer.files_used(self.candidates),
            "block": BLOCK,
            **self.config.drawing(),
        }
        return sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    # -- pictures --------------------------------------------------------------------------------------------------

    def _look_at_all(self) -> None:
        """Blocks in rounds, one for each process, until there are pieces enough."""
        blocks = -(-len(self.candidates) // BLOCK)
        for start in range(0, blocks, self.world):
            turn = range(start, min(start + self.world, blocks))
            for block in turn:
                if block % self.world == self.rank:
                    self._look_at(block)
            self._wait(map(self._look_file, turn))  # all of them: nobody draws on once the first process numbers pieces
            for block in turn:
                look = CandidateFeatures.load(self._look_file(block))
                if look is None:
                    hint = "delete it and run the same command again"
                    raise DataError(f"{self._look_file(block)} is damaged", hint)
                self.chooser.add(look)
            if self.chooser.is_full:
                return
            message = f"{len(self.chooser.taken)} pieces of {self.chooser.looked} candidates"
            self._progress(min(self.chooser.looked, self._total), message)

    def _look_file(self, block: int) -> Path:
        return self.work / f"look-{block:05d}.npz"

    def _picture(self, i: int) -> Path:
        return self.work / "pictures" / f"{i:06d}{self.config.suffix}"

    def _look_at(self, block: int) -> None:
        """Draw a block, unless it was drawn: its pictures are there before what was seen of it is."""
        if CandidateFeatures.load(self._look_file(block)) is None:
            self._stop_if_asked()
            first = block * BLOCK
            look, pixels = self.viewer.look(self.candidates[first : first + BLOCK])
            for i, picture in enumerate(pixels, start=first):
                write_bytes(self._picture(i), self._encode(picture, self.candidates[i]), durable=False)
            look.save(self._look_file(block))

    def _encode(self, picture: Any, recipe: Recipe) -> bytes:
        card = self.viewer.card
        text = embed_text(recipe, digest=card.digest, model=card.name, licence=card.licence)
        return images.encode(picture, self.config.picture, recipe=text, quality=95, mark_ai=self.config.mark_ai)

    def _numbers(self, recipes: list[Recipe]) -> range:
        return range(self.config.start, self.config.start + len(recipes))

    def _number(self, recipes: list[Recipe]) -> None:
        """Give each piece's picture its name. One that somebody deleted is drawn again, with its block."""
        for number, i in zip(self._numbers(recipes), self.chooser.taken, strict=True):
            final = self.places.path("image", number)
            if final.exists():
                continue
            if not self._picture(i).exists():
                self._stop_if_asked()
                first = i - i % BLOCK
                _, pixels = self.viewer.look(self.candidates[first : first + BLOCK])
                write_bytes(self._picture(i), self._encode(pixels[i - first], self.candidates[i]), durable=False)
            self._picture(i).replace(final)
        shutil.rmtree(self.work / "pictures", ignore_errors=True)
        (self.work / "pictures").mkdir(exist_ok=True)

    # -- films -----------------------------------------------------------------------------------------------------

    def _film(self, recipes: list[Recipe]) -> None:
        mine = list(zip(self._numbers(recipes), recipes, strict=True))[self.rank :: self.world]
        for k, (number, recipe) in enumerate(mine, start=1):
            path = self.places.path("animation", number)
            if not path.exists():
                self._stop_if_asked()
                write_film(self.config, recipe, path, self.viewer.fresh(), self.reporter)
            self._progress(len(recipes) + k * self.world, f"film {number}")

    # -- together --------------------------------------------------------------------------------------------------

    def _stop_if_asked(self) -> None:
        self.check()
        if self.reporter.should_stop():
            raise Stopped

    def _wait(self, paths: Iterable[Path]) -> None:
        """Wait until other processes have made files."""
        for path in paths:
            while not path.exists():
                self._stop_if_asked()
                time.sleep(_POLL_SECONDS)

    def _progress(self, done: float, message: str) -> None:
        self._done = max(self._done, min(done, self._total))
        self.reporter.progress(self._done, self._total, message)


# --- processes --------------------------------------------------------------------------------------------------------


@contextmanager
def _helpers(config: NftConfig) -> Iterator[Callable[[], None]]:
    """Start the other processes, and yield a function that raises `GanlibError` when one has failed."""
    spawn = multiprocessing.get_context("spawn")
    others = [
        spawn.Process(target=_help, args=(config.to_dict(), rank, config.workers), daemon=True)
        for rank in range(1, config.workers)
    ]

    def check() -> None:
        for process in others:
            if process.exitcode:
                hint = "use --workers 1 to see why; running it again continues"
                raise GanlibError(f"a process ended with status {process.exitcode}", hint)

    try:
        for process in others:
            process.start()
        yield check
    finally:
        for process in others:
            if process.pid is not None:
                process.terminate()
                process.join()


def _help(values: Mapping[str, Any], rank: int, world: int) -> None:
    """The main function of another process: it ends when the first one does."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _Maker(NftConfig.from_dict(values), SilentReporter(), rank, world, lambda: None).run()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def run_job(config: Mapping[str, Any], run_dir: Path, reporter: Reporter) -> None:
    """Do a job with the verb `nft`; a relative `outdir` lies in the run's directory."""
    wanted = NftConfig.from_dict(config)
    values = wanted.to_dict() | {"network": str(find_checkpoint(str(wanted.network)))}
    values["outdir"] = str(run_dir / wanted.outdir)
    drop = make_drop(NftConfig.from_dict(values), reporter)
    for path in drop.reports():
        reporter.artefact(path)
