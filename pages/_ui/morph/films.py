"""Films: the sheet that previews one, the command that makes one, and the jobs and finished films in `runs/`."""

from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.commands.flags import command_line, words_of
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.models.checkpoints import Checkpoint
from ganlib.runs import ACTIVE, RunDir
from ganlib.video import RenderJob, format_of, letter_warnings, preview_frames
from pages._ui.common import model_cache
from pages._ui.common.files import file_bytes
from pages._ui.common.frame import download, error_boundary, fragment, plain
from pages._ui.common.jobs import job_card
from pages._ui.components import film_player, snippet

SHEET_COLUMNS = 8
SHELF = 6  # finished films shown at first


# --- before it is made ------------------------------------------------------------------------------------------------


def show_preview(model: Checkpoint, job: RenderJob) -> None:
    """Play a film at once, small: at most 48 frames."""
    with error_boundary():
        for words in letter_warnings(job):
            st.warning(plain(words.capitalize() + "."))
    few = 48 if model.spec.resolution <= 128 else 24 if model.spec.resolution <= 256 else 12
    side = min(192, model.spec.resolution)
    usual = RenderJob(job.network, job.path)
    # The preview is the same for all of these.
    same = replace(
        job, fps=30, size=None, format="mp4", codec="h264", crf=usual.crf, bitrate=None, size_limit=None, sound="",
        beats=False, pulse=0.0, reactions=(), length="film", title="", logo="", upscaler="",
    )  # fmt: skip
    sheet, count, width, height = _sheet(str(model.path), model.digest, same, min(few, job.num_frames), side)
    seconds = job.path.seconds
    keys = [passed / seconds for passed in accumulate((0.0, *job.path.segment_seconds[:-1]))]
    film_player(
        sheet,
        key="preview",
        width=width,
        height=height,
        count=count,
        columns=SHEET_COLUMNS,
        seconds=seconds,
        keys=keys,
    )


@st.cache_data(max_entries=16, show_spinner="Rendering the preview …")
def _sheet(path: str, digest: str, job: RenderJob, count: int, side: int) -> tuple[bytes, int, int, int]:
    """The sheet, the number of its frames, their width and height."""
    pixels = preview_frames(job, model_cache.open_renderer(path, digest), max_frames=count, side=side)
    sheet = images.contact_sheet(pixels, columns=SHEET_COLUMNS, gap=0)
    return images.encode(sheet, "webp", quality=88), len(pixels), pixels.shape[2], pixels.shape[1]


def show_command(job: RenderJob, out: str) -> None:
    """The command that a person could type instead, where there is one."""
    if command := command_of(job, out):
        with st.expander("The same from a terminal"):
            snippet(command, key="film-command")


def command_of(job: RenderJob, out: str) -> str:
    """The command that makes the same film; empty where the command line has no words for its keyframes."""
    first = job.path.keyframes[0]
    plain_seeds = [keyframe.recipe.seeds[0][0] for keyframe in job.path.keyframes if keyframe.recipe.seeds]
    labels = [keyframe.recipe.label for keyframe in job.path.keyframes if keyframe.recipe.seeds]
    psi = first.recipe.psi
    expected = [Recipe.of_seed(seed, psi=psi, label=label) for seed, label in zip(plain_seeds, labels, strict=True)]
    if [keyframe.recipe for keyframe in job.path.keyframes] != expected:
        return ""
    if any(keyframe.seconds != first.seconds for keyframe in job.path.keyframes):
        return ""
    if job.reactions:
        return ""
    words = ["--seeds", ",".join(map(str, plain_seeds)), "--trunc", f"{psi:g}"]
    if first.recipe.label is not None:
        words += ["--class", ",".join(map(str, labels if len(set(labels)) > 1 else labels[:1]))]
    for part_of in (first, job.path):
        words += words_of(part_of, leave_out=("recipe", "keyframes"))
    return command_line("video", job, *words, "--out", out, leave_out=("path", "reactions"))


# --- while it is made -------------------------------------------------------------------------------------------------


def show_jobs() -> None:
    """The films under way, looked at once a second while there are any, and those that ended badly."""
    is_active = any(run.is_active for run in runs.list_runs(workspace.runs_root(), verb="video"))
    fragment(every=1.0 if is_active else None)(_jobs)(is_active)


def _jobs(was_active: bool) -> None:
    films = [(run, run.state) for run in runs.list_runs(workspace.runs_root(), verb="video")]
    active = [run for run, state in films if state in ACTIVE]
    if was_active and not active:
        st.rerun()  # the last one has ended: show it on the shelf, and stop looking
    ended = [run for run, state in films if state not in (*ACTIVE, "done")]
    for run in active + ended[:SHELF]:
        job_card(
            run, "frames", title=run.name, begins="opening the model", is_removable=True, command=run.job["command"]
        )


# --- when it is made --------------------------------------------------------------------------------------------------


def show_shelf() -> None:
    """The finished films; the newest one plays."""
    length = st.session_state.setdefault("shelf-length", SHELF)
    films = [
        run for run in runs.list_runs(workspace.runs_root(), verb="video") if run.state == "done" and run.artefacts
    ]
    if not films:
        return
    st.subheader("Finished films", anchor=False)
    with st.container(key="films"):
        for start in range(0, min(length, len(films)), 3):
            for column, run in zip(st.columns(3), films[start : min(start + 3, length)], strict=False):
                with column:
                    _film(run, is_newest=run is films[0])
    if len(films) > length:
        st.button("Show more", on_click=_lengthen)


def _lengthen() -> None:
    st.session_state["shelf-length"] += SHELF


def _film(run: RunDir, *, is_newest: bool) -> None:
    film: Path = run.artefacts[0]
    kind = film.suffix.lstrip(".")
    row = format_of(film)
    if row and row.is_streamed:
        is_mute = not run.job["config"].get("sound")
        st.video(str(film), loop=True, autoplay=is_newest and is_mute, muted=is_mute, alt=run.name)
    elif row and row.is_picture:
        st.image(str(film), width="stretch")
    label = f"{run.name} · {kind} · {size_words(film.stat().st_size)}"
    download(label, f"{run.path.name}.{kind}", partial(file_bytes, film), width="stretch")


def size_words(num_bytes: int) -> str:
    """The size of a file: `840 kB`, `12.3 MB`."""
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{max(1, round(num_bytes / 1e3))} kB"
