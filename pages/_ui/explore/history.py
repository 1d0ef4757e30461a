"""The sliders of Explore: a recipe as values of controls and back, and the way it came (undo, redo)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ganlib.base.errors import InputError
from ganlib.latents.editing import Direction
from ganlib.latents.recipes import STYLE_GROUPS, Edit, Recipe, parse_seeds, style_groups
from ganlib.networks.base import GeneratorSpec
from pages._ui.common.model_cache import DEFAULT_PSI
from pages._ui.components import Choice, Control, Group, Seed, Slider

PREFIX = "d:"  # of a direction's slider
GRAIN = "n:"  # of a layer's noise slider
MAX_STEPS_BACK = 200
STYLES = tuple(STYLE_GROUPS)
SIMPLE = ("label", "psi", "centres", "noise_mode", "noise_seed")  # controls that are fields of a recipe
CENTROIDS = {0: "average", 4: "4 kinds", 8: "8", 16: "16"}
NOISE_WORDS = {"const": "fixed", "random": "fresh", "none": "none"}


def groups_of(
    spec: GeneratorSpec, directions: Sequence[Direction] = (), base: str | None = None, classes: Sequence[str] = ()
) -> list[Group]:
    """The groups of controls that make sense for a model whose `classes` are called so, and a slider for each of these
    directions. A picture that grows from a saved latent, `base`, has no seeds to blend; a seed in its place begins
    anew."""
    blend: list[Control] = [
        Seed("a", "Seed A", help="the number that the picture grows from"),
        Seed("b", "Seed B", optional=True, help="a second picture to blend with"),
        Slider("mix", "From A to B", 0, 1, 0, needs="b", help="weight of B in w"),
    ]
    if base is not None:
        help = f"the picture grows from {base}, a saved latent; a seed here takes its place"
        blend = [Seed("a", "Seed A", optional=True, empty="saved", help=help)]
    if spec.label_dim:
        labels = enumerate(classes or map(str, range(spec.label_dim)))
        blend.append(Choice("label", "Kind", ((None, "none"), *labels), help="class label"))
    groups = [Group("Blend", tuple(blend))]
    variation: list[Control] = []
    if spec.truncatable:
        help = (
            "truncation psi: 0 is the average picture, 1 the model as it is; beyond 1 it invents, and fails more often"
        )
        variation.append(Slider("psi", "How unusual", -1, 1.5, DEFAULT_PSI, marks=(0, 1), help=help))
        help = "what psi leads to: the average picture, or the nearest of several kinds (multi-modal truncation)"
        variation.append(Choice("centres", "Towards", tuple(CENTROIDS.items()), help=help))
    if spec.truncatable and spec.num_ws > 1:
        help = "truncation cutoff: how many style inputs, from the coarsest on, that reaches"
        count = spec.num_ws
        variation.append(Slider("cutoff", "On how many layers", 0, count, count, step=1, digits=0, help=help))
    if len(spec.noise_modes) > 1:
        options = tuple((mode, NOISE_WORDS[mode]) for mode in spec.noise_modes)
        variation.append(Choice("noise_mode", "Grain", options, help="noise mode: const, random or none"))
    if "random" in spec.noise_modes:
        variation.append(
            Seed("noise_seed", "Fresh grain", needs="noise_mode", needs_value="random", help="seed of fresh noise")
        )
    if variation:
        groups.append(Group("Variation", tuple(variation)))
    if spec.movable:
        moves = (
            Slider("right", "Move across", -1, 1, 0, marks=(0,), help="translation to the right, in picture widths"),
            Slider("down", "Move down", -1, 1, 0, marks=(0,), help="translation downwards, in picture widths"),
            Slider("turn", "Turn", -180, 180, 0, step=1, digits=0, marks=(0,), help="rotation, in degrees"),
        )
        groups.append(Group("Place", moves, note="the picture goes on beyond its edge"))
    if spec.num_ws > 1:
        words = {"coarse": "pose and shape", "middle": "features", "fine": "colour and texture"}
        layers = dict(zip(STYLES, style_groups(spec.num_ws), strict=True))
        help_of = {name: f"{words[name]}: {_layer_words(layers[name])}" for name in STYLES if layers[name]}
        styles = tuple(
            Seed(name, name.capitalize(), optional=True, empty="its own", help=help) for name, help in help_of.items()
        )
        groups.append(Group("Style from another seed", styles, note="style mixing"))
    if len(spec.noise_modes) > 1:
        sliders = tuple(
            Slider(f"{GRAIN}{layer}", f"Layer {layer}", 0, 4, 1, marks=(1,), help=f"noise of style input {layer}")
            for layer in range(spec.num_ws - 1)  # the last makes colours of features, and has none
        )
        groups.append(Group("Grain by layer", sliders, note="1 is as learned", closed=True))
    if directions:
        sliders = tuple(_direction_slider(direction) for direction in directions)
        groups.insert(2, Group("Directions", sliders, note="in sigmas; the marks are where it stays ordinary"))
    return groups


def _direction_slider(direction: Direction) -> Slider:
    low, high = direction.safe or (-3.0, 3.0)
    reach = max(3.0, -low, high)
    marks = direction.safe or ()
    help = " · ".join(filter(None, (direction.about, _layer_range(direction))))
    return Slider(PREFIX + direction.name, direction.words, -reach, reach, 0, step=0.05, marks=(*marks, 0), help=help)


def _layer_range(direction: Direction) -> str:
    if direction.last is None:
        return f"style inputs from {direction.first}" if direction.first else ""
    return f"style inputs {direction.first} to {direction.last}"


def _layer_words(layers: range) -> str:
    return f"style inputs {layers[0]} to {layers[-1]}" if len(layers) > 1 else f"style input {layers[0]}"


def values_of(recipe: Recipe, spec: GeneratorSpec, directions: Sequence[Direction] = ()) -> dict[str, Any]:
    """The values that the controls show for a recipe."""
    seeds: list[int | None] = [seed for seed, _ in recipe.seeds] if recipe.base is None else [None]
    weights = recipe.blend_weights if recipe.seeds else (1.0,)
    mixed = dict(recipe.mix)
    values: dict[str, Any] = {
        "a": seeds[0],
        "b": seeds[1] if len(seeds) > 1 else None,
        "mix": round(weights[1], 4) if len(seeds) > 1 else 0.0,
        "label": recipe.label,
        "psi": recipe.psi,
        "cutoff": spec.num_ws if recipe.cutoff is None else recipe.cutoff,
        "noise_mode": recipe.noise_mode,
        "centres": recipe.centres,
        "noise_seed": recipe.noise_seed,
        "right": recipe.translate[0],
        "down": recipe.translate[1],
        "turn": recipe.rotate,
    }
    for name, layers in zip(STYLES, style_groups(spec.num_ws), strict=True):
        seeds_there = {mixed.get(layer) for layer in layers}
        values[name] = seeds_there.pop() if len(seeds_there) == 1 else None
    if len(spec.noise_modes) > 1:
        factors = dict(recipe.grain)
        values |= {f"{GRAIN}{layer}": factors.get(layer, 1.0) for layer in range(spec.num_ws - 1)}
    strengths = {edit.direction: edit.strength for edit in recipe.edits}
    return values | {PREFIX + each.name: strengths.get(each.name, 0.0) for each in directions}


def with_values(
    recipe: Recipe, values: Mapping[str, Any], spec: GeneratorSpec, directions: Sequence[Direction] = ()
) -> Recipe:
    """The recipe with the controls' values; what no control was moved for stays as it is. Raises InputError."""
    before = values_of(recipe, spec, directions)
    moved = {key: value for key, value in values.items() if key in before and value != before[key]}
    changes: dict[str, Any] = {key: moved[key] for key in SIMPLE if key in moved}
    if moved.keys() & {"a", "b", "mix"} and values["a"] is not None:
        first, second, share = values["a"], values["b"], round(float(values["mix"]), 4)
        pair: tuple[tuple[int, float], ...] = ((first, 1.0),)
        if second is not None:
            pair = ((first, round(1 - share, 4)), (second, share))
        if len(recipe.seeds) > 2 and not moved.keys() & {"a", "b"}:  # the others keep what they have between them
            weights = recipe.blend_weights
            left = 1 - share
            rest = max(1e-9, 1 - weights[1])
            shares = [share if i == 1 else round(w / rest * left, 4) for i, w in enumerate(weights)]
            pair = tuple((seed, w) for (seed, _), w in zip(recipe.seeds, shares, strict=True))
        changes |= {"seeds": pair, "base": None}
    if "cutoff" in moved:
        changes["cutoff"] = None if moved["cutoff"] >= spec.num_ws else int(moved["cutoff"])
    if moved.keys() & {"right", "down"}:
        changes["translate"] = (round(float(values["right"]), 4), round(float(values["down"]), 4))
    if "turn" in moved:
        changes["rotate"] = float(moved["turn"])
    mixed = dict(recipe.mix)
    for name, layers in zip(STYLES, style_groups(spec.num_ws), strict=True):
        for layer in layers if name in moved else ():
            mixed[layer] = moved[name]
    changes["mix"] = tuple((layer, seed) for layer, seed in mixed.items() if seed is not None)
    grain = {int(key.removeprefix(GRAIN)): round(float(moved[key]), 4) for key in moved if key.startswith(GRAIN)}
    if grain:
        changes["grain"] = tuple((dict(recipe.grain) | grain).items())
    edits = {edit.direction: edit for edit in recipe.edits}
    for each in directions:
        if PREFIX + each.name in moved:
            strength = round(float(moved[PREFIX + each.name]), 4)
            if not strength:
                edits.pop(each.name, None)
                continue
            old = edits.get(each.name)
            first, last = (each.first, each.last) if old is None else (old.first, old.last)
            edits[each.name] = Edit(each.name, strength, first, last)
    changes["edits"] = tuple(edits.values())
    return replace(recipe, **changes)


