"""A set that is ready: its pictures, labels, figures and card."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from ganlib.dataset import Dataset
from ganlib.dataset.figures import SetFigures, measure_set
from ganlib.dataset.preview import thumbnail
from pages._ui.common.files import file_bytes
from pages._ui.common.frame import TRAIN, download, fragment, is_left, plain, sentences
from pages._ui.common.sets import open_set
from pages._ui.components import WallPicture, picture_wall, snippet
from pages._ui.datasets import place
from pages._ui.datasets.choices import ONLY_USED

PER_PAGE = 48
MOST_DOWNLOADED = 2**30  # bytes; a larger set is better copied on the disk
CARD_WORDS = {"source": "Source", "credit": "Credit", "licence": "Licence", "method": "Crop"}


@fragment()
def show_set(path: str) -> None:
    """Show a data set. Raises GanlibError for one that cannot be opened."""
    place.follow()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.button("All sets", icon=":material/arrow_back:", key="all-sets", on_click=place.go)
            st.subheader(plain(Path(path).name), anchor=False, width="content")
        with st.container(horizontal=True, width="content"):
            if Path(path).is_file() and Path(path).stat().st_size <= MOST_DOWNLOADED:
                download("Download", Path(path).name, partial(file_bytes, path))
            if st.button("Train with it", type="primary", icon=":material/model_training:", key="train-with-it"):
                st.switch_page(TRAIN, query_params={"preset": "quick", "data": path})
    dataset, changed = open_set(path)
    kinds = f" · {dataset.label_dim:d} classes" if dataset.label_dim else ""
    side = dataset.resolution
    st.markdown(f"**{len(dataset):,}** pictures of {side:d} × {side:d} px{kinds} · {plain(str(dataset.path))}")
    if doubts := dataset.doubts(ONLY_USED):
        st.warning(sentences(*doubts), icon=":material/warning:")
    view = st.segmented_control("View", ["Pictures", "Figures", "Card"], default="Pictures", key="set-view",
                                label_visibility="collapsed")  # fmt: skip
    if view == "Figures":
        _figures(path, changed, dataset)
    elif view == "Card":
        _card(path, dataset)
    else:
        _pictures(path, changed, dataset)


def _pictures(path: str, changed: int, dataset: Dataset) -> None:
    chosen = list(range(len(dataset)))
    with st.container(horizontal=True, vertical_alignment="bottom", key="set-controls"):
        if dataset.labels is not None:
            names = dataset.class_names
            kind = st.selectbox("Class", [None, *range(dataset.label_dim)], key="set-class", width=220,
                                format_func=lambda value: "any" if value is None else names[value])  # fmt: skip
            chosen = chosen if kind is None else [i for i in chosen if dataset.labels[i] == kind]
        pages = max(1, -(-len(chosen) // PER_PAGE))
        page = st.number_input("Page", 1, pages, 1, key=f"set-page-{len(chosen)}", width=140, help=f"of {pages}")
        columns = st.slider("Columns", 4, 16, 8, key="set-columns", width=180)
    shown = chosen[(page - 1) * PER_PAGE : page * PER_PAGE]
    wall = [WallPicture(str(i), Path(dataset.names[i]).stem, _picture(path, changed, i, dataset)) for i in shown]
    if not wall:
        st.caption("No picture of this class.")
    picture_wall(wall, key="set-wall", label="Pictures of the set", columns=columns, mode="only", rev=f"{path}-{page}")


@st.cache_data(max_entries=2000, show_spinner=False)
def _picture(path: str, changed: int, index: int, _dataset: Dataset) -> bytes:
    return thumbnail(_dataset, index)


def _figures(path: str, changed: int, dataset: Dataset) -> None:
    figures = _measured(path, changed, dataset)
    st.caption(f"Measured on {figures.count:,} pictures, spread over the set.")
    left, right = st.columns(2, gap="large")
    with left:
        st.plotly_chart(_lines(figures), key="set-colours", config={"displayModeBar": False})
    with right:
        if figures.classes:
            bars = go.Figure(go.Bar(y=list(figures.classes), x=list(figures.classes.values()), orientation="h"))
            bars.update_layout(
                title="Pictures of each class", height=max(260, 26 * len(figures.classes)), margin={"t": 40}
            )
            st.plotly_chart(bars, key="set-classes", config={"displayModeBar": False})
        first, second = st.columns(2)
        first.metric("Brightness", f"{figures.brightness:.0f} of 255", help="mean grey level")
        second.metric(
            "Contrast", f"{figures.contrast:.0f}", help="standard deviation of grey levels, mean over pictures"
        )
        first.metric(
            "Colourfulness", f"{figures.colourfulness:.0f}", help="Hasler and Süsstrunk 2003: 0 is grey, 60 vivid"
        )
        second.metric("Variety", f"{figures.variety:.0f}", help="root mean square difference of two pictures at 16 px")


@st.cache_data(max_entries=16, show_spinner="Measuring …")
def _measured(path: str, changed: int, _dataset: Dataset) -> SetFigures:
    return measure_set(_dataset, is_left)


def _lines(figures: SetFigures) -> go.Figure:
    chart = go.Figure()
    for name, colour, share in zip(("red", "green", "blue"), ("#C8452D", "#5B8A57", "#41688F"), figures.histogram,
                                   strict=True):  # fmt: skip
        chart.add_scatter(x0=2, dx=256 / len(share), y=share, name=name, mode="lines", line={"color": colour})
    chart.update_layout(title="Levels of red, green and blue", height=320, margin={"t": 40}, yaxis_tickformat=".0%")
    return chart


def _card(path: str, dataset: Dataset) -> None:
    card: dict[str, Any] = dataset.card
    if not card:
        st.caption("This set has no card: another tool made it, and where the pictures come from is not written in it.")
        return
    for key, words in CARD_WORDS.items():
        st.markdown(f"**{words}:** {plain(str(card.get(key) or 'not stated'))}")
    if isinstance(card.get("aside"), dict) and card["aside"]:
        st.markdown(
            "**Set aside:** " + plain(", ".join(f"{count} × {reason}" for reason, count in card["aside"].items()))
        )
    snippet(json.dumps(card, indent=1, ensure_ascii=False), key="set-card")
    download("Card", f"{Path(path).stem}-card.json", lambda: json.dumps(card, indent=1).encode(), icon="description")
