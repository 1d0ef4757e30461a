"""What a run would cost, measured in a few of its own steps by a job of the verb `estimate`."""

import math
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.runs import ACTIVE, RunDir
from ganlib.runs.files import read_json
from ganlib.training.config import TrainConfig
from ganlib.training.estimate import FILE_NAME
from pages._ui.common.frame import error_boundary, fragment, plain, sentences
from pages._ui.train.form import is_busy

NAMES = ("title", "licence", "save_state", "metrics", "snap")  # these change no step


def show_estimate(config: TrainConfig) -> None:
    """Show the newest measurement of these settings, or the button that makes one."""
    run = _measured(config)
    is_active = run is not None and run.is_active
    fragment(every=1.0 if is_active else None)(_estimate)(config, is_active)


def _estimate(config: TrainConfig, was_active: bool) -> None:
    run = _measured(config)
    state = run.state if run else ""
    if was_active != (state in ACTIVE):
        st.rerun()
    with st.container(border=True, key="estimate"):
        if run is None or state in ("stopped", "lost"):
            row = st.container(horizontal=True, vertical_alignment="center")
            row.markdown("**What it would cost**  \nA few real steps of these settings are timed, for up to a minute.")
            row.button("Measure a trial step", icon=":material/timer:", on_click=_submit, args=(config,))
        elif state in ACTIVE:
            st.markdown("**What it would cost**  \nMeasuring a trial step …")
            st.progress(run.progress)
        elif state == "failed":
            st.error(sentences(run.message, run.hint), icon=":material/error:")
            st.button("Measure again", on_click=_submit, args=(config,))
        else:
            _show(run, config)


def _show(run: RunDir, config: TrainConfig) -> None:
    found = _read(run)
    pace, memory = found.get("seconds_per_kimg"), found.get("memory_gb")
    if not isinstance(pace, int | float) or not math.isfinite(pace):
        st.markdown("The measurement left no numbers.")
        st.button("Measure again", on_click=_submit, args=(config,))
        return
    hours = float(found.get("hours", pace * config.kimg / 3600))
    where = str(found.get("device", ""))
    first, second, third, fourth = st.columns(4)
    first.metric("Whole run", _round(hours), help=runs.format_seconds(hours * 3600))
    second.metric("Per kimg", f"{pace:.3g} s", help="seconds for a thousand real pictures shown")
    third.metric("Memory", f"{memory:.1f} GiB" if isinstance(memory, int | float) else "unknown")
    kind = "GPU hours" if "cuda" in where.lower() or "nvidia" in where.lower() else "Processor hours"
    fourth.metric(kind, f"{hours:.3g}", help="what a rented machine of this kind would be paid for")
    st.caption(plain(f"Measured on {where}. Snapshots and metrics come on top."))
    if is_busy():
        st.caption("A training is at work here: alone, this run would be quicker.")


def _round(hours: float) -> str:
    """`38 min`, `6.4 h` or `3.2 days`: short enough to stand large."""
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} s"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def _measured(config: TrainConfig) -> RunDir | None:
    """The newest measurement of settings whose steps are the same."""
    wanted = _steps_of(config.to_dict())
    for run in runs.list_runs(workspace.runs_root(), verb="estimate"):
        if _steps_of(run.job["config"]) == wanted:
            return run
    return None


def _steps_of(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in NAMES}


def _submit(config: TrainConfig) -> None:
    with error_boundary():
        runs.submit(workspace.runs_root(), "estimate", "trial step", config.to_dict())


def _read(run: RunDir) -> dict[str, Any]:
    try:
        found = read_json(run.path / FILE_NAME)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
