"""Upscale: pictures and films enlarged, and seen before and after."""

from pathlib import Path
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.media import images
from ganlib.superres import EMBEDDED, Choice, UpscaleConfig, choose_size, open_upscaler
from pages._ui.common import model_cache
from pages._ui.common.frame import error_boundary, fragment, open_page, show_error
from pages._ui.components import before_after, snippet
from pages._ui.upscale.options import choose_model, choose_options, command_of, estimate
from pages._ui.upscale.results import jobs, show_results
from pages._ui.upscale.sources import Sources, choose_sources

open_page("Upscale")
state = st.session_state


def start(choice: Choice, sources: Sources, options: dict[str, Any]) -> None:
    """Submit the job with the choices of this moment."""
    try:
        files = [str(path) for path in sources.files()]
        values = {"source": files, "dest": "out", "model": str(choice.path.resolve()), **options}
        runs.submit(workspace.runs_root(), "upscale", sources.name, UpscaleConfig.from_dict(values).to_dict())
    except GanlibError as error:
        state["upscale-error"] = error
    except OSError as error:
        state["upscale-error"] = GanlibError(f"the job cannot be written: {error.strerror}", "Free some disk space.")


@fragment()
def prepare() -> None:
    """What, by which model, how far, and Start."""
    sources = choose_sources()
    choice = choose_model()
    options = choose_options()
    is_busy = any(run.is_active for run in jobs())
    label, is_possible = "Enlarge", False
    with error_boundary():
        if sources.count and choice.is_here:
            seconds = estimate(choice, sources, options)
            label, is_possible = f"Enlarge, about {runs.format_seconds(seconds)}", True
    st.button(
        label, type="primary", icon=":material/photo_size_select_large:", key="upscale-start", width="stretch",
        disabled=is_busy or not is_possible, on_click=start, args=(choice, sources, options),
    )  # fmt: skip
    if error := state.pop("upscale-error", None):
        show_error(error)
    with st.expander("The same from a terminal"):
        snippet(command_of(choice, sources, options), key="upscale-command")
    if is_busy != state.get("upscale-busy", False):
        state["upscale-busy"] = is_busy
        st.rerun()  # the results stand beside, in another part


@st.cache_data(max_entries=2, show_spinner=False)
def example(picture: bytes, changed: int) -> tuple[bytes, bytes, int]:
    """A picture before and after, and the side of the latter."""
    pixels = images.decode(picture)
    small = images.resize(pixels, 128, 128)
    large = open_upscaler(EMBEDDED).to_size(small, choose_size(128, 128, scale=4))
    return images.encode(small, "png"), images.encode(large, "webp", quality=92), large.shape[0]


def teach() -> None:
    """What this place is for, while nothing was enlarged yet."""
    st.markdown(
        "A picture of 256 pixels fills a stamp; enlarged four times it fills a page. A small network paints in the "
        "edges and grain that plain enlargement leaves blurred. **Choose pictures or a film, then Enlarge.**"
    )
    picture = model_cache.example()
    if picture is not None:
        before, after, side = example(picture, Path(__file__).stat().st_mtime_ns)
        before_after(before, after, key="upscale-example", width=side, height=side,
                     labels=("before, 128 × 128", f"after, {side} × {side}"))  # fmt: skip
        st.caption("Drag the divider; plus and minus enlarge what you see. What the network adds is its own invention.")


left, right = st.columns([2, 3], gap="large")
with left:
    prepare()
with right, error_boundary():
    if jobs():
        show_results()
    else:
        teach()
