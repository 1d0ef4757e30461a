"""Morph: pictures in a row become a film."""

from dataclasses import replace

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import InputError
from ganlib.latents.paths import CURVES, EASINGS, Keyframe
from ganlib.latents.recipes import Recipe, parse_seeds
from ganlib.video import ASPECTS, RenderJob, estimate, fit_to_track
from pages._ui.common import model_cache
from pages._ui.common.frame import error_boundary, fragment, open_page, plain, show_error
from pages._ui.common.place import Place
from pages._ui.components import Stop, WallPicture, picture_wall, timeline
from pages._ui.models.rights import warn
from pages._ui.morph.choices import FPS, GROUNDS, MOVES, SIZES, Film, codings
from pages._ui.morph.extras import show_extras
from pages._ui.morph.films import show_command, show_jobs, show_preview, show_shelf
from pages._ui.morph.keyframes import Track, from_text, full_name, recipe_id, recipe_of, to_text

# Keys of widgets, and fields of a Film.
CHOICES = ("fps", "curve", "loop", "size", "format", "shape", "ground", "easing", "moving", "even")
TIMELINE, KINDS, ADDITIONS, PREVIEW = 158, 26, 64, 412  # height in pixels
FORMAT_HELP = "MP4 in H.264 plays everywhere. GIF has at most 50 frames per second"
CURVE_HELP = " ".join(f"{curve.title}: {curve.about}." for curve in CURVES.values())
EVEN_HELP = "Time is re-mapped so that the picture changes by the same amount from frame to frame"
MOVING_HELP = "The style inputs that move; the others stay those of the first picture"
SHAPE_HELP = "Width to height of the film; the whole picture stands in its middle"
LOOP_HELP = "The last picture leads back to the first, without a jump"

heading = open_page("Morph")
place = Place("morph", needed=("k", "seconds", *CHOICES))

# Read the keyframes: from the address, or as they were.
state = st.session_state
model = model_cache.choose_model(heading)
track: Track = state.setdefault("track", Track(model.digest))
state.setdefault("film", Film())
query = place.arrive()
if place.take_news():
    with error_boundary():
        state["film"] = Film.from_query(query)
        for name in CHOICES:
            state[name] = getattr(state["film"], name)
    with error_boundary():
        track.put(from_text(query.get("k", "")), model.spec)
elif track.digest != model.digest:
    track.put(track.keyframes, model.spec)
track.digest = model.digest


# What a person does arrives here, before the fragment below runs again.
def append(recipes: list[Recipe]) -> None:
    added = [Keyframe(recipe, state["film"].seconds) for recipe in recipes]
    track.put([*track.keyframes, *added], model.spec)


def append_seeds() -> None:
    state["morph-error"] = None
    try:
        append([model_cache.seed_recipe(model, seed) for seed in parse_seeds(state["morph-add"])])
        state["morph-add"] = ""
    except InputError as error:
        state["morph-error"] = error


def set_seconds() -> None:
    if (seconds := state["seconds"]) is not None:
        state["film"] = replace(state["film"], seconds=seconds)
        track.put([replace(keyframe, seconds=seconds) for keyframe in track.keyframes], model.spec)


@fragment()
def morph() -> None:
    left, right = st.columns([2, 1], gap="large")
    # Room for what is slow to come: on a narrow screen the settings stand below it.
    strip = TIMELINE + KINDS * bool(model.spec.label_dim)
    top = left.container(height=strip if track.stops else "content", border=False, key="top")
    middle = left.container(height=ADDITIONS, border=False, key="middle")
    bottom = left.container(
        height=PREVIEW if len(track.stops) >= state["film"].least else "content", border=False, key="bottom"
    )
    with right:
        job = show_settings()
        show_jobs()
    with top:
        show_timeline(loop=job is None or job.path.loop)
    with middle:
        show_additions()
    if job is not None:
        with bottom:
            show_preview(model, job)
    keyframes = {"k": to_text(track.keyframes)} if track.stops else {}
    place.write({"model": model.name} | keyframes | state["film"].to_query())


