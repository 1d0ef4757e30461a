"""Measurements: at work, and done; curves, which is best, a table, files to take away."""

from collections.abc import Callable, Sequence
from datetime import datetime

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.metrics import kind_of
from ganlib.metrics.results import Figure, as_good_as, best_of, figures_of_runs, to_csv, to_json
from ganlib.runs import RunDir
from pages._ui.common import model_cache
from pages._ui.common.frame import download, empty_state, fragment, plain, sentences
from pages._ui.common.jobs import job_card
from pages._ui.evaluate.charts import curve, has_line

SHOWN = 4  # measurements that ended badly and are still shown
EVERY = 1.0  # seconds


def jobs() -> list[RunDir]:
    """The measurements, newest first."""
    return runs.list_runs(workspace.runs_root(), verb="metrics")


def show_results(button: str, to: str | None, on_click: Callable[[], None] | None) -> None:
    """Show the measurements, the one at work live; where there is none, the first step: a `button` that leads `to`
    another page, or does what `on_click` says."""
    is_active = any(run.is_active for run in jobs())
    fragment(every=EVERY if is_active else None)(_results)(is_active, button, to, on_click)


def _results(was_active: bool, button: str, to: str | None, on_click: Callable[[], None] | None) -> None:
    found = jobs()
    if was_active != any(run.is_active for run in found):
        st.rerun()
    for run in [run for run in found if run.state != "done"][:SHOWN]:
        with st.container(gap="small", key=f"measurement-{run.path.name}"):
            st.markdown(f"**{plain(run.name)}**")
            is_fetching = "pictures" not in run.message and "steps" not in run.message
            job_card(run, "" if is_fetching else "pictures")
            if run.is_active:
                st.caption(plain(run.message) or "opening the models and the data set …")
            else:
                st.button("Remove", key=f"remove-{run.path.name}", type="tertiary", on_click=runs.remove, args=(run,))
    figures = figures_of_runs(workspace.runs_root())
    if any(not figure.is_baseline for figure in figures):
        _figures(figures)
    elif not was_active:
        empty_state(
            "A figure says how far a model's pictures are from real ones, with how sure that is. It tells which "
            "snapshot of a run is best, and whether more training helps.",
            model_cache.example(), button, on_click, to=to,
        )  # fmt: skip


def _figures(figures: Sequence[Figure]) -> None:
    models_only = [figure for figure in figures if not figure.is_baseline]
    names = list(dict.fromkeys(figure.name for figure in models_only))
    name = st.selectbox("Figure", names, names.index(_first(models_only)), key="results-name")
    of_name = [figure for figure in figures if figure.name == name]
    sets = {figure.data: figure.data_name or figure.data[:8] for figure in of_name if not figure.is_baseline}
    data = next(iter(sets))
    if len(sets) > 1:
        data = st.selectbox("Measured on", list(sets), format_func=sets.__getitem__, key=f"results-data-{name}")
    shown = [figure for figure in of_name if figure.data == data]
    groups = list(dict.fromkeys(figure.group for figure in shown if not figure.is_baseline))
    if len(groups) > 1:
        groups = st.multiselect("Runs and models", groups, groups, key=f"results-groups-{name}-{data}") or groups
    baselines = [figure for figure in shown if figure.is_baseline]
    shown = [figure for figure in shown if figure.group in groups and not figure.is_baseline]
    with st.container(key="results-chart"):
        st.plotly_chart(
            curve(shown, baselines, dark=st.context.theme.type == "dark"), key=f"curve-{name}-{data}-{len(groups)}",
            config={"displayModeBar": False},
        )  # fmt: skip
    if not has_line(shown):
        st.caption(
            "One point for each model; the bar is its interval. A line joins the snapshots of a run: choose a run with "
            "two or more under Measure."
        )
    _verdict(shown, baselines)
    _table(shown + baselines)
    with st.container(horizontal=True):
        stem = f"{name}-{sets[data]}"
        download("CSV", f"{stem}.csv", lambda: to_csv(shown + baselines).encode(), icon="table")
        download("JSON", f"{stem}.json", lambda: to_json(shown + baselines).encode(), icon="data_object")
        download("All figures as CSV", "figures.csv", lambda: to_csv(figures).encode(), icon="table")


def _first(figures: Sequence[Figure]) -> str:
    """The name that is shown first: of what was measured last a KID, or a biased kind on enough pictures."""
    newest = max(figures, key=lambda figure: figure.timestamp)
    kind = kind_of(newest.name)
    if kind is not None and kind.is_biased and not newest.doubt:
        return newest.name
    alike = [each for each in figures if (each.group, each.data) == (newest.group, newest.data)]
    kids = [each for each in alike if each.name.startswith("kid")]
    return max(kids, key=lambda figure: figure.timestamp, default=newest).name


def _verdict(shown: Sequence[Figure], baselines: Sequence[Figure]) -> None:
    """Which is best, and what the measurement does not tell apart from it."""
    best = best_of(shown)
    if best is None:
        return
    words = f"**Best: {_label(best)}**, {best.value:.4g}"
    if best.low is not None and best.high is not None:
        words += f" (95 %: {best.low:.4g} … {best.high:.4g})"
    alike = as_good_as(best, shown)
    if alike:
        names = ", ".join(_label(other) for other in alike[:4]) + (" and others" if len(alike) > 4 else "")
        words += f". Not told apart from it: {names}; more pictures would"
    st.markdown(words + ".")
    if best.doubt:
        st.warning(sentences(best.doubt), icon=":material/warning:")
    if baselines:
        st.caption(f"Real pictures against real ones score {baselines[-1].value:.4g}: no model can do better for long.")


def _label(figure: Figure) -> str:
    kimg = f" at {figure.kimg:.4g} kimg" if figure.kimg else ""
    return plain(figure.group + kimg)


def _table(figures: Sequence[Figure]) -> None:
    rows = [
        {
            "Model": figure.title,
            "kimg": figure.kimg,
            "Value": figure.value,
            "95 % from": figure.low,
            "to": figure.high,
            "Pictures": figure.num_fake,
            "Real": figure.num_real,
            "Measured": datetime.fromtimestamp(figure.timestamp).strftime("%Y-%m-%d %H:%M"),
        }
        for figure in figures
    ]
    number = st.column_config.NumberColumn(format="%.5g")
    columns = {name: number for name in ("kimg", "Value", "95 % from", "to")}
    st.dataframe(rows, hide_index=True, column_config=columns, key="results-table")
