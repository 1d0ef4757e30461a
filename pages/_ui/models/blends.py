"""Two models become one: the choice, a preview that follows it, and the file."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.models.blending import KIN, blend, blend_networks, blend_sides, differences, kinship
from ganlib.models.checkpoints import Checkpoint, list_checkpoints
from ganlib.models.rights import conflict, read_licence, stricter
from ganlib.render.renderer import Renderer
from pages._ui.common import model_cache
from pages._ui.common.frame import TRAIN, empty_state, fragment, plain, show_error
from pages._ui.models import place
from pages._ui.models.imports import free_name
from pages._ui.models.rights import badge

PICTURES = 6
SIDE = 128
WAYS = {"mix": "Mix their weights", "swap": "Shapes of one, colours of the other"}


@fragment()
def show_blend() -> None:
    """Choose two models and how they meet; see the result; keep it."""
    place.follow()
    known = list_checkpoints(workspace.checkpoints_root())[0]
    st.markdown(
        "Two models of one family and size meet in one. It works for relatives: a model and what was trained on from "
        "it, or two that come from the same ancestor. The average of strangers draws nothing."
    )
    pairs = {card.name: [other for other in known if other.name != card.name and _alike(card, other)] for card in known}
    first_ones = [card for card in known if pairs[card.name]]
    if not first_ones:
        _no_pair(known)
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        called = model_cache.titles_of(first_ones)
        first = st.selectbox("First", first_ones, format_func=lambda card: called[card.name], key="blend-first")
        others = model_cache.titles_of(pairs[first.name])
        second = st.selectbox(
            "Second", pairs[first.name], format_func=lambda card: others[card.name], key="blend-second"
        )
        way = st.segmented_control("How", list(WAYS), default="mix", format_func=WAYS.__getitem__, key="blend-way")
        options = _options(first, way or "mix")
    try:
        preview, alike = _preview(str(first.path), first.digest, str(second.path), second.digest, options)
    except GanlibError as error:
        with right:
            show_error(error)
        return
    with right:
        for words, sheet in zip((first.title, "The blend", second.title), preview, strict=True):
            st.caption(plain(words))
            st.image(sheet, width="stretch")
    with left:
        if alike < KIN:
            st.warning(
                f"These two seem to be strangers: their weights agree to {alike:.2f}. Relatives have 0.5 and more.",
                icon=":material/info:",
            )
        _save(first, second, options)


def _no_pair(known: Sequence[Checkpoint]) -> None:
    words = "There are no two models of one family and size here yet. One that is trained on from another is its kin"
    if known:
        first = known[0]
        empty_state(
            f"{words}: {plain(first.title)}, say, on pictures of your own.", model_cache.example(),
            f"Train on from {first.title}", to=TRAIN, query={"preset": "transfer", "resume": str(first.path.resolve())},
        )  # fmt: skip
    else:
        empty_state(f"{words}.", None, "Open a model", lambda: place.go(view="import"))


def _alike(a: Checkpoint, b: Checkpoint) -> bool:
    """As far as the cards can tell; the tensors are compared when both are opened."""
    return not differences(a.spec, b.spec)


def _options(model: Checkpoint, way: str) -> tuple[tuple[str, Any], ...]:
    """The arguments of `blend`, as pairs that a cache can know again."""
    if way == "mix":
        share = st.slider("Share of the second", 0.0, 1.0, 0.5, 0.05, key="blend-amount")
        return (("amount", share),)
    sides = blend_sides(model.spec)
    if len(sides) < 2:
        st.caption("Layers of this family belong to no resolution: mix the weights instead.")
        return (("amount", 0.5),)
    swap = st.select_slider(
        "The first up to", sides[:-1], sides[(len(sides) - 1) // 2], key="blend-swap",
        format_func=lambda side: f"{side:d} px",
        help="Layers up to this side make pose and shape; those above make colour and texture.",
    )  # fmt: skip
    smooth = st.slider("Softness of the step", 0.0, 4.0, 0.0, 0.5, key="blend-smooth", help="in doublings of the side")
    return (("swap_at", swap), ("smooth", smooth))


@st.cache_data(max_entries=32, show_spinner="Blending …")
def _preview(
    path_a: str, digest_a: str, path_b: str, digest_b: str, options: tuple[tuple[str, Any], ...]
) -> tuple[list[bytes], float]:
    """Pictures of the first, the blend and the second, of the same seeds; and how alike their weights are."""
    first, second = model_cache.open_renderer(path_a, digest_a), model_cache.open_renderer(path_b, digest_b)
    blended = Renderer(blend_networks(first.generator, second.generator, **dict(options)))
    recipes = [Recipe.of_seed(seed, psi=model_cache.DEFAULT_PSI) for seed in range(PICTURES)]
    sheets = []
    for renderer in (first, blended, second):
        pixels = renderer.render(recipes)
        side = min(SIDE, pixels.shape[1])
        sheet = images.contact_sheet(images.resize(pixels, side, side), columns=PICTURES, gap=2)
        sheets.append(images.encode(sheet, "webp", quality=90))
    return sheets, kinship(first.generator, second.generator)


def _save(first: Checkpoint, second: Checkpoint, options: tuple[tuple[str, Any], ...]) -> None:
    licence = stricter(first.licence, second.licence)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Its licence: {plain(read_licence(licence).title)}, the stricter of both.")
        badge(licence)
    if problem := conflict(first.licence, second.licence):
        st.warning(plain(problem), icon=":material/gavel:")
    title = st.text_input("Name", f"{first.title} × {second.title}", key=f"blend-title-{first.name}-{second.name}")
    if st.button("Keep it as a model", type="primary", icon=":material/save:", key="blend-save"):
        notes: list[str] = []
        with st.spinner("Writing the model …"):
            try:
                card = blend(
                    first.path, second.path, free_name(title), title=title.strip(), report=notes.append, **dict(options)
                )
            except GanlibError as error:
                show_error(error)
                return
        place.go(model=card.name)
        st.rerun()
