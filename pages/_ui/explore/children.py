"""Children of the picture on the bench, offspring of two, and pictures like it."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import streamlit as st

from ganlib.latents.recipes import MAX_SEEDS_BLENDED, Recipe, style_groups
from ganlib.models.checkpoints import Checkpoint
from pages._ui.common import model_cache
from pages._ui.common.frame import plain
from pages._ui.components import WallPicture, picture_wall
from pages._ui.explore.history import STYLES
from pages._ui.morph.keyframes import recipe_id, recipe_of

CHILDREN = 9
SIDE = 160
ANCESTORS = 8
SAMPLED = 2000  # seeds among which pictures like this one are looked for
Take = Callable[[Recipe], None]


def show_children(model: Checkpoint, recipe: Recipe, past: Sequence[Recipe], take: Take) -> None:
    """Nine variations round a picture; a click makes one the next parent. Its forebears stay in sight."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        distance = st.slider("How different", 0.05, 1.0, 0.3, 0.05, key="child-distance", width=280,
                             help="share of a stranger in each child: 1 is a stranger")  # fmt: skip
        st.button("Others", icon=":material/casino:", key="child-others", on_click=_next)
        likes = st.toggle("Strangers that are like it", key="child-like", help="the nearest of 2,000 seeds")
    if recipe.base is not None:
        st.caption("Children grow from seeds: this picture was projected. Mix it with a style of another seed instead.")
        return
    if likes:
        children = _alike(model, recipe)
    else:
        litter = st.session_state.get("child-litter", 0)
        children = [child_of(recipe, distance, 1_000_003 * litter + i) for i in range(CHILDREN)]
    _wall(model, children, "children", take)
    known = {direction.name for direction in model_cache.directions(model)}
    forebears = list(dict.fromkeys(model_cache.without_lost(each, known) for each in past))[-ANCESTORS:]
    if forebears:
        st.caption("Where it comes from")
        _wall(model, forebears, "forebears", take, columns=ANCESTORS)


def _next() -> None:
    st.session_state["child-litter"] = st.session_state.get("child-litter", 0) + 1


def child_of(recipe: Recipe, distance: float, number: int) -> Recipe:
    """The `number`-th child of a picture: `distance` of it, 0 to 1, comes from a stranger.

    It is a recipe like any other: the stranger is one more seed. Of more than eight seeds those with the least share
    are left out."""
    weights = recipe.blend_weights
    stranger = zlib.crc32(f"{recipe.seeds} {number}".encode()) % 90_000 + 10_000
    seeds = [(seed, weight * (1 - distance)) for (seed, _), weight in zip(recipe.seeds, weights, strict=True)]
    seeds = sorted([*seeds, (stranger, distance)], key=lambda pair: -pair[1])[:MAX_SEEDS_BLENDED]
    total = sum(weight for _, weight in seeds)
    return replace(recipe, seeds=tuple((seed, round(weight / total, 4)) for seed, weight in seeds))


@st.cache_data(max_entries=32, show_spinner="Looking for pictures like it …")
def _nearest(path: str, digest: str, recipe: Recipe) -> list[int]:
    renderer = model_cache.open_renderer(path, digest)
    here = renderer.w_plus([recipe]).mean(dim=1)
    gaps: list[tuple[float, int]] = []
    for start in range(0, SAMPLED, 500):
        seeds = range(start, start + 500)
        some = [Recipe.of_seed(seed, psi=recipe.psi, label=recipe.label) for seed in seeds]
        gaps += zip((renderer.w_plus(some).mean(dim=1) - here).norm(dim=1).tolist(), seeds, strict=True)
    return [seed for _, seed in sorted(gaps)[: CHILDREN + 1]]


def _alike(model: Checkpoint, recipe: Recipe) -> list[Recipe]:
    found = _nearest(str(model.path), model.digest, recipe)
    return [replace(recipe, seeds=((seed, 1.0),)) for seed in found if recipe.seeds != ((seed, 1.0),)][:CHILDREN]


def show_crossing(model: Checkpoint, recipe: Recipe, take: Take) -> None:
    """Two parents: every way to take shape, features and colour from the one or the other, and the halves between."""
    other = st.number_input("With seed", 0, 2**32 - 1, 1, key="cross-seed", width=200)
    groups = dict(zip(STYLES, style_groups(model.spec.num_ws), strict=True))
    if recipe.base is None:
        halves = [((1 - share), share) for share in (0.35, 0.65)]
        blends = [
            replace(recipe, seeds=((recipe.seeds[0][0], round(a, 2)), (int(other), round(b, 2)))) for a, b in halves
        ]
    else:
        blends = []
    crossed = [replace(recipe, mix=_mixed(recipe, groups, names, int(other))) for names in _ways(groups)]
    _wall(model, [*crossed, *blends], "crossing", take, columns=8)
    st.caption(
        "From the other parent: " + ", ".join(" and ".join(names) for names in _ways(groups)) + "; then blends of both."
    )


def _ways(groups: dict[str, range]) -> list[tuple[str, ...]]:
    names = [name for name in STYLES if groups[name]]
    return [(name,) for name in names] + [tuple(other for other in names if other != name) for name in names]


def _mixed(recipe: Recipe, groups: dict[str, range], names: tuple[str, ...], seed: int) -> tuple[tuple[int, int], ...]:
    mixed = dict(recipe.mix) | {layer: seed for name in names for layer in groups[name]}
    return tuple(sorted(mixed.items()))


def _words(recipe: Recipe) -> str:
    """What is new in a picture: the style of another, the last seed of a blend, or its own seed."""
    if recipe.mix:
        return "style " + ", ".join(dict.fromkeys(str(seed) for _, seed in recipe.mix))
    if len(recipe.seeds) > 1:
        seed, weight = recipe.seeds[-1]
        return f"{weight:.0%} of {seed}"
    return recipe.caption()


def _wall(model: Checkpoint, recipes: Sequence[Recipe], key: str, take: Take, *, columns: int = CHILDREN) -> None:
    recipes = list(dict.fromkeys(recipes))
    found = model_cache.pictures(model, recipes, side=SIDE)
    places = [WallPicture(recipe_id(r), _words(r), picture) for r, picture in zip(recipes, found, strict=True)]
    opened = picture_wall(places, key=f"wall-{key}", label=plain(key), columns=columns, mode="only",
                          rev=f"{model.digest}-{key}")  # fmt: skip
    if opened:
        take(recipe_of(opened))
