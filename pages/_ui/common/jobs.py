"""Jobs on a page: how far they are, and what went wrong."""

import zipfile
from pathlib import Path, PurePath
from tempfile import SpooledTemporaryFile

import streamlit as st

from ganlib import runs
from ganlib.dataset.files import GLANCE, Files
from ganlib.runs import ACTIVE, RunDir
from pages._ui.common.frame import error_boundary, is_left, plain, sentences
from pages._ui.components import snippet


def job_card(
    run: RunDir, what: str, *, title: str = "", begins: str = "", is_removable: bool = False, command: str = ""
) -> bool:
    """Show a job that is at work or ended badly; return whether it is done. `what`: the things that it counts, or
    nothing where its own message says how far it is; `begins`: what it does before it can count them; `command`: the
    same in a terminal. One that ended can be removed where it `is_removable`."""
    state = run.state
    if state == "done":
        return True
    is_active = state in ACTIVE
    with st.container(border=True, key=f"card-{run.path.name}-{'active' if is_active else 'ended'}"):
        row = st.container(horizontal=True, vertical_alignment="center")
        words = _words(run, state, what, begins)
        row.markdown(f"**{plain(title)}**  \n{words}" if title else words, width="stretch")
        if is_active:
            st.progress(run.progress)
            stopping = (run.path / "stop").exists()
            row.button("Cancel", key=f"stop-{run.path.name}", on_click=runs.stop, args=(run,), disabled=stopping)
        else:
            row.button("Resume", key=f"resume-{run.path.name}", on_click=_resume, args=(run,))
            if is_removable:
                row.button("Remove", key=f"remove-{run.path.name}", on_click=remove, args=(run,), type="tertiary")
            if state == "failed":
                st.error(sentences(run.message, run.hint), icon=":material/error:")
        if command:
            snippet(command, key=f"command-{run.path.name}")
    return False


def remove(run: RunDir) -> None:
    """Remove a job and its results; an error is told on the page."""
    with error_boundary():
        runs.remove(run)


def files_in(folder: Path) -> list[str]:
    """The names of a job's results. Raises DataError for more than a page can hand over."""
    with Files(folder, bounds=GLANCE, should_stop=is_left) as files:
        return files.names


def folder_zip(folder: Path, *, without: str = "") -> bytes:
    """The results of a job as a zip; what begins with a dot is the maker's own, and so are files called `without`."""
    with SpooledTemporaryFile(max_size=64 * 2**20) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name in files_in(folder):
                if PurePath(name).name != without:
                    archive.write(folder / name, name)
        file.seek(0)
        return file.read()


def _resume(run: RunDir) -> None:
    with error_boundary():
        runs.resume(run)


def _words(run: RunDir, state: str, what: str, begins: str) -> str:
    if state in ACTIVE and (run.path / "stop").exists():
        return "cancelling …"
    if state == "running":
        done, total, left = run.status.get("done", 0), run.status.get("total", 0), run.eta_seconds
        counted = f"{done:,.0f} of {total:,.0f} {plain(what)}" if total and what else ""
        words = counted or plain(begins or run.message) or "starting"
        return words + (f", {runs.format_seconds(left)} left" if left is not None else "")
    return {"queued": "starting", "stopped": "cancelled", "lost": "its worker disappeared"}.get(state, plain(state))
