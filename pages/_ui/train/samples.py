"""The newest samples beside real pictures, and a slider through all of them."""

from pathlib import Path

import streamlit as st

from ganlib.training.watch.folder import Sheet, TrainingFolder
from pages._ui.common.files import file_bytes
from pages._ui.common.frame import error_boundary, plain
from pages._ui.components.mount import data_url
from pages._ui.train.listing import part_of_sheet

WIDTH = 576  # of the pictures on either side, in pixels
MOST_COLUMNS, MOST_ROWS = 6, 4


def show_samples(folder: TrainingFolder, id: str) -> None:
    """Show one sheet beside real pictures; the newest one as long as nobody chose another."""
    sheets = folder.sheets()
    if not sheets:
        st.caption("The first samples appear with the first step.")
        return
    sheet = _choose(sheets, id)
    with st.container(horizontal=True, gap="large"):
        whole = st.toggle("Whole sheets", key=f"whole-{id}", help="Every sample at its own size")
        pixels = st.toggle("Single pixels", key=f"pixels-{id}", help="Show pixels crisp instead of smoothed")
    reals = folder.reals
    if whole:
        st.caption(f"Generated, {plain(sheet.words)}")
        _picture(file_bytes(sheet.path))
        if reals:
            st.caption("Real pictures")
            _picture(file_bytes(reals))
        return
    with st.container(key="samples"), error_boundary():
        left, right = st.columns(2, gap="medium")
        with left:
            st.caption(f"Generated, {plain(sheet.words)}")
            _picture(_part(folder, sheet.path, not pixels))
        if reals:
            with right:
                st.caption("Real pictures")
                _picture(_part(folder, reals, not pixels))


def _picture(png: bytes) -> None:
    # As data: Streamlit hands bytes over as JPEG, and takes the file away when the next run shows another picture,
    # which a slow browser may still be asking for.
    st.image(data_url(png))


def _choose(sheets: list[Sheet], id: str) -> Sheet:
    """The slider. It follows the newest sheet until a person moves it away from there."""
    by_name = {sheet.path.name: sheet for sheet in sheets}
    newest = sheets[-1].path.name
    # With another sheet the slider begins anew: the browser would leave it where it was among the old ones.
    key, choice = f"sheet-{id}-{len(sheets)}", f"sheet-{id}"
    if len(sheets) == 1:
        return sheets[0]

    def moved() -> None:
        name = st.session_state[key]
        st.session_state[choice] = None if name == newest else name

    at = st.session_state.get(choice)
    chosen = st.select_slider(
        "Samples over time",
        list(by_name),
        at if at in by_name else newest,
        format_func=lambda name: plain(by_name[name].words),
        key=key,
        on_change=moved,
    )
    return by_name[chosen]


def _part(folder: TrainingFolder, sheet: Path, smooth: bool) -> bytes:
    """As many pictures as fit side by side, each enlarged a whole number of times."""
    tile, own = folder.tile(sheet), folder.config.get("resolution")
    full = own if isinstance(own, int) and own >= tile else tile  # a growing run's small pictures at the final size
    side = full * max(1, 128 // full)
    columns = max(1, min(MOST_COLUMNS, WIDTH // side))
    rows = max(1, min(MOST_ROWS, WIDTH // side))
    return part_of_sheet(str(folder.path), str(sheet), sheet.stat().st_mtime_ns, columns, rows, side, smooth)
