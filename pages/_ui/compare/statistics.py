"""How varied, how coloured and how fine: real against generated, as a job and three charts."""

from functools import partial
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.commands.flags import command_line
from ganlib.compare.statistics import FILE, StatisticsConfig, load_statistics
from ganlib.models.checkpoints import Checkpoint
from ganlib.runs import RunDir
from pages._ui.common import fields
from pages._ui.common.files import file_bytes
from pages._ui.common.frame import download, error_boundary, fragment, plain, show_error
from pages._ui.common.jobs import job_card, remove
from pages._ui.compare.sets import RealSet, label_of
from pages._ui.components import snippet

COUNTS = (200, 500, 2000)
SHOWN = 4
EVERY = 1.0  # seconds
KINDS = (("real", "real", "solid"), ("fake", "generated", "dash"))
COLOURS = {"real": "#8A7F70", "fake": "#D5553C"}
CHANNELS = (("red", "#C8452D"), ("green", "#5B8C5A"), ("blue", "#3E6C9A"))
EMBERS = [[0, "#161412"], [0.55, "#C8452D"], [1, "#FAF7F2"]]
PLAIN = {"displayModeBar": False}


def jobs() -> list[RunDir]:
    """The newest comparisons."""
    return runs.list_runs(workspace.runs_root(), verb="statistics")[:SHOWN]


@fragment()
def show_statistics(model: Checkpoint, reals: RealSet) -> None:
    """Ask for the numbers of pictures, start the job, show what was found."""
    is_busy = any(run.is_active for run in jobs())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        known = [number for number in COUNTS if number <= len(reals.dataset)] or [len(reals.dataset)]
        count = st.segmented_control("Pictures of each kind", known, default=known[-1] if len(known) < 2 else known[1],
                                     key="statistics-count") or known[0]  # fmt: skip
        psi = fields.slider(StatisticsConfig, "psi", "Variation", step=0.05, key="statistics-psi", width=180,
                            help="truncation psi") if model.spec.truncatable else 1.0  # fmt: skip
        st.button("Compare", type="primary", icon=":material/query_stats:", key="statistics-start", disabled=is_busy,
                  on_click=_start, args=(model, reals, known[0]))  # fmt: skip
    with st.expander("The same from a terminal"):
        config = StatisticsConfig(Path(model.name), Path(reals.path), Path("out/statistics"), count, psi)
        snippet(command_line("statistics", config), key="statistics-command")
    if error := st.session_state.pop("statistics-error", None):
        show_error(error)
    fragment(every=EVERY if is_busy else None)(_comparisons)(is_busy)


def _start(model: Checkpoint, reals: RealSet, fewest: int) -> None:
    """Submit the job with the choices of this moment."""
    count = st.session_state.get("statistics-count") or fewest
    psi = float(st.session_state.get("statistics-psi", 1.0))
    try:
        config = StatisticsConfig.from_dict(
            {"network": str(model.path.resolve()), "data": reals.path, "pictures": count, "psi": psi,
             "label": label_of(model)}
        )  # fmt: skip
        runs.submit(workspace.runs_root(), "statistics", model.name, config.to_dict())
    except GanlibError as error:
        st.session_state["statistics-error"] = error


def _comparisons(was_active: bool) -> None:
    found = jobs()
    if was_active != any(run.is_active for run in found):
        st.rerun()
    if not found:
        st.caption(
            "How far two pictures are apart, which colours there are, and how much detail at every scale: one curve "
            "for the real ones, one for the generated. Where they part, the model is not yet like its set."
        )
    for place, run in enumerate(found):
        config = run.job["config"]
        with st.container(border=True, gap="small", key=f"stats-{run.path.name}"):
            row = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
            each = plain(f"{config.get('pictures', '?')} pictures of each kind, psi {config.get('psi', 1.0)}")
            row.markdown(f"**{plain(run.name)}** · {plain(Path(str(config.get('data', ''))).name)} · {each}")
            is_done = job_card(run, "pictures")
            if is_done and row.toggle("Show", place == 0, key=f"show-{run.path.name}"):
                with error_boundary():
                    _charts(run, load_statistics(run.path))
            if not run.is_active:
                row.button("Remove", key=f"remove-{run.path.name}", type="tertiary", on_click=remove, args=(run,))


