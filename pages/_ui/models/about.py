"""One model: its pictures, facts and rights, and what can be done with its file."""

from pathlib import Path

import streamlit as st

from ganlib.base import workspace
from ganlib.base.errors import GanlibError, InputError
from ganlib.latents.recipes import MAX_SEED
from ganlib.models.checkpoints import (
    MAX_ABOUT,
    Checkpoint,
    change_card,
    read_card,
    remove_checkpoint,
    rename_checkpoint,
)
from ganlib.networks import architecture
from pages._ui.common import model_cache
from pages._ui.common.frame import EXPLORE, GALLERY, MORPH, error_boundary, fragment, plain, show_error
from pages._ui.models import place
from pages._ui.models.contact_sheet import seeds_of, sheet
from pages._ui.models.exports import show_export
from pages._ui.models.publication import show_publish
from pages._ui.models.rights import licence_choice, show_rights


def find_model_file(name: str) -> Path:
    """Return the file of a model that an address names. Raises `InputError` where there is none."""
    path = workspace.checkpoints_root() / f"{name}.safetensors"
    if "/" in name or "\\" in name or len(name) > 200 or not path.is_file():
        raise InputError(f"there is no model called {name[:80]}", "Choose one from the list.")
    return path


@fragment()
def show_model(path: Path) -> None:
    """Show a model by its file."""
    place.follow()
    model = read_card(path)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.button("All models", icon=":material/arrow_back:", key="all-models", on_click=place.go)
            st.subheader(plain(model.title), anchor=False, width="content")
        with st.container(horizontal=True, width="content"):
            for page, words in ((GALLERY, "Gallery"), (EXPLORE, "Explore"), (MORPH, "Morph")):
                if st.button(words, key=f"to-{words}", type="primary" if page == GALLERY else "secondary"):
                    st.switch_page(page, query_params={"model": model.name})
    left, right = st.columns([3, 2], gap="large")
    with left:
        with error_boundary(), st.spinner("Making its pictures …"):
            st.image(sheet(model, may_make=True) or b"", width="stretch")
        psi = f", psi {model_cache.DEFAULT_PSI}" if model.spec.truncatable else ""
        st.caption(f"Seeds 0 to {seeds_of(model) - 1:d}{psi}, not picked.")
        for paragraph in model.about.split("\n\n"):
            st.markdown(plain(paragraph))
        with st.container(key="model-facts"):
            st.markdown(_table(model))
    with right:
        st.markdown("#### Rights")
        show_rights(model)
        with st.expander("Change the words", icon=":material/edit:"):
            _words(model)
        with st.expander("Export", icon=":material/ios_share:"):
            show_export(model)
        with st.expander("Publish on the Hub", icon=":material/cloud_upload:"):
            show_publish(model)
        _removal(model)
    if error := st.session_state.pop("model-error", None):
        show_error(error)


def _table(model: Checkpoint) -> str:
    spec = model.spec
    rows = {
        "File": f"{model.name}.safetensors, {model.bytes / 1e6:.1f} MB",
        "Network": architecture(spec.arch).title
        + f", {spec.resolution} × {spec.resolution} px, z {spec.z_dim}, w {spec.w_dim}, {spec.num_ws} style inputs",
        "Classes": ", ".join(model.classes) or (f"{spec.label_dim}" if spec.label_dim else "none"),
        "Trained": f"{model.kimg:,.1f} thousand pictures seen" if model.kimg else "not stated",
        "Discriminator": "kept, so that training can go on" if model.has_discriminator else "not in the file",
        "From": model.source or "not stated",
        "Made": model.created or "not stated",
        "Digest": model.digest[:16],
    }
    rows |= {f"Training: {name}": words for name, words in model.training_words.items()}
    for name, value in model.metrics.items():
        rows[name] = f"{value:.4g}" if isinstance(value, int | float) else str(value)[:200]
    lines = [f"| **{plain(name[:40])}** | {plain(words)} |" for name, words in rows.items()]
    return "\n".join([lines[0], "|:---|:---|", *lines[1:]])


def _words(model: Checkpoint) -> None:
    with st.form(f"words-{model.name}", border=False):
        title = st.text_input("Name for people", model.title, max_chars=120)
        file_name = st.text_input("Name of the file", model.name, help="Links and commands use it.", max_chars=80)
        licence = licence_choice("Licence of the weights", model.licence, key=f"licence-{model.digest}-{model.licence}")
        data = st.text_area("Whose work it learned from, and its licence", model.data, max_chars=2000)
        cover = st.number_input("Cover", 0, MAX_SEED, model.cover, help="seed of the picture that stands for the model")
        about = st.text_area("About it: what it shows, what is weak", model.about, max_chars=MAX_ABOUT)
        if st.form_submit_button("Save", type="primary"):
            with error_boundary():
                changed = change_card(
                    model.path, title=title.strip(), licence=licence, data=data.strip(), about=about.strip(),
                    cover=cover,
                )  # fmt: skip
                if file_name.strip() != changed.name:
                    changed = rename_checkpoint(changed.path, file_name.strip())
                    if st.session_state.get("model") == model.name:
                        st.session_state["model"] = changed.name
                place.go(model=changed.name)
                st.rerun()


def _removal(model: Checkpoint) -> None:
    with st.popover("Delete this model", icon=":material/delete:"):
        st.markdown(
            f"**{plain(model.title)}** goes from this machine, with its favourites and directions. Pictures and films "
            "that were made with it stay."
        )
        st.button("Delete for good", type="primary", key="delete", on_click=_delete, args=(model,))


def _delete(model: Checkpoint) -> None:
    try:
        remove_checkpoint(model.path)
    except GanlibError as error:
        st.session_state["model-error"] = error
        return
    st.session_state["models-news"] = f"{model.title} is deleted."
    place.go()
