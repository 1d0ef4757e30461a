"""Collections that are being made or are ready: progress, check, download."""

from pathlib import Path

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.media import images
from ganlib.nft import advise_drop, validate_drop
from ganlib.runs import RunDir
from ganlib.runs.files import read_json
from pages._ui.common.frame import COMPARE, download, error_boundary, fragment, plain, sentences
from pages._ui.common.jobs import files_in, folder_zip, job_card, remove
from pages._ui.common.paths import remember

SHOWN = 6
EVERY = 1.0  # seconds
STRIP = 6  # pictures of a collection on its card
SIDE = 128  # of one there, in pixels
MOST_DOWNLOADED = 2 * 2**30  # bytes; a larger one is better copied on the disk


def jobs() -> list[RunDir]:
    """The newest collections."""
    return runs.list_runs(workspace.runs_root(), verb="nft")[:SHOWN]


def show_collections() -> None:
    """Show the collections with what can be done with each."""
    is_active = any(run.is_active for run in jobs())
    fragment(every=EVERY if is_active else None)(_collections)(is_active)


def _collections(was_active: bool) -> None:
    found = jobs()
    if was_active != any(run.is_active for run in found):
        st.rerun()
    if not found:
        st.caption("Collections appear here: pictures, metadata, hashes, ready to be uploaded elsewhere.")
    for run in found:
        config = run.job["config"]
        with st.container(border=True, gap="small", key=f"collection-{run.path.name}"):
            st.markdown(f"**{plain(str(config.get('collection', '')))}**")
            if job_card(run, "pieces"):
                _ready(run, run.path / str(config.get("outdir", "drop")))
            elif not run.is_active:
                st.button("Remove", key=f"remove-{run.path.name}", type="tertiary", on_click=remove, args=(run,))


def _ready(run: RunDir, root: Path) -> None:
    pictures = sorted((root / "images").glob("*.*"), key=lambda path: (len(path.name), path.name))[:STRIP]
    for column, path in zip(st.columns(STRIP), pictures, strict=False):
        with column, error_boundary():
            st.image(_face(str(path), path.stat().st_mtime_ns), width="stretch")
    try:
        provenance = read_json(root / "provenance.json")
        st.caption(plain(f"Provenance hash {str(provenance.get('provenance_hash', ''))[:24]}…"))
    except (OSError, ValueError, AttributeError):
        st.caption("Its provenance cannot be read: make it again.")
    with st.container(horizontal=True):
        size = MOST_DOWNLOADED + 1
        with error_boundary():
            size = sum((root / name).stat().st_size for name in files_in(root))
        if size <= MOST_DOWNLOADED:
            name = f"{root.name if root.name != 'drop' else run.path.name}.zip"
            download(f"Download, {size / 1e6:,.1f} MB", name, lambda: folder_zip(root))
        if st.button("Check it", icon=":material/fact_check:", key=f"check-{run.path.name}"):
            with st.spinner("Checking every file …"), error_boundary():
                problems = validate_drop(root)
                if problems:
                    st.error(plain("; ".join(problems[:8])), icon=":material/error:")
                else:
                    st.success("Every picture, hash and metadata file is as it should be.", icon=":material/check:")
                if advice := advise_drop(root):
                    st.warning(sentences(*advice), icon=":material/info:")
        if st.button("Copies of training pictures?", icon=":material/policy:", key=f"copies-{run.path.name}"):
            remember(str(root))
            st.switch_page(COMPARE, query_params={"view": "copies", "source": str(root)})
        st.button("Remove", key=f"remove-{run.path.name}", type="tertiary", on_click=remove, args=(run,))


@st.cache_data(max_entries=128, show_spinner=False)
def _face(path: str, changed: int) -> bytes:
    return images.encode(images.resize(images.look_at(Path(path))[0], SIDE, SIDE), "webp")
