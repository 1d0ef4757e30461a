"""Train: choose pictures and settings, start, watch, stop, come back."""

from pathlib import Path

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import InputError
from ganlib.base.filesystem import is_folder
from ganlib.training.config import TrainConfig
from ganlib.training.setup import plan
from ganlib.training.watch.folder import TrainingFolder
from pages._ui.common import model_cache
from pages._ui.common.frame import DATASETS, empty_state, error_boundary, fragment, open_page, show_error
from pages._ui.common.paths import ask_first, is_chosen, tidy
from pages._ui.components import snippet
from pages._ui.train import place
from pages._ui.train.draft import Draft, draft_from, draft_of
from pages._ui.train.estimate import show_estimate
from pages._ui.train.form import show_form
from pages._ui.train.listing import show_list
from pages._ui.train.run_view import show_run

open_page("Train")
state = st.session_state


def find(query: dict[str, str], inside: str, anywhere: str = "") -> TrainingFolder | None:
    """The run that the address names: a name below runs/, or a folder anywhere. Tells what is wrong."""
    with error_boundary():
        if name := query.get(inside):
            if name in ("", ".", "..") or Path(name).name != name or not is_folder(workspace.runs_root() / name):
                raise InputError(f"there is no run called {name[:80]}", "Choose one from the list.")
            path = str(workspace.runs_root() / name)
            ask_first({inside: path}, (inside,), place.go)  # it may be a link that leads out
            return TrainingFolder.open(Path(path))
        if path := query.get(anywhere, ""):
            return TrainingFolder.open(Path(tidy(path)))
    return None


# --- a new run --------------------------------------------------------------------------------------------------------


def take_draft(query: dict[str, str], is_news: bool) -> Draft:
    """The settings of the form: from a link, from a run that is to be continued, or as they were."""
    draft: Draft = state.setdefault("draft", Draft())
    if not is_news:
        return draft
    if source := query.get("from"):
        with error_boundary():
            folder = TrainingFolder.open(Path(tidy(source)))
            done = runs.RunDir(folder.path).status.get("done")
            kimg = float(done) if isinstance(done, int | float) else 0.0
            draft = draft_from(folder.config, resume=query.get("resume", source), rev=draft.rev, done_kimg=kimg)
            if not is_chosen(draft.values()["data"]):  # a folder made elsewhere may name any path
                draft.put("data", "")
                draft.renew()
    elif {"preset", "data"} & query.keys():
        draft, errors = draft_of(query, rev=draft.rev)
        for error in errors:
            show_error(error)
    else:
        draft.renew()
    state["draft"] = draft
    return draft


@fragment()
def new_run(draft: Draft) -> None:
    place.follow()
    launch, is_ready = show_form(draft)
    place.write(draft.to_query())
    if not draft.values()["data"]:
        with launch:
            show_way_to_data()
    if not is_ready:
        return
    with launch, error_boundary():
        config = draft.config()
        show_estimate(config)
        if st.button("Start training", type="primary", icon=":material/play_arrow:", key="start", width="stretch"):
            start(config, draft.command(workspace.runs_root()))
        with st.expander("The same from a terminal"):
            snippet(draft.command(workspace.runs_root()), key="train-command")


def show_way_to_data() -> None:
    """What to do before there is a data set."""
    words = "A network learns from a set of square pictures. Choose one above, or make one of pictures that you have."
    empty_state(words, model_cache.example(), "Prepare pictures", to=DATASETS)


def start(config: TrainConfig, command: str) -> None:
    """Check that the run can be done, start it, and go there. Raises GanlibError."""
    with st.spinner("Looking at the data set …"):
        plan(config)
    name = config.title or Path(config.data).stem
    run = runs.submit(workspace.runs_root(), "train", name, config.to_dict(), command=command, exclusive=True)
    place.go(run=run.path.name)
    st.rerun()


# --- the page ---------------------------------------------------------------------------------------------------------

query = place.arrive()
shown = find(query, "run", "folder")
if shown is not None:
    over = find(query, "with")
    is_inside = "run" in query
    names = {"run": query["run"]} if is_inside else {"folder": query["folder"]}
    place.write(names | ({"with": query["with"]} if over is not None else {}))
    place.take_news()
    show_run(shown, over)
else:
    draft = take_draft(query, place.take_news())
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("New run", anchor=False)
        new_run(draft)
    with right:
        st.subheader("Runs", anchor=False)
        show_list()
