"""The real pictures that a model is held against."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ganlib.dataset import Dataset
from ganlib.dataset.preview import thumbnail
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.models.checkpoints import Checkpoint
from pages._ui.common import model_cache
from pages._ui.common.frame import DATASETS, empty_state, plain
from pages._ui.common.paths import accept_path
from pages._ui.common.sets import open_set
from pages._ui.train.form import data_sets


@dataclass(frozen=True)
class RealSet:
    """A data set that is open."""

    path: str
    changed: int
    """When its file was changed last, in nanoseconds: part of every cache key."""
    dataset: Dataset

    @property
    def name(self) -> str:
        """What it is called."""
        return Path(self.path).name


def choose_set(heading: DeltaGenerator, asked: str) -> RealSet:
    """Show the menu of data sets in the heading and return the chosen one, open; stop the page where there is none.

    `asked`: a path from the address. Raises `GanlibError` for one that is not there or no set."""
    known = data_sets()
    now = st.session_state.get("compare-data") or (asked if asked else "") or (known[0] if known else "")
    if not now:
        _no_set()
    options = known if now in known else [now, *known]
    chosen = heading.selectbox(
        "Data set", options, options.index(now), format_func=lambda path: Path(path).name, key="compare-set",
        label_visibility="collapsed", accept_new_options=True, width=210,
        help="The real pictures: a set of the Data sets page, or the path of a zip or folder.",
    )  # fmt: skip
    path = accept_path((chosen or now).strip())
    st.session_state["compare-data"] = path
    dataset, changed = open_set(path)
    return RealSet(path, changed, dataset)


def _no_set() -> None:
    empty_state(
        "Here a model's pictures stand beside real ones: side by side, as a quiz, and in a check for copies of "
        "training pictures. It needs a set of real pictures to begin with.",
        model_cache.example(), "Prepare a data set", to=DATASETS,
    )  # fmt: skip
    st.stop()


MIRROR = "⇄"
"""Stands beside a pair whose real picture is shown in a mirror."""


def real_picture(reals: RealSet, index: int, mirrored: bool = False) -> bytes:
    """A small WebP of a picture of the set."""
    return _picture(reals.path, reals.changed, index, mirrored, reals.dataset)


@st.cache_data(max_entries=2000, show_spinner=False)
def _picture(path: str, changed: int, index: int, mirrored: bool, _dataset: Dataset) -> bytes:
    small = thumbnail(_dataset, index)
    return images.encode(images.decode(small)[:, ::-1].copy(), "webp") if mirrored else small


@st.cache_data(max_entries=64, show_spinner=False)
def _large(path: str, changed: int, index: int, side: int, mirrored: bool, _dataset: Dataset) -> bytes:
    pixels = images.resize(_dataset.small(index, side), side, side)
    return images.encode(pixels[:, ::-1].copy() if mirrored else pixels, "jpeg", quality=92)


def large_picture(reals: RealSet, index: int, side: int, mirrored: bool = False) -> bytes:
    """A picture of the set at `side` pixels, made as the stage's pictures of a model are."""
    return _large(reals.path, reals.changed, index, side, mirrored, reals.dataset)


def label_of(model: Checkpoint) -> int | None:
    """The class that is drawn of a model with classes, as chosen; None are all of them, in turn."""
    label = st.session_state.get("compare-label")
    return label if label is not None and label < model.spec.label_dim else None


def choose_label(model: Checkpoint) -> None:
    """Show the menu of classes where the model has any."""
    if model.spec.label_dim:
        if label_of(model) is None:
            st.session_state["compare-label"] = None  # another model's
        kinds = [None, *range(model.spec.label_dim)]
        any_kind = model_cache.kind_name(model, None)
        name_of = partial(model_cache.kind_name, model)
        st.selectbox("Class", kinds, key="compare-label", width=140, format_func=name_of, placeholder=any_kind)


def recipe_of(model: Checkpoint, seed: int, psi: float) -> Recipe:
    """The recipe of a seed with the chosen class."""
    return model_cache.seed_recipe(model, seed, psi=psi, label=label_of(model))


def name_of(text: str) -> str:
    """A picture's name in a set, without its folders and suffix, safe in Markdown."""
    return plain(Path(text).stem)