def _charts(run: RunDir, found: dict[str, Any]) -> None:
    real, fake = (found[kind]["diversity"] for kind in ("real", "fake"))
    figures = st.columns(3)
    figures[0].metric("Two real pictures are apart", f"{real['mean']:.3f} ± {real['reach']:.3f}")
    figures[1].metric("Two generated ones", f"{fake['mean']:.3f} ± {fake['reach']:.3f}")
    figures[2].metric("As varied as the set", f"{found['diversity_ratio']:.0%}")
    each = f"{found['pictures']:,} pictures of each kind at {found['side']} px"
    st.caption(plain(f"Distance: {found['distance']}. {each}."))
    left, right = st.columns(2)
    with left:
        _colours(run, found)
    with right:
        _rings(run, found)
    for column, (kind, words, _) in zip(st.columns(2), KINDS, strict=True):
        with column:
            _spectrum(run, found, kind, words)
    download("Figures", f"statistics-{run.path.name}.json", partial(file_bytes, run.path / FILE), icon="data_object")


def _colours(run: RunDir, found: dict[str, Any]) -> None:
    chart = go.Figure()
    for kind, words, dash in KINDS:
        for values, (channel, colour) in zip(found[kind]["histogram"], CHANNELS, strict=True):
            step = 256 / len(values)
            chart.add_scatter(
                x=[step * (i + 0.5) for i in range(len(values))], y=[100 * value for value in values], mode="lines",
                name=f"{channel}, {words}", line={"color": colour, "dash": dash, "width": 1.6}, showlegend=False,
            )  # fmt: skip
    _dress(chart, "Colours: solid real, dashed generated", "value, 0 to 255", "% of pixels")
    chart.update_yaxes(type="log")
    st.plotly_chart(chart, key=f"colours-{run.path.name}", config=PLAIN)


def _rings(run: RunDir, found: dict[str, Any]) -> None:
    chart = go.Figure()
    for kind, words, dash in KINDS:
        values = found[kind]["radial"][1:]
        cycles = [(i + 1) / (2 * len(values)) for i in range(len(values))]
        chart.add_scatter(x=cycles, y=values, mode="lines", name=words, line={"dash": dash, "color": COLOURS[kind]})
    _dress(chart, "Detail: mean power by frequency", "cycles per pixel", "dB")
    chart.update_layout(legend={"x": 1, "y": 1, "xanchor": "right"})
    st.plotly_chart(chart, key=f"rings-{run.path.name}", config=PLAIN)


def _spectrum(run: RunDir, found: dict[str, Any], kind: str, words: str) -> None:
    values = [value for which, _, _ in KINDS for row in found[which]["spectrum"] for value in row]
    chart = go.Figure(
        go.Heatmap(
            z=found[kind]["spectrum"],
            zmin=min(values),
            zmax=max(values),
            colorscale=EMBERS,
            colorbar={"title": "dB", "thickness": 10},
            hoverinfo="skip",
        )
    )
    _dress(chart, f"Spectrum, {words}", "", "")
    chart.update_xaxes(visible=False)
    chart.update_yaxes(visible=False, scaleanchor="x")
    st.plotly_chart(chart, key=f"spectrum-{kind}-{run.path.name}", config=PLAIN)


def _dress(chart: go.Figure, title: str, across: str, up: str) -> None:
    chart.update_layout(
        title={"text": title, "font": {"size": 14}}, height=300, margin={"t": 44, "b": 40, "l": 50, "r": 10},
        xaxis_title=across, yaxis_title=up,
    )  # fmt: skip