def what_is_wrong(text: str) -> str:
    """Say why a text that was typed for one seed is none, in the library's own words."""
    try:
        seeds = parse_seeds(text)
    except InputError as error:
        return f"{error.message[:1].upper()}{error.message[1:]}. {error.hint}"
    return "" if len(seeds) == 1 else f"These are {len(seeds)} seeds. One seed belongs here."


def fit_to_model(
    recipe: Recipe, spec: GeneratorSpec, directions: Sequence[Direction] | None = None
) -> tuple[Recipe, list[str]]:
    """The recipe as far as a model can make it, and words for what had to be left out.

    `directions` are those of the model; None does not look at them."""
    changes: dict[str, Any] = {}
    left_out = []
    if recipe.label is not None and recipe.label >= spec.label_dim:
        changes["label"] = None
        left_out.append(f"class {recipe.label}")
    if any(layer >= spec.num_ws for layer, _ in recipe.mix):
        changes["mix"] = tuple((layer, seed) for layer, seed in recipe.mix if layer < spec.num_ws)
        left_out.append(f"styles beyond the {spec.num_ws} of this model")
    if recipe.cutoff is not None and recipe.cutoff > spec.num_ws:
        changes["cutoff"] = None
    if not spec.movable and (recipe.translate != (0, 0) or recipe.rotate):
        changes |= {"translate": (0.0, 0.0), "rotate": 0.0}
        left_out.append("the picture's place")
    if len(spec.noise_modes) == 1 and recipe.noise_mode == "const":
        pass  # there is no noise, and the usual choice takes nothing away
    elif recipe.noise_mode not in spec.noise_modes:
        changes["noise_mode"] = spec.noise_modes[0]
        left_out.append(f"noise mode {recipe.noise_mode}")
    if recipe.grain and (len(spec.noise_modes) == 1 or recipe.grain[-1][0] >= spec.num_ws - 1):
        changes["grain"] = ()
        left_out.append("grain by layer")
    known = {direction.name for direction in directions or ()}
    lost = [] if directions is None else [edit.direction for edit in recipe.edits if edit.direction not in known]
    if lost:
        changes["edits"] = tuple(edit for edit in recipe.edits if edit.direction in known)
        left_out.append(f"directions that this model does not have ({', '.join(lost)})")
    return replace(recipe, **changes), left_out


