"""The pictures that are to be checked: made from recipes, or read from a folder, a zip or a collection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ganlib.base.errors import DataError, InputError
from ganlib.compare.config import MOST_PICTURES, CopiesConfig
from ganlib.dataset.files import Files
from ganlib.latents.favourites import load_favourites
from ganlib.latents.recipes import Recipe, label_in_turn, parse_seeds
from ganlib.media.images import decode
from ganlib.render.renderer import Renderer


@dataclass(frozen=True)
class Item:
    """One picture to be checked."""

    name: str
    """What it is called in the report: a recipe's caption, or a file."""
    recipe: Recipe | None = None
    """None for a file."""


class Source(Protocol):
    """Pictures by their place."""

    items: list[Item]
    mark: str
    """Equal marks are equal pictures."""
    batch: int
    """How many are read at once."""

    def read(self, items: Sequence[Item]) -> list[np.ndarray | DataError]:
        """Return uint8 `[H, W, 3]` of each; of a file that cannot be read, why."""
        ...


def batches(source: Source, items: Sequence[Item]) -> Iterator[list[np.ndarray | DataError]]:
    """Yield what `source` reads of `items`, in order, as many as fit into memory at a time."""
    for start in range(0, len(items), source.batch):
        yield source.read(items[start : start + source.batch])


class Generated:
    """Pictures of a model."""

    def __init__(self, renderer: Renderer, recipes: Sequence[Recipe]) -> None:
        """Each recipe once; raises `InputError` for one that the model cannot draw."""
        self.renderer = renderer
        self.items = [Item(recipe.caption(), recipe) for recipe in dict.fromkeys(recipes)]
        self.mark, self.batch = renderer.digest, renderer.default_batch()

    def read(self, items: Sequence[Item]) -> list[np.ndarray | DataError]:
        """As `Source.read`; they can all be read."""
        return list(self.renderer.render([item.recipe for item in items if item.recipe is not None]))


class Stored:
    """Picture files below a folder or in a zip; of a collection that `nft` made, its pictures alone."""

    def __init__(self, path: Path, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Raises `DataError` for a place without pictures, Stopped when `should_stop()`."""
        self.files = Files(_pictures_of(path), should_stop=should_stop)
        self.items = [Item(name) for name in self.files.pictures]
        self.mark, self.batch = str(self.files.stamp()), 4  # they may be large
        if not self.items:
            raise DataError(f"{path} has no pictures", "Give a folder or a zip of PNG, JPEG or WebP files.")

    def read(self, items: Sequence[Item]) -> list[np.ndarray | DataError]:
        """As `Source.read`."""
        return [self._read(item.name) for item in items]

    def _read(self, name: str) -> np.ndarray | DataError:
        try:
            return decode(self.files.read(name), name=name)
        except DataError as error:
            return error


def _pictures_of(path: Path) -> Path:
    """The folder of a collection's pictures, or what else `path` leads to."""
    try:
        return path / "images" if (path / "images").is_dir() else path
    except OSError:  # it may not be looked into: opening it says why, and names it
        return path


def open_source(config: CopiesConfig, should_stop: Callable[[], bool] = lambda: False) -> Source:
    """Return what `config` names. Raises `GanlibError` for what is not there, Stopped when `should_stop()`."""
    source: Source
    if config.source is not None:
        source = Stored(config.source, should_stop)
    else:
        assert config.network is not None, "validated"
        renderer = Renderer.open(config.network, device=config.device)
        recipes = []
        if config.favourites:
            folder = renderer.folder
            kept = load_favourites(folder) if folder is not None else []
            if not kept:
                raise InputError("this model has no favourites", "mark some in the Gallery, or name seeds")
            recipes += [favourite.recipe for favourite in kept]
        seeds = parse_seeds(config.seeds) if config.seeds.strip() else []
        kinds = renderer.spec.label_dim
        recipes += [
            Recipe.of_seed(seed, psi=config.psi, label=label_in_turn(seed, config.label, kinds)) for seed in seeds
        ]
        source = Generated(renderer, recipes)
    if len(source.items) > MOST_PICTURES:
        raise InputError(f"{len(source.items):,} pictures", f"check {MOST_PICTURES:,} at most at once")
    return source
