"""The last step: names, rights, labels, and the job that writes the set."""

from dataclasses import replace
from pathlib import Path

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.dataset.augment import KINDS
from ganlib.dataset.classes import look_at_classes
from ganlib.dataset.config import LABELS
from ganlib.dataset.labels import LABELS_NAME
from ganlib.runs import RunDir
from pages._ui.common.frame import TRAIN, error_boundary, fragment, is_left, plain, sentences
from pages._ui.common.jobs import job_card
from pages._ui.datasets import place
from pages._ui.datasets.choices import cut_of, keep_cut, read_kept, read_left_out
from pages._ui.datasets.crops import help_of, in_words
from pages._ui.datasets.intake import safe_name
from pages._ui.datasets.jobs import newest

SECONDS = 1.0


def show_making(source: str) -> None:
    """Ask for name, rights and labels; start the preparation; show how far it is and what came of it."""
    left, right = st.columns([1, 1], gap="large")
    with left:
        _form(source)
    with right:
        run = newest("prepare", source)
        is_active = run is not None and run.is_active
        fragment(every=SECONDS if is_active else None)(_progress)(source, is_active)


def _form(source: str) -> None:
    cut = cut_of(source)
    name = safe_name(st.text_input("Name of the set", Path(source).stem, key=f"name-{source}"))
    options = list(LABELS) if cut.labels in LABELS else [*LABELS, cut.labels]
    labels = st.selectbox(
        "Classes",
        options,
        options.index(cut.labels),
        format_func=lambda rule: LABELS.get(rule, rule),
        accept_new_options=True,
        help=help_of("labels"),
    )
    licence = st.text_input("Licence of the pictures", cut.licence, placeholder="CC0-1.0, CC BY 4.0, my own work …",
                            help="It stands in the card of the set, and of every model trained on it.")  # fmt: skip
    credit = st.text_input("Whom to credit", cut.credit, placeholder="the artist, the museum, the collection")
    augment = st.multiselect(
        "Copies besides each picture",
        list(KINDS),
        [kind for kind in cut.augment if kind in KINDS],
        format_func=lambda kind: KINDS[kind].title,
        placeholder="none",
        help="Training with ADA makes such copies by itself, new ones each time: choose none for it.",
    )
    cut = replace(cut, labels=labels, licence=licence.strip(), credit=credit.strip(), augment=tuple(augment))
    keep_cut(source, cut)
    out = read_left_out(source)
    dest = workspace.data_root() / f"{name}-{cut.resolution}.zip"
    decided = (
        "nothing was looked through yet"
        if out is None
        else f"{len(out):,} left out, {len(read_kept(source)):,} kept by hand"
    )
    st.caption(f"{in_words(cut)} · {decided} · {plain(str(dest))}")
    if dest.exists():
        st.warning(f"{plain(dest.name)} is there already and will be replaced.", icon=":material/info:")
    with error_boundary():
        if warnings := _doubts(source, labels, _changes(source, labels)):
            st.warning(sentences(*warnings), icon=":material/warning:")
    with error_boundary():
        config = cut.config(source, str(dest))
        run = newest("prepare", source)
        is_busy = run is not None and run.is_active
        if st.button("Prepare the set", type="primary", icon=":material/dataset:", key="prepare", disabled=is_busy):
            dest.parent.mkdir(parents=True, exist_ok=True)
            runs.submit(workspace.runs_root(), "prepare", dest.stem, config.to_dict())
            st.rerun()


@st.cache_data(max_entries=16, show_spinner="Looking at the classes …")
def _doubts(source: str, rule: str, changes: tuple[int, ...]) -> list[str]:
    said = look_at_classes(Path(source), rule, is_left)
    return [words.removeprefix("warning: ") for words in said if words.startswith("warning: ")]


def _changes(*paths: str) -> tuple[int, ...]:
    """When a source, its labels or a table were changed last."""
    files = [Path(path) for path in paths] + [Path(paths[0]) / LABELS_NAME]
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)


def _progress(source: str, was_active: bool) -> None:
    place.follow()
    run = newest("prepare", source)
    if was_active != (run is not None and run.is_active):
        st.rerun()  # it has begun or ended: begin or stop looking, and let the next one begin
    if run is None:
        st.caption("The set appears here, and with it why each picture that is missing was set aside.")
        return
    if job_card(run, "pictures"):
        _result(run)


def _result(run: RunDir) -> None:
    dest = Path(run.job["config"].get("dest", ""))
    sheet = run.path / "sheet.png"
    if not dest.exists():
        st.caption("The set is no longer there.")
        return
    if sheet.is_file():
        st.image(str(sheet), width="stretch")
    st.text(run.log_tail(12))
    with st.container(horizontal=True):
        if st.button("Train with it", type="primary", icon=":material/model_training:", key="train-made"):
            st.switch_page(TRAIN, query_params={"preset": "quick", "data": str(dest)})
        st.button(
            "Look through it", icon=":material/grid_view:", key="see-made", on_click=place.go, kwargs={"set": str(dest)}
        )
