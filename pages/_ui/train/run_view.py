"""One run: how it is doing, its samples, curves and snapshots, and what can be done with it."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.runs import ACTIVE, RunDir
from ganlib.training.watch import doctor
from ganlib.training.watch.folder import Snapshot, TrainingFolder, keep_snapshot, list_training
from ganlib.training.watch.timelapse import TimelapseJob
from ganlib.video import FILM_FORMATS, format_of
from pages._ui.common.files import file_bytes
from pages._ui.common.frame import EVALUATE, GALLERY, download, error_boundary, fragment, plain, sentences, show_error
from pages._ui.common.paths import remember
from pages._ui.components import snippet
from pages._ui.train import place
from pages._ui.train.curves import figures, words_before_line
from pages._ui.train.listing import POLL_SECONDS, Run, badge
from pages._ui.train.samples import show_samples

LOG_LINES = 40
ICONS = {"stop": ":material/dangerous:", "warning": ":material/warning:", "note": ":material/info:"}


def show_run(folder: TrainingFolder, other: TrainingFolder | None) -> None:
    """Show a run, with another one's curves over its own where `other` is given."""
    is_active = _is_active(Run.of(folder))
    fragment(every=POLL_SECONDS if is_active else None)(_watch)(folder, other, is_active)


def _is_active(run: Run) -> bool:
    return run.is_active or any(film.is_active for film in _films(run))


def _watch(folder: TrainingFolder, other: TrainingFolder | None, was_active: bool) -> None:
    place.follow()
    run = Run.of(folder)
    if was_active != _is_active(run):
        st.rerun()  # it has begun or ended: begin or stop looking
    _header(run)
    records, metrics = _numbers(folder)
    _doctor(run, records, metrics)
    st.subheader("Samples", anchor=False)
    show_samples(folder, run.id)
    _curves(run, records, metrics, other)
    _snapshots(run, metrics)
    _timelapse(run)
    _papers(run)


def _numbers(folder: TrainingFolder) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    files = [folder.path / "stats.jsonl", *folder.files("metric-*.jsonl")]
    changed = tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in files if path.exists())
    return _read_numbers(str(folder.path), changed)


@st.cache_data(max_entries=8, show_spinner=False)
def _read_numbers(path: str, changed: tuple[tuple[str, int, int], ...]) -> tuple[list[Any], dict[str, Any]]:
    folder = TrainingFolder(Path(path))
    return folder.stats(), folder.metrics()


# --- head -------------------------------------------------------------------------------------------------------------


