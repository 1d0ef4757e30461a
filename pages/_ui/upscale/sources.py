"""What is to be enlarged: uploads, favourites, films made here, or a folder on this machine."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.dataset.files import GLANCE
from ganlib.models.checkpoints import Checkpoint, list_checkpoints
from ganlib.superres import ANIMATION_SUFFIXES, FILM_SUFFIXES, find_sources, picture_size
from pages._ui.common import model_cache
from pages._ui.common.frame import is_left, plain, show_error
from pages._ui.common.paths import accept_path
from pages._ui.common.uploads import digest_of, keep_upload
from pages._ui.components import WallPicture, picture_wall
from pages._ui.datasets.intake import safe_name
from pages._ui.morph.keyframes import recipe_id, recipe_of

UPLOADS, FAVOURITES, FILMS, FOLDER = "Your files", "Favourites", "Films made here", "A folder"
WAYS = (UPLOADS, FAVOURITES, FILMS, FOLDER)
TYPES = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif", "mp4", "mov", "webm", "mkv", "m4v", "avi"]
MOST = 200  # uploads at once
MOST_FAVOURITES = 48
_MOST_MEASURED = 300  # files of a folder that are looked at before the work
_MEASURING_SECONDS = 5.0  # … and for how long


@dataclass(frozen=True)
class Sources:
    """What was chosen: files on the disk, or recipes that are still to be made into files."""

    paths: tuple[Path, ...] = ()
    model: Checkpoint | None = None
    ids: tuple[str, ...] = ()
    """Recipes of `model`, as words."""
    name: str = ""
    """For the job."""

    @property
    def count(self) -> int:
        """How many there are; a folder is one."""
        return len(self.paths) + len(self.ids)

    def sizes(self) -> list[tuple[int, int, int]]:
        """Width, height and frames of each that can be read; pictures have one frame. Of a large folder some stand for
        all. Raises GanlibError where none can be read."""
        if self.model is not None:
            side = self.model.spec.resolution
            return [(side, side, 1)] * len(self.ids)
        files = [path for path, _ in find_sources(self.paths, bounds=GLANCE, should_stop=is_left)]
        found, problem = [], None
        looked, until = 0, time.monotonic() + _MEASURING_SECONDS
        for path in files[:_MOST_MEASURED]:
            if is_left() or (looked and time.monotonic() > until):
                break
            looked += 1
            try:
                found.append(_size(str(path), path.stat().st_mtime_ns))
            except GanlibError as error:
                problem = problem or error
        if problem is not None and not found:
            raise problem
        return found * max(1, len(files) // max(1, looked))

    def files(self) -> list[Path]:
        """The files, made now where they are recipes."""
        if self.model is None:
            return [path.resolve() for path in self.paths]
        made = []
        for recipe in map(recipe_of, self.ids):
            data = model_cache.png(self.model, recipe)
            path = (
                workspace.data_root()
                / "uploads"
                / "upscale"
                / _digest(data)
                / model_cache.file_name(self.model, recipe)
            )
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                runs.write_bytes(path, data)
            made.append(path.resolve())
        return made


def choose_sources() -> Sources:
    """Ask what is to be enlarged, and return it; empty where nothing is chosen yet."""
    way = st.segmented_control("What", WAYS, default=UPLOADS, key="upscale-way", label_visibility="collapsed")
    if way == FAVOURITES:
        return _favourites()
    if way == FILMS:
        return _films()
    if way == FOLDER:
        return _folder()
    uploads = st.file_uploader(
        "Pictures or films", type=TYPES, accept_multiple_files=True, key="upscale-upload",
        help="They are kept in the folder data/uploads of this studio.",
    )  # fmt: skip
    if not uploads:
        return Sources()
    paths = keep(list(uploads[:MOST]))
    return Sources(tuple(paths), name=uploads[0].name if len(paths) == 1 else f"{len(paths)} files")


def keep(uploads: list[Any]) -> list[Path]:
    """Write uploads to the disk, each once; one that cannot be read is told of and left out."""
    found = []
    for upload in uploads:
        name = f"{safe_name(PurePath(upload.name).stem)}{PurePath(upload.name).suffix.lower()}"
        try:
            path = workspace.data_root() / "uploads" / "upscale" / digest_of(upload, 8) / name
            if not path.exists():
                keep_upload(upload, path)
            _size(str(path), path.stat().st_mtime_ns)
        except GanlibError as error:
            show_error(GanlibError(error.message.replace(name, upload.name), error.hint))
        except OSError as error:
            show_error(GanlibError(f"{upload.name} cannot be kept: {error.strerror}", "Free some disk space."))
        else:
            found.append(path)
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


@st.cache_data(max_entries=512, show_spinner=False)
def _size(path: str, changed: int) -> tuple[int, int, int]:
    return picture_size(Path(path))


def _favourites() -> Sources:
    """Favourites of one model, all or those that are ticked."""
    known = [model for model in list_checkpoints(workspace.checkpoints_root())[0] if (model.folder).is_dir()]
    known = [model for model in known if model_cache.favourites(model)]
    if not known:
        st.caption("Nothing kept yet: the heart under a picture in the Gallery keeps it, and it appears here.")
        return Sources()
    by_name, titles = {model.name: model for model in known}, model_cache.titles_of(known)
    name = st.selectbox("Favourites of", list(titles), format_func=titles.__getitem__, key="upscale-of")
    model = by_name[name]
    recipes = [favourite.recipe for favourite in model_cache.favourites(model)][:MOST_FAVOURITES]
    ready = model_cache.as_many_as_ready(model, recipes)
    places = [
        WallPicture(recipe_id(recipe), recipe.caption(), picture)
        for recipe, picture in zip(recipes, ready, strict=True)
    ]
    ticked: dict[str, list[str]] = st.session_state.setdefault("upscale-ticked", {})

    def select(ids: list[str]) -> None:
        ticked[model.name] = ids

    chosen = [place.id for place in places if place.id in ticked.get(model.name, [])]
    picture_wall(places, key="upscale-wall", label="Favourites", columns=4, selected=chosen, rev=model.digest,
                 on_select=select)  # fmt: skip
    st.caption("Shift-click or the tick chooses; with none chosen, all are enlarged.")
    ids = tuple(chosen or [place.id for place in places])
    return Sources(model=model, ids=ids, name=f"{len(ids)} of {model.title}")


def _films() -> Sources:
    found: dict[str, str] = {}
    for run in runs.list_runs(workspace.runs_root(), verb="video"):
        for path in run.artefacts:
            if path.suffix.lower() in (*FILM_SUFFIXES, *ANIMATION_SUFFIXES) and path.is_file():
                found[str(path)] = f"{run.name} · {path.parent.name.partition('-')[0]}"
    if not found:
        st.caption("No film yet: Morph makes them, and they appear here.")
        return Sources()
    film = st.selectbox("Film", list(found), format_func=found.__getitem__, key="upscale-film")
    return Sources((Path(film),), name=found[film])


def _folder() -> Sources:
    text = st.text_input(
        "A folder, picture or film on this machine", key="upscale-path", placeholder="/home/me/pictures",
        help="Folders below it are searched too. Nothing in it is changed.",
    )  # fmt: skip
    if not text.strip():
        return Sources()
    path = Path(accept_path(text.strip())).resolve()
    count = len(find_sources([path], bounds=GLANCE, should_stop=is_left))
    st.caption(plain(f"{count} file{'s' * (count != 1)}" if path.is_dir() else path.name))
    return Sources((path,), name=path.name)
