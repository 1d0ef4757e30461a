"""Photographs as they come in: kept once, decoded safely, with the square that is cut from each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import streamlit as st

from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.media import images
from ganlib.projection import (
    can_find_faces,
    crop_square,
    find_face,
    find_middle,
    find_subject,
    look_at_target,
    middle_of,
    read_target,
)
from pages._ui.common.frame import show_error
from pages._ui.common.uploads import digest_of, keep_upload
from pages._ui.components import Square, square_crop
from pages._ui.datasets.intake import safe_name

Box = tuple[float, float, float, float]
"""x, y, side and angle of a square, in the photograph's pixels and in degrees."""
MOST = 12  # photographs at once
SHOWN = 640  # longest side of the photograph while it is cut, in pixels
TYPES = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif"]


@dataclass(frozen=True)
class Photo:
    """One photograph on the disk."""

    path: str
    name: str
    width: int
    height: int


def keep(uploads: list[Any]) -> tuple[list[Photo], list[GanlibError]]:
    """Write uploads to the disk, each once, and return those that can be read, and what is wrong with the others."""
    folder = workspace.data_root() / "uploads" / "photos"
    found, wrong = [], []
    for upload in uploads[:MOST]:
        # A folder for each content: the file's name becomes that of the result.
        name = f"{safe_name(PurePath(upload.name).stem)}{PurePath(upload.name).suffix.lower()}"
        try:
            path = folder / digest_of(upload, 10) / name
            if not path.exists():
                keep_upload(upload, path)
            width, height = _size(str(path))
        except GanlibError as error:
            wrong.append(error)
            continue
        found.append(Photo(str(path.resolve()), upload.name, width, height))
    return found, wrong


@st.cache_data(max_entries=64, show_spinner="Opening the photograph …")
def _size(path: str) -> tuple[int, int]:
    return look_at_target(Path(path))[1:]


@st.cache_data(max_entries=32, show_spinner=False)
def _copy(path: str) -> bytes:
    pixels = look_at_target(Path(path))[0]
    scale = min(1.0, SHOWN / max(pixels.shape[:2]))
    small = images.resize(pixels, max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return images.encode(small, "jpeg", quality=90)


@st.cache_data(max_entries=128, show_spinner=False)
def cut(path: str, box: tuple[float, float, float, float], side: int) -> bytes:
    """What is cut from a photograph, at the model's side."""
    width, height = _size(path)
    with images.ROOM.take(width * height):  # while all of it is there, not only while it is decoded
        return images.encode(crop_square(read_target(Path(path)), side, box=box), "png")


def box_of(photo: Photo) -> tuple[float, float, float, float]:
    """The square of a photograph: as a person set it, or the largest in the middle."""
    known = st.session_state.get("project-squares", {}).get(photo.path)
    if known is not None:
        return tuple(known)
    return middle_of(photo.width, photo.height)


FINDERS = (
    ("Middle", ":material/crop_square:", find_middle, "The largest square in the middle"),
    ("Subject", ":material/filter_center_focus:", find_subject, "The thing on plain ground, as data sets are cut"),
    ("Face", ":material/face:", find_face, "The largest face, with its eyes level, as models of faces expect it"),
)


def _set_square(photo: Photo, square: Box) -> None:
    st.session_state.setdefault("project-squares", {})[photo.path] = square


def _find(photo: Photo, find: Callable[..., Box]) -> None:
    try:
        with images.ROOM.take(photo.width * photo.height):
            square = find(read_target(Path(photo.path)))
        _set_square(photo, square)
    except GanlibError as error:
        st.session_state["project-unfound"] = error
    st.session_state["project-found"] = st.session_state.get("project-found", 0) + 1  # the browser's square follows


def show_cutting(photos: list[Photo], side: int) -> None:
    """Let a person set the square of each photograph, one at a time, and see what the model will be shown."""
    names = {photo.path: photo for photo in photos}
    path = photos[0].path
    if len(photos) > 1:
        path = st.selectbox("Photograph", list(names), format_func=lambda path: names[path].name, key="project-photo")
    photo = names[path]
    box = box_of(photo)

    def changed(square: Square) -> None:
        _set_square(photo, (square.x, square.y, square.side, square.angle))

    left, right = st.columns([3, 1])
    with left:
        square_crop(_copy(photo.path), photo.width, photo.height, Square(*box), key="project-crop",
                    rev=f"{photo.path}-{st.session_state.get('project-found', 0)}", on_change=changed)  # fmt: skip
        st.caption("Drag the square, or its corner; arrow keys, plus and minus work too.")
        with st.container(horizontal=True):
            for words, icon, find, help in FINDERS:
                if find is not find_face or can_find_faces():
                    st.button(words, icon=icon, on_click=_find, args=(photo, find), help=help, key=f"find-{words}")
        if error := st.session_state.pop("project-unfound", None):
            show_error(error)
    with right:
        st.image(cut(photo.path, box_of(photo), side), width=160)
        st.caption(f"{side:d} × {side:d} px: what the model is shown")
