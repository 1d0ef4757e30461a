"""How pictures are cut, with a dozen of them before and after."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from ganlib.base.options import facts_of
from ganlib.dataset import PrepareConfig
from ganlib.dataset.config import CROPS, UNFRAMES
from ganlib.dataset.letterbox import FILLS
from ganlib.dataset.preview import Preview, preview
from pages._ui.common import fields
from pages._ui.common.frame import error_boundary, is_left, plain
from pages._ui.components import WallPicture, picture_wall
from pages._ui.datasets import place
from pages._ui.datasets.choices import Cut, cut_of, keep_cut, read_kept, read_left_out

SHOWN = 12
RESOLUTIONS = (16, 32, 64, 128, 256, 512, 1024)


def help_of(name: str) -> str:
    """What the library says about an option."""
    return facts_of(PrepareConfig.__dataclass_fields__[name]).help


def show_framing(source: str) -> None:
    """Ask how the pictures are cut and show what comes of it."""
    left, right = st.columns([1, 3], gap="large")
    before = cut_of(source)
    with left:
        cut = _ask(before)
        keep_cut(source, cut)
        st.button(
            "On to the set", type="primary", icon=":material/arrow_forward:", key="to-make", on_click=place.go,
            kwargs={"source": source, "step": "make"},
        )  # fmt: skip
    with right, error_boundary():
        without = read_left_out(source) or {}
        found = _previews(
            source, Path(source).stat().st_mtime_ns, cut, tuple(sorted(without)), tuple(read_kept(source))
        )
        count = sum(not one.words for one in found)
        st.caption(f"Before and after, {count} of {len(found)} kept. The red line is the cut.")
        picture_wall(
            [WallPicture(one.name, _caption(one), one.pair) for one in found],
            key="framing-wall", label="Before and after", columns=3, aspect=2.0, mode="only", rev=repr(cut),
        )  # fmt: skip


def _caption(one: Preview) -> str:
    name = Path(one.name).name
    return f"set aside, {one.words}: {name}" if one.words else name


def _ask(cut: Cut) -> Cut:
    chosen: dict[str, Any] = {}
    at = RESOLUTIONS.index(cut.resolution) if cut.resolution in RESOLUTIONS else 2
    chosen["resolution"] = st.selectbox(
        "Side of the squares", RESOLUTIONS, at, format_func=lambda side: f"{side} px", help=help_of("resolution")
    )
    chosen["crop"] = fields.selectbox(PrepareConfig, "crop", "What is cut out", value=cut.crop)
    if chosen["crop"] in ("auto", "subject"):
        chosen["margin"] = fields.slider(PrepareConfig, "margin", "Room round the subject", value=cut.margin, step=0.02)
        chosen["keep_outliers"] = fields.toggle(
            PrepareConfig, "keep_outliers", "Also without a clear subject", value=cut.keep_outliers
        )
    if chosen["crop"] == "letterbox":
        fills = FILLS | {"": "a colour"}
        at = list(fills).index(cut.fill if cut.fill in FILLS else "")
        fill = st.selectbox("Beside the picture", list(fills), at, format_func=fills.__getitem__, help=help_of("fill"))
        chosen["fill"] = fill or st.color_picker("Colour", cut.fill if cut.fill.startswith("#") else "#ffffff")
    chosen["unframe"] = fields.selectbox(PrepareConfig, "unframe", "Frames to take off", value=cut.unframe)
    chosen["background"] = st.color_picker("Behind transparency", cut.background, help=help_of("background"))
    return replace(cut, **chosen)


@st.cache_data(max_entries=32, show_spinner="Cutting a dozen pictures …")
def _previews(
    source: str, changed: int, cut: Cut, without: tuple[str, ...], stays: tuple[str, ...]
) -> list[Preview]:  # `stays` is part of the key; the configuration reads the list
    return preview(cut.config(source, "preview.zip"), count=SHOWN, without=without, should_stop=is_left)


@st.cache_data(max_entries=32, show_spinner="Cutting these pictures …")
def pairs_of(source: str, changed: int, cut: Cut, names: tuple[str, ...]) -> list[Preview]:
    """These pictures before and after."""
    return preview(cut.config(source, "preview.zip"), only=names, should_stop=is_left)


def in_words(cut: Cut) -> str:
    """One line about the choices."""
    words = [
        f"{cut.resolution} px",
        f"cut: {CROPS.get(cut.crop, cut.crop)}",
        f"frames taken off: {UNFRAMES.get(cut.unframe)}",
    ]
    return plain(" · ".join(words))
