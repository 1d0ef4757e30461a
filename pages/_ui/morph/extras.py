"""What a film may have besides its pictures: a track, words, a logo, and directions that follow the sound."""

import secrets
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import streamlit as st

from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.media import images
from ganlib.models.checkpoints import Checkpoint
from ganlib.superres import choices
from ganlib.video import BANDS, CORNERS, FORMATS, LENGTHS, Reaction, RenderJob, read_track
from pages._ui.common import model_cache
from pages._ui.common.frame import plain, show_error
from pages._ui.common.uploads import PICTURE_BYTES, keep_upload

SOUNDS = ["mp3", "wav", "m4a", "aac", "ogg", "opus", "flac", "mp4", "mov", "webm"]
FONTS = ["ttf", "otf", "ttc"]
LOGOS = ["png", "webp", "jpg", "jpeg"]


def show_extras(model: Checkpoint, job: RenderJob) -> RenderJob:
    """Ask for sound, words and a logo, each in its own drawer; return the film with them."""
    with st.expander("Sound", icon=":material/music_note:"):
        job = _sound(model, job)
    with st.expander("Words and logo", icon=":material/title:"):
        job = _words(job)
    with st.expander("Quality", icon=":material/high_quality:"):
        job = _quality(_upscaled(model, job))
    return job


def _kept(upload: Any, name: str, max_bytes: int | None = PICTURE_BYTES) -> str:
    """The path of an uploaded file, written once; empty where there is none."""
    state = st.session_state
    if upload is None:
        state.pop(f"{name}-kept", None)
        return ""
    known = state.get(f"{name}-kept")
    if known is None or known[0] != upload.file_id:
        path = (
            workspace.data_root() / "uploads" / f"{name}-{secrets.token_hex(6)}{PurePath(upload.name).suffix.lower()}"
        )
        try:
            keep_upload(upload, path, max_bytes=max_bytes)
        except GanlibError as error:
            show_error(error)
            return ""
        known = state[f"{name}-kept"] = (upload.file_id, str(path.resolve()))
    return known[1] if Path(known[1]).exists() else ""


def _sound(model: Checkpoint, job: RenderJob) -> RenderJob:
    if not job.row.sound:
        sounding = ", ".join(row.name for row in FORMATS.values() if row.sound)
        st.caption(f"This format has no sound; these have: {sounding}. The track still moves the pictures.")
    sound = _kept(st.file_uploader("A track", type=SOUNDS, key="film-sound"), "sound", None)
    try:
        if sound:
            _seconds(sound)
    except GanlibError as error:
        show_error(error)
        return job
    if not sound:
        st.caption("Music for the film: cuts on its beats, and directions that follow it.")
        return job
    length = st.segmented_control("Length", list(LENGTHS), default=job.length, format_func=LENGTHS.__getitem__,
                                  key="film-length")  # fmt: skip
    beats = st.toggle("Keyframes on its beats", key="film-beats")
    pulse = st.slider("Quicker where it is louder", 0.0, 5.0, 0.0, 0.5, key="film-pulse")
    reactions: list[Reaction] = []
    directions = {direction.name: direction for direction in model_cache.directions(model)}
    if directions:
        chosen = st.multiselect("Directions that follow it", list(directions), key="film-follow",
                                format_func=lambda name: directions[name].words)  # fmt: skip
        for name in chosen:
            left, right = st.columns(2)
            band = left.selectbox(f"{plain(directions[name].words)} follows", list(BANDS),
                                  format_func=BANDS.__getitem__, key=f"film-band-{name}")  # fmt: skip
            strength = right.slider("Strength, sigmas", -6.0, 6.0, 2.0, 0.5, key=f"film-strength-{name}")
            direction = directions[name]
            reactions.append(Reaction(name, band, strength, direction.first, direction.last))
    else:
        st.caption("With named directions (on the Explore page) the pictures can follow bass and treble.")
    return replace(job, sound=sound, length=length or job.length, beats=beats, pulse=pulse, reactions=tuple(reactions))


@st.cache_data(max_entries=16, show_spinner="Listening …")
def _seconds(path: str) -> int:
    """Samples of a track. Raises GanlibError for one that cannot be heard."""
    return len(read_track(Path(path)))


@st.cache_data(max_entries=16, show_spinner=False)
def _sides(path: str) -> tuple[int, ...]:
    """Width and height of a picture. Raises GanlibError for one that cannot be read."""
    return images.look_at(Path(path))[1:]


def _words(job: RenderJob) -> RenderJob:
    title = st.text_input("Title card", key="film-title", max_chars=200, help="before the film; it is then no loop")
    caption = st.text_input("Caption", key="film-caption", max_chars=200, help="at the foot of every picture")
    font = _kept(st.file_uploader("Font", type=FONTS, key="film-font", help="for missing letters"), "font")
    logo = _kept(st.file_uploader("Logo", type=LOGOS, key="film-logo"), "logo")
    try:
        if logo:
            _sides(logo)
    except GanlibError as error:
        show_error(error)
        logo = ""
    job = replace(job, title=title.strip(), caption=caption.strip(), font=font, logo=logo)
    if logo:
        corner = st.selectbox("Its corner", list(CORNERS), format_func=CORNERS.__getitem__, key="film-corner",
                              index=list(CORNERS).index(job.logo_corner))  # fmt: skip
        opacity = st.slider("How much of it is seen", 0.1, 1.0, job.logo_opacity, 0.1, key="film-opacity")
        job = replace(job, logo_corner=corner, logo_opacity=opacity)
    return job


def _upscaled(model: Checkpoint, job: RenderJob) -> RenderJob:
    if job.side(model.spec.resolution) < 2 * model.spec.resolution:
        return job
    here = {"": "plain enlargement"} | {choice.name: choice.name for choice in choices() if choice.is_here}
    upscaler = st.selectbox(
        "Enlarged by", list(here), format_func=here.__getitem__, key="film-upscaler",
        help="An upscaling model paints in edges and grain, and takes longer; Upscale fetches more of them.",
    )  # fmt: skip
    return replace(job, upscaler=upscaler)


def _quality(job: RenderJob) -> RenderJob:
    if job.row.is_streamed:
        bitrate = st.number_input("Megabits a second", 0.0, 200.0, 0.0, 1.0, key="film-bitrate",
                                  help="0: by quality, below")  # fmt: skip
        if bitrate:
            return replace(job, bitrate=float(bitrate))
        crf = st.slider("Quality, smaller is better", 1, 40, job.crf, key="film-crf", help="crf")
        return replace(job, crf=crf)
    if job.row.has_size_limit:
        limit = st.number_input("At most, megabytes", 0.0, 200.0, 0.0, 1.0, key="film-limit",
                                help="0: no limit; else it is made smaller until it fits")  # fmt: skip
        return replace(job, size_limit=float(limit) or None)
    st.caption("This format keeps every picture as it is.")
    return job
