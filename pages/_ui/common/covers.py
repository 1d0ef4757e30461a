"""The pictures on the cards of models: made once, kept on the disk by digest, so that a card opens no model."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import streamlit as st

from ganlib import runs
from ganlib.base.errors import GanlibError
from ganlib.base.filesystem import list_names, read_regular
from ganlib.base.workspace import cache_root
from ganlib.latents.recipes import Recipe
from ganlib.media import images
from ganlib.models.checkpoints import Checkpoint
from ganlib.render.renderer import Renderer
from ganlib.runs.files import mtime
from pages._ui.common.frame import fragment

SIDE = 128  # pixels
MOST = 1000  # covers on the disk, some 4 kB each
MOST_BYTES = 2**20
FILL_SECONDS = 0.7  # no further model is opened for a cover after this long
PAUSE_SECONDS = 1.5  # between two looks for covers that are not there yet
_WAITS = "covers-wait"


def cover(model: Checkpoint) -> bytes | None:
    """The cover of a model; None where it was not made yet, or the model makes none."""
    held, path = _held(), path_of(model)
    if path.name not in held:
        with suppress(OSError):
            held[path.name] = read_regular(path, max_bytes=MOST_BYTES)
    return held.get(path.name) or None


def path_of(model: Checkpoint) -> Path:
    """Where the cover of a model is kept."""
    return cache_root() / "covers" / f"{model.digest[:32]}-{model.cover}.webp"


def fill_later(models: Sequence[Checkpoint], recipe_of: Callable[[Checkpoint], Recipe]) -> None:
    """Make the covers that are not there yet, after the page has been shown, a few at a time."""
    if any(path_of(model).name not in _held() for model in models):
        st.session_state[_WAITS] = True
        fragment(every=PAUSE_SECONDS)(_fill)(models, recipe_of)


def fill(models: Sequence[Checkpoint], recipe_of: Callable[[Checkpoint], Recipe]) -> int:
    """Make some of the covers that are not there yet, within `FILL_SECONDS` but one at least; return how many."""
    began, count, held = time.monotonic(), 0, _held()
    for model in models:
        path = path_of(model)
        if path.name in held:
            continue
        if count and time.monotonic() - began > FILL_SECONDS:
            break
        held[path.name] = b""  # nobody else makes it meanwhile, and a model that makes none is asked once
        with suppress(GanlibError, OSError):
            # Not the studio's own renderer: a look at all models would drive out the two that are in use.
            pixels = Renderer.open(model.path).render([recipe_of(model)])
            side = min(SIDE, pixels.shape[1])
            held[path.name] = images.encode(images.resize(pixels, side, side)[0], "webp", quality=92)
            _keep(path, held[path.name])
        count += 1
    return count


def _fill(models: Sequence[Checkpoint], recipe_of: Callable[[Checkpoint], Recipe]) -> None:
    if not st.session_state.pop(_WAITS, False) and fill(models, recipe_of):  # the first time is part of the page itself
        st.rerun()


def _keep(path: Path, data: bytes) -> None:
    """Write a cover; the oldest ones make room. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    runs.write_bytes(path, data, durable=False)
    names = list_names(path.parent, "*.webp")
    for old in sorted((path.parent / name for name in names), key=_changed)[: max(0, len(names) - MOST)]:
        old.unlink(missing_ok=True)


def _changed(path: Path) -> float:
    return mtime(path) or 0.0


@st.cache_resource
def _held() -> dict[str, bytes]:
    """Covers by the name of their file; empty ones are of models that make none, or are being made."""
    return {}
