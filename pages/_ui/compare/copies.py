"""The copy check: which pictures, the job, and its report on the page."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError, InputError
from ganlib.commands.flags import command_line
from ganlib.compare import CopiesConfig, CopyCheck
from ganlib.compare.report import JSONL, PAGE, sentence, sentences
from ganlib.latents.recipes import Recipe, parse_seeds
from ganlib.models.checkpoints import Checkpoint
from ganlib.runs import RunDir
from pages._ui.common import fields, model_cache
from pages._ui.common.files import file_bytes
from pages._ui.common.frame import download, error_boundary, fragment, plain, show_error
from pages._ui.common.frame import sentences as told
from pages._ui.common.jobs import job_card, remove
from pages._ui.common.paths import accept_path
from pages._ui.compare.sets import MIRROR, RealSet, label_of, real_picture
from pages._ui.components import report_sheet, snippet

SHOWN = 6  # checks
EVERY = 1.0  # seconds
NEAREST = 8  # pairs on the page; the report has more
SOURCES = {"seeds": "Seeds", "favourites": "Favourites", "place": "A collection or folder"}
REPORT_HEIGHT = 900


def jobs() -> list[RunDir]:
    """The newest checks."""
    return runs.list_runs(workspace.runs_root(), verb="copies")[:SHOWN]


def latest(model: Checkpoint, reals: RealSet) -> CopyCheck | None:
    """The newest finished check of a model's own pictures against a set; None where there is none."""
    path = str(model.path.resolve())
    for run in jobs():
        config = run.job["config"]
        is_ours = config.get("network") == path and config.get("source") is None and config.get("data") == reals.path
        if is_ours and run.state == "done":
            with error_boundary():
                return load(run)
    return None


def load(run: RunDir) -> CopyCheck:
    """What a finished check found. Raises `DataError`."""
    return _load(str(run.path), (run.path / JSONL).stat().st_mtime_ns)


@st.cache_data(max_entries=8, show_spinner=False)
def _load(path: str, changed: int) -> CopyCheck:
    return CopyCheck.load(Path(path))


@fragment()
def show_copies(model: Checkpoint, reals: RealSet) -> None:
    """Ask what is to be checked, start the job, show the checks."""
    left, right = st.columns([1, 2], gap="large")
    with left:
        st.markdown(
            "Did the model copy? Each picture is held against **every training picture**, in pixels and in features, "
            "in a mirror too. How far training pictures are from each other says what near means."
        )
        st.session_state.setdefault("copies-how", "seeds")
        how = st.segmented_control("Which pictures", list(SOURCES), format_func=SOURCES.__getitem__,
                                   key="copies-how") or "seeds"  # fmt: skip
        if how == "seeds":
            st.text_input("Seeds", "0-199", key="copies-seeds", help="such as 0-499, or 1, 5, 9-12")
            if model.spec.truncatable:
                fields.slider(CopiesConfig, "psi", "Variation", step=0.05, key="copies-psi",
                              help="truncation psi; copies are likeliest near 1")  # fmt: skip
        elif how == "place":
            st.text_input("Folder, zip or collection", key="copies-place", placeholder="/home/me/drop")
        is_busy = any(run.is_active for run in jobs())
        with error_boundary():
            config = _config(model, reals)
            st.button(
                "Check for copies", type="primary", icon=":material/policy:", key="copies-start", disabled=is_busy,
                on_click=_start, args=(model, reals), width="stretch",
            )  # fmt: skip
            with st.expander("The same from a terminal"):
                snippet(_command(model, config), key="copies-command")
        if error := st.session_state.pop("copies-error", None):
            show_error(error)
    with right:
        fragment(every=EVERY if is_busy else None)(_checks)(model, reals, is_busy)


def _config(model: Checkpoint, reals: RealSet) -> CopiesConfig:
    """The options as they are set now."""
    how = st.session_state.get("copies-how") or "seeds"
    values: dict[str, Any] = {"data": reals.path}
    if how == "place":
        text = st.session_state.get("copies-place", "").strip()
        if not text:
            raise InputError("no folder is named yet", "Give the path of a folder, a zip, or a collection of Drop.")
        return CopiesConfig.from_dict(values | {"source": accept_path(text)})
    values |= {"network": str(model.path.resolve()), "label": label_of(model)}
    if how == "favourites":
        return CopiesConfig.from_dict(values | {"favourites": True})
    seeds = st.session_state.get("copies-seeds", "0-199").strip()
    parse_seeds(seeds)
    return CopiesConfig.from_dict(values | {"seeds": seeds, "psi": float(st.session_state.get("copies-psi", 1.0))})


