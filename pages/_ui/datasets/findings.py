"""What was found in the pictures of a source, kind by kind, and what a person makes of it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import DataError, GanlibError
from ganlib.dataset.checks.config import ExamineConfig
from ganlib.dataset.checks.examination import LIST_NAME, PAGE_NAME, REPORT_NAME, Examination
from ganlib.dataset.checks.findings import KINDS, Finding
from ganlib.runs import RunDir
from pages._ui.common import fields
from pages._ui.common.files import file_bytes
from pages._ui.common.frame import download, error_boundary, fragment, plain, show_error
from pages._ui.common.jobs import job_card
from pages._ui.components import WallPicture, picture_wall
from pages._ui.datasets import place
from pages._ui.datasets.choices import cut_of, decide, folder_of, settle
from pages._ui.datasets.crops import pairs_of
from pages._ui.datasets.jobs import newest

SECONDS = 1.0
PER_PAGE = 48
UNREADABLE = "unreadable"


def show_findings(source: str) -> None:
    """Look through the pictures as a job, then show what was found."""
    run = newest("examine", source)
    fragment(every=SECONDS if _is_active(run) else None)(_findings)(source, _is_active(run))


def _title(kind: str) -> str:
    return KINDS[kind].title if kind in KINDS else plain(kind.capitalize())


def is_examined(source: str) -> bool:
    """Whether there are findings to show."""
    return (folder_of(source) / "examination" / REPORT_NAME).exists()


def _is_active(run: RunDir | None) -> bool:
    return run is not None and run.is_active


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


def _submit(source: str, settings: dict[str, Any] | None = None) -> None:
    config = {"source": source, "outdir": str(folder_of(source) / "examination"), **(settings or {})}
    try:
        runs.submit(workspace.runs_root(), "examine", Path(source).stem, ExamineConfig.from_dict(config).to_dict())
    except GanlibError as error:
        st.session_state["findings-error"] = error


@st.cache_resource(max_entries=4, show_spinner="Reading the report …")
def _examination(folder: str, changed: int) -> Examination:
    return Examination.load(folder)


# --- the review -------------------------------------------------------------------------------------------------------


def _review(source: str, folder: Path) -> None:
    if error := st.session_state.pop("findings-error", None):
        show_error(error)
    examination = _examination(str(folder), (folder / REPORT_NAME).stat().st_mtime_ns)
    suggested = examination.exclusions()
    out = settle(source, suggested)
    groups: dict[str, Sequence[Any]] = dict(examination.groups())
    if examination.unreadable:
        groups[UNREADABLE] = list(examination.unreadable.items())
    total = len(examination.pictures)
    doubtful = sum(any(KINDS[f.kind].excludes for f in picture.findings) for picture in examination.pictures)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(
            f"**{total:,}** pictures looked at, doubts about **{doubtful:,}**, **{len(out):,}** left out. "
            "Nothing is deleted."
        )
        with st.container(horizontal=True, width="content"):
            _strictness(source, examination)
            st.button(
                "Look again",
                icon=":material/refresh:",
                help="After pictures were added or changed; only these are measured",
                on_click=_submit,
                args=(source, _settings(examination)),
            )
            page = partial(file_bytes, folder / PAGE_NAME)
            download("Report", f"{Path(source).stem}-report.html", page, icon="article")
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
        format_func=lambda kind: f"{_title(kind)} {len(groups[kind]):,}",
    )  # fmt: skip
    if kind == UNREADABLE:
        st.dataframe(
            [{"file": name, "why": why} for name, why in examination.unreadable.items()],
            hide_index=True,
            width="stretch",
        )
    elif kind is not None:
        _group(source, examination, str(kind), groups[kind], suggested, out)


def _list_bytes(source: str) -> bytes:
    return file_bytes(folder_of(source) / "exclude.txt")


def _group(
    source: str,
    examination: Examination,
    kind: str,
    found: Sequence[tuple[str, Finding]],
    suggested: dict[str, str],
    out: dict[str, str],
) -> None:
    """One kind of finding: a wall on which a click leaves a picture out or takes it back."""
    names = [name for name, _ in found]

    def tell(leave: Sequence[str], keep: Sequence[str], *, renew: bool) -> None:
        with error_boundary():
            decide(source, suggested, leave=leave, keep=keep)
        if renew:
            st.session_state["findings-rev"] = st.session_state.get("findings-rev", 0) + 1

    leaving = [name for name in names if name in out]
    staying = [name for name in names if name not in out]
    with st.container(horizontal=True, vertical_alignment="center"):
        words = f"{len(names):,} {KINDS[kind].words}, {len(leaving):,} of them left out"
        st.markdown(f"{words}. A click on a picture changes that.", width="stretch")
        if KINDS[kind].excludes:  # the others are mended by the preparation: nobody wants them all gone
            kwargs = {"renew": True}
            st.button(
                "Leave all out", key="leave-all", on_click=tell, args=(staying, []), kwargs=kwargs, disabled=not staying
            )
        st.button(
            "Keep all", key="keep-all", on_click=tell, args=([], leaving), kwargs={"renew": True}, disabled=not leaving
        )
        pages = -(-len(found) // PER_PAGE)
        page = 1
        if pages > 1:
            page = st.number_input("Page", 1, pages, 1, key=f"page-{kind}", label_visibility="collapsed", width=130)
            st.caption(f"of {pages:d}", width="content")
    here = found[(page - 1) * PER_PAGE : page * PER_PAGE]
    is_pair = kind == "border"
    wall = _pairs(source, here) if is_pair else _places(examination, here)
    shown = [place.id for place in wall]
    before = {name for name in shown if name in out}

    def select(ids: list[str]) -> None:
        # Only what was clicked: a page that was left open knows little of what was decided elsewhere.
        tell(
            [name for name in shown if name in ids and name not in before],
            [n for n in before if n not in ids],
            renew=False,
        )

    picture_wall(
        wall,
        key="findings-wall",
        label=_title(kind),
        columns=4 if is_pair else 8,
        aspect=2.0 if is_pair else 1.0,
        mode="leave",
        selected=[name for name in shown if name in out],
        rev=f"{source}-{kind}-{page}-{st.session_state.get('findings-rev', 0)}",
        on_select=select,
    )


def _pairs(source: str, found: Sequence[tuple[str, Finding]]) -> list[WallPicture]:
    """Pictures with a border, before and after it is taken off."""
    names = tuple(name for name, _ in found)
    made = pairs_of(source, Path(source).stat().st_mtime_ns, cut_of(source), names)
    return [WallPicture(one.name, _short(one.name), one.pair) for one in made]


def _places(examination: Examination, found: Sequence[tuple[str, Finding]]) -> list[WallPicture]:
    """The pictures of a page of findings: each copy stands behind the picture that stays."""
    wall: dict[str, WallPicture] = {}
    copies = {name for name, _ in found}
    for name, finding in found:
        for partner in finding.partners:
            if partner not in wall and partner not in copies:
                wall[partner] = WallPicture(partner, f"{_short(partner)} · stays", _thumbnail(examination, partner))
        words = f"{_short(name)} · {finding.words}" if finding.words else _short(name)
        wall[name] = WallPicture(name, words, _thumbnail(examination, name))
    return list(wall.values())


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
            fields.number_input(
                ExamineConfig, kind, _title(kind), value=value, place=columns[i % 2], key=f"strict-{kind}", format="%g"
            )
        st.form_submit_button("Judge anew", type="primary", on_click=_judge, args=(source, _settings(examination)))


def _settings(examination: Examination) -> dict[str, Any]:
    """What the examination was told besides source and folder."""
    return {key: value for key, value in examination.settings.items() if key not in ("source", "outdir")}


def _judge(source: str, before: dict[str, Any]) -> None:
    thresholds = {kind: st.session_state[f"strict-{kind}"] for kind in KINDS if f"strict-{kind}" in st.session_state}
    _submit(source, before | thresholds)
