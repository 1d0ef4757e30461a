"""What is meant by a picture: seeds, the `Recipe`, truncation, and favourites.

A picture is a pure function of a `Recipe` and a checkpoint's digest. The URL, the text inside a saved picture, a
favourite and a video's keyframe are all this one small dataclass.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlib.base.errors import InputError
from ganlib.base.links import (
    LINK_HINT,
    mix_ranges,
    number_text,
    range_text,
    read_items,
    read_number,
    read_range,
    read_whole,
)

MAX_SEED = 2**32 - 1
MAX_SEEDS_LISTED = 100_000
MAX_SEEDS_BLENDED = 8
MAX_CENTROIDS = 64
MAX_MOVE = 100.0  # picture widths
MAX_TURN = 36_000.0  # degrees
MAX_GRAIN = 10.0  # times the noise that a model learned
MAX_TEXT = 4000  # characters of one recipe in a URL or a picture
NOISE_MODES = ("const", "random", "none")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # of a direction or a saved w_plus: also a file name
_SEED_HINT = "Write seeds as 85 or 6600-6625 or 1,5,9-12."


# --- seeds ------------------------------------------------------------------------------------------------------------


def label_in_turn(seed: int, label: int | None, label_dim: int) -> int | None:
    """Return the class of a seed's picture: as chosen, or the classes in turn where none is; None for a model without.

    A model with classes was never trained without one: what it draws then is nobody's."""
    if label_dim == 0:
        return None
    return seed % label_dim if label is None else label


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of a list such as `6600-6625` or `1,5,9-12`, in the order written.

    Raises InputError for anything else: a negative or reversed or too large one, words, or more than 100,000 seeds.
    """
    seeds: list[int] = []
    for part in re.split(r"[,\s]+", re.sub(r"\s*-\s*", "-", text.strip(" ,\n\t"))):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part)
        if match and max(len(digits.lstrip("0")) for digits in match.groups("")) > len(str(MAX_SEED)):
            raise InputError(f"{_short(part)} is too large for a seed", f"The largest is {MAX_SEED}.")
        if not match:
            what = f"'{_short(part)}' is no seed or range of seeds" if part else "there is no seed"
            raise InputError(what, f"Seeds are whole numbers from 0. {_SEED_HINT}")
        first, last = int(match[1]), int(match[2] or match[1])
        if max(first, last) > MAX_SEED:
            raise InputError(f"seed {max(first, last)} is too large", f"The largest is {MAX_SEED}.")
        if last < first:
            raise InputError(f"the range {part} runs backwards", f"Write {last}-{first}.")
        if len(seeds) + last - first >= MAX_SEEDS_LISTED:
            raise InputError(f"{text[:40]} are more than {MAX_SEEDS_LISTED:,} seeds", "Ask for fewer at a time.")
        seeds.extend(range(first, last + 1))
    return seeds


def seed_z(seed: int, z_dim: int) -> np.ndarray:
    """Return z `[1, z_dim]`, float64, of a seed: the same numbers as in NVIDIA's tools, so that famous seeds stay."""
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed {seed} is not between 0 and {MAX_SEED}", _SEED_HINT)
    return np.random.RandomState(seed).randn(1, z_dim)


