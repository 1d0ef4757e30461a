"""Project: a photograph into latent space, and on to Explore and Morph."""

import re
from pathlib import PurePath
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.projection import ProjectConfig, ProjectEstimate, estimate_project
from ganlib.projection.config import SPACES
from pages._ui.common import model_cache
from pages._ui.common.frame import error_boundary, fragment, open_page, plain, show_error
from pages._ui.common.place import Place
from pages._ui.project.photos import MOST, TYPES, Photo, box_of, keep, show_cutting
from pages._ui.project.results import jobs, show_projections

SPEEDS: dict[str, dict[str, Any]] = {
    "draft": {"steps": 100},
    "standard": {"steps": 500},
    "best": {"steps": 1000, "pti": True},
}
SPEED_WORDS = {
    "draft": "Draft, 100 steps", "standard": "Standard, 500", "best": "Best, 1,000 and a tuned model",
}  # fmt: skip
CROWDED = 1.5  # times longer than alone: worth saying

heading = open_page("Project")
place = Place("project")
place.arrive()
place.take_news()
model = model_cache.choose_model(heading)
place.write({"model": model.name})
state = st.session_state


def config_of(photos: list[Photo]) -> ProjectConfig:
    """The options as they are set now."""
    values: dict[str, Any] = SPEEDS[state.get("project-speed") or "standard"]
    boxes = [number for photo in photos for number in box_of(photo)]
    spaces = {"space": state.get("project-space") or "w"} if model.spec.num_ws > 1 else {"space": "z"}
    return ProjectConfig.from_dict(
        {
            "network": str(model.path.resolve()),
            "target": [photo.path for photo in photos],
            "box": boxes,
            "save_as": _name(photos[0].name) if len(photos) == 1 else "photos",
            **values,
            **spaces,
        }
    )


def _name(text: str) -> str:
    """A name for a saved latent: letters, digits and dashes of a file's name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", PurePath(text).stem).strip("-")[:40] or "photo"


def start(photos: list[Photo]) -> None:
    """Submit the job with the squares and choices of this moment."""
    try:
        name = photos[0].name if len(photos) == 1 else f"{len(photos)} photographs"
        runs.submit(workspace.runs_root(), "project", name, config_of(photos).to_dict())
        st.toast("The search has begun: watch it at the top.", icon=":material/center_focus_strong:")
    except GanlibError as error:
        state["project-error"] = error
    except OSError as error:
        state["project-error"] = GanlibError(f"the job cannot be written: {error.strerror}", "Free some disk space.")


@fragment()
def prepare() -> None:
    """Photographs, their squares, how thorough, and Start."""
    uploads = st.file_uploader(
        f"One photograph, or up to {MOST}", type=TYPES, accept_multiple_files=True, key="project-upload"
    )
    if not uploads:
        st.markdown(
            "Bring a photograph, and the model looks for the picture of its own that is nearest. What it finds is a "
            "picture like any other: it can be explored, mixed, morphed into the next photograph."
        )
        return
    with st.spinner("Opening the photographs …"):
        photos, wrong = keep(list(uploads))
    for problem in wrong:
        show_error(problem)
    if len(uploads) > MOST:
        st.warning(f"The first {MOST} of {len(uploads)} are taken.", icon=":material/info:")
    if not photos:
        return
    show_cutting(photos, model.spec.resolution)
    st.segmented_control("How thorough", list(SPEEDS), default="standard", format_func=SPEED_WORDS.__getitem__,
                         key="project-speed", required=True)  # fmt: skip
    if model.spec.num_ws > 1:
        st.segmented_control(
            "The result is", ["w", "w_plus"], default="w", format_func=SPACES.__getitem__, key="project-space",
            required=True, help="one w for all style inputs, or one for each",
        )  # fmt: skip
    config = config_of(photos)
    estimate = _estimate(str(model.path), model.digest, config.space, config.steps, config.pti, len(photos))
    st.caption(plain(f"What is near? {estimate.distance_meaning}"), help=plain(estimate.distance_name))
    is_busy = any(run.is_active for run in jobs())
    seconds = estimate.seconds
    st.button(
        f"Start, about {runs.format_seconds(seconds)}", type="primary", icon=":material/center_focus_strong:",
        key="project-start", disabled=is_busy, on_click=start, args=(photos,), width="stretch",
    )  # fmt: skip
    if is_busy:
        st.caption("A search is at work: the next one can begin when it is done.")
    elif seconds > CROWDED * estimate.alone_seconds:
        alone = runs.format_seconds(estimate.alone_seconds)
        st.caption(f"Other work keeps this machine busy; with the machine to itself it would take about {alone}.")
    if error := state.pop("project-error", None):
        show_error(error)
    if is_busy != state.get("project-busy", False):
        state["project-busy"] = is_busy
        st.rerun()  # the results stand beside, in another part


@st.cache_data(max_entries=64, show_spinner="Trying a few steps …")
def _estimate(path: str, digest: str, space: str, steps: int, pti: bool, pictures: int) -> ProjectEstimate:
    config = ProjectConfig.from_dict({"network": path, "target": [path], "space": space, "steps": steps, "pti": pti})
    return estimate_project(config, pictures)


left, right = st.columns([1, 1], gap="large")
with left:
    prepare()
with right, error_boundary():
    show_projections(model)
