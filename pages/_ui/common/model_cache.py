"""The model a page works with, and pictures from it: chosen by name, opened once, cached by digest and recipe."""

import time
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ganlib.base import workspace
from ganlib.base.errors import GanlibError, InputError
from ganlib.latents.editing import FOLDER, Direction, list_directions
from ganlib.latents.favourites import Favourite, add_favourite, load_favourites, remove_favourite
from ganlib.latents.recipes import Recipe, embed_text, label_in_turn, parse_embedded
from ganlib.media import images
from ganlib.models.checkpoints import Checkpoint, list_checkpoints
from ganlib.models.export import licence_text
from ganlib.render.latent_map import by_colour, by_likeness
from ganlib.render.renderer import SLOW_SECONDS, Renderer
from pages._ui.common import covers
from pages._ui.common.frame import MODELS, error_boundary, plain, show_error
from pages._ui.common.tabs import follow_other_tabs
from pages._ui.components import ModelCard, model_shelf, snippet
from pages._ui.models.rights import warn


@dataclass(frozen=True)
class Sort:
    """An order of a wall."""

    title: str
    """For people."""
    order: Callable[[Renderer, Sequence[Recipe]], list[int]]
    """Recipes → their places in this order."""


SORTS: dict[str, Sort] = {
    "colour": Sort("by colour", lambda opened, recipes: by_colour(opened.render(recipes))),
    "likeness": Sort(
        "alike together", lambda opened, recipes: by_likeness(opened.w_plus(recipes).mean(dim=1).cpu().numpy())
    ),
}
LICENCE_FILE = "LICENCE.txt"
DEFAULT_PSI = 0.7
THUMB = 256  # longest side of a picture on a wall, in pixels
STAGE = 512  # longest side of the picture in Explore
SHELF = 82  # height of the row of cards, in pixels
FILL_SECONDS = 0.7  # a wall shows what is ready after this long and asks for the rest


# --- choosing ---------------------------------------------------------------------------------------------------------


def titles_of(models: Sequence[Checkpoint]) -> dict[str, str]:
    """What models are called in a menu, by name: their titles, and where two have the same, their names too. A menu in
    the browser knows its entries by their words alone."""
    often = Counter(model.title for model in models)
    return {model.name: model.title if often[model.title] == 1 else f"{model.title} ({model.name})" for model in models}


def choose_model(heading: DeltaGenerator | None = None) -> Checkpoint:
    """Show the model picker and return the chosen model; stop the page where there is none.

    The picker is a row of cards, or a menu in the page's `heading` where that is given.

    The choice comes from the address (`?model=NAME`) or from before; a model is only ever looked up by its name.
    """
    models, damaged = list_checkpoints(workspace.checkpoints_root())
    for error in damaged:
        show_error(error)
    if not models:
        _no_model()
    folders = [workspace.checkpoints_root(), *(model.folder for model in models)]
    by_name = {model.name: model for model in models}
    asked = st.query_params.get("model", "")
    if asked and asked not in by_name and asked != st.session_state.get("unknown-model"):
        st.session_state["unknown-model"] = asked  # told once: the server goes on hearing of the address as it was
        available = plain(", ".join(by_name))
        st.warning(f"There is no model called {plain(asked[:60])}. Available: {available}.", icon=":material/help:")
    name = asked if asked in by_name else st.session_state.get("model", "")
    model = by_name.get(name, models[0])
    if heading is None:
        with st.container(height=SHELF, border=False, key="shelf"):  # room before its script and style have come
            chosen = model_shelf([_card(each) for each in models], model.name, key="models")
            follow_other_tabs(folders)
            covers.fill_later(models, _cover_recipe)
        picked = by_name.get(chosen or "", model)
    else:
        names, titles = list(by_name), titles_of(models)
        picked = by_name[
            heading.selectbox(
                "Model",
                names,
                names.index(model.name),
                format_func=titles.__getitem__,
                label_visibility="collapsed",
                width=210,
            )
        ]
        with heading:
            warn(model)
            follow_other_tabs(folders)
    st.session_state["model"] = picked.name
    if picked.name != model.name:
        st.query_params.from_dict({"model": picked.name})
        st.rerun()
    return model


def _card(model: Checkpoint) -> ModelCard:
    facts = f"{model.spec.resolution} px" + (f" · {model.kimg:.0f} kimg" if model.kimg else "")
    about = " · ".join(filter(None, (model.data, model.licence)))
    return ModelCard(model.name, model.title, facts, about, str(model.spec.resolution), covers.cover(model))