def show_settings() -> RenderJob | None:
    """The film as it is set; None while there are too few keyframes for one."""
    film: Film = state["film"]
    for name in CHOICES:
        state.setdefault(name, getattr(film, name))
    formats = codings()
    lengths = {keyframe.seconds for keyframe in track.keyframes} or {film.seconds}
    state["seconds"] = lengths.pop() if len(lengths) == 1 else None
    first, second = st.columns(2)
    first.number_input(
        "Seconds each", 0.1, 60.0, None, 0.5, key="seconds", on_change=set_seconds, placeholder="various"
    )
    second.selectbox("Frames per second", FPS, key="fps", help="fps")
    st.segmented_control(
        "Way", list(CURVES), format_func=lambda name: CURVES[name].title, help=CURVE_HELP, key="curve", required=True
    )
    first, second = st.columns(2)
    first.selectbox("Size", SIZES, format_func=SIZES.__getitem__, help="Side of the picture in the film", key="size")
    second.selectbox(
        "Format", list(formats), format_func=lambda name: formats[name].title, help=FORMAT_HELP, key="format"
    )
    first, second = st.columns(2)
    first.selectbox("Shape", list(ASPECTS), format_func=lambda name: ASPECTS[name].title, help=SHAPE_HELP, key="shape")
    if state["shape"] != "1:1":
        second.selectbox("Around it", GROUNDS, format_func=GROUNDS.__getitem__, help="background", key="ground")
    first, second = st.columns(2)
    first.selectbox("Pace", EASINGS, format_func=EASINGS.__getitem__, help="easing", key="easing")
    if model.spec.num_ws > 1:
        second.selectbox("What moves", MOVES, format_func=MOVES.__getitem__, help=MOVING_HELP, key="moving")
    with st.container(horizontal=True):
        st.toggle("Loop", help=LOOP_HELP, key="loop")
        st.toggle("Even speed", help=EVEN_HELP, key="even")
    film = state["film"] = replace(film, **{name: state[name] for name in CHOICES})
    if len(track.stops) < film.least:
        return None
    job = show_extras(model, film.job(str(model.path), film.path(track.keyframes)))
    width, height = job.frame_size(model.spec.resolution)
    pictures = f"{len(track.stops):d} picture{'s' * (len(track.stops) != 1)}"
    with error_boundary():
        lasting = fit_to_track(job)
        st.caption(f"{pictures} · {lasting.seconds:.1f} s · {lasting.num_frames:d} frames · {width:d} × {height:d}")
        job.validate()
        warn(model)
        if words := job.path.class_warning(model.spec):
            st.caption(f"{plain(words.capitalize())}.")
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("What will it take?", type="tertiary", icon=":material/timer:"):
                with st.spinner("Trying a few frames …"):
                    cost = estimate(job, model_cache.renderer(model))
                st.caption(f"about {runs.format_seconds(cost.seconds)} and {cost.megabytes:.1f} MB")
        if st.button("Export the film", type="primary", icon=":material/movie:", width="stretch"):
            runs.submit(workspace.runs_root(), "video", f"{model.title}, {len(track.stops)} pictures", job.to_dict())
            st.toast("The film is being made: it stands below this form.", icon=":material/movie:")
            st.rerun()
    show_command(job, f"{model.name}{job.suffix}")
    return job


def show_timeline(*, loop: bool) -> None:
    if not track.stops:
        examples = [model_cache.seed_recipe(model, seed) for seed in (1, 2, 3)]
        st.markdown("A film goes from picture to picture. Add seeds or favourites, or begin with these three:")
        st.image(model_cache.contact_sheet(model, examples, 3), width=384)
        st.button("Begin with three pictures", type="primary", on_click=append, args=(examples,))
        return
    pictures = model_cache.pictures(model, [keyframe.recipe for keyframe in track.keyframes])
    is_mixed = len({keyframe.recipe.psi for keyframe in track.keyframes}) > 1
    stops = [
        Stop(
            id,
            keyframe.recipe.base or keyframe.recipe.caption(),
            picture,
            keyframe.seconds,
            note=f"psi {keyframe.recipe.psi:g}" if is_mixed else "",
            kind=_kind(keyframe.recipe),
        )
        for (id, keyframe), picture in zip(track.stops.items(), pictures, strict=True)
    ]
    kinds = [model.class_name(label) for label in range(model.spec.label_dim)]
    timeline(
        stops, key="timeline", loop=loop, rev=str(track.rev), on_change=track.edit, kinds=kinds,
        on_kind=track.set_class,
    )  # fmt: skip


def _kind(recipe: Recipe) -> int | None:
    """The class of a keyframe on the timeline; a saved w has none to choose."""
    if recipe.base is not None:
        return None
    return -1 if recipe.label is None else recipe.label


def show_additions() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Add seeds", key="morph-add", placeholder="85 or 1-4 or 5,9", width=220, on_change=append_seeds)
        kept = [favourite.recipe for favourite in model_cache.favourites(model)]
        with st.popover(f"Favourites {len(kept) or ''}", icon=":material/favorite:"):
            if not kept:
                st.markdown("Nothing kept yet. The heart under a picture in the Gallery keeps it.")
            ready = model_cache.as_many_as_ready(model, kept)
            places = [WallPicture(recipe_id(r), full_name(r), p) for r, p in zip(kept, ready, strict=True)]
            if kept and (chosen := picture_wall(places, key="kept", label="Favourites", columns=4, mode="only")):
                append([recipe_of(chosen)])
                st.rerun(scope="fragment")
    if state.get("morph-error"):
        show_error(state["morph-error"])


morph()
show_shelf()
