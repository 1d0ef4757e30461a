"""Figures as curves: a line and its band for each run, the best marked, what real pictures score as a line."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from ganlib.metrics.results import Figure, best_of
from pages._ui.training.curves import DARK, LIGHT

HEIGHT = 340


def curve(figures: Sequence[Figure], floors: Sequence[Figure], *, dark: bool) -> Any:
    """Figures of one name on one data set, over kimg."""
    colours = DARK if dark else LIGHT
    figure = go.Figure()
    groups = list(dict.fromkeys(each.group for each in figures))
    for number, group in enumerate(groups):
        points = sorted((each for each in figures if each.group == group), key=lambda each: each.kimg or 0.0)
        _line(figure, group, points, colours[number % len(colours)])
    best = best_of(figures)
    if best is not None and len(figures) > 1:
        star = {"symbol": "star", "size": 15, "color": colours[2], "line": {"width": 1}}
        figure.add_scatter(x=[best.kimg or 0.0], y=[best.value], name="best", mode="markers", marker=star,
                           hovertemplate="best: %{y:.4g}")  # fmt: skip
    for floor in floors[-1:]:
        figure.add_hline(y=floor.value, line_dash="dash", line_width=1, annotation_text="real against real",
                         annotation_position="bottom left")  # fmt: skip
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 56, "r": 8, "t": 8, "b": 40},
        hovermode="closest",
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        uirevision="keep",
        xaxis_title="kimg",
        yaxis_title=figures[0].name if figures else "",
    )
    return figure


def _line(figure: Any, group: str, points: Sequence[Figure], colour: str) -> None:
    x, y = [each.kimg or 0.0 for each in points], [each.value for each in points]
    known = [each for each in points if each.low is not None and each.high is not None]
    words = [f"{each.title}, {each.num_fake:,} pictures" for each in points]
    bars = None
    if len(known) == len(points) > 1:
        band = [each.kimg or 0.0 for each in known]
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        figure.add_scatter(
            x=band + band[::-1], y=[each.high for each in known] + [each.low for each in reversed(known)],
            fill="toself", fillcolor=f"rgba({red},{green},{blue},0.16)", line={"width": 0}, hoverinfo="skip",
            showlegend=False, legendgroup=group,
        )  # fmt: skip
    elif len(known) == len(points):
        bars = {"type": "data", "symmetric": False, "array": [(e.high or 0.0) - e.value for e in known],
                "arrayminus": [e.value - (e.low or 0.0) for e in known]}  # fmt: skip
    figure.add_scatter(
        x=x, y=y, name=group, text=words, mode="lines+markers", line={"color": colour, "width": 2}, error_y=bars,
        legendgroup=group, hovertemplate="%{text}<br>%{x:.4g} kimg: %{y:.4g}<extra></extra>",
    )  # fmt: skip
