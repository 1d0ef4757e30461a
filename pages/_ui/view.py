"""What the gallery shows: a list of seeds, a variation, and the shape of the wall."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ganlib.checkpoints import Checkpoint
from ganlib.latents import MAX_SEED, Recipe, parse_seeds
from pages._ui.models import DEFAULT_PSI


@dataclass(frozen=True)
class View:
    """Every choice on the Gallery page."""

    seeds: str = "0-23"
    """As a person writes them."""
    start: int = 0
    """Place in the list of the first seed on the wall."""
    psi: float = DEFAULT_PSI
    label: int | None = None
    columns: int = 6
    per_page: int = 24
    """Pictures on the wall."""
    pixels: bool = False
    """Whether single pixels are shown crisp."""

    def recipe(self, seed: int, model: Checkpoint) -> Recipe:
        """The recipe of one seed in this view."""
        return Recipe.of_seed(seed, psi=self.psi, label=self.label if model.spec.label_dim else None)

    def recipes(self, model: Checkpoint) -> list[Recipe]:
        """The recipes on the wall. Raises InputError for text that is no list of seeds."""
        seeds = parse_seeds(self.seeds)
        start = self.start if self.start < len(seeds) else 0
        return [self.recipe(seed, model) for seed in seeds[start : start + self.per_page]]

    def to_query(self) -> dict[str, str]:
        """What of it is worth sharing, as parameters of the address."""
        query = {"seeds": self.seeds, "psi": f"{self.psi:g}"}
        return query | ({} if self.label is None else {"label": str(self.label)})

    def with_query(self, query: Mapping[str, str]) -> "View":
        """This view with the parameters of an address. Raises InputError."""
        shared = Recipe.from_query({key: query[key] for key in ("psi", "label") if key in query})
        psi = shared.psi if "psi" in query else self.psi
        return replace(self, seeds=query.get("seeds", self.seeds)[:2000], start=0, psi=psi, label=shared.label)

    def stepped(self, by: int) -> "View":
        """The next page of seeds (`by` 1) or the one before (-1): within the list, then beyond its ends.

        Raises InputError for text that is no list of seeds.
        """
        seeds = parse_seeds(self.seeds)
        start = self.start + by * self.per_page
        if 0 <= start < len(seeds):
            return replace(self, start=start)
        if 0 < self.start < self.per_page:
            return replace(self, start=0)
        count = min(len(seeds), self.per_page)
        first = max(seeds) + 1 if by > 0 else max(0, min(seeds) - count)
        first = min(first, MAX_SEED - count + 1)
        return replace(self, seeds=f"{first}-{first + count - 1}", start=0)

    def followed_by(self, recipe: Recipe, changed: "View") -> Recipe:
        """A recipe of this view as it is in the changed one; any other recipe stays."""
        if recipe.seeds and recipe == Recipe.of_seed(recipe.seeds[0][0], psi=self.psi, label=recipe.label):
            return replace(recipe, psi=changed.psi)
        return recipe

    def shuffled(self) -> "View":
        """A wall full of seeds drawn by chance from the first hundred thousand."""
        seeds = random.sample(range(100_000), self.per_page)
        return replace(self, seeds=", ".join(map(str, seeds)), start=0)
