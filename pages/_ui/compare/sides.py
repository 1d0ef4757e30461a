"""Real and generated pictures in two walls of one layout, and any two of them under a divider."""

import random
from dataclasses import dataclass
from typing import Any

import streamlit as st

from ganlib.compare import CopyCheck
from ganlib.latents.recipes import Recipe
from ganlib.models.checkpoints import Checkpoint
from pages._ui.common import model_cache
from pages._ui.common.frame import fragment, plain
from pages._ui.compare.copies import latest
from pages._ui.compare.sets import MIRROR, RealSet, choose_label, large_picture, real_picture, recipe_of
from pages._ui.components import WallPicture, before_after, picture_wall

COUNT = 12
SIDE = 512  # of the two pictures under the divider, in pixels
SHOWS = {
    "chance": "By chance",
    "real": "Nearest real",
    "fake": "Nearest generated",
}


@dataclass(frozen=True)
class Pair:
    """Two pictures at the same place of both walls."""

    real: int
    recipe: Recipe
    words: str = ""
    mirrored: bool = False
    """The real one is shown in a mirror."""


@fragment()
def show_sides(model: Checkpoint, reals: RealSet) -> None:
    """Show both walls and the two pictures that were chosen."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="sides-controls"):
        how = st.segmented_control("Pairs", list(SHOWS), default="chance", format_func=SHOWS.__getitem__,
                                   key="sides-how", help="of each generated picture, or of each real one")  # fmt: skip
        columns = st.slider("In a row", 2, 6, 4, key="sides-columns", width=150, help="the same on both sides")
        psi = st.slider("Variation", 0.0, 1.2, 1.0, 0.05, key="sides-psi", width=170, help="truncation psi") if (
            model.spec.truncatable and how in (None, "chance")) else 1.0  # fmt: skip
        choose_label(model)
        st.button("Others", icon=":material/casino:", key="sides-others", on_click=_others)
    pairs = _pairs(model, reals, how or "chance", psi)
    if not pairs:
        return
    chosen = min(int(st.session_state.get("sides-chosen", 0)), len(pairs) - 1)
    left, right = st.columns(2, gap="large")
    held: dict[str, Any] = {"columns": columns, "mode": "only", "selected": [str(chosen)], "rev": f"{chosen}"}
    with left:
        st.caption(f"Real · {len(reals.dataset):,} pictures")
        wall = [
            WallPicture(str(i), f"{MIRROR} " * pair.mirrored + f"{pair.real}",
                        real_picture(reals, pair.real, pair.mirrored))
            for i, pair in enumerate(pairs)
        ]  # fmt: skip
        opened = picture_wall(wall, key="sides-real", label="Real pictures", **held)
    with right:
        st.caption(f"Generated · {plain(model.title)}")
        made = model_cache.as_many_as_ready(model, [pair.recipe for pair in pairs])
        wall = [
            WallPicture(str(i), pair.words or pair.recipe.caption(), picture)
            for i, (pair, picture) in enumerate(zip(pairs, made, strict=True))
        ]
        other = picture_wall(wall, key="sides-fake", label="Generated pictures", **held)
        opened = other if opened is None else opened
    if opened is not None and int(opened) != chosen:
        st.session_state["sides-chosen"] = int(opened)
        st.rerun(scope="fragment")
    if any(pair.mirrored for pair in pairs):
        st.caption(f"{MIRROR} The real picture is shown in a mirror: that is how it is nearest.")
    _divided(model, reals, pairs[chosen])


def _others() -> None:
    st.session_state["sides-draw"] = random.randrange(2**31)
    st.session_state["sides-chosen"] = 0


def _pairs(model: Checkpoint, reals: RealSet, how: str, psi: float) -> list[Pair]:
    rng = random.Random(st.session_state.get("sides-draw", 0))
    if how == "chance":
        indices = rng.sample(range(len(reals.dataset)), min(COUNT, len(reals.dataset)))
        return [Pair(index, recipe_of(model, rng.randrange(100_000), psi)) for index in indices]
    check = latest(model, reals)
    if check is None:
        st.info(
            "Which pictures are nearest comes from a copy check: run one of this model against this set, in the part "
            "*Copy check*. A few hundred seeds take a minute or two.", icon=":material/join_inner:",
        )  # fmt: skip
        return []
    return _nearest(check, how, rng)


def _nearest(check: CopyCheck, how: str, rng: random.Random) -> list[Pair]:
    recipes = [Recipe.from_dict(row["recipe"]) for row in check.rows]
    rows = list(enumerate(check.rows if how == "real" else check.reals))
    found = []
    for i, row in sorted(rng.sample(rows, min(COUNT, len(rows)))):
        near = min((row["pixels"], row["features"]), key=lambda space: space["times"])
        real, fake = (near["index"], i) if how == "real" else (row["index"], near["index"])
        words = f"{recipes[fake].caption()} · {near['times']:.2f}×"
        found.append(Pair(real, recipes[fake], words, near["mirrored"]))
    return found


def _divided(model: Checkpoint, reals: RealSet, pair: Pair) -> None:
    """The chosen two under one divider, enlarged in step."""
    real, fake = (
        large_picture(reals, pair.real, SIDE, pair.mirrored),
        model_cache.stage_picture(model, pair.recipe, False),
    )
    _, middle, _ = st.columns([1, 2, 1])
    with middle:
        st.caption("Click a picture above to hold it here. Drag the divider; plus and minus enlarge both.")
        labels = "real, mirrored" if pair.mirrored else "real", pair.words or pair.recipe.caption()
        before_after(real, fake, key="sides-slider", width=SIDE, height=SIDE, labels=labels)