def _cover_recipe(model: Checkpoint) -> Recipe:
    return seed_recipe(model, model.cover)


def _no_model() -> None:
    root = plain(str(workspace.checkpoints_root()))
    st.markdown(
        f"**No model yet.** A model is one `.safetensors` file; this studio looks for them in {root}.\n\n"
        "Open one of another tool, fetch one from the Hub, or train one from your own pictures:"
    )
    if st.button("Open a model", type="primary", icon=":material/add:"):
        st.switch_page(MODELS, query_params={"view": "import"})
    snippet(
        "python -m ganlib prepare --source my-pictures --dest data/mine.zip --resolution 64\n"
        "python -m ganlib train --data data/mine.zip",
        key="first-commands",
    )
    st.button("Look again", icon=":material/refresh:")
    st.stop()


# --- pictures ---------------------------------------------------------------------------------------------------------


def renderer(model: Checkpoint) -> Renderer:
    """The opened model, shared by everyone who has the page open."""
    return open_renderer(str(model.path), model.digest)


@st.cache_resource(max_entries=2, show_spinner="Opening the model …")
def open_renderer(path: str, digest: str) -> Renderer:
    return Renderer.open(Path(path))


def seed_recipe(model: Checkpoint, seed: int, *, psi: float = DEFAULT_PSI, label: int | None = None) -> Recipe:
    """The recipe of a seed; without a class chosen, seeds take the classes of a model in turn."""
    return Recipe.of_seed(seed, psi=psi, label=label_in_turn(seed, label, model.spec.label_dim))


def kind_name(model: Checkpoint, label: int | None) -> str:
    """What a menu calls a class; None are all of them."""
    return "any" if label is None else model.class_name(label)


def pictures(model: Checkpoint, recipes: Sequence[Recipe], *, side: int = THUMB) -> list[bytes]:
    """Pictures of recipes in one batch, their longest side at most `side` pixels."""
    return _pictures(str(model.path), model.digest, _edits_tag(model, recipes), tuple(recipes), side)


def directions(model: Checkpoint) -> list[Direction]:
    """The directions of a model that fit it, those that a person has named first; damaged files are passed over."""
    found = [direction for direction in list_directions(model.folder)[0] if direction.suits(model.spec)]
    return sorted(found, key=lambda direction: (not direction.title, direction.name))


def _edits_tag(model: Checkpoint, recipes: Sequence[Recipe]) -> str:
    """A word that changes when a direction that these recipes use is found anew."""
    names = {edit.direction for recipe in recipes for edit in recipe.edits}
    times = []
    for name in sorted(names):
        try:
            times.append(str((model.folder / FOLDER / f"{name}.npz").stat().st_mtime_ns))
        except OSError:
            times.append("")
    return ",".join(times)


def example() -> bytes | None:
    """A picture of the first model, for empty states; None where there is no model that can be opened."""
    known, _ = list_checkpoints(workspace.checkpoints_root())
    try:
        return pictures(known[0], [seed_recipe(known[0], known[0].cover)])[0] if known else None
    except GanlibError:
        return None


@st.cache_data(max_entries=128, show_spinner=False)
def _pictures(path: str, digest: str, edits: str, recipes: tuple[Recipe, ...], side: int) -> list[bytes]:
    pixels = open_renderer(path, digest).render(recipes)
    side = min(side, pixels.shape[1])
    kind = "webp" if side <= 128 else "jpeg"  # at 256 px WebP takes 6 ms a picture, JPEG 0.3
    return [images.encode(picture, kind, quality=92) for picture in images.resize(pixels, side, side)]


def sort_recipes(model: Checkpoint, recipes: Sequence[Recipe], how: str) -> list[Recipe]:
    """Recipes in an order of `SORTS`; any other word leaves them as they are."""
    if how not in SORTS or len(recipes) < 2:
        return list(recipes)
    # At one variation, so that nothing changes its place while the slider is moved.
    even = tuple(replace(recipe, psi=DEFAULT_PSI) for recipe in recipes)
    order = _order(str(model.path), model.digest, _edits_tag(model, recipes), even, how)
    return [recipes[i] for i in order]


@st.cache_data(max_entries=64, show_spinner="Sorting …")
def _order(path: str, digest: str, edits: str, recipes: tuple[Recipe, ...], how: str) -> list[int]:
    return SORTS[how].order(open_renderer(path, digest), recipes)


