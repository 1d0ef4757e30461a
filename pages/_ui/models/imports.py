"""Open a model of another tool: upload or path, the job, and the report of what its file asked for."""

import re
import secrets
from pathlib import Path, PurePath
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import CheckpointError, GanlibError, InputError
from ganlib.models.checkpoints import SUFFIX
from ganlib.models.foreign import SUFFIXES, ImportConfig, SafetyReport
from ganlib.runs import RunDir
from pages._ui.common.frame import GALLERY, fragment, plain, show_error
from pages._ui.common.jobs import job_card
from pages._ui.common.uploads import keep_upload
from pages._ui.models import place
from pages._ui.models.rights import licence_choice

SHOWN = 4  # imports of before
EVERY = 0.7  # seconds
READS = (
    "NVIDIA's StyleGAN2, StyleGAN2-ADA and StyleGAN3 `.pkl`, pickles of TensorFlow's era, rosinality's `.pt`, plain "
    "state dicts, and models of this studio. A pickle can run code when it is opened; here it is read as data, and "
    "nothing inside it is run."
)


def show_import() -> None:
    """Ask for a file on the left, show what became of it on the right."""
    left, right = st.columns([1, 1], gap="large")
    with left:
        st.markdown(READS)
        _form()
    with right:
        is_active = any(run.is_active for run in _jobs())
        fragment(every=EVERY if is_active else None)(_progress)(is_active)


def _jobs() -> list[RunDir]:
    return runs.list_runs(workspace.runs_root(), verb="import")[:SHOWN]


def _form() -> None:
    upload = st.file_uploader(
        "Upload a model",
        type=[suffix.lstrip(".") for suffix in (*SUFFIXES, SUFFIX)],
        key="import-upload",
        help="It is checked here, in this studio; it goes nowhere else.",
    )
    path = st.text_input(
        "Or its path on this machine", key="import-path", placeholder="/home/me/network-snapshot-025000.pkl"
    ).strip()
    name = upload.name if upload is not None else path
    if not name:
        if error := st.session_state.pop("import-error", None):
            show_error(error)
        return
    st.text_input("Name", _title(name), key=f"import-title-{name}")
    licence_choice(
        "Licence of the weights",
        "",
        key=f"import-licence-{name}",
        help="These files do not say it: look where it comes from. Without it the studio warns before every sale.",
    )
    st.text_input("Where it comes from", key=f"import-source-{name}", placeholder="an address, a person")
    st.button(
        "Import", type="primary", icon=":material/shield:", key="import-start", on_click=_start, args=(name, path)
    )
    if error := st.session_state.pop("import-error", None):
        show_error(error)


def _title(name: str) -> str:
    return PurePath(name.split("?")[0]).stem.replace("_", " ")


def free_name(text: str) -> Path:
    """A path for a new model whose name is made of `text`; it is not taken yet."""
    root = workspace.checkpoints_root()
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60] or "model"

    def is_taken(name: str) -> bool:
        path = root / f"{name}{SUFFIX}"
        return path.exists() or path.with_suffix("").exists()

    return root / f"{runs.free_name(stem, is_taken)}{SUFFIX}"


def _start(name: str, path: str) -> None:
    """Keep the upload, if it is one, and submit the job."""
    # As they are now: what was typed a moment ago has come with the click.
    words: dict[str, Any] = {
        word: str(st.session_state.get(f"import-{word}-{name}") or "").strip()
        for word in ("title", "licence", "source")
    }
    try:
        upload = st.session_state.get("import-upload")
        if upload is not None:
            # A part by chance: two people may upload files of one name at the same time.
            stem = f"{free_name(_title(upload.name)).stem}-{secrets.token_hex(4)}"
            file = workspace.data_root() / "uploads" / f"{stem}{PurePath(upload.name).suffix.lower()}"
            keep_upload(upload, file)
        else:
            file = Path(path).expanduser()
            if not file.is_file():
                raise InputError(f"there is no file {path[:200]}", "Give the path of a model, or upload it.")
        dest = free_name(words["title"] or file.stem)
        config = ImportConfig(file.resolve(), dest.resolve(), **words, is_upload=upload is not None)
        runs.submit(workspace.runs_root(), "import", dest.stem, config.to_dict())
    except GanlibError as error:
        st.session_state["import-error"] = error
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        st.session_state["import-error"] = CheckpointError(f"the file cannot be taken: {reason}", "Free some space.")


def _progress(was_active: bool) -> None:
    place.follow()
    jobs = _jobs()
    if was_active != any(run.is_active for run in jobs):
        st.rerun()
    if not jobs:
        st.caption("The report appears here: what the file asked for, what was refused, and what came of it.")
    for run in jobs:
        _outcome(run)


def _outcome(run: RunDir) -> None:
    dest = Path(str(run.job["config"].get("dest", "")))
    with st.container(border=True, gap="small", key=f"import-{run.path.name}"):
        st.markdown(f"**{plain(Path(str(run.job['config'].get('file', ''))).name)}** → {plain(dest.stem)}")
        is_done = job_card(run, "")
        if (report := SafetyReport.read(run.path)) is not None:
            show_report(report)
        if is_done and dest.exists():
            with st.container(horizontal=True):
                if st.button("Gallery", type="primary", icon=":material/grid_view:", key=f"see-{run.path.name}"):
                    st.switch_page(GALLERY, query_params={"model": dest.stem})
                st.button("About it", key=f"tell-{run.path.name}", on_click=place.go, kwargs={"model": dest.stem})


def show_report(report: SafetyReport) -> None:
    """Show a safety report: the verdict, and on request every object that the file asked for."""
    if report.refused:
        st.error(plain(report.verdict), icon=":material/gpp_bad:")
    elif report.opened:
        st.success(plain(report.verdict), icon=":material/verified_user:")
    for note in report.notes:
        st.caption(f"Note: {plain(note)}.")
    if report.asked:
        with st.expander(f"What it asked for ({len(report.asked)})"):
            st.dataframe(
                {
                    "": ["allowed" if row.allowed else "refused" for row in report.asked],
                    "object": [row.name for row in report.asked],
                    "stands for": [row.meaning for row in report.asked],
                },
                hide_index=True,
                width="stretch",
            )
