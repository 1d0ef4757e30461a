"""A projection while it runs and when it is done: side by side, curve, figures, and where to go from here."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from ganlib import runs
from ganlib.checkpoints import Checkpoint
from ganlib.latents import Recipe
from ganlib.paths import Keyframe
from ganlib.runs import RunDir
from pages._ui import models
from pages._ui.frame import EXPLORE, MORPH, download, part, plain
from pages._ui.jobs import ACTIVE, job_card
from pages._ui.keyframes import to_text

SHOWN = 6
EVERY = 1.0  # seconds


def jobs(model: Checkpoint | None = None) -> list[RunDir]:
    """The newest projections, of one model or of all."""
    found = runs.list_runs(models.runs_root(), verb="project")
    if model is not None:
        path = str(model.path.resolve())
        found = [run for run in found if run.job["config"].get("network") == path]
    return found[:SHOWN]


def show_projections(model: Checkpoint) -> None:
    """Show the projections of a model, the one at work live."""
    is_active = any(run.state in ACTIVE for run in jobs(model))
    part(every=EVERY if is_active else None)(_projections)(model, is_active)


def _projections(model: Checkpoint, was_active: bool) -> None:
    found = jobs(model)
    if was_active != any(run.state in ACTIVE for run in found):
        st.rerun()
    if not found:
        st.caption("Your photograph, what the model makes of it, and how near it came appear here.")
    for run in found:
        with st.container(border=True, gap="small", key=f"projection-{run.path.name}"):
            st.markdown(f"**{plain(run.name)}**")
            is_done = job_card(run, "")
            if is_done:
                _done(model, run)
            elif (preview := run.path / "preview.png").exists():
                _show(preview)
            if run.state in ACTIVE or (is_done and st.toggle("Curve", key=f"curve-{run.path.name}")):
                _curve(run)


def _show(path: Path) -> None:
    try:
        st.image(path.read_bytes(), width="stretch")
    except (OSError, ValueError):  # it is being replaced at this moment
        st.caption("the next picture is on its way")


def _curve(run: RunDir) -> None:
    chart = go.Figure()
    for stage, words in (("search", "search"), ("tuning", "tuning")):
        rows = [row for row in run.stats() if row.get("stage") == stage and isinstance(row.get("mean"), int | float)]
        if rows:
            steps, means = ([row[name] for row in rows] for name in ("step", "mean"))
            chart.add_scatter(x=steps, y=means, name=words, mode="lines")
    if chart.data:
        chart.update_layout(height=220, margin={"t": 10, "b": 10}, xaxis_title="step", yaxis_title="distance")
        st.plotly_chart(chart, key=f"chart-{run.path.name}", config={"displayModeBar": False})


def _done(model: Checkpoint, run: RunDir) -> None:
    folders = sorted(path.parent for path in run.path.rglob("figures.json"))
    kept: list[str] = []
    for folder in folders:
        figures = _figures(folder / "figures.json")
        _sides(folder, figures)
        base = str(figures.get("base") or "")
        if base and (model.folder / "w_plus" / f"{base}.npz").exists():
            kept.append(base)
        tuned = Path(str(figures.get("tuned") or "")).stem
        with st.container(horizontal=True):
            if base in kept and st.button("Explore", type="primary", icon=":material/tune:", key=f"explore-{folder}"):
                st.switch_page(EXPLORE, query_params={"model": model.name, **Recipe(base=base).to_query()})
            is_there = tuned and (models.checkpoints_root() / f"{tuned}.safetensors").exists()
            if is_there and st.button("Explore the tuned model", icon=":material/tune:", key=f"tuned-{folder}"):
                st.switch_page(EXPLORE, query_params={"model": tuned, **Recipe(base=base).to_query()})
            for name, icon in (("proj.png", "image"), ("projected_w.npz", "data_array"), ("proj.mp4", "movie")):
                if (folder / name).exists():
                    download(name, name, partial(_read, folder / name), icon=icon)
    if len(kept) > 1:
        path = [Keyframe(Recipe(base=name), 2.0) for name in kept]
        if st.button("Morph from photo to photo", icon=":material/movie:", key=f"morph-{run.path.name}"):
            st.switch_page(MORPH, query_params={"model": model.name, "k": to_text(path)})


def _read(path: Path) -> bytes:
    return path.read_bytes()


def _figures(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _sides(folder: Path, figures: dict[str, Any]) -> None:
    sides = [("target.png", "the photograph"), ("proj.png", "what the model makes"), ("tuned.png", "tuned to it")]
    sides = [(name, words) for name, words in sides if (folder / name).exists()]
    for column, (name, words) in zip(st.columns(max(2, len(sides))), sides, strict=False):
        with column:
            _show(folder / name)
            st.caption(words)
    before, after = figures.get("before") or {}, figures.get("after") or {}
    rows = [("found", before)] + ([("tuned", after)] if after else [])
    lines = [f"| | {plain(str(figures.get('distance_name', 'distance')))} | PSNR, dB | SSIM |", "|:--|--:|--:|--:|"]
    for words, row in rows:
        numbers = [_number(row, name, digits) for name, digits in (("distance", 4), ("psnr", 1), ("ssim", 3))]
        lines.append(f"| {words} | {' | '.join(numbers)} |")
    st.markdown("\n".join(lines))
    sigmas = _number(figures, "sigmas", 2)
    st.caption(plain(f"{sigmas} sigmas from the centre: {figures.get('verdict', '')}."))


def _number(row: dict[str, Any], name: str, digits: int) -> str:
    value = row.get(name)
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"
