"""Publish a model on the Hugging Face Hub, with its page, contact sheet and licence."""

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.model_card import PublishJob, card_markdown
from ganlib.models.checkpoints import Checkpoint
from ganlib.models.hub import settle_licence
from ganlib.runs import RunDir
from pages._ui.common.frame import error_boundary, fragment, plain, show_error
from pages._ui.common.jobs import job_card
from pages._ui.components import snippet

EVERY = 0.7  # seconds


def show_publish(model: Checkpoint) -> None:
    """Ask where it goes, warn about rights, start the job, show what became of it."""
    try:
        licence, warnings = settle_licence(model)
    except GanlibError as error:
        show_error(GanlibError(error.message, "Choose its licence under 'Change the words' first."))
        return
    st.caption(
        "Weights, a page with facts, licence and credit, and a contact sheet go to your account on the Hub. Your token "
        "is found where `hf auth login` put it, or in HF_TOKEN; the studio neither shows nor keeps it."
    )
    for words in warnings:
        st.warning(plain(words), icon=":material/gavel:")
    key = f"publish-{model.name}"
    repo_id = st.text_input("Where to", key=f"{key}-repo", placeholder="your-name/your-model").strip()
    text = st.text_area("Words about it, for its page", key=f"{key}-text", max_chars=4000)
    private = st.toggle("Private: only you can see it", True, key=f"{key}-private")
    with st.popover("See its page first", icon=":material/preview:"), error_boundary():
        snippet(card_markdown(model, repo_id=repo_id or "owner/name", text=text), key="publish-card")
    st.button(
        f"Publish under {plain(licence)}", type="primary", icon=":material/cloud_upload:", key=f"{key}-start",
        disabled=not repo_id, on_click=_start, args=(model, repo_id, text, private),
    )  # fmt: skip
    run = _newest(model)
    is_active = run is not None and run.is_active
    fragment(every=EVERY if is_active else None)(_progress)(model, is_active)


def _newest(model: Checkpoint) -> RunDir | None:
    path = str(model.path.resolve())
    found = (run for run in runs.list_runs(workspace.runs_root(), verb="publish"))
    return next((run for run in found if run.job["config"].get("network") == path), None)


def _start(model: Checkpoint, repo_id: str, text: str, private: bool) -> None:
    try:
        job = PublishJob(network=str(model.path.resolve()), repo_id=repo_id, private=private, text=text).validate()
        runs.submit(workspace.runs_root(), "publish", model.name, job.to_dict())
    except GanlibError as error:
        st.session_state["publish-error"] = error


def _progress(model: Checkpoint, was_active: bool) -> None:
    if error := st.session_state.pop("publish-error", None):
        show_error(error)
    run = _newest(model)
    if was_active != (run is not None and run.is_active):
        st.rerun()
    if run is not None and job_card(run, ""):
        st.success(f"Published as {plain(str(run.job['config'].get('repo_id', '')))}.", icon=":material/cloud_done:")
        st.text(run.log_tail(6))