# --- the recipe -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """A step along a named direction, after truncation."""

    direction: str
    """Name of the direction, kept beside the checkpoint."""
    strength: float
    """Length of the step, in standard deviations of the direction."""
    first: int = 0
    """First style input that is moved."""
    last: int | None = None
    """Last style input that is moved, included; None means the last there is."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", _real(self.strength))
        object.__setattr__(self, "first", _whole(self.first))
        object.__setattr__(self, "last", None if self.last is None else _whole(self.last))


@dataclass(frozen=True)
class Recipe:
    """Everything but the checkpoint that decides a picture. Hashable, and short enough for a URL.

    Whole numbers must be whole: 8.0, "8" and True raise TypeError; numbers of NumPy become Python's.
    In this order: w of every seed, blended by `blend_weights`; the style inputs in `mix` replaced; truncation; edits.
    """

    seeds: tuple[tuple[int, float], ...] = ()
    """(seed, weight): w is blended with the weights divided by their sum. Ignored where there is a `base`."""
    label: int | None = None
    """Class; None means no class, or for a conditional model what its renderer makes of none."""
    psi: float = 1.0
    """Truncation: 1 is none, 0 the average picture."""
    cutoff: int | None = None
    """Number of leading style inputs that are truncated; None means all."""
    mix: tuple[tuple[int, int], ...] = ()
    """(style input, seed): this style input takes its w from another seed. Kept sorted."""
    edits: tuple[Edit, ...] = ()
    """Steps along directions."""
    noise_mode: str = "const"
    """`const`: the model's own noise; `random`: drawn from `noise_seed`; `none`."""
    noise_seed: int = 0
    """Seed of random noise."""
    base: str | None = None
    """Id of a saved w_plus (a projection) in place of seeds."""
    translate: tuple[float, float] = (0.0, 0.0)
    """How far the picture is moved to the right and down, in picture widths. Models that cannot move ignore it."""
    rotate: float = 0.0
    """How far the picture is turned about its centre, before it is moved: degrees, counter-clockwise."""
    centres: int = 0
    """Truncate towards the nearest of so many centres of w (k-means), not towards its mean; 0 is the mean."""
    grain: tuple[tuple[int, float], ...] = ()
    """(style input, factor): the noise of this style input's layer is multiplied by it; of the others by 1."""

    def __post_init__(self) -> None:
        seeds = tuple((_whole(seed), _real(weight)) for seed, weight in self.seeds)
        object.__setattr__(self, "seeds", seeds)
        object.__setattr__(self, "mix", tuple(sorted((_whole(layer), _whole(seed)) for layer, seed in self.mix)))
        object.__setattr__(self, "edits", tuple(self.edits))
        grain = sorted((_whole(layer), _real(factor)) for layer, factor in self.grain)
        object.__setattr__(self, "grain", tuple((layer, factor) for layer, factor in grain if factor != 1))
        object.__setattr__(self, "psi", _real(self.psi))
        across, down = self.translate
        object.__setattr__(self, "translate", (_real(across), _real(down)))
        object.__setattr__(self, "rotate", _real(self.rotate))
        object.__setattr__(self, "noise_seed", _whole(self.noise_seed))
        object.__setattr__(self, "centres", _whole(self.centres))
        for name in ("label", "cutoff"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else _whole(value))

    @classmethod
    def of_seed(cls, seed: int, **changes: Any) -> Recipe:
        """The recipe of one seed; `changes` are other fields."""
        return cls(seeds=((seed, 1.0),), **changes)

    @property
    def blend_weights(self) -> tuple[float, ...]:
        """The seeds' weights divided by their sum."""
        total = math.fsum(weight for _, weight in self.seeds)
        return tuple(weight / total for _, weight in self.seeds)

    def validate(self) -> None:
        """Raise InputError for a field outside its legal values; what depends on the model, the renderer checks."""
        if self.base is None and not self.seeds:
            raise InputError("a recipe needs a seed", "Choose a seed, such as 85.")
        if len(self.seeds) > MAX_SEEDS_BLENDED:
            raise InputError(f"{len(self.seeds)} seeds are blended", f"Blend at most {MAX_SEEDS_BLENDED}.")
        for seed in [seed for seed, _ in self.seeds] + [seed for _, seed in self.mix] + [self.noise_seed]:
            _within("seed", seed, 0, MAX_SEED)
        for _, weight in self.seeds:
            _within("weight of a seed", weight, -100, 100)
        if self.seeds and math.fsum(weight for _, weight in self.seeds) < 1e-3:
            raise InputError("the weights of the seeds add up to nothing", "Give at least one a larger weight.")
        _within("psi", self.psi, -2, 2)
        for move in self.translate:
            _within("translation", move, -MAX_MOVE, MAX_MOVE)
        _within("rotation", self.rotate, -MAX_TURN, MAX_TURN)
        _within("number of centres", self.centres, 0, MAX_CENTROIDS)
        for name, value in (("label", self.label), ("cutoff", self.cutoff)):
            if value is not None:
                _within(name, value, 0, 10**6)
        layers = [layer for layer, _ in self.mix]
        if any(a == b for a, b in pairwise(layers)) or len(layers) > 100:
            raise InputError("a style input is mixed twice", "Give each style input one seed.")
        for layer in layers:
            _within("style input", layer, 0, 1000)
        layers = [layer for layer, _ in self.grain]
        if any(a == b for a, b in pairwise(layers)) or len(layers) > 100:
            raise InputError("the grain of a style input is given twice", "Give each style input one factor.")
        for layer, factor in self.grain:
            _within("style input", layer, 0, 1000)
            _within("grain", factor, 0, MAX_GRAIN)
        if not isinstance(self.noise_mode, str) or self.noise_mode not in NOISE_MODES:
            problem = f"noise mode '{_short(self.noise_mode)}' does not exist"
            raise InputError(problem, f"Use {', '.join(NOISE_MODES)}.")
        if self.base is not None:
            _check_name("saved w_plus", self.base)
        if len(self.edits) > 32:
            raise InputError(f"{len(self.edits)} edits in one recipe", "Use at most 32.")
        for edit in self.edits:
            _check_name("direction", edit.direction)
            _within(f"strength of '{edit.direction}'", edit.strength, -1000, 1000)
            _within("first style input", edit.first, 0, 1000)
            if edit.last is not None:
                _within("last style input", edit.last, edit.first, 1000)

    def caption(self) -> str:
        """Short words for a caption, such as `seed 85` or `seeds 85 × 0.7 + 12 × 0.3`."""
        if self.base is not None:
            return f"saved {self.base}"
        if len(self.seeds) == 1:
            return f"seed {self.seeds[0][0]}"
        parts = zip(self.seeds, self.blend_weights, strict=True)
        return "seeds " + " + ".join(f"{seed} × {weight:.2g}" for (seed, _), weight in parts)

    def to_dict(self) -> dict[str, Any]:
        """Every field, JSON-able; later fields only where they are not as usual, as ids are made of this."""
        values = asdict(self)
        for name, usual in (("translate", (0, 0)), ("rotate", 0), ("centres", 0), ("grain", ())):
            if values[name] == usual:
                del values[name]
        return values

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_dict`; absent fields take their defaults. Raises InputError for anything odd."""
        if not isinstance(data, Mapping):
            raise InputError("a recipe is not a table of fields", "Choose another picture or link.")
        unknown = set(map(str, data)) - {field.name for field in fields(cls)}
        if unknown:
            hint = "It may come from a newer version of this studio."
            raise InputError(f"a recipe has an unknown field '{sorted(unknown)[0][:40]}'", hint)
        values = dict(data)
        try:
            for name in ("seeds", "mix", "edits", "translate", "grain"):
                if not isinstance(values.get(name, ()), list | tuple):
                    raise InputError(f"'{name}' of a recipe is not a list", "Choose another picture or link.")
            values["edits"] = tuple(Edit(**edit) for edit in values.get("edits", ()))
            recipe = cls(**values)
            recipe.validate()
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"a recipe is malformed: {str(error)[:100]}", "Choose another picture or link.") from error
        return recipe

    def to_json(self) -> str:
        """`to_dict` as one line."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The inverse of `to_json`. Raises InputError."""
        return cls.from_dict(_parse_json(text))

    def to_query(self) -> dict[str, str]:
        """The recipe as URL parameters; what has its default is left out, so `seeds=85` is a whole recipe."""
        seeds = [f"{seed}" if weight == 1 else f"{seed}:{number_text(weight)}" for seed, weight in self.seeds]
        edits = [
            ":".join(filter(None, (edit.direction, number_text(edit.strength), range_text(edit.first, edit.last))))
            for edit in self.edits
        ]
        query = {
            "seeds": ",".join(seeds),
            "label": "" if self.label is None else str(self.label),
            "psi": "" if self.psi == 1 else number_text(self.psi),
            "cutoff": "" if self.cutoff is None else str(self.cutoff),
            "mix": ",".join(f"{range_text(first, last)}:{seed}" for first, last, seed in mix_ranges(self.mix)),
            "edits": ",".join(edits),
            "noise": "" if self.noise_mode == "const" else self.noise_mode,
            "noise_seed": "" if self.noise_seed == 0 else str(self.noise_seed),
            "base": self.base or "",
            "translate": "" if self.translate == (0, 0) else ",".join(map(number_text, self.translate)),
            "rotate": "" if self.rotate == 0 else number_text(self.rotate),
            "centres": "" if self.centres == 0 else str(self.centres),
            "grain": ",".join(f"{range_text(a, b)}:{number_text(factor)}" for a, b, factor in mix_ranges(self.grain)),
        }
        return {key: value for key, value in query.items() if value}

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Recipe:
        """The inverse of `to_query`. Other parameters are left alone; with neither `seeds` nor `base` the seed is 0.

        Raises InputError, naming the parameter, for text that is no recipe.
        """

        def text(key: str) -> str:
            value = str(query.get(key, "")).strip()
            if len(value) > MAX_TEXT:
                raise InputError(f"'{key}' in the link is too long", LINK_HINT)
            return value

        def whole(key: str) -> int | None:
            return read_whole(key, text(key)) if text(key) else None

        seeds = [
            (read_whole("seeds", seed), read_number("seeds", rest[0]) if rest else 1.0)
            for seed, *rest in read_items("seeds", text("seeds"), 1, 2)
        ]

        def of_layers(key: str) -> Iterator[tuple[range, str]]:
            for layers, value in read_items(key, text(key), 2, 2):
                first, last = read_range(key, layers)
                if last is None:
                    hint = f"Write both, such as {first}-{first + 3}."
                    raise InputError(f"'{key}={layers[:20]}' in the link has no last style input", hint)
                _within("style input", last, 0, 1000)
                yield range(first, last + 1), value

        mix = [(layer, read_whole("mix", seed)) for layers, seed in of_layers("mix") for layer in layers]
        grain = [(layer, read_number("grain", value)) for layers, value in of_layers("grain") for layer in layers]
        move = [read_number("translate", part[0]) for part in read_items("translate", text("translate"), 1, 1)]
        if len(move) not in (0, 2):
            raise InputError(f"'translate={text('translate')[:40]}' in the link is malformed", LINK_HINT)
        edits = []
        for direction, strength, *rest in read_items("edits", text("edits"), 2, 3):
            first, last = read_range("edits", rest[0]) if rest else (0, None)
            edits.append(Edit(direction, read_number("edits", strength), first, last))
        recipe = cls(
            seeds=tuple(seeds) if seeds or text("base") else ((0, 1.0),),
            label=whole("label"),
            psi=read_number("psi", text("psi")) if text("psi") else 1.0,
            cutoff=whole("cutoff"),
            mix=tuple(mix),
            edits=tuple(edits),
            noise_mode=text("noise") or "const",
            noise_seed=whole("noise_seed") or 0,
            base=text("base") or None,
            translate=(move[0], move[1]) if move else (0.0, 0.0),
            rotate=read_number("rotate", text("rotate")) if text("rotate") else 0.0,
            centres=whole("centres") or 0,
            grain=tuple(grain),
        )
        recipe.validate()
        return recipe


def noise_strengths_of(recipes: Sequence[Recipe], num_ws: int) -> np.ndarray | None:
    """Return float64 `[N, num_ws]`: what the noise of every layer is multiplied by; None where nothing is changed.

    Raises InputError for a style input that a model with `num_ws` does not have."""
    if not any(recipe.grain for recipe in recipes):
        return None
    noise_strengths = np.ones((len(recipes), num_ws))
    for row, recipe in zip(noise_strengths, recipes, strict=True):
        if recipe.grain and (last := recipe.grain[-1][0]) >= num_ws - 1:  # the last one makes colours of features
            hint = f"This model has noise in the layers of style inputs 0 to {num_ws - 2}."
            raise InputError(f"style input {last} has no noise", hint)
        for layer, factor in recipe.grain:
            row[layer] = factor
    return noise_strengths


def _within(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:  # NaN never is
        problem = f"{name} {_short(value)} is not between {low} and {high}"
        raise InputError(problem, f"Choose a {name} from {low} to {high}.")


def _short(value: object) -> str:
    """`value` for a message: the whole of it, or its beginning."""
    text = str(value) if not isinstance(value, int) or abs(value) < 10**40 else "a number of over 40 digits"
    return text if len(text) <= 40 else f"{text[:40]}…"


def _whole(value: Any) -> int:
    """`value` as an int. Raises TypeError for fractions, text, true and false."""
    if isinstance(value, bool):
        raise TypeError(f"{value} is not a whole number")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{_short(value)} is not a whole number") from None


def _real(value: Any) -> float:
    """`value` as a float. Raises TypeError for text, true and false."""
    if isinstance(value, bool | str | bytes | np.bool_):
        raise TypeError(f"{_short(value)!r} is not a number")
    return float(value)


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InputError(f"'{str(name)[:40]}' is no name of a {what}", "Names have letters, digits, '-', '_' and '.'.")


# --- the recipe in a picture ------------------------------------------------------------------------------------------


def embed_text(recipe: Recipe, *, digest: str, model: str, licence: str = "") -> str:
    """Return the text kept inside a saved picture: the recipe, and the checkpoint's digest, name and licence."""
    about = {"latent-atelier": 1, "model": model, "digest": digest, "recipe": recipe.to_dict()}
    return json.dumps(about | ({"licence": licence} if licence else {}))


def parse_embedded(text: str) -> tuple[Recipe, str, str]:
    """Return (recipe, digest, model) of such a text. Raises InputError for another one."""
    data = _parse_json(text)
    if not isinstance(data, dict) or "recipe" not in data:
        raise InputError("there is no recipe in this text", "Choose a picture that was saved by this studio.")
    return Recipe.from_dict(data["recipe"]), str(data.get("digest", ""))[:200], str(data.get("model", ""))[:200]


def _parse_json(text: str) -> Any:
    if len(text) > 20 * MAX_TEXT:
        raise InputError("a recipe is too long to be one", "Choose another picture or link.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("a recipe is not JSON", "Choose a picture that was saved by this studio.") from error


# --- truncation -------------------------------------------------------------------------------------------------------


def truncate(w_plus: Tensor, w_avg: Tensor, psi: float | Tensor, cutoff: int | None = None) -> Tensor:
    """Return w_plus with the first `cutoff` style inputs moved towards w_avg: w_avg + psi·(w - w_avg).

    `w_plus [N, num_ws, w_dim]`, `w_avg [w_dim]` on one device. `psi` is a number, or a tensor that broadcasts against
    w_plus. `cutoff` None means all style inputs. psi 1 changes nothing.
    """
    if isinstance(psi, float | int) and psi == 1:
        return w_plus
    weight = torch.as_tensor(psi, dtype=w_plus.dtype, device=w_plus.device)
    truncated = torch.lerp(w_avg.to(w_plus.dtype), w_plus, weight)
    if cutoff is None or cutoff >= w_plus.shape[1]:
        return truncated
    return torch.cat([truncated[:, :cutoff], w_plus[:, cutoff:]], dim=1)


STYLE_GROUPS = {"coarse": "shape", "middle": "features", "fine": "colour and texture"}
"""Groups of style inputs, in words about what they change."""


def style_groups(num_ws: int) -> tuple[range, range, range]:
    """Return the (coarse, middle, fine) style inputs of a model, empty ranges where it has too few.

    Coarse are the first four, up to 8 × 8 pixels (pose, shape); middle the next four, up to 32 × 32 (features); fine
    the rest (colour, texture): the split of the StyleGAN papers. A model with fewer than ten is cut into thirds.
    """
    first, second = (4, 8) if num_ws >= 10 else (-(-num_ws // 3), -(-2 * num_ws // 3))
    return range(first), range(first, second), range(second, num_ws)


# --- where the picture is ---------------------------------------------------------------------------------------------


def placement(translate: tuple[float, float], rotate: float) -> Tensor:
    """Return `[3, 3]` float32, for each point of a picture that was turned by `rotate` degrees and then moved by
    `translate`, the point of the unmoved picture that is seen there: what `synthesis` takes as `transform`.

    Points are (right, down, 1), in picture widths from the centre."""
    angle = math.radians(rotate)
    back = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = np.eye(3, dtype=np.float32)
    matrix[:2, :2], matrix[:2, 2] = back, -back @ np.array(translate)
    return torch.from_numpy(matrix)
