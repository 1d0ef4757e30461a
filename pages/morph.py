"""Morph: pictures in a row become a film."""

from dataclasses import replace

import streamlit as st

from ganlib import runs
from ganlib.errors import InputError
from ganlib.latents import Recipe, parse_seeds
from ganlib.paths import Keyframe, LatentPath
from ganlib.video import RenderJob
from pages._ui import models
from pages._ui.address import arrived, write_address
from pages._ui.components import Stop, WallPicture, picture_wall, timeline
from pages._ui.films import show_command, show_jobs, show_preview, show_shelf
from pages._ui.frame import errors_told, open_page, part, show_error
from pages._ui.keyframes import SECONDS, Track, from_text, recipe_id, recipe_of, to_text

CURVES = {"cubic": "Smooth", "linear": "Straight", "slerp": "Around"}
FORMAT_HELP = "mp4: H.264, plays everywhere. gif: at most 50 frames per second"
CURVE_HELP = "Smooth: a cubic spline in w. Straight: lines in w. Around: great circles in z (slerp)."
SIZES = {0: "as the model", 512: "512 px", 1080: "1080 px", 2160: "2160 px"}

heading = open_page("Morph")

# Read the keyframes: from the address, or as they were.
state = st.session_state
model = models.choose_model(heading)
track: Track = state.setdefault("track", Track(model.digest))
with errors_told():
    if (query := arrived("morph", "k")) is not None:
        track.put(from_text(query.get("k", "")), model.spec)
    elif track.digest != model.digest:
        track.put(track.keyframes, model.spec)
track.digest = model.digest


# What a person does arrives here, before the fragment below runs again.
def append(recipes: list[Recipe]) -> None:
    added = [Keyframe(recipe, state.get("seconds", SECONDS)) for recipe in recipes]
    track.put([*track.keyframes, *added], model.spec)


def append_seeds() -> None:
    state["morph-error"] = None
    try:
        append([Recipe.of_seed(seed, psi=models.DEFAULT_PSI) for seed in parse_seeds(state["morph-add"])])
        state["morph-add"] = ""
    except InputError as error:
        state["morph-error"] = error


def set_seconds() -> None:
    track.put([replace(keyframe, seconds=state["seconds"]) for keyframe in track.keyframes], model.spec)


@part()
def morph() -> None:
    left, right = st.columns([2, 1], gap="large")
    with right:
        job = show_settings()
        show_jobs()
    with left:
        show_timeline(loop=job is None or job.path.loop)
        show_additions()
        if job is not None:
            show_preview(model, job)
    write_address("morph", model.name, {"k": to_text(track.keyframes)} if track.stops else {})


def show_settings() -> RenderJob | None:
    """The film as it is set; None while there are too few keyframes for one."""
    first, second = st.columns(2)
    first.number_input(
        "Seconds each", 0.1, 60.0, SECONDS, 0.5, key="seconds", on_change=set_seconds, persist_state="session"
    )
    fps = second.selectbox("Frames per second", (24, 25, 30, 50, 60), 2, help="fps", key="fps", persist_state="session")
    curve = st.segmented_control(
        "Way",
        CURVES,
        default="cubic",
        format_func=CURVES.__getitem__,
        help=CURVE_HELP,
        key="curve",
        persist_state="session",
    )
    first, second = st.columns(2)
    size = first.selectbox(
        "Size",
        SIZES,
        format_func=SIZES.__getitem__,
        help="Side of the square film",
        key="size",
        persist_state="session",
    )
    kind = second.selectbox("Format", ("mp4", "gif"), help=FORMAT_HELP, key="format", persist_state="session")
    loop = st.toggle(
        "Loop",
        True,
        help="The last picture leads back to the first, without a jump",
        key="loop",
        persist_state="session",
    )
    if len(track.stops) < 2:
        return None
    path = LatentPath(tuple(track.keyframes), curve=curve or "cubic", loop=loop)
    job = RenderJob(str(model.path), path, fps=fps, size=size or None, format=kind)
    side = job.side(model.spec.resolution)
    st.caption(f"{len(track.stops)} pictures · {path.seconds:.1f} s · {job.num_frames} frames · {side} × {side}")
    with errors_told():
        job.validate()
        if st.button("Export the film", type="primary", icon=":material/movie:", width="stretch"):
            runs.submit(models.runs_root(), "video", f"{model.title}, {len(track.stops)} pictures", job.to_dict())
            st.rerun()
    show_command(job, f"{model.name}.{kind}")
    return job


def show_timeline(*, loop: bool) -> None:
    if not track.stops:
        examples = [Recipe.of_seed(seed, psi=models.DEFAULT_PSI) for seed in (1, 2, 3)]
        st.markdown("A film goes from picture to picture. Add seeds or favourites, or begin with these three:")
        st.image(models.contact_sheet(model, examples, 3), width=384)
        st.button("Begin with three pictures", type="primary", on_click=append, args=(examples,))
        return
    pictures = models.pictures(model, [keyframe.recipe for keyframe in track.keyframes])
    stops = [
        Stop(id, keyframe.recipe.caption(), picture, keyframe.seconds)
        for (id, keyframe), picture in zip(track.stops.items(), pictures, strict=True)
    ]
    timeline(stops, key="timeline", loop=loop, rev=str(track.rev), on_change=track.edit)


def show_additions() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Add seeds", key="morph-add", placeholder="85 or 1-4 or 5,9", width=220, on_change=append_seeds)
        kept = [favourite.recipe for favourite in models.favourites(model)]
        with st.popover(f"Favourites {len(kept) or ''}", icon=":material/favorite:"):
            if not kept:
                st.markdown("Nothing kept yet. The heart under a picture in the Gallery keeps it.")
            ready = models.as_many_as_ready(model, kept)
            places = [WallPicture(recipe_id(r), r.caption(), p) for r, p in zip(kept, ready, strict=True)]
            if kept and (chosen := picture_wall(places, key="kept", label="Favourites", columns=4, only_open=True)):
                append([recipe_of(chosen)])
                st.rerun(scope="fragment")
    if state.get("morph-error"):
        show_error(state["morph-error"])


morph()
show_shelf()
