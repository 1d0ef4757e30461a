"""What was found in the pictures of a source, kind by kind, and what a person makes of it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.dataset.checks.config import ExamineConfig
from ganlib.dataset.checks.examination import LIST_NAME, PAGE_NAME, REPORT_NAME, Examination
from ganlib.dataset.checks.findings import KINDS, Finding
from ganlib.errors import DataError, GanlibError
from ganlib.runs import RunDir
from pages._ui import models
from pages._ui.components import WallPicture, picture_wall
from pages._ui.datasets import place
from pages._ui.datasets.choices import folder_of, leave_out, left_out
from pages._ui.datasets.jobs import ACTIVE, job_card, newest
from pages._ui.frame import download, errors_told, part, show_error

SECONDS = 1.0
PER_PAGE = 48
UNREADABLE = "unreadable"
TITLES = {
    "duplicate": "Copies",
    "small": "Too small",
    "narrow": "Too narrow",
    "blur": "Blurred",
    "plain": "Near one colour",
    "grey": "Grey",
    "ground": "Other ground",
    "sparse": "Little to see",
    "outlier": "Unlike the rest",
    "border": "With a border",
    "odd_mode": "Odd colour mode",
    "odd_size": "Odd size",
    UNREADABLE: "Unreadable",
}


def show_findings(source: str) -> None:
    """Look through the pictures as a job, then show what was found."""
    run = newest("examine", source)
    part(every=SECONDS if run is not None and run.state in ACTIVE else None)(_findings)(source, _is_active(run))


def _is_active(run: RunDir | None) -> bool:
    return run is not None and run.state in ACTIVE


def _findings(source: str, was_active: bool) -> None:
    place.follow()
    run = newest("examine", source)
    if was_active != _is_active(run):
        st.rerun()
    is_done = run is None or job_card(run, "pictures")
    folder = folder_of(source) / "examination"
    if not (folder / REPORT_NAME).exists():
        if run is None or is_done:
            st.markdown(
                "Every picture is looked at: copies, blur, frames, pictures unlike the rest. "
                "You see what was found and decide. Nothing is deleted."
            )
            with st.container(horizontal=True):
                st.button(
                    "Look through the pictures",
                    type="primary",
                    icon=":material/search:",
                    on_click=_submit,
                    args=(source,),
                )
                st.button("Go on without", on_click=place.go, kwargs={"source": source, "step": "framing"})
        return
    if is_done:
        _review(source, folder)


def _submit(source: str, thresholds: dict[str, float | None] | None = None) -> None:
    config = {"source": source, "outdir": str(folder_of(source) / "examination"), **(thresholds or {})}
    try:
        runs.submit(models.runs_root(), "examine", Path(source).stem, ExamineConfig.from_dict(config).to_dict())
    except GanlibError as error:
        st.session_state["findings-error"] = error
    except OSError as error:
        st.session_state["findings-error"] = GanlibError(f"the job cannot be written: {error.strerror or error}")


@st.cache_resource(max_entries=4, show_spinner="Reading the report …")
def _examination(folder: str, changed: int) -> Examination:
    return Examination.load(folder)


# --- the review -------------------------------------------------------------------------------------------------------


def _review(source: str, folder: Path) -> None:
    if error := st.session_state.pop("findings-error", None):
        show_error(error)
    examination = _examination(str(folder), (folder / REPORT_NAME).stat().st_mtime_ns)
    out = left_out(source)
    if out is None:
        out = examination.exclusions()  # a suggestion, from which a person begins
        leave_out(source, out)
    groups: dict[str, Sequence[Any]] = dict(examination.groups())
    if examination.unreadable:
        groups[UNREADABLE] = list(examination.unreadable.items())
    total = len(examination.pictures)
    doubtful = sum(bool(picture.findings) for picture in examination.pictures)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(
            f"**{total:,}** pictures looked at, doubts about **{doubtful:,}**, **{len(out):,}** left out. "
            "Nothing is deleted."
        )
        with st.container(horizontal=True, width="content"):
            _strictness(source, examination)
            download("Report", f"{Path(source).stem}-report.html", (folder / PAGE_NAME).read_bytes, icon="article")
            download("List", f"{Path(source).stem}-{LIST_NAME}", lambda: _list_bytes(source), icon="list")
            st.button(
                "On to the framing", type="primary", icon=":material/arrow_forward:", key="to-framing",
                on_click=place.go, kwargs={"source": source, "step": "framing"},
            )  # fmt: skip
    if not groups:
        st.success("Nothing to object to.", icon=":material/check:")
        return
    kinds = list(groups)
    if st.session_state.get("finding-kind") not in kinds:
        st.session_state["finding-kind"] = kinds[0]
    kind = st.pills(
        "Kind", kinds, key="finding-kind", label_visibility="collapsed",
        format_func=lambda kind: f"{TITLES[kind]} {len(groups[kind]):,}",
    )  # fmt: skip
    if kind == UNREADABLE:
        st.dataframe(
            [{"file": name, "why": why} for name, why in examination.unreadable.items()],
            hide_index=True,
            width="stretch",
        )
    elif kind is not None:
        _group(source, examination, str(kind), groups[kind], out)


def _list_bytes(source: str) -> bytes:
    return (folder_of(source) / "exclude.txt").read_bytes()


def _group(
    source: str, examination: Examination, kind: str, found: Sequence[tuple[str, Finding]], out: dict[str, str]
) -> None:
    """One kind of finding: a wall on which a click leaves a picture out or takes it back."""
    names = [name for name, _ in found]

    def decide(chosen: Sequence[str], shown: Sequence[str]) -> None:
        now, reasons = left_out(source) or {}, examination.exclusions(set(chosen))
        for name in shown:
            now.pop(name, None)
        try:
            leave_out(source, now | {name: reasons.get(name, "by hand") for name in shown if name in chosen})
        except OSError as error:
            show_error(GanlibError(f"the list cannot be written: {error.strerror or error}", "Free some disk space."))
        st.session_state["findings-rev"] = st.session_state.get("findings-rev", 0) + 1

    leaving = sum(name in out for name in names)
    with st.container(horizontal=True, vertical_alignment="center"):
        words = f"{len(names):,} {KINDS[kind]}, {leaving:,} of them left out. A click on a picture changes that."
        st.markdown(words, width="stretch")
        st.button(
            "Leave all out", key="leave-all", on_click=decide, args=(names, names), disabled=leaving == len(names)
        )
        st.button("Keep all", key="keep-all", on_click=decide, args=([], names), disabled=leaving == 0)
        pages = -(-len(found) // PER_PAGE)
        page = 1
        if pages > 1:
            page = st.number_input("Page", 1, pages, 1, key=f"page-{kind}", label_visibility="collapsed", width=130)
            st.caption(f"of {pages}", width="content")
    wall, shown = _places(examination, found[(page - 1) * PER_PAGE : page * PER_PAGE])
    picture_wall(
        wall,
        key="findings-wall",
        label=TITLES[kind],
        columns=8,
        mode="leave",
        selected=[name for name in shown if name in out],
        rev=f"{source}-{kind}-{page}-{st.session_state.get('findings-rev', 0)}",
        on_select=lambda ids: decide(ids, shown),
    )


def _places(examination: Examination, found: Sequence[tuple[str, Finding]]) -> tuple[list[WallPicture], list[str]]:
    """The pictures of a page of findings: each copy stands behind the picture that stays."""
    wall: dict[str, WallPicture] = {}
    copies = {name for name, _ in found}
    for name, finding in found:
        for partner in finding.partners:
            if partner not in wall and partner not in copies:
                wall[partner] = WallPicture(partner, f"stays: {_short(partner)}", _thumbnail(examination, partner))
        words = f"{finding.words}: {_short(name)}" if finding.words else _short(name)
        wall[name] = WallPicture(name, words, _thumbnail(examination, name))
    return list(wall.values()), list(wall)


def _short(name: str) -> str:
    return Path(name).name


def _thumbnail(examination: Examination, name: str) -> bytes | None:
    try:
        return examination.thumbnail(name)
    except DataError:
        return None


def _strictness(source: str, examination: Examination) -> None:
    """The thresholds: with others, what was measured is judged anew."""
    now = ExamineConfig.from_dict(dict(examination.settings))
    with st.popover("How strict", icon=":material/tune:"), st.form("strictness", border=False):
        st.caption("An empty field looks for nothing of its kind.")
        columns = st.columns(2)
        for i, (kind, value) in enumerate(now.thresholds.items()):
            help = str(ExamineConfig.__dataclass_fields__[kind].metadata["help"])
            columns[i % 2].number_input(
                TITLES[kind],
                0.0,
                value=None if value is None else float(value),
                help=help,
                key=f"strict-{kind}",
                format="%g",
            )
        st.form_submit_button("Judge anew", type="primary", on_click=_judge, args=(source, asdict(now)))


def _judge(source: str, before: dict[str, Any]) -> None:
    with errors_told():
        thresholds = {
            kind: st.session_state[f"strict-{kind}"] for kind in KINDS if f"strict-{kind}" in st.session_state
        }
        # What was decided by hand for the old findings would hide the new suggestion.
        (folder_of(source) / "exclude.txt").unlink(missing_ok=True)
        kept = {key: value for key, value in before.items() if key in ("max_pictures", "workers")}
        _submit(source, kept | thresholds)
