"""The contact sheet of a model: made once, kept beside its file."""

from pathlib import Path

import streamlit as st

from ganlib import runs
from ganlib.base.errors import GanlibError
from ganlib.media import images
from ganlib.models.checkpoints import Checkpoint, read_card
from ganlib.render.renderer import Renderer
from pages._ui.common import model_cache
from pages._ui.common.files import file_bytes

SIDE = 128  # pixels of one picture on a sheet


def seeds_of(model: Checkpoint) -> int:
    """How many pictures a sheet has: fewer where one takes seconds."""
    side = model.spec.resolution
    return 12 if side <= 128 else 6 if side <= 512 else 3


def path_of(model: Checkpoint) -> Path:
    """Where the sheet of a model is kept."""
    return model.folder / f"sheet-{model.digest[:12]}.webp"


def sheet(model: Checkpoint, *, may_make: bool) -> bytes | None:
    """The sheet's picture, made now where it is not there yet and `may_make`; None else. Raises GanlibError for a
    model that makes none."""
    path = path_of(model)
    try:
        return file_bytes(path)
    except OSError:
        return _make(str(model.path), model.digest, str(path), seeds_of(model)) if may_make else None


@st.cache_data(max_entries=64, show_spinner=False)
def _make(path: str, digest: str, dest: str, count: int) -> bytes:
    model = read_card(Path(path))
    recipes = [model_cache.seed_recipe(model, seed) for seed in range(count)]
    # Not the studio's own renderer: a look at all models would drive out the two that are in use.
    pixels = Renderer.open(Path(path)).render(recipes)
    side = min(SIDE, pixels.shape[1])
    columns = 6 if count % 6 == 0 else count
    picture = images.contact_sheet(images.resize(pixels, side, side), columns=columns, gap=2)
    data = images.encode(picture, "webp", quality=88)
    try:
        Path(dest).parent.mkdir(exist_ok=True)
        for old in Path(dest).parent.glob("sheet-*.webp"):
            old.unlink()
        runs.write_bytes(Path(dest), data)
    except (OSError, GanlibError):
        return data  # a folder that cannot be written keeps no sheets; this one is in memory
    return data
