"""What the gallery shows: a list of seeds, a variation, and the shape of the wall."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ganlib.latents.recipes import MAX_SEED, Recipe, parse_seeds
from ganlib.models.checkpoints import Checkpoint
from pages._ui.common.model_cache import DEFAULT_PSI, seed_recipe
from pages._ui.morph.keyframes import recipe_id, recipe_of

# What the wall says where it is empty.
EMPTY = {
    "Favourites": "Nothing kept yet. The heart under a picture keeps it here, beside its model.",
    "Selection": "Nothing selected yet. Shift-click a picture, or tick its corner, to gather it here.",
}
# The buttons beside the seeds: name, icon, help, pages to go; 0 draws by chance.
STEPS = (
    ("before", ":material/chevron_left:", "Seeds before these", -1),
    ("after", ":material/chevron_right:", "Seeds after these", 1),
    ("shuffle", ":material/casino:", "Shuffle: any seeds", 0),
)


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
    order: str = ""
    """How the wall is sorted: a key of `models.SORTS`; empty as the seeds are written."""

    def recipe(self, seed: int, model: Checkpoint) -> Recipe:
        """The recipe of one seed in this view."""
        return seed_recipe(model, seed, psi=self.psi, label=self.label)

    def recipes(self, model: Checkpoint) -> list[Recipe]:
        """The recipes on the wall. Raises InputError for text that is no list of seeds."""
        seeds = parse_seeds(self.seeds)
        start = self.start if self.start < len(seeds) else 0
        return [self.recipe(seed, model) for seed in seeds[start : start + self.per_page]]

    def to_query(self) -> dict[str, str]:
        """What of it is worth sharing, as parameters of the address."""
        query = {"show": self.seeds, "psi": f"{self.psi:g}"}
        return query | ({} if self.label is None else {"label": str(self.label)})

    def with_query(self, query: Mapping[str, str]) -> "View":
        """This view with the variation and class of an address, from its first picture. Raises InputError.

        The seeds of an address are as a person writes them, and go where those go: into the field.
        """
        shared = Recipe.from_query({key: query[key] for key in ("psi", "label") if key in query})
        return replace(self, start=0, psi=shared.psi if "psi" in query else self.psi, label=shared.label)

    def step(self, by: int) -> "View":
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

    def follow(self, recipe: Recipe, changed: "View") -> Recipe:
        """A recipe of this view as it is in the changed one; any other recipe stays."""
        if recipe.seeds and recipe == Recipe.of_seed(recipe.seeds[0][0], psi=self.psi, label=recipe.label):
            return replace(recipe, psi=changed.psi)
        return recipe

    def shuffle(self) -> "View":
        """A wall full of seeds drawn by chance from the first hundred thousand."""
        seeds = random.sample(range(100_000), self.per_page)
        return replace(self, seeds=", ".join(map(str, seeds)), start=0)


@dataclass
class Wall:
    """The view, and what is selected of one model's pictures."""

    name: str
    """The model."""
    view: View = View()
    selection: list[str] = field(default_factory=list)
    """Recipes as words, in the order of selecting."""
    is_dragging: bool = False
    """Whether the variation slider is on its way."""
    rev: int = 0
    """Grows when the wall's own selection has to follow."""

    def change(self, view: View) -> None:
        """Show another view; selected pictures of the old one follow its variation."""
        self.selection = [recipe_id(self.view.follow(recipe, view)) for recipe in map(recipe_of, self.selection)]
        self.view = view
        self.rev += 1

    def drag(self, values: dict[str, Any], settled: bool) -> None:
        """Take over the variation slider's value."""
        self.is_dragging = not settled
        self.change(replace(self.view, psi=float(values["psi"])))

    def select(self, ids: list[str]) -> None:
        """Take over the wall's own selection."""
        self.selection = ids

    def clear(self) -> None:
        """Select nothing."""
        self.selection = []
        self.rev += 1
