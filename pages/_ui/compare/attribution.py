"""What the model's discriminator says of real and generated pictures, and where it objects."""

import random
from pathlib import Path

import plotly.graph_objects as go
import streamlit as st

from ganlib.compare.attribution import Critic, heat_maps
from ganlib.media import images
from ganlib.models.checkpoints import Checkpoint
from pages._ui.common import model_cache
from pages._ui.common.frame import MODELS, fragment, plain
from pages._ui.compare.sets import RealSet, choose_label, label_of, recipe_of
from pages._ui.components import WallPicture, picture_wall

COUNT = 12  # pictures of each kind
COMPANY = 3  # real pictures that each one is judged beside
SIDE = 192  # of a picture on the wall, in pixels


@fragment()
def show_verdicts(model: Checkpoint, reals: RealSet) -> None:
    """Show both kinds with their verdicts, and with what speaks for and against them."""
    if not model.has_discriminator:
        st.markdown(
            "This model's file holds **no discriminator**, the network that learnt to tell its pictures from real "
            "ones. Files of training runs hold one; most published ones do not."
        )
        if st.button("Other models", key="verdicts-models"):
            st.switch_page(MODELS)
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        is_heat = st.toggle("Where it objects", True, key="verdicts-heat")
        psi = st.slider("Variation", 0.0, 1.2, 1.0, 0.05, key="verdicts-psi", width=180,
                        help="truncation psi") if model.spec.truncatable else 1.0  # fmt: skip
        choose_label(model)
        st.button("Others", icon=":material/casino:", key="verdicts-others", on_click=_others)
    with st.spinner("The discriminator is looking …"):
        draw = st.session_state.get("verdicts-draw", 0)
        scores, plain_ones, heated = _judged(
            str(model.path), model.digest, reals.path, reals.changed, draw, psi, label_of(model), reals, model
        )
    shown = heated if is_heat else plain_ones
    left, right = st.columns(2)
    half = len(scores) // 2
    for column, words, start in ((left, "Real", 0), (right, "Generated", half)):
        with column:
            mean = sum(scores[start : start + half]) / max(1, half)
            st.caption(plain(f"{words} · {mean:+.2f} on average"))
            wall = [WallPicture(str(i), f"{scores[i]:+.2f}", shown[i]) for i in range(start, start + half)]
            picture_wall(wall, key=f"verdicts-{words}", label=f"{words} pictures", columns=4, mode="only")
    _chart(scores[:half], scores[half:])
    st.caption(
        "The number is the discriminator's own: above 0 it takes a picture for real. **Red** places spoke for "
        "*generated*, **blue** ones for *real*: gradient × activation at the last maps of 8 × 8 places or more, so the "
        "map is coarse, and a hint rather than a proof. Each picture is judged beside the same three real ones."
    )


def _others() -> None:
    st.session_state["verdicts-draw"] = random.randrange(2**31)


@st.cache_resource(max_entries=2, show_spinner=False)
def _critic(path: str, digest: str) -> Critic:
    return Critic.open(Path(path))


@st.cache_data(max_entries=16, show_spinner=False)
def _judged(path: str, digest: str, data: str, changed: int, draw: int, psi: float, label: int | None,
            _reals: RealSet, _model: Checkpoint) -> tuple[list[float], list[bytes], list[bytes]]:  # fmt: skip
    """Scores, pictures and maps of the real ones, then of the generated ones."""
    rng, dataset = random.Random(draw), _reals.dataset
    count = min(COUNT, len(dataset))
    chosen = rng.sample(range(len(dataset)), min(count + COMPANY, len(dataset)))
    side = _model.spec.resolution
    company = images.stack([dataset.small(i, side) for i in chosen[-COMPANY:]], side)
    real = images.stack([dataset.small(i, side) for i in chosen[:count]], side)
    recipes = [recipe_of(_model, rng.randrange(100_000), psi) for _ in range(count)]
    made = model_cache.renderer(_model).render(recipes)
    pixels = images.stack([*real, *made], side)
    # Real pictures are judged as what they are, where set and model have the same classes.
    is_same = dataset.label_dim == _model.spec.label_dim
    of_reals = [dataset[i][1] if is_same else recipe.label for i, recipe in zip(chosen, recipes, strict=False)]
    labels = [*of_reals, *(recipe.label for recipe in recipes)]
    verdicts = _critic(path, digest).judge(pixels, company=company, labels=labels)
    maps = heat_maps(images.resize(pixels, SIDE, SIDE), verdicts)
    encoded = [[images.encode(picture, "webp") for picture in pictures]
               for pictures in (images.resize(pixels, SIDE, SIDE), maps)]  # fmt: skip
    return [verdict.score for verdict in verdicts], encoded[0], encoded[1]


def _chart(real: list[float], fake: list[float]) -> None:
    chart = go.Figure()
    for values, words, place, colour in ((fake, "generated", 0, "#D5553C"), (real, "real", 1, "#8A7F70")):
        dots = {"size": 11, "opacity": 0.7, "color": colour}
        chart.add_scatter(x=values, y=[place] * len(values), mode="markers", name=words, marker=dots)
    chart.update_layout(
        height=170, margin={"t": 10, "b": 36, "l": 80, "r": 10}, showlegend=False, xaxis_title="verdict",
        yaxis={"tickvals": [0, 1], "ticktext": ["generated", "real"], "range": [-0.6, 1.6]},
    )  # fmt: skip
    chart.add_vline(x=0, line_dash="dot", line_color="#8A7F70", line_width=1)
    st.plotly_chart(chart, key="verdicts-chart", config={"displayModeBar": False})
