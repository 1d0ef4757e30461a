"""Directions of a model: what each does to the picture on the bench, names, and where new ones come from."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError, InputError
from ganlib.latents.editing import (
    FOLDER,
    SUFFIX,
    Direction,
    read_directions,
    remove_direction,
    rename_direction,
    save_direction,
)
from ganlib.latents.recipes import Recipe, parse_seeds
from ganlib.media import images
from ganlib.models.checkpoints import Checkpoint
from ganlib.render.directions import DirectionsConfig, between, judge, measure_safe, strip
from ganlib.render.directions.job import METHODS
from ganlib.runs import RunDir
from pages._ui.common import fields, model_cache
from pages._ui.common.files import file_bytes
from pages._ui.common.frame import download, error_boundary, fragment, plain, show_error
from pages._ui.common.jobs import job_card
from pages._ui.common.uploads import keep_upload
from pages._ui.morph.keyframes import full_name

STEPS = 7  # pictures on a strip
SIDE = 96
MOST_SLIDERS = 10
EVERY = 1.0  # seconds
TYPES = ["npz", "npy", "pt", "pth"]


def on_sliders(model: Checkpoint) -> list[Direction]:
    """The directions that have a slider: those with a name of their own, then the strongest."""
    return model_cache.directions(model)[:MOST_SLIDERS]


def show_directions(model: Checkpoint, recipe: Recipe, changed: Callable[[], None]) -> None:
    """Show every direction with a strip of what it does; `changed` is called when there are others from now on."""
    jobs = _jobs(model)
    is_active = any(run.is_active for run in jobs)
    known = model_cache.directions(model)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        methods = [method for method in METHODS if method != "sefa" or model.spec.num_ws > 1]
        st.selectbox("Find directions by", methods, format_func=METHODS.__getitem__, key="find-method",
                              width=280)  # fmt: skip
        fields.selectbox(DirectionsConfig, "layers", "that change", key="find-layers", width=180)
        fields.number_input(DirectionsConfig, "count", "How many", value=6, key="find-count", width=120)
        st.button(
            "Find them", type="primary" if not known else "secondary", icon=":material/explore:", key="find-start",
            disabled=is_active, on_click=_find, args=(model,),
        )  # fmt: skip
    if error := st.session_state.pop("directions-error", None):
        show_error(error)
    fragment(every=EVERY if is_active else None)(_progress)(model, is_active, changed)
    with st.container(horizontal=True):
        with st.popover("From pictures", icon=":material/arrow_right_alt:"):
            _from_pictures(model)
        with st.popover("From a file", icon=":material/upload_file:"):
            st.file_uploader("Directions of this studio or others", type=TYPES, key="direction-file")
            st.button("Take them", key="direction-take", on_click=_take, args=(model,))
    if not known:
        st.caption("None yet. A direction changes one thing: size, colour, ripeness. Find some, then name them.")
    for start in range(0, len(known), 2):
        for column, direction in zip(st.columns(2), known[start : start + 2], strict=False):
            with column:
                _row(model, recipe, direction)


def _jobs(model: Checkpoint) -> list[RunDir]:
    path = str(model.path.resolve())
    return [
        r for r in runs.list_runs(workspace.runs_root(), verb="directions") if r.job["config"].get("network") == path
    ]


def _find(model: Checkpoint) -> None:
    # As they are now: what was chosen a moment ago has come with the click.
    values = {word: st.session_state[f"find-{word}"] for word in ("method", "layers", "count")}
    try:
        config = DirectionsConfig.from_dict({"network": str(model.path.resolve()), **values})
        runs.submit(workspace.runs_root(), "directions", f"{model.name}-{config.method}", config.to_dict())
    except GanlibError as error:
        st.session_state["directions-error"] = error


def _progress(model: Checkpoint, was_active: bool, changed: Callable[[], None]) -> None:
    jobs = _jobs(model)
    is_active = any(run.is_active for run in jobs)
    if jobs and jobs[0].state != "done":
        job_card(jobs[0], "directions")
        if not is_active:
            st.button("Remove this job", key="find-remove", type="tertiary", on_click=_forget, args=(jobs[0],))
    if was_active and not is_active:
        changed()
        st.rerun()


def _forget(run: RunDir) -> None:
    try:
        runs.remove(run)
    except GanlibError as error:
        st.session_state["directions-error"] = error


def _row(model: Checkpoint, recipe: Recipe, direction: Direction) -> None:
    with st.container(border=True, gap="small", key=f"direction-{direction.name}"):
        with error_boundary():
            sheet, strengths = _strip(model, recipe, direction)
            st.image(sheet, width="stretch")
            reach = f"{strengths[0]:+.1f} to {strengths[-1]:+.1f} sigmas"
            safe = "not measured" if direction.safe is None else f"{direction.safe[0]:+.1f} … {direction.safe[1]:+.1f}"
            st.caption(plain(f"{reach} · ordinary for most pictures {safe} · {direction.about or direction.method}"))
        with st.container(horizontal=True, vertical_alignment="center"):
            key = f"direction-title-{direction.name}"
            st.text_input(
                "Name", direction.title, key=key, placeholder=direction.name, label_visibility="collapsed", width=220,
                on_change=_rename, args=(model, direction, key),
            )  # fmt: skip
            path = model.folder / FOLDER / f"{direction.name}{SUFFIX}"
            download("File", f"{model.name}-{direction.name}{SUFFIX}", partial(file_bytes, path))
            with st.popover("Delete", icon=":material/delete:", type="tertiary"):
                st.markdown("Pictures and favourites that use it lose this step.")
                st.button(
                    "Delete it", type="primary", key=f"direction-delete-{direction.name}", on_click=_delete,
                    args=(model, direction.name),
                )  # fmt: skip


def _rename(model: Checkpoint, direction: Direction, key: str) -> None:
    try:
        rename_direction(model.folder, direction.name, direction.name, str(st.session_state[key]).strip()[:60])
    except GanlibError as error:
        st.session_state["directions-error"] = error


def _delete(model: Checkpoint, name: str) -> None:
    try:
        remove_direction(model.folder, name)
    except (GanlibError, OSError) as error:
        st.session_state["directions-error"] = InputError(f"{name} cannot be deleted: {error}", "see its permissions")


def _strip(model: Checkpoint, recipe: Recipe, direction: Direction) -> tuple[bytes, list[float]]:
    """The picture on the bench along a direction, as far as it stays ordinary; the strengths."""
    low, high = direction.safe or (-3.0, 3.0)
    reach = max(1.0, -low, high)
    strengths = [round(reach * (2 * i / (STEPS - 1) - 1), 3) for i in range(STEPS)]
    bare = replace(recipe, edits=tuple(edit for edit in recipe.edits if edit.direction != direction.name))
    changed = (model.folder / FOLDER / f"{direction.name}{SUFFIX}").stat().st_mtime_ns
    return _sheet(str(model.path), model.digest, bare, direction.name, changed, tuple(strengths), direction), strengths


@st.cache_data(max_entries=256, show_spinner="Drawing its strip …", hash_funcs={Direction: lambda d: d.name})
def _sheet(
    path: str, digest: str, recipe: Recipe, name: str, changed: int, strengths: tuple[float, ...], direction: Direction
) -> bytes:
    renderer = model_cache.open_renderer(path, digest)
    pixels = strip(renderer, direction, renderer.w_plus([recipe])[0], strengths)
    side = min(SIDE, pixels.shape[1])
    sheet = images.contact_sheet(images.resize(pixels, side, side), columns=len(strengths), gap=2)
    return images.encode(sheet, "webp", quality=90)


def _from_pictures(model: Checkpoint) -> None:
    st.markdown("A direction leads from some pictures to others: from green ones to red ones, say.")
    st.text_input("Seeds to go to", key="direction-there", placeholder="3, 17, 40")
    st.text_input("Seeds to come from", key="direction-here", placeholder="empty: the average picture")
    st.text_input("Its name", key="direction-name", placeholder="redder")
    kept = {
        f"{each.name or full_name(each.recipe)} ({each.id[:4]})": each.recipe for each in model_cache.favourites(model)
    }
    if kept:
        st.multiselect("Favourites to go to", list(kept), key="direction-there-kept")
        st.multiselect("Favourites to come from", list(kept), key="direction-here-kept")
    st.button("Make the direction", key="direction-make", on_click=_make, args=(model, kept))


def _make(model: Checkpoint, kept: dict[str, Recipe]) -> None:
    """Find, measure and save the direction between two sets of pictures."""
    state = st.session_state
    try:
        sets = []
        for end in ("there", "here"):
            text = str(state.get(f"direction-{end}", "")).strip()
            recipes = [model_cache.seed_recipe(model, seed, psi=1.0) for seed in parse_seeds(text)] if text else []
            sets.append(recipes + [kept[name] for name in state.get(f"direction-{end}-kept", ()) if name in kept])
        if not sets[0]:
            raise InputError("there are no pictures to go to", "Give seeds, or choose favourites.")
        title = str(state.get("direction-name", "")).strip()[:60]
        renderer = model_cache.renderer(model)
        there, here = (renderer.w_plus(recipes) if recipes else None for recipes in sets)
        assert there is not None
        taken = {direction.name for direction in model_cache.directions(model)}
        name = next(f"own-{i:02d}" for i in range(1, 1000) if f"own-{i:02d}" not in taken)
        direction = between(renderer, there, here, name, method="pair" if len(sets[0]) == 1 else "favourites")
        safe = measure_safe(renderer, direction, judge(model.path, renderer))
        about = f"from {len(sets[1]) or 'the average of all'} to {len(sets[0])} pictures"
        save_direction(model.folder, replace(direction, title=title, about=about, safe=safe, model=model.digest))
    except GanlibError as error:
        state["directions-error"] = error


def _take(model: Checkpoint) -> None:
    upload = st.session_state.get("direction-file")
    if upload is None:
        return
    try:
        with TemporaryDirectory() as folder:
            path = Path(folder) / PurePath(upload.name).name
            keep_upload(upload, path)
            for direction in read_directions(path, model.spec):
                save_direction(model.folder, direction)
    except GanlibError as error:
        st.session_state["directions-error"] = error
