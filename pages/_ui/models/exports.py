"""A model as a file of another tool."""

import shutil
import tempfile
from pathlib import Path

import streamlit as st

from ganlib.base.errors import GanlibError
from ganlib.models.checkpoints import Checkpoint
from ganlib.models.export import EXPORTS, PARTS, export_model
from ganlib.models.export.formats import SIDECAR
from pages._ui.common.files import file_bytes
from pages._ui.common.frame import plain, sentences, show_error


def show_export(model: Checkpoint) -> None:
    """Ask for a format, make the file, and hand it over with its licence."""
    fitting = [row for row in EXPORTS.values() if not row.refusal(model.spec)]
    row = st.selectbox(
        "Format", fitting, format_func=lambda row: f"{row.title} ({row.suffix})", key=f"export-{model.digest}"
    )
    if row is None:
        return
    st.caption(plain(row.purpose))
    part = "whole"
    if row.write is not None:
        part = st.segmented_control(
            "Part", list(PARTS), default="whole", format_func=lambda part: PARTS[part].title, key="export-part",
            help=plain("; ".join(f"{name}: {part.sentence}" for name, part in PARTS.items())),
        ) or "whole"  # fmt: skip
    others: dict[str, list[str]] = {}
    for other in EXPORTS.values():
        if words := other.refusal(model.spec):
            others.setdefault(words, []).append(other.title)
    for words, titles in others.items():
        st.caption(sentences(f"not for {'; '.join(titles)}: {words}"))
    wanted = f"{model.digest}-{row.name}-{part}"
    st.button("Make the file", key="export-make", on_click=st.session_state.update, args=({"export-asked": wanted},))
    if st.session_state.get("export-asked") == wanted:  # until it is made, also if the page begins again meanwhile
        with st.spinner(f"Writing {plain(row.title)}; large networks take a minute …"):
            try:
                st.session_state["exported"] = (wanted, *_make(model, row.name, row.suffix, part))
            except GanlibError as error:
                show_error(error)
        del st.session_state["export-asked"]
    made = st.session_state.get("exported")
    if made and made[0] == wanted:
        _, data, licence, notes = made
        for note in notes:
            st.caption(sentences(note))
        name = f"{model.name}{'' if part == 'whole' else f'-{part}'}{row.suffix}"
        with st.container(horizontal=True):
            st.download_button(
                f"{plain(name)}, {len(data) / 1e6:.1f} MB", data, name, icon=":material/download:", type="primary",
                key="export-file", on_click="ignore",
            )  # fmt: skip
            st.download_button(
                "Licence", licence, f"{model.name}{SIDECAR}", icon=":material/gavel:", key="export-licence",
                on_click="ignore", help="Goes with the file: what may be done with it, and whom to credit.",
            )  # fmt: skip


def _make(model: Checkpoint, name: str, suffix: str, part: str) -> tuple[bytes, bytes, list[str]]:
    """The file, the text of its rights, and what a person should know."""
    notes: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="export-"))
    try:
        dest = export_model(model.path, folder / f"{model.name}{suffix}", name, part=part, report=notes.append)
        return file_bytes(dest), file_bytes(dest.with_name(dest.stem + SIDECAR)), notes
    finally:
        shutil.rmtree(folder, ignore_errors=True)
