"""By which model, how far, and about how long it will take."""

from pathlib import Path, PurePath
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.base.errors import GanlibError
from ganlib.commands.flags import command_line
from ganlib.media.images import PICTURE_FORMATS
from ganlib.superres import (
    EMBEDDED,
    Choice,
    UpscaleConfig,
    choices,
    choose_size,
    download_model,
    models_folder,
    open_network,
    open_upscaler,
)
from pages._ui.common import fields
from pages._ui.common.frame import error_boundary, plain
from pages._ui.common.uploads import write_upload
from pages._ui.datasets.intake import safe_name
from pages._ui.upscale.sources import Sources

SCALES = {"2": "×2", "3": "×3", "4": "×4", "size": "Exact size"}
START_SECONDS = 3.0  # until a worker has loaded what it needs
MODEL_TYPES = ["pth", "pt", "safetensors"]


def choose_model() -> Choice:
    """Ask for the upscaling model and return it; it may have to be fetched first."""
    rows = {choice.name: choice for choice in choices()}
    if st.session_state.get("upscale-model") not in rows:
        st.session_state["upscale-model"] = EMBEDDED
    name = st.selectbox("Upscaling model", list(rows), key="upscale-model", format_func=lambda name: _title(rows[name]))
    choice = rows[name]
    st.caption(plain(f"{choice.about} {choice.licence or 'Licence unknown'}."))
    if not choice.is_here and choice.known is not None:
        size = f"{choice.known.bytes / 1e6:.0f} MB"
        st.caption(plain(f"By {choice.known.author}. It is checked against its known sha256 when it arrives."))
        if st.button(f"Download, {size}", icon=":material/download:", key="upscale-fetch"):
            with st.spinner("Fetching the model …"), error_boundary():
                download_model(choice.name)
                st.rerun()
    with st.popover("A model of your own", icon=":material/add:"):
        upload = st.file_uploader(
            "Real-ESRGAN, ESRGAN, or this studio's own", type=MODEL_TYPES, key="upscale-own",
            help="Nothing in the file is executed. Other architectures need the package spandrel.",
        )  # fmt: skip
        if upload is not None:
            st.button("Keep it", type="primary", key="upscale-keep", on_click=_keep_model, args=(upload,))
        if error := st.session_state.pop("upscale-own-error", None):
            st.error(plain(error), icon=":material/error:")
    return choice


def _title(choice: Choice) -> str:
    return choice.name if choice.is_here else f"{choice.name} (not here yet)"


def _keep_model(upload: Any) -> None:
    path = PurePath(upload.name)
    dest = models_folder() / f"{safe_name(path.stem)}{path.suffix.lower()}"
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        with runs.replacing(dest) as temporary:
            write_upload(upload, temporary)
            open_network(temporary)
        st.session_state["upscale-model"] = dest.stem
    except GanlibError as error:
        words = error.message.partition(": ")[2] or error.message
        st.session_state["upscale-own-error"] = f"{path.name}: {words}. {error.hint}"
    except OSError as error:
        st.session_state["upscale-own-error"] = f"It cannot be kept: {error.strerror}"


def choose_options() -> dict[str, Any]:
    """Ask for size and format and return them as options of `UpscaleConfig`."""
    how = st.segmented_control("Size", list(SCALES), default="4", format_func=SCALES.__getitem__, key="upscale-scale")
    options: dict[str, Any] = {"scale": float(how) if how in ("2", "3", "4") else 4.0}
    if how == "size":
        size, fit = st.columns(2)
        options["size"] = size.text_input(
            "Width x height", "3840x2160", key="upscale-size", max_chars=20,
            help="Such as 3840x2160; 3840x or x2160 keeps the proportions.",
        )  # fmt: skip
        options["fit"] = fields.selectbox(UpscaleConfig, "fit", "Other proportions", place=fit, key="upscale-fit")
    options["format"] = st.segmented_control(
        "Pictures become", list(PICTURE_FORMATS), default="png", key="upscale-format", help="Films become mp4."
    ) or "png"  # fmt: skip
    return options


def estimate(choice: Choice, sources: Sources, options: dict[str, Any]) -> float:
    """About how many seconds it will take here. Raises GanlibError for sizes that are not possible."""
    speed, scale = _speed(str(choice.path), choice.path.stat().st_mtime_ns)
    work = 0.0
    for width, height, frames in sources.sizes():
        target = choose_size(
            width, height, scale=options["scale"], size=options.get("size") or "", fit=options.get("fit", "crop"),
            even=frames > 1,
        )  # fmt: skip
        work += target.work(scale) * frames
    return work * speed + START_SECONDS


@st.cache_data(max_entries=16, show_spinner="Trying the model …")
def _speed(path: str, changed: int) -> tuple[float, int]:
    upscaler = open_upscaler(path)
    return upscaler.seconds_per_megapixel(), upscaler.scale


def command_of(choice: Choice, sources: Sources, options: dict[str, Any]) -> str:
    """The command that does the same."""
    name = choice.name if choice.known or choice.name == EMBEDDED else str(choice.path)
    config = UpscaleConfig(tuple(sources.paths) or (Path("favourites"),), model=name, **options)
    return command_line("upscale", config, "--dest", "upscaled")
