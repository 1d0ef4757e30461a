"""A projection while it runs and when it is done: side by side, curve, figures, and where to go from here."""

from functools import partial
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.latents.paths import Keyframe
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.models.checkpoints import Checkpoint
from ganlib.runs import RunDir
from ganlib.runs.files import read_json
from pages._ui.common.files import file_bytes
from pages._ui.common.frame import EXPLORE, MORPH, download, fragment, plain
from pages._ui.common.jobs import job_card
from pages._ui.components import before_after
from pages._ui.components.mount import data_url
from pages._ui.morph.keyframes import to_text

SHOWN = 6
LARGE = 512  # side at which pictures are compared, in pixels
VIEWS = ("Slider", "Beside", "Difference")
EVERY = 1.0  # seconds


def jobs(model: Checkpoint | None = None) -> list[RunDir]:
    """The newest projections, of one model or of all."""
    found = runs.list_runs(workspace.runs_root(), verb="project")
    if model is not None:
        path = str(model.path.resolve())
        found = [run for run in found if run.job["config"].get("network") == path]
    return found[:SHOWN]


def show_projections(model: Checkpoint) -> None:
    """Show the projections of a model, the one at work live."""
    is_active = any(run.is_active for run in jobs(model))
    fragment(every=EVERY if is_active else None)(_projections)(model, is_active)


def _projections(model: Checkpoint, was_active: bool) -> None:
    found = jobs(model)
    if was_active != any(run.is_active for run in found):
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
            if run.is_active or (is_done and st.toggle("Curve", key=f"curve-{run.path.name}")):
                _curve(run)


def _show(path: Path) -> None:
    try:
        # Not as a file of the server's: that one is gone when the next preview comes, perhaps before it was fetched.
        st.image(data_url(file_bytes(path)), width="stretch")
    except (OSError, ValueError):  # it is being replaced at this moment
        st.caption("the next picture is on its way")


def _curve(run: RunDir) -> None:
    chart = go.Figure()
    for stage, words in (("search", "search"), ("tuning", "tuning")):
        rows = [row for row in run.stats() if row.get("stage") == stage and isinstance(row.get("mean"), int | float)]
        if rows:
            steps, means = ([row[name] for row in rows] for name in ("step", "mean"))
            chart.add_scatter(x=steps, y=means, name=words, mode="lines" if len(steps) > 1 else "markers")
    if chart.data:
        chart.update_layout(height=220, margin={"t": 10, "b": 10}, xaxis_title="step", yaxis_title="distance")
        st.plotly_chart(chart, key=f"chart-{run.path.name}", config={"displayModeBar": False})


def _done(model: Checkpoint, run: RunDir) -> None:
    order = [Path(str(target)).name for target in run.job["config"].get("target", [])]
    rows = [(path.parent, _figures(path)) for path in sorted(run.path.rglob("figures.json"))]
    rows.sort(key=lambda row: order.index(row[1]["file"]) if row[1].get("file") in order else len(order))
    found = dict(rows)
    if not found:
        return
    folder = next(iter(found))
    if len(found) > 1:
        names = {each: str(figures.get("name") or each.name) for each, figures in found.items()}
        folder = st.selectbox(
            "Which", list(found), format_func=names.__getitem__, key=f"one-{run.path.name}",
            label_visibility="collapsed",
        )  # fmt: skip
    _sides(folder, found[folder])
    kept = [base for figures in found.values() if _is_kept(model, base := str(figures.get("base") or ""))]
    _ways_on(model, folder, found[folder])
    if len(kept) > 1:
        path = [Keyframe(Recipe(base=name), 2.0) for name in kept]
        if st.button("Morph from photo to photo", icon=":material/movie:", key=f"morph-{run.path.name}"):
            st.switch_page(MORPH, query_params={"model": model.name, "k": to_text(path)})


def _is_kept(model: Checkpoint, base: str) -> bool:
    return bool(base) and (model.folder / "w_plus" / f"{base}.npz").exists()