def _command(model: Checkpoint, config: CopiesConfig) -> str:
    name = Path(model.name) if config.network else None
    return command_line("copies", replace(config, network=name, outdir=Path("out/copies")))


def _start(model: Checkpoint, reals: RealSet) -> None:
    """Submit the job with the choices of this moment."""
    try:
        config = _config(model, reals)
        what = config.source.name if config.source else model.name
        runs.submit(workspace.runs_root(), "copies", what, config.to_dict())
    except GanlibError as error:
        st.session_state["copies-error"] = error


def _checks(model: Checkpoint, reals: RealSet, was_active: bool) -> None:
    found = jobs()
    if was_active != any(run.is_active for run in found):
        st.rerun()
    if not found:
        st.caption(
            "The answer appears here: how many pictures are copies, the nearest pairs side by side, and a report to "
            "keep. The first check of a set looks at all of it, which takes minutes; later ones take seconds."
        )
    for run in found:
        config = run.job["config"]
        with st.container(border=True, gap="small", key=f"check-{run.path.name}"):
            what = "favourites" if config.get("favourites") else config.get("seeds") or "all its pictures"
            st.markdown(f"**{plain(run.name)}**, {plain(str(what)[:60])} · {plain(Path(str(config['data'])).name)}")
            if job_card(run, ""):
                with error_boundary():
                    _found(model, reals, run)
            elif not run.is_active:
                st.button("Remove", key=f"remove-{run.path.name}", type="tertiary", on_click=remove, args=(run,))


def _found(model: Checkpoint, reals: RealSet, run: RunDir) -> None:
    check = load(run)
    lines = sentences(check.summary)
    is_clean = check.summary["copy"] == 0
    box = st.success if is_clean else st.error
    box(told(*lines[:2]) if check.summary["close"] else told(lines[0]),
        icon=":material/verified_user:" if is_clean else ":material/content_copy:")  # fmt: skip
    st.caption(plain(" ".join(lines[2 if check.summary["close"] else 1 :])))
    config = run.job["config"]
    if config.get("network") == str(model.path.resolve()) and config.get("data") == reals.path:
        _nearest(model, reals, check)
    with st.container(horizontal=True):
        is_open = st.toggle("Open the report", key=f"open-{run.path.name}")
        download("Report", f"copies-{run.path.name}.html", partial(file_bytes, run.path / PAGE), icon="description")
        download("Figures", f"copies-{run.path.name}.jsonl", partial(file_bytes, run.path / JSONL), icon="data_array")
        st.button("Remove", key=f"remove-{run.path.name}", type="tertiary", on_click=remove, args=(run,))
    if is_open:
        html = file_bytes(run.path / PAGE).decode("utf-8", errors="replace")
        report_sheet(html, key=f"report-{run.path.name}", title=f"Copy check of {run.name}", height=REPORT_HEIGHT)


def _nearest(model: Checkpoint, reals: RealSet, check: CopyCheck) -> None:
    """The pictures that came nearest, each beside its training picture."""
    rows = sorted(check.rows, key=lambda row: row["times"])[:NEAREST]
    made = model_cache.pictures(model, [Recipe.from_dict(row["recipe"]) for row in rows], side=128)
    for start in range(0, len(rows), 4):
        columns = st.columns(4)
        for column, row, picture in zip(columns, rows[start : start + 4], made[start : start + 4], strict=False):
            near = min((row["pixels"], row["features"]), key=lambda space: space["times"])
            with column, st.container(gap="small", key=f"near-{check.folder.name}-{row['name']}"):
                pair = st.columns(2, gap="small")
                pair[0].image(picture, width="stretch")
                pair[1].image(real_picture(reals, near["index"], near["mirrored"]), width="stretch")
                mark = {"copy": ":red[copy] · ", "close": ":orange[close] · "}.get(row["verdict"], "")
                sign = f" {MIRROR}" if near["mirrored"] else ""
                st.caption(f"{mark}{plain(row['name'])} · **{near['times']:.2f}×**{sign}", help=told(sentence(row)))
    if any(min((row["pixels"], row["features"]), key=lambda space: space["times"])["mirrored"] for row in rows):
        st.caption(f"{MIRROR} The training picture is shown in a mirror.")
