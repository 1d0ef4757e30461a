"""How pictures come in: uploaded, or from a folder or a zip that is already on the disk."""

import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import BinaryIO, cast

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError, InputError
from ganlib.media.headers import MAX_PIXELS
from pages._ui.common.frame import plain, show_error
from pages._ui.common.paths import accept_path
from pages._ui.common.uploads import content
from pages._ui.datasets import place

MAX_NAME = 60
ZIP_TYPES = ("zip",)
LARGEST = (
    f"A picture may have {MAX_PIXELS // 10**6} megapixels; a larger one passes as JPEG, which is read at a fraction of "
    "its size."
)
PICTURE_TYPES = ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif")


def show_intake() -> None:
    """Ask for pictures, and go to them when they are there."""
    st.file_uploader(
        "Upload a zip, or pictures",
        type=[*ZIP_TYPES, *PICTURE_TYPES],
        accept_multiple_files=True,
        key="intake-upload",
        help=f"They are kept in the folder data/uploads of this studio. {LARGEST}",
    )
    uploads = st.session_state.get("intake-upload") or []
    if uploads:
        label = plain(uploads[0].name) if len(uploads) == 1 else f"{len(uploads)} files"
        st.button(
            f"Look at {label}", type="primary", icon=":material/search:", key="intake-take", on_click=_take_upload
        )
    with st.form("intake-path", border=False):
        st.text_input(
            "Or a folder or zip on this machine",
            key="intake-path-text",
            placeholder="/home/me/pictures",
            help="Folders below it are searched too. Nothing in it is changed. " + LARGEST,
        )
        st.form_submit_button("Look at it", icon=":material/folder_open:", on_click=_take_path)
    if error := st.session_state.pop("intake-error", None):
        show_error(error)


def _take_path() -> None:
    try:
        place.go(source=accept_path(st.session_state["intake-path-text"].strip()))
    except InputError as error:
        st.session_state["intake-error"] = error


def _take_upload() -> None:
    uploads = st.session_state.get("intake-upload") or []
    try:
        place.go(
            source=str(
                keep_uploads([(file.name, content(file)) for file in uploads], workspace.data_root() / "uploads")
            )
        )
    except GanlibError as error:
        st.session_state["intake-error"] = error
    except OSError as error:
        reason = error.strerror or str(error)
        st.session_state["intake-error"] = GanlibError(f"the upload cannot be kept: {reason}", "Free some disk space.")


def keep_uploads(files: Sequence[tuple[str, BinaryIO]], folder: Path) -> Path:
    """Write uploaded files below `folder` and return the zip they are in: a zip as it is, pictures in a new one.

    Raises InputError for several zips, or a zip among pictures, and OSError (a full disk).
    """
    zips = [name for name, _ in files if name.lower().endswith(".zip")]
    if not files or (zips and len(files) > 1):
        raise InputError("one zip at a time can be taken, or any number of pictures", "Upload them one after another.")
    name = safe_name(PurePath(files[0][0]).stem)
    folder.mkdir(parents=True, exist_ok=True)
    if zips:
        path = _free(folder, name)
        with runs.replacing(path) as temporary, temporary.open("wb") as out:
            shutil.copyfileobj(files[0][1], out)
        return path
    path = _free(folder, f"{name}-and-{len(files) - 1}-more" if len(files) > 1 else name)
    with runs.replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        taken: set[str] = set()
        for given, file in files:
            inside = _unlike(taken, PurePath(given).name)
            taken.add(inside)
            with archive.open(inside, "w") as member:
                shutil.copyfileobj(file, cast(BinaryIO, member))
    return path


def safe_name(text: str) -> str:
    """A short file name made of `text`: letters, digits, `-`, `_` and `.`; never empty and never hidden."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-._")[:MAX_NAME] or "pictures"


def _free(folder: Path, name: str) -> Path:
    return folder / f"{runs.free_name(name, lambda name: (folder / f'{name}.zip').exists())}.zip"


def _unlike(taken: set[str], name: str) -> str:
    stem, suffix = PurePath(name).stem, PurePath(name).suffix
    return runs.free_name(stem, lambda stem: f"{stem}{suffix}" in taken) + suffix


def recent_sources() -> list[str]:
    """Sources that were looked at or prepared here and still exist, newest first."""
    jobs = [run for verb in ("examine", "prepare") for run in runs.list_runs(workspace.runs_root(), verb=verb)]
    jobs.sort(key=lambda run: run.number, reverse=True)
    found = dict.fromkeys(str(run.job["config"].get("source", "")) for run in jobs)
    return [source for source in found if source and Path(source).exists()]
