"""What a collection would be, before anything is written: some of its pieces, their rarity, and what it costs."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganlib.base.errors import InputError
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.models.checkpoints import read_card
from ganlib.nft.candidates import BLOCK, Chooser, Viewer
from ganlib.nft.config import NftConfig
from ganlib.nft.films import film_of
from ganlib.nft.metadata import check_rights, item_of, rights_of, words_of
from ganlib.nft.traits import Rarity, rarity_of, traits_of
from ganlib.render.renderer import Renderer
from ganlib.runs import Reporter, SilentReporter, Stopped
from ganlib.video import render_video

_NOT_YET = "ipfs://" + "b" + "a" * 58  # stands for addresses that are not known before the files are


@dataclass(frozen=True)
class Piece:
    """One piece of a preview."""

    number: int
    recipe: Recipe
    traits: Mapping[str, str]
    rank: int
    score: float
    """Rarity in bits."""
    name: str
    description: str
    thumbnail: bytes
    """A small WebP; empty beyond the first ones."""
    metadata: Mapping[str, Any]
    """Its JSON, with stand-ins for addresses and hashes."""


@dataclass(frozen=True)
class Preview:
    """What the first candidates would become."""

    pieces: tuple[Piece, ...]
    candidates: int
    """Candidates in all."""
    looked: int
    """Candidates looked at for this preview."""
    near: int
    """Of these, those too like another."""
    copies: int
    rarity: Rarity
    """Of the pieces shown; shares of the whole collection may differ where not all candidates were looked at."""
    warning: str
    """What is to be said of rights; empty where nothing is."""
    problem: InputError | None
    """What `make_drop` would refuse: rights, and too few pieces where all candidates were looked at; None for nothing
    that is known."""

    @property
    def is_whole(self) -> bool:
        """Whether this is the whole collection."""
        return self.looked == self.candidates


def preview_drop(
    config: NftConfig,
    *,
    renderer: Renderer | None = None,
    most: int = 200,
    thumbnails: int = 24,
    side: int = 128,
    reporter: Reporter | None = None,
) -> Preview:
    """Look at the first `most` candidates, and return what they would become; nothing is written.

    `renderer` is one of the same model that is open already. Raises `InputError` as `make_drop` does, but not for a
    floor that leaves too few, nor for rights: `problem` and `warning` tell of those. Raises `Stopped` when asked to.
    """
    config.validate()
    reporter = reporter or SilentReporter()
    viewer, chooser = Viewer.open(config, renderer), Chooser(config)
    candidates = viewer.candidates()
    thumbs: list[bytes] = []
    few = min(len(candidates), max(1, most))
    for start in range(0, few, BLOCK):
        if reporter.should_stop():
            raise Stopped
        look, pixels = viewer.look(candidates[start : min(start + BLOCK, few)])
        before, first = len(chooser.taken), chooser.looked
        chooser.add(look)
        for i in chooser.taken[before:]:
            if len(thumbs) < thumbnails:
                thumbs.append(images.encode(images.resize(pixels[i - first], side, side), "webp"))
        reporter.progress(min(start + BLOCK, few), few, "candidates")
        if chooser.is_full:
            break
    recipes = [candidates[i] for i in chooser.taken]
    titles = [direction.title for direction in viewer.directions]
    traits = traits_of(config, viewer.card, titles, recipes, chooser.seen())
    rarity = rarity_of(traits, config.target_shares())
    rights = rights_of(viewer.card)
    pieces = []
    for k, recipe in enumerate(recipes):
        words = words_of(config, config.start + k, len(recipes), recipe, traits[k], rarity.ranks[k])
        item = item_of(
            config, words, recipe=recipe, traits=traits[k], image_uri=_NOT_YET,
            animation_uri=_NOT_YET if config.seconds else "", sha256="", rights=rights,
        )  # fmt: skip
        thumb = thumbs[k] if k < len(thumbs) else b""
        pieces.append(
            Piece(config.start + k, recipe, traits[k], rarity.ranks[k], rarity.scores[k], item["name"],
                  item["description"], thumb, item)
        )  # fmt: skip
    warning = check_rights(viewer.card, allowed=True)
    looked = len(candidates) if chooser.is_full else chooser.looked
    problem = None
    try:
        check_rights(viewer.card, allowed=config.allow_noncommercial)
        if looked == len(candidates):
            chooser.check(looked)
    except InputError as error:
        problem = error
    return Preview(tuple(pieces), len(candidates), looked, len(chooser.near), chooser.copies, rarity, warning, problem)


@dataclass(frozen=True)
class Cost:
    """What a collection takes on this machine."""

    pieces: int
    """At most."""
    seconds: float
    bytes: int
    """On the disk."""


def estimate_drop(config: NftConfig, *, renderer: Renderer | None = None) -> Cost:
    """Return what the collection takes, from a few of its pictures and a few frames of a film made now.

    With a floor, as many candidates are taken to be looked at as there are. Raises `InputError` as `make_drop`.
    """
    config.validate()
    viewer = Viewer.open(config, renderer)
    candidates = viewer.candidates()
    sample = candidates[: min(BLOCK, len(candidates), max(2, viewer.renderer.default_batch()))]
    viewer.look(sample[:1])  # the first picture of a process is slower
    begun = time.perf_counter()
    _, pixels = viewer.look(sample)
    files = [images.encode(picture, config.picture, quality=95, mark_ai=config.mark_ai) for picture in pixels]
    per_picture = (time.perf_counter() - begun) / len(sample)
    pieces = config.count or len(candidates)
    looked = len(candidates) if config.floor > 0 else pieces
    bytes_each = sum(map(len, files)) / len(files) + 4000
    seconds = looked * per_picture
    if config.seconds:
        frames = film_of(config, sample[0]).num_frames
        few = min(frames, 24)
        with tempfile.TemporaryDirectory() as folder:
            short = replace(film_of(replace(config, seconds=few / config.fps), sample[0]))
            begun = time.perf_counter()
            path = render_video(short, Path(folder) / "a.mp4", renderer=viewer.fresh(), reporter=SilentReporter())
            seconds += pieces * (time.perf_counter() - begun) * frames / short.num_frames
            bytes_each += path.stat().st_size * frames / short.num_frames
    sharing = min(config.workers, os.cpu_count() or 1)
    return Cost(pieces, seconds / sharing, round(pieces * bytes_each))


def sale_warning(network: Path) -> str:
    """Return what is to be said of the rights in a model's pictures; empty where they may be sold."""
    return check_rights(read_card(network), allowed=True)
