"""The curves of a run, and of another over them, as plotly figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from ganlib.runs import format_seconds
from ganlib.runs.reporters import finite
from ganlib.training.watch.doctor import best_snapshot, main_metric, metric_points
from ganlib.training.watch.folder import mean_of

Records = Sequence[Mapping[str, Any]]
Metrics = Mapping[str, Sequence[Mapping[str, Any]]]

HEIGHT = 250
MOST_POINTS = 600
LIGHT = ("#C8452D", "#2F6690", "#7A6A2B", "#4C7A5A")
DARK = ("#E4674B", "#7FB2D9", "#D9B95B", "#8FC7A1")
CHARTS: dict[str, dict[str, str]] = {
    "Losses": {"Loss/G/loss": "generator", "Loss/D/loss": "discriminator"},
    "What the discriminator says": {
        "Loss/scores/real": "real pictures",
        "Loss/scores/fake": "generated",
        "Loss/scores/validation": "held-out pictures",
    },
    "How sure it is": {"Loss/signs/real": "r_t", "Progress/augment": "augmentation p"},
    "Told apart": {"Loss/accuracy/real": "of real pictures", "Loss/accuracy/fake": "of generated ones"},
    "Variety of the samples": {"Samples/diversity": "1 = as varied as the data"},
    "Penalties": {
        "Loss/r1_penalty": "R1",
        "Loss/r2_penalty": "R2",
        "Loss/gp": "gradient penalty",
        "Loss/pl_penalty": "path length",
    },
    "Speed": {"Timing/sec_per_kimg": "seconds per kimg"},
}
WORDS = {words for curves in CHARTS.values() for words in curves.values()}
FROM_ZERO = ("How sure it is", "Told apart", "Variety of the samples", "Speed")


def figures(
    records: Records, metrics: Metrics, other: Records, other_metrics: Metrics, *, dark: bool
) -> dict[str, Any]:
    """The figures by title; those without a single value are left out. `other` is drawn dotted, empty for none."""
    colours = DARK if dark else LIGHT
    drawn = {}
    for title, curves in CHARTS.items():
        figure = go.Figure()
        for (name, words), colour in zip(curves.items(), colours, strict=False):
            _line(figure, records, name, words, colour, is_other=False)
            _line(figure, other, name, words, colour, is_other=True)
        if figure.data:
            drawn[title] = _finish(figure, from_zero=title in FROM_ZERO)
    if figure := _metric(metrics, other_metrics, colours):
        drawn = {"Quality": figure, **drawn}
    return drawn


def _line(figure: Any, records: Records, name: str, words: str, colour: str, *, is_other: bool) -> None:
    points = [(mean_of(record, "Progress/kimg"), mean_of(record, name)) for record in _thinned(records)]
    points = [(x, y) for x, y in points if y is not None]
    if not points:
        return
    x, y = zip(*points, strict=True)
    line = {"color": colour, "width": 1.5, "dash": "dot" if is_other else "solid"}
    words = f"{words}, the other" if is_other else words
    figure.add_trace(go.Scatter(x=x, y=y, name=words, line=line, hovertemplate="%{y:.4g}", **trace_style(x, colour)))


def trace_style(x: Sequence[Any], colour: str) -> dict[str, Any]:
    """How plotly draws a curve: a line, or its only point so large that nobody looks for the line."""
    return {"mode": "lines"} if len(x) > 1 else {"mode": "markers", "marker": {"size": 11, "color": colour}}


def words_before_line(figure: Any, records: Records, config: Mapping[str, Any], *, is_active: bool) -> str:
    """When a figure of a run that has no line yet will have its first one; empty where there is one. `figure` None: no
    point either. Curves have a point at each tick, quality has one at each snapshot."""
    if figure is not None and any(len(trace.x) > 1 for trace in figure.data):
        return ""
    if not is_active:
        return "One point, and no line: the run has ended." if figure is not None else "The run ended before a point."
    is_quality = figure is not None and figure.data[0].name not in WORDS
    every, length = (finite(config.get(name)) or 0.0 for name in ("snap" if is_quality else "tick", "kimg"))
    due = figure.data[0].x[-1] + every if figure is not None else every
    paces = [pace for record in records if (pace := mean_of(record, "Timing/sec_per_kimg"))]
    time = f", about {format_seconds(paces[-1] * every)} after it" if paces else ""
    if figure is None:
        when = f"at {due:.3g} kimg" if due else "soon"  # the first settings are written when the run begins
        return f"The first point comes {when}, and with the next one a line."
    if due >= length + every:
        return f"One point, and no line: the run ends at {length:.3g} kimg."
    return f"One point so far; the line begins at {min(due, length):.3g} kimg{time}."


def _metric(metrics: Metrics, other: Metrics, colours: Sequence[str]) -> Any:
    """The metric that decides which snapshot is best, with a star there."""
    name, figure = main_metric(metrics) or main_metric(other), go.Figure()
    if not name:
        return None
    for each, is_other in ((metrics, False), (other, True)):
        points = metric_points(each.get(name, []))
        if not points:
            continue
        line = {"color": colours[0], "width": 1.5, "dash": "dot" if is_other else "solid"}
        x, y = [kimg for kimg, _, _ in points], [value for _, _, value in points]
        words = f"{name}, the other" if is_other else name
        shape = {"mode": "lines+markers"} if len(x) > 1 else trace_style(x, colours[0])
        figure.add_trace(go.Scatter(x=x, y=y, name=words, line=line, hovertemplate="%{y:.4g}", **shape))
    best = best_snapshot(metrics)
    for kimg, snapshot, value in metric_points(metrics.get(name, [])):
        if best and snapshot == best[0] and len(metrics[name]) > 1:
            star = {"symbol": "star", "size": 14, "color": colours[2]}
            figure.add_trace(go.Scatter(x=[kimg], y=[value], name="best", mode="markers", marker=star))
    return _finish(figure, from_zero=False)


def _finish(figure: Any, *, from_zero: bool) -> Any:
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 48, "r": 8, "t": 8, "b": 40},
        hovermode="x unified",
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        uirevision="keep",  # a zoom stays while the curve grows
        xaxis_title="kimg",
    )
    if all(len(trace.x) < 2 for trace in figure.data):  # room for the line to come, and none below 0
        figure.update_xaxes(range=[0, 2 * figure.data[0].x[0] or 1])
    if from_zero:
        figure.update_yaxes(rangemode="tozero")
    return figure


def _thinned(records: Records) -> Records:
    step = -(-len(records) // MOST_POINTS)
    return records if step <= 1 else [*records[:-1:step], records[-1]]