def as_many_as_ready(model: Checkpoint, recipes: Sequence[Recipe]) -> list[bytes | None]:
    """Pictures for a wall: what is cached or made within `FILL_SECONDS`, None for the rest."""
    chunk = renderer(model).default_batch()
    began, ready = time.monotonic(), list[bytes | None]()
    for start in range(0, len(recipes), chunk):
        if time.monotonic() - began > FILL_SECONDS:
            break
        ready += pictures(model, recipes[start : start + chunk])
    return ready + [None] * (len(recipes) - len(ready))


def stage_picture(model: Checkpoint, recipe: Recipe, pixels: bool, *, is_dragged: bool = False) -> bytes:
    """One picture for the stage: as it is (PNG) where single pixels are to be seen, else smooth and large (JPEG).

    While a slider `is_dragged` and pictures take long, a sketch of the lower blocks stands in."""
    if is_dragged and renderer(model).seconds_per_picture > SLOW_SECONDS:
        sketch = renderer(model).sketch(recipe)
        if sketch is not None:
            return images.encode(images.resize(sketch, STAGE, STAGE), "jpeg", quality=85)
    return _stage_picture(str(model.path), model.digest, _edits_tag(model, [recipe]), recipe, pixels)


@st.cache_data(max_entries=64, show_spinner=False)
def _stage_picture(path: str, digest: str, edits: str, recipe: Recipe, pixels: bool) -> bytes:
    picture = open_renderer(path, digest).render_one(recipe)
    if pixels:
        return images.encode(picture, "png")
    side = max(STAGE, picture.shape[0])
    return images.encode(images.resize(picture, side, side), "jpeg", quality=92)


# --- files ------------------------------------------------------------------------------------------------------------


def file_name(model: Checkpoint, recipe: Recipe) -> str:
    """A name for a saved picture, such as `fruit-64-seed85.png`."""
    words = recipe.caption().replace("×", "x").split()
    return "-".join([model.name, "".join(words[:2]), *("blend" for _ in words[2:3])]) + ".png"


def png(model: Checkpoint, recipe: Recipe) -> bytes:
    """A PNG at the model's own size with its recipe inside."""
    text = embed_text(recipe, digest=model.digest, model=model.name, licence=model.licence)
    return images.encode(renderer(model).render([recipe])[0], "png", recipe=text)


def read_saved(name: str, data: bytes) -> tuple[Recipe, str, str]:
    """(recipe, digest, model) inside a picture that this studio saved. Raises GanlibError for any other file."""
    text = images.read_recipe_text(data)
    if text is None:
        images.decode(data, name=name)  # says what is wrong with a file that is no picture at all
        raise InputError(f"{name} carries no recipe", "Choose a picture that was saved by this studio.")
    return parse_embedded(text)


def png_zip(model: Checkpoint, recipes: Sequence[Recipe]) -> bytes:
    """A zip of such PNGs, and a text about the rights."""
    files = ((file_name(model, recipe), png(model, recipe)) for recipe in recipes)
    return images.archive(chain(files, [(LICENCE_FILE, licence_text(model).encode())]))


def contact_sheet(model: Checkpoint, recipes: Sequence[Recipe], columns: int) -> bytes:
    """One PNG with all pictures in rows."""
    return images.encode(images.contact_sheet(renderer(model).render(recipes), columns=columns), "png")


# --- favourites -------------------------------------------------------------------------------------------------------


def favourites(model: Checkpoint) -> list[Favourite]:
    """What was kept of this model, newest first; a damaged list is told and counts as empty."""
    kept: list[Favourite] = []
    with error_boundary():
        kept = load_favourites(model.folder)[::-1]
    known = {direction.name for direction in directions(model)}
    return [replace(favourite, recipe=without_lost(favourite.recipe, known)) for favourite in kept]


def without_lost(recipe: Recipe, known: Container[str]) -> Recipe:
    """A recipe without the steps along directions that are not `known`: somebody has deleted them."""
    if all(edit.direction in known for edit in recipe.edits):
        return recipe
    return replace(recipe, edits=tuple(edit for edit in recipe.edits if edit.direction in known))


def keep(model: Checkpoint, recipe: Recipe, kept: bool) -> None:
    """Add a recipe to the favourites, or take it away. Raises GanlibError."""
    if kept:
        add_favourite(model.folder, recipe)
        return
    for favourite in load_favourites(model.folder):
        if favourite.recipe == recipe:
            remove_favourite(model.folder, favourite.id)
