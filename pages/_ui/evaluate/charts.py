"""Figures as curves: a line and its band for each run, the best marked, what real pictures score as a line."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from ganlib.metrics.results import Figure, best_of
from pages._ui.train.curves import DARK, LIGHT

HEIGHT = 340
WIDE = 20.0  # times the smallest figure


def curve(figures: Sequence[Figure], baselines: Sequence[Figure], *, dark: bool) -> Any:
    """Figures of one name on one data set, over kimg."""
    colours = DARK if dark else LIGHT
    figure = go.Figure()
    groups = list(dict.fromkeys(each.group for each in figures))
    scale = "log" if is_wide(figures) else "linear"
    for number, group in enumerate(groups):
        points = sorted((each for each in figures if each.group == group), key=lambda each: each.kimg or 0.0)
        _line(figure, group, points, colours[number % len(colours)], scale)
    best = best_of(figures)
    if best is not None and len(figures) > 1:
        star = {"symbol": "star", "size": 15, "color": colours[2], "line": {"width": 1}}
        figure.add_scatter(x=[best.kimg or 0.0], y=[best.value], name="best", mode="markers", marker=star,
                           hovertemplate="best: %{y:.4g}")  # fmt: skip
    for baseline in baselines[-1:]:
        if scale == "linear" or baseline.value > 0:
            kimg = [each.kimg or 0.0 for each in figures]
            dash = {"dash": "dash", "width": 1, "color": "#8A8178"}
            figure.add_scatter(x=[min(kimg) - (len(kimg) == 1), max(kimg) + (len(kimg) == 1)], y=[baseline.value] * 2,
                               name="real against real", mode="lines", line=dash, hovertemplate="%{y:.4g}")  # fmt: skip
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 56, "r": 8, "t": 8, "b": 40},
        hovermode="closest",
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        uirevision="keep",
        xaxis_title="kimg",
        xaxis_rangemode="nonnegative",
        yaxis_title=figures[0].name if figures else "",
        yaxis_type=scale,
    )
    return figure


def has_line(figures: Sequence[Figure]) -> bool:
    """Whether any run or model has two points, which a line joins."""
    return len({(figure.group, figure.kimg) for figure in figures}) > len({figure.group for figure in figures})


def is_wide(figures: Sequence[Figure]) -> bool:
    """Whether figures lie so far apart that only a logarithmic axis shows the smaller ones: a run from its beginning
    on, as a rule."""
    values = [each.value for each in figures]
    return len(values) > 1 and min(values) > 0 and max(values) > WIDE * min(values) and figures[0].is_lower_better


def _low(figure: Figure, scale: str) -> float:
    """The lower end of the band; a logarithmic axis has no place for 0."""
    low = figure.value if figure.low is None else figure.low
    return max(low, figure.value / 10) if scale == "log" else low


def _line(figure: Any, group: str, points: Sequence[Figure], colour: str, scale: str) -> None:
    x, y = [each.kimg or 0.0 for each in points], [each.value for each in points]
    known = [each for each in points if each.low is not None and each.high is not None]
    words = [f"{each.title}, {each.num_fake:,} pictures" for each in points]
    bars = None
    if len(known) == len(points) > 1:
        band = [each.kimg or 0.0 for each in known]
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        figure.add_scatter(
            x=band + band[::-1], y=[each.high for each in known] + [_low(each, scale) for each in reversed(known)],
            mode="lines", fill="toself", fillcolor=f"rgba({red},{green},{blue},0.16)", line={"width": 0},
            hoverinfo="skip", showlegend=False, legendgroup=group,
        )  # fmt: skip
    elif len(known) == len(points):
        bars = {"type": "data", "symmetric": False, "array": [(e.high or 0.0) - e.value for e in known],
                "arrayminus": [e.value - _low(e, scale) for e in known]}  # fmt: skip
    figure.add_scatter(
        x=x, y=y, name=group, text=words, mode="lines+markers", line={"color": colour, "width": 2}, error_y=bars,
        marker={"size": 6 if len(points) > 1 else 12},
        legendgroup=group, hovertemplate="%{text}<br>%{x:.4g} kimg: %{y:.4g}<extra></extra>",
    )  # fmt: skip
