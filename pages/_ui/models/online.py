"""Models of the Hugging Face Hub: search, rights before the download, what was fetched before."""

from pathlib import Path

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.models import hub
from ganlib.models.foreign import SafetyReport
from ganlib.models.hub import Cached, DownloadJob, HubModel
from ganlib.runs import RunDir
from pages._ui.common.frame import GALLERY, fragment, plain, show_error
from pages._ui.common.jobs import job_card
from pages._ui.components.mount import tag
from pages._ui.models import place
from pages._ui.models.imports import show_report
from pages._ui.models.rights import badge

TAG_WORDS = {hub.TAG: "of this studio", "stylegan2": "StyleGAN2", "stylegan3": "StyleGAN3", "gan": "any GAN"}
SHOWN = 4  # downloads of before
EVERY = 0.7  # seconds
MEGA = 1_000_000


def show_hub() -> None:
    """Ask what to look for on the left, show downloads on the right."""
    left, right = st.columns([3, 2], gap="large")
    with right:
        show_downloads()
    with left:
        _search()


def show_downloads() -> None:
    """The downloads that are at work, those of before, and what lies on this machine."""
    is_active = any(run.is_active for run in downloads())
    fragment(every=EVERY if is_active else None)(_downloads)(is_active)


def downloads() -> list[RunDir]:
    """The newest jobs that fetch a model."""
    return runs.list_runs(workspace.runs_root(), verb="download")[:SHOWN]


def _search() -> None:
    with st.form("hub-search", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Search the Hugging Face Hub", key="hub-text", placeholder="paintings, flowers, an author")
        st.selectbox("Among", list(TAG_WORDS), format_func=TAG_WORDS.__getitem__, key="hub-tag", width=160)
        asked = st.form_submit_button("Search", type="primary", icon=":material/search:")
    st.caption("The Hub is asked only when you search. Of a model one file is fetched, and nothing in it is run.")
    if asked:
        try:
            with st.spinner("Asking the Hub …"):
                st.session_state["hub-found"] = hub.search(
                    st.session_state["hub-text"], tag=st.session_state["hub-tag"]
                )
        except GanlibError as error:
            st.session_state["hub-found"] = error
    found = st.session_state.get("hub-found")
    if isinstance(found, GanlibError):
        show_error(found)
        if hub.list_cached():
            st.caption("What was fetched before can be opened without the Hub: it is listed beside.")
    elif found == []:
        st.markdown("Nothing was found. Try fewer words, or look among any GAN.")
    for model in found if isinstance(found, list) else ():
        _card(model)


def _card(model: HubModel) -> None:
    with st.container(border=True, gap="small", key=f"hub-{model.id}"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{plain(model.id)}**", width="content")
            badge(model.licence)
        facts = [model.licence or "licence not stated", f"{model.downloads:,} downloads", f"{model.likes:,} likes"]
        facts += [model.updated[:10]] if model.updated else []
        facts += ["private"] if model.private else []
        facts += ["its terms have to be accepted on its page first"] if model.gated else []
        st.caption(plain(" · ".join(facts)))
        if not model.files:
            st.caption("It has no file that this studio opens.")
            return
        names = [file.name for file in model.files]
        with st.container(horizontal=True, vertical_alignment="bottom"):
            chosen = (
                st.selectbox("File", names, key=f"hub-file-{model.id}", label_visibility="collapsed")
                if len(names) > 1
                else names[0]
            )
            st.button(
                "Download", key=f"hub-get-{model.id}", icon=":material/download:", on_click=start,
                args=(DownloadJob(repo_id=model.id, filename=chosen or ""),),
            )  # fmt: skip
            st.link_button("Its page", model.address, icon=":material/open_in_new:")


def start(job: DownloadJob) -> None:
    """Submit a download into the studio's folder of models."""
    try:
        dest = workspace.checkpoints_root().resolve()
        config = DownloadJob.from_dict({**job.to_dict(), "dest": str(dest)})
        runs.submit(workspace.runs_root(), "download", config.entry or config.repo_id.split("/")[-1], config.to_dict())
        st.session_state["download-started"] = True
    except GanlibError as error:
        st.session_state["download-error"] = error


def _downloads(was_active: bool) -> None:
    place.follow()
    if error := st.session_state.pop("download-error", None):
        show_error(error)
    jobs = downloads()
    if was_active != any(run.is_active for run in jobs):
        st.rerun()
    st.markdown("#### Downloads")
    if not jobs:
        st.caption("None yet. A download goes on when this page is closed, and continues where it was cut off.")
    for run in jobs:
        config = run.job["config"]
        with st.container(border=True, gap="small", key=f"download-{run.path.name}"):
            st.markdown(f"**{plain(str(config.get('repo_id') or config.get('entry') or ''))}**")
            if job_card(run, ""):
                _outcome(run)
    known = hub.list_cached()
    if known:
        st.markdown("#### On this machine")
        st.caption("Files as they were fetched; a model can be made of them without a network.")
    for entry in known:
        name = tag(str(entry.path))
        with st.container(horizontal=True, vertical_alignment="center", key=f"cached-{name}"):
            st.markdown(f"{plain(entry.title)} · {entry.bytes / MEGA:.1f} MB", width="stretch")
            job = DownloadJob(
                repo_id=entry.repo_id, entry=entry.entry,
                filename=entry.filename if entry.repo_id else "", revision=entry.revision if entry.repo_id else "",
            )  # fmt: skip
            st.button("Make a model", key=f"cached-make-{name}", on_click=start, args=(job,))
            st.button("Forget", key=f"cached-forget-{name}", icon=":material/delete:", on_click=_forget, args=(entry,))


def _forget(entry: Cached) -> None:
    try:
        if entry.path.exists():  # a second click, or another window, may have been quicker
            hub.forget(entry)
    except (GanlibError, OSError) as error:
        words = error if isinstance(error, GanlibError) else GanlibError(f"it cannot be deleted: {error}", "try again")
        st.session_state["download-error"] = words


def _outcome(run: RunDir) -> None:
    if (report := SafetyReport.read(run.path)) is not None:
        show_report(report)
    made = [Path(path) for path in map(str, run.status.get("artefacts", ())) if path.endswith(".safetensors")]
    for path in made[-1:]:
        if path.exists():
            with st.container(horizontal=True):
                if st.button("Gallery", type="primary", icon=":material/grid_view:", key=f"fetched-{run.path.name}"):
                    st.switch_page(GALLERY, query_params={"model": path.stem})
                st.button("About it", key=f"told-{run.path.name}", on_click=place.go, kwargs={"model": path.stem})