def _ways_on(model: Checkpoint, folder: Path, figures: dict[str, Any]) -> None:
    base, tuned = str(figures.get("base") or ""), Path(str(figures.get("tuned") or "")).stem
    with st.container(horizontal=True):
        is_kept = _is_kept(model, base)
        if is_kept and st.button("Explore", type="primary", icon=":material/tune:", key=f"explore-{folder}"):
            st.switch_page(EXPLORE, query_params={"model": model.name, **Recipe(base=base).to_query()})
        is_there = tuned and (workspace.checkpoints_root() / f"{tuned}.safetensors").exists()
        if is_there and st.button("Explore the tuned model", icon=":material/tune:", key=f"tuned-{folder}"):
            st.switch_page(EXPLORE, query_params={"model": tuned, **Recipe(base=base).to_query()})
        for name, icon in (("proj.png", "image"), ("projected_w.npz", "data_array"), ("proj.mp4", "movie")):
            if (folder / name).exists():
                file = f"{figures.get('name') or 'photo'}-{name}"
                download(name, file, partial(file_bytes, folder / name), icon=icon, key=f"get-{folder / name}")


def _figures(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _sides(folder: Path, figures: dict[str, Any]) -> None:
    sides = [("target.png", "the photograph"), ("proj.png", "what the model makes"), ("tuned.png", "tuned to it")]
    sides = [(name, words) for name, words in sides if (folder / name).exists()]
    view = st.segmented_control(
        "View", VIEWS, default=VIEWS[0], key=f"view-{folder}", label_visibility="collapsed", required=True
    )
    if view == "Beside" or len(sides) < 2:
        for column, (name, words) in zip(st.columns(max(2, len(sides))), sides, strict=False):
            with column:
                _show(folder / name)
                st.caption(plain(words))
    else:
        _compared(folder, sides, view)
    before, after = figures.get("before") or {}, figures.get("after") or {}
    rows = [("found", before)] + ([("tuned", after)] if after else [])
    lines = [f"| | {plain(str(figures.get('distance_name', 'distance')))} | PSNR, dB | SSIM |", "|:--|--:|--:|--:|"]
    for words, row in rows:
        numbers = [_number(row, name, digits) for name, digits in (("distance", 4), ("psnr", 1), ("ssim", 3))]
        lines.append(f"| {words} | {' | '.join(numbers)} |")
    st.markdown("\n".join(lines))
    sigmas = _number(figures, "sigmas", 2)
    meaning = plain(str(figures.get("distance_meaning") or "")) or None
    st.caption(plain(f"{sigmas} sigmas from the centre: {figures.get('verdict', '')}."), help=meaning)


def _compared(folder: Path, sides: list[tuple[str, str]], view: str | None) -> None:
    """One reconstruction over the photograph, or where they differ."""
    name, words = sides[-1]
    if len(sides) > 2:
        found = {words: name for name, words in sides[1:]}
        words = str(st.segmented_control(
            "Which", list(found), default=words, format_func=plain, key=f"which-{folder}", label_visibility="collapsed",
            required=True,
        ))  # fmt: skip
        name = found[words]
    try:
        target, made = file_bytes(folder / sides[0][0]), file_bytes(folder / name)
        large = [_enlarged(data) for data in (target, made)]
    except (OSError, GanlibError):
        st.caption("The pictures of this projection cannot be read.")
        return
    if view == "Difference":
        st.image(_difference(target, made), width="stretch")
        most = f"{images.MOST_DIFFERENCE:.0f}"
        st.caption(
            f"White: the same as {plain(sides[0][1])}. Amber, then black: up to {most} grey levels apart, or more."
        )
    else:
        before_after(*large, key=f"compare-{folder}-{name}", width=LARGE, height=LARGE, labels=(sides[0][1], words))


@st.cache_data(max_entries=64, show_spinner=False)
def _enlarged(data: bytes) -> bytes:
    return images.encode(images.resize(images.look(data).pixels, LARGE, LARGE), "png")


@st.cache_data(max_entries=64, show_spinner=False)
def _difference(target: bytes, made: bytes) -> bytes:
    apart = images.difference(images.look(target).pixels, images.look(made).pixels)
    return images.encode(images.resize(apart, LARGE, LARGE), "png")


def _number(row: dict[str, Any], name: str, digits: int) -> str:
    value = row.get(name)
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"