def recipe_words(recipe: Recipe, directions: Sequence[Direction] = ()) -> str:
    """One line about a recipe: `seed 85 · variation 0.7 · fine 12`; directions by the words that they have."""
    named = {direction.name: direction.words for direction in directions}
    words = [recipe.caption(), f"psi {recipe.psi:g}"]
    if recipe.centres:
        words.append(f"nearest of {recipe.centres}")
    if recipe.cutoff is not None:
        words.append(f"up to style input {recipe.cutoff}")
    if recipe.mix:
        words.append("style of " + ", ".join(map(str, dict.fromkeys(seed for _, seed in recipe.mix))))
    if recipe.translate != (0, 0):
        words.append("moved by {:g}, {:g}".format(*recipe.translate))
    if recipe.rotate:
        words.append(f"turned by {recipe.rotate:g}°")
    if recipe.noise_mode != "const":
        words.append(f"{NOISE_WORDS[recipe.noise_mode]} grain")
    if recipe.grain:
        words.append("grain by layer")
    words += [f"{named.get(edit.direction, edit.direction)} {edit.strength:+g}" for edit in recipe.edits]
    return " · ".join(words)


@dataclass
class Bench:
    """The recipe on the bench, and those before and after it."""

    digest: str
    """The model."""
    recipe: Recipe
    """What is shown, also while a slider is dragged."""
    settled: Recipe
    """What undo comes back to."""
    past: list[Recipe] = field(default_factory=list)
    future: list[Recipe] = field(default_factory=list)
    note: str = ""
    """What a person should know about the recipe shown; goes with the next step."""
    page_is_behind: bool = False
    """Whether a slider was let go since the page outside the sliders' fragment was drawn."""
    rev: int = 0
    """Grows when the sliders have to follow."""

    @classmethod
    def begin(cls, digest: str, recipe: Recipe) -> "Bench":
        """A bench with one recipe and no way back."""
        return cls(digest, recipe, recipe)

    def drag(self, recipe: Recipe, is_settled: bool) -> None:
        """Show a recipe that the sliders made; a settled one becomes a step."""
        self.recipe = recipe
        if is_settled and recipe != self.settled:
            self._step(recipe)
            self.page_is_behind = True

    def show(self, recipe: Recipe) -> None:
        """Show a recipe from elsewhere: a link, a saved picture, reset."""
        if recipe != self.settled:
            self._step(recipe)
        self.recipe = recipe
        self.rev += 1

    def undo(self) -> None:
        """One step back, if there is one."""
        self._walk(self.past, self.future)

    def redo(self) -> None:
        """One step forward again, if there is one."""
        self._walk(self.future, self.past)

    def _step(self, recipe: Recipe) -> None:
        self.note = ""
        self.past.append(self.settled)
        del self.past[:-MAX_STEPS_BACK]
        self.future.clear()
        self.settled = recipe

    def _walk(self, source: list[Recipe], target: list[Recipe]) -> None:
        if source:
            target.append(self.settled)
            self.recipe = self.settled = source.pop()
            self.rev += 1
