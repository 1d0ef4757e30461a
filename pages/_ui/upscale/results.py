"""What was enlarged: before and after, downloads, jobs under way."""

from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.media import images
from ganlib.runs import RunDir
from ganlib.superres import FILM_SUFFIXES, RECORDS, read_records
from pages._ui.common.files import file_bytes
from pages._ui.common.frame import download, error_boundary, fragment, plain, sentences
from pages._ui.common.jobs import folder_zip, job_card, remove
from pages._ui.components import before_after
from pages._ui.morph.films import size_words

SHOWN = 5
EVERY = 1.0  # seconds
LONGEST = 2048  # side of what the browser is shown, in pixels; the file itself is whole
MOST_DOWNLOADED = 2 * 2**30  # bytes; a larger folder is better copied on the disk


def jobs() -> list[RunDir]:
    """The newest upscalings."""
    return runs.list_runs(workspace.runs_root(), verb="upscale")[:SHOWN]


def show_results() -> None:
    """Show what was enlarged, what is under way live."""
    is_active = any(run.is_active for run in jobs())
    fragment(every=EVERY if is_active else None)(_results)(is_active)


def _results(was_active: bool) -> None:
    found = jobs()
    if was_active != any(run.is_active for run in found):
        st.rerun()
    for number, run in enumerate(found):
        with st.container(border=True, gap="small", key=f"upscaled-{run.path.name}"):
            st.markdown(f"**{plain(run.name)}**")
            is_done = job_card(run, "")
            folder = run.path / str(run.job["config"].get("dest", "out"))
            rows = read_records(folder)
            made = [row for row in rows if not row.get("error") and Path(row["dest"]).is_file()]
            if made and (number == 0 or st.toggle("Show", key=f"upscaled-show-{run.path.name}")):
                _show(run, made)
            for row in rows:
                if row.get("error"):
                    st.error(sentences(str(row["error"]), str(row.get("hint", ""))), icon=":material/error:")
            if is_done or not run.is_active:
                _ends(run, folder, made)


def _show(run: RunDir, made: list[dict[str, Any]]) -> None:
    row = made[0]
    if len(made) > 1:
        at = st.selectbox(
            "Picture", range(len(made)), format_func=lambda i: Path(made[i]["dest"]).name,
            key=f"upscaled-which-{run.path.name}", label_visibility="collapsed",
        )  # fmt: skip
        row = made[at]
    source, dest = Path(str(row.get("source", ""))), Path(row["dest"])
    with error_boundary():
        if dest.suffix.lower() in FILM_SUFFIXES:
            st.video(file_bytes(dest), loop=True, muted=True)
            st.caption(plain(f"{dest.name}: {row.get('width')} × {row.get('height')} px"))
        elif images.num_frames(dest) > 1:
            st.image(file_bytes(dest))
            st.caption(plain(f"{dest.name}: {row.get('width')} × {row.get('height')} px"))
        elif source.is_file():
            before, old = _copy(str(source), source.stat().st_mtime_ns)
            after, new = _copy(str(dest), dest.stat().st_mtime_ns)
            before_after(
                before, after, key=f"upscaled-slider-{run.path.name}-{dest.stem}", width=new[0], height=new[1],
                labels=(f"before, {old[0]} × {old[1]}", f"after, {new[0]} × {new[1]}"),
            )  # fmt: skip
        else:
            st.image(_copy(str(dest), dest.stat().st_mtime_ns)[0], width="stretch")
    if note := row.get("note"):
        st.warning(sentences(f"{source.name}: {note}"), icon=":material/warning:")
    words = f"Download {dest.name}, {size_words(dest.stat().st_size)}"
    # Not under the name that the original has.
    name = f"{dest.stem}-{row.get('width')}x{row.get('height')}{dest.suffix}"
    download(words, name, partial(file_bytes, dest), key=f"get-{dest}")


def _ends(run: RunDir, folder: Path, made: list[dict[str, Any]]) -> None:
    with st.container(horizontal=True):
        if len(made) > 1:
            size = sum(Path(row["dest"]).stat().st_size for row in made)
            if size <= MOST_DOWNLOADED:
                pack = partial(folder_zip, folder, without=RECORDS)
                download(f"All, {size_words(size)}", f"{run.path.name}.zip", pack)
            else:
                st.caption(plain(f"All of them are in {folder}"))
        st.button("Remove", key=f"remove-{run.path.name}", type="tertiary", on_click=remove, args=(run,))


@st.cache_data(max_entries=24, show_spinner=False)
def _copy(path: str, changed: int) -> tuple[bytes, tuple[int, int]]:
    """A picture as the browser is shown it, and the size that its file has."""
    pixels, width, height = images.look_at(Path(path), background=(250, 247, 242))
    scale = min(1.0, LONGEST / max(pixels.shape[:2]))
    high, wide = (max(1, round(side * scale)) for side in pixels.shape[:2])
    small = images.resize(pixels, wide, high)
    return images.encode(small, "webp" if max(height, width) > 256 else "png", quality=95), (width, height)
