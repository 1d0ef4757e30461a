"""A film's keyframes: on the timeline, and as short text for the address: `seeds=85&psi=0.7@2~seeds=12@1.5`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlencode

from ganlib.base.errors import InputError
from ganlib.latents.paths import Keyframe
from ganlib.latents.recipes import Recipe
from ganlib.networks.base import GeneratorSpec
from pages._ui.explore.history import fit_to_model

MAX_KEYFRAMES = 60
SECONDS = 2.0


def recipe_id(recipe: Recipe) -> str:
    """A recipe as one word, which is the recipe itself."""
    return urlencode(recipe.to_query())


def recipe_of(id: str) -> Recipe:
    """The inverse of `recipe_id`. Raises InputError."""
    return Recipe.from_query(dict(parse_qsl(id)))


def full_name(recipe: Recipe) -> str:
    """What a picture is called among pictures of different variations: `seed 85 · psi 0.7`."""
    return f"{recipe.caption()} · psi {recipe.psi:g}"


def seconds_of(text: str) -> float:
    """A number of seconds in an address, brought within 0.1 and 60. Raises ValueError for text that is none."""
    seconds = float(text)
    if math.isnan(seconds):
        raise ValueError("nan is no number of seconds")
    return min(60.0, max(0.1, seconds))


def to_text(keyframes: Sequence[Keyframe]) -> str:
    """Keyframes as text for an address."""
    return "~".join(f"{recipe_id(keyframe.recipe)}@{keyframe.seconds:g}" for keyframe in keyframes)


def from_text(text: str) -> list[Keyframe]:
    """The inverse of `to_text`. Raises InputError for anything else."""
    keyframes = []
    for item in text.split("~") if text else []:
        id, _, seconds = item.rpartition("@")
        try:
            keyframes.append(Keyframe(recipe_of(id), seconds_of(seconds)))
        except ValueError as error:
            raise InputError(f"'{item[:40]}' in the link is no keyframe", "Choose the keyframes anew.") from error
    return keyframes


@dataclass
class Track:
    """The keyframes on the timeline, by the id they have there."""

    digest: str
    """The model."""
    stops: dict[str, Keyframe] = field(default_factory=dict)
    rev: int = 0
    """Grows when the timeline has to follow."""

    @property
    def keyframes(self) -> list[Keyframe]:
        """In the order of the film."""
        return list(self.stops.values())

    def put(self, keyframes: Sequence[Keyframe], spec: GeneratorSpec) -> None:
        """Show other keyframes, as far as a model can make them. Raises InputError where they are too many."""
        if len(keyframes) > MAX_KEYFRAMES:
            raise InputError(f"{len(keyframes)} pictures in one film", f"At most {MAX_KEYFRAMES} fit on this timeline.")
        self.rev += 1
        fitting = [replace(keyframe, recipe=fit_to_model(keyframe.recipe, spec)[0]) for keyframe in keyframes]
        self.stops = {f"{self.rev}-{i}": keyframe for i, keyframe in enumerate(fitting)}

    def set_class(self, id: str, label: int) -> None:
        """Give one keyframe another class."""
        if id in self.stops:
            keyframe = self.stops[id]
            self.stops[id] = replace(keyframe, recipe=replace(keyframe.recipe, label=label))

    def edit(self, stops: Sequence[tuple[str, float]]) -> None:
        """Take over the timeline's own order, removals and seconds."""
        self.stops = {id: replace(self.stops[id], seconds=seconds) for id, seconds in stops if id in self.stops}