def _header(run: Run) -> None:
    with st.container(key="run-head"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("All runs", icon=":material/arrow_back:", key="all-runs", on_click=place.go)
            st.subheader(plain(run.title), anchor=False, width="content")
            badge(run)
        with st.container(horizontal=True, vertical_alignment="center"):
            # The doctor below knows how long it takes.
            words = (run.words(with_time=False) or "no step yet", run.family, run.id)
            st.markdown(plain(" · ".join(filter(None, words))), width="stretch")
            _buttons(run)
        if run.folder.is_ours:
            st.progress(run.job.progress)
        if run.state == "failed":
            st.error(sentences(run.job.message, run.job.hint), icon=":material/error:")
        if run.state == "lost":
            st.warning("Its worker disappeared. Resume continues at the last snapshot.", icon=":material/link_off:")


def _buttons(run: Run) -> None:
    if run.is_active:
        st.button(
            "Stop",
            icon=":material/stop:",
            key="stop",
            disabled=run.is_stopping,
            help="Saves a snapshot and ends at the next step; Resume continues exactly there",
            on_click=runs.stop,
            args=(run.job,),
        )
    elif run.folder.is_ours and run.state != "done":
        st.button("Resume", icon=":material/play_arrow:", key="resume", type="primary", on_click=_resume, args=(run,))
    if not run.is_active:
        st.button(
            "Continue with other settings",
            icon=":material/tune:",
            key="continue",
            help="Opens the form with this run's settings; it starts from this run",
            on_click=place.go,
            kwargs={"from": str(run.folder.path)},
        )


def _resume(run: Run) -> None:
    try:
        runs.resume(run.job)
    except GanlibError as error:
        show_error(error)


def _doctor(run: Run, records: list[Any], metrics: dict[str, Any]) -> None:
    """What the numbers say, the most urgent first."""
    with st.container(key="doctor"):
        for finding in doctor.examine(records, metrics=metrics, config=run.folder.config):
            if finding.kind == "eta" and run.state != "running":
                continue
            text = f"**{plain(finding.title)}.** {plain(finding.words)} {plain(finding.advice)}".strip()
            if finding.severity == "good":
                icon = ":material/schedule:" if finding.kind == "eta" else ":material/check_circle:"
                st.markdown(f"{icon} {text}")
            elif finding.severity == "note":
                st.info(text, icon=ICONS["note"])
            else:
                (st.error if finding.severity == "stop" else st.warning)(text, icon=ICONS[finding.severity])


# --- curves -----------------------------------------------------------------------------------------------------------


def _curves(run: Run, records: list[Any], metrics: dict[str, Any], other: TrainingFolder | None) -> None:
    folder = run.folder
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.subheader("Curves", anchor=False, width="content")
        _choose_other(folder, other)
    other_records, other_metrics = _numbers(other) if other else ([], {})
    drawn = figures(records, metrics, other_records, other_metrics, dark=st.context.theme.type == "dark")
    if not drawn:
        st.caption(plain(words_before_line(None, records, folder.config, is_active=run.is_active)))
        return
    waiting = {title: words_before_line(figure, records, folder.config, is_active=run.is_active)
               for title, figure in drawn.items()}  # fmt: skip
    of_all = list(waiting.values())[-1]  # said once; quality, the first, may have to wait for something else
    if of_all:
        st.caption(plain(of_all))
    for i, (title, figure) in enumerate(drawn.items()):
        if i % 2 == 0:  # rows of two, so that they keep their order where a telephone shows one column
            columns = st.columns(2, gap="medium")
        with columns[i % 2]:
            words = "" if waiting[title] == of_all else waiting[title]
            st.caption(plain(f"{title}. {words}" if words else title))
            config = {"displaylogo": False, "displayModeBar": False, "scrollZoom": False}
            st.plotly_chart(figure, key=f"chart-{title}", config=config, alt=f"{title} over kimg")


def _choose_other(folder: TrainingFolder, other: TrainingFolder | None) -> None:
    """A second run whose curves are drawn dotted over these."""
    names = [each.path.name for each in list_training(workspace.runs_root()) if each.path.name != folder.path.name]
    here = Run.of(folder).query()

    def choose() -> None:
        place.go(**here, **{"with": st.session_state["compare"] or ""})

    now = other.path.name if other and other.path.name in names else None
    st.session_state["compare"] = now
    st.selectbox(
        "Compare with",
        names,
        key="compare",
        placeholder="Compare with another run",
        label_visibility="collapsed",
        width=320,
        on_change=choose,
    )


# --- what came of it --------------------------------------------------------------------------------------------------


def _snapshots(run: Run, metrics: dict[str, Any]) -> None:
    snapshots = run.folder.snapshots()
    if not snapshots:
        return
    best = doctor.best_snapshot(metrics)
    by_name = {snapshot.path.name: snapshot for snapshot in reversed(snapshots)}
    words = {name: f"{snapshot.kimg} kimg" for name, snapshot in by_name.items()}
    if best and best[0] in words:
        words[best[0]] += f" · best, {doctor.main_metric(metrics)} {best[1]:.4g}"
    st.subheader("Snapshots", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom", key="snapshots"):
        # The newest until a person chooses another; a new one begins the field anew, for it would keep what it shows.
        names, choice = list(by_name), f"snapshot-{run.id}"
        key = f"snap-{run.id}-{names[0]}"
        chosen = st.session_state.get(choice)

        def choose() -> None:
            st.session_state[choice] = st.session_state[key]

        at = names.index(chosen) if chosen in names else 0
        name = st.selectbox("Snapshot", names, at, format_func=words.__getitem__, key=key, width=300, on_change=choose)
        snapshot = by_name[name]
        is_ours = snapshot.path.suffix == ".safetensors"
        st.button(
            "Use in Gallery",
            icon=":material/photo_library:",
            key="use",
            disabled=not is_ours,
            help="Puts it among the models and opens it" if is_ours else "Import it as a model first",
            on_click=_use,
            args=(run, snapshot),
        )
        download(f"Download snapshot, {_size(snapshot.path)}", snapshot.path.name, partial(file_bytes, snapshot.path))
        st.button(
            "Start a run from it",
            icon=":material/fork_right:",
            key="fork",
            help="Opens the form with this run's settings, starting from these weights (transfer learning)",
            on_click=_fork,
            args=(run, snapshot),
        )
        where = run.query()
        if "run" in where and is_ours and st.button(
            "Measure them", icon=":material/straighten:", key="measure",
            help="How near each snapshot's pictures are to the real ones, as a curve",
        ):  # fmt: skip
            st.switch_page(EVALUATE, query_params=where | {"data": str(run.folder.config.get("data") or "")})
    if ready := st.session_state.pop("use-model", None):
        st.switch_page(GALLERY, query_params={"model": ready})


def _fork(run: Run, snapshot: Snapshot) -> None:
    remember(str(snapshot.path))
    place.go(**{"from": str(run.folder.path), "resume": str(snapshot.path)})


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _use(run: Run, snapshot: Snapshot) -> None:
    try:
        kept = keep_snapshot(snapshot.path, workspace.checkpoints_root(), f"{run.id}-{snapshot.kimg:06d}")
        st.session_state["use-model"] = kept.stem
    except OSError as error:
        reason = error.strerror or str(error)
        show_error(GanlibError(f"the snapshot cannot be put among the models: {reason}", "Free some disk space."))


def _films(run: Run) -> list[RunDir]:
    """The timelapses of a run, newest first."""
    here = str(run.folder.path.resolve())
    made = runs.list_runs(workspace.runs_root(), verb="timelapse")
    return [film for film in made if str(Path(str(film.job["config"].get("run", ""))).resolve()) == here]


def _timelapse(run: Run) -> None:
    if len(run.folder.sheets()) < 2:
        return
    st.subheader("Timelapse", anchor=False)
    films = _films(run)
    state = films[0].state if films else ""
    with st.container(horizontal=True, vertical_alignment="bottom", key="timelapse"):
        usual = TimelapseJob.format
        kind = st.segmented_control("Format", FILM_FORMATS, default=usual, key="film-format") or usual
        fade = st.toggle("Cross-fade", True, key="film-fade", help="From sheet to sheet; without it they follow hard")
        job = TimelapseJob(str(run.folder.path), kind, fade=fade)
        st.button(
            "Make a timelapse",
            icon=":material/movie:",
            key="make-film",
            disabled=state in ACTIVE,
            on_click=_film,
            args=(run, job),
        )
    if state in ACTIVE:
        st.progress(films[0].progress, "Making the film …")
    elif state == "failed":
        st.error(sentences(films[0].message, films[0].hint), icon=":material/error:")
    done = next((film for film in films if film.state == "done" and film.artefacts), None)
    if done:
        path = done.artefacts[0]
        with st.container(width=576):
            if (row := format_of(path)) and row.is_picture:
                st.image(str(path))
            else:
                st.video(str(path), loop=True, muted=True)
        name = f"{run.id}{path.suffix}"
        download(f"Download the film, {_size(path)}", name, partial(file_bytes, path))


def _film(run: Run, job: TimelapseJob) -> None:
    with error_boundary():
        runs.submit(workspace.runs_root(), "timelapse", run.title, job.validate().to_dict())


def _papers(run: Run) -> None:
    """The log, the command and the options, as they are."""
    st.subheader("Log", anchor=False)
    with st.container(height=260, key="log", autoscroll=True):
        snippet(run.folder.log_tail(LOG_LINES) or "Nothing yet.", key="run-log", wraps=False)
    if run.folder.is_ours:
        with st.expander("The same from a terminal"):
            snippet(run.job.job["command"], key="run-command")
            snippet(f"python -m ganlib run {run.folder.path}    # continues it", key="run-again")
    with st.expander("Options"):
        st.json(run.folder.options, expanded=1)
        free = shutil.disk_usage(run.folder.path).free / 1e9
        st.caption(f"{plain(str(run.folder.path))}, {free:.1f} GB free on its disk")
