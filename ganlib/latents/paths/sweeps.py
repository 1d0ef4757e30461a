"""Paths that leave the picture's seed alone and move one thing: truncation, a direction, the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ganlib.base.errors import InputError
from ganlib.latents.paths.keyframes import Keyframe, LatentPath
from ganlib.latents.recipes import Edit, Recipe


def psi_path(recipe: Recipe, values: Sequence[float], *, seconds: float = 2.0, loop: bool = True) -> LatentPath:
    """Return a path through truncation psi `values` of one picture. Raises InputError for fewer than two."""
    return _path([replace(recipe, psi=float(value)) for value in values], seconds, loop)


def direction_path(
    recipe: Recipe,
    direction: str,
    strengths: Sequence[float],
    *,
    first: int = 0,
    last: int | None = None,
    seconds: float = 2.0,
    loop: bool = True,
) -> LatentPath:
    """Return a path through `strengths`, in sigmas, of a named direction of one picture, on style inputs `first` to
    `last`; what the recipe had of this direction is replaced. Raises InputError for fewer than two strengths."""
    kept = tuple(edit for edit in recipe.edits if edit.direction != direction)
    steps = [Edit(direction, strength, first, last) for strength in strengths]
    return _path([replace(recipe, edits=(*kept, step)) for step in steps], seconds, loop)


def class_path(recipe: Recipe, labels: Sequence[int], *, seconds: float = 2.0, loop: bool = True) -> LatentPath:
    """Return a path through the classes `labels` of one picture. Raises InputError for fewer than two."""
    return _path([replace(recipe, label=label) for label in labels], seconds, loop)


def _path(recipes: Sequence[Recipe], seconds: float, loop: bool) -> LatentPath:
    path = LatentPath(tuple(Keyframe(recipe, seconds) for recipe in recipes), "cubic", loop)
    if len(recipes) < 2:
        raise InputError(f"{len(recipes)} values are no path", "Give two or more.")
    path.validate()
    return path
