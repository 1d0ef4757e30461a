"""Training runs: which there are, how they are, and the list of them."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from ganlib import networks, runs
from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.runs import ACTIVE, RunDir
from ganlib.training.watch.folder import TrainingFolder, list_training, mean_of, sheet_part
from pages._ui.common.frame import fragment, plain
from pages._ui.common.paths import remember
from pages._ui.components.mount import data_url
from pages._ui.train import place

ELSEWHERE = "made elsewhere"  # a directory without a job: made by NVIDIA's tools
POLL_SECONDS = 2.0
COLOURS = {"running": "green", "queued": "blue", "stopped": "gray", "lost": "orange", "failed": "red", "done": "gray"}
LENGTH = 8  # runs in the list at first
THUMBS = 4  # samples beside each


@dataclass(frozen=True)
class Run:
    """A training run and its state, looked up once."""

    folder: TrainingFolder
    state: str
    """The job's state, or `ELSEWHERE`."""

    @classmethod
    def of(cls, folder: TrainingFolder) -> "Run":
        return cls(folder, RunDir(folder.path).state if folder.is_ours else ELSEWHERE)

    @property
    def job(self) -> RunDir:
        return RunDir(self.folder.path)

    @property
    def id(self) -> str:
        """The directory's name."""
        return self.folder.path.name

    @property
    def title(self) -> str:
        """The name that a person gave, or the directory's."""
        return self.job.name if self.folder.is_ours else self.id

    @property
    def family(self) -> str:
        """Such as `StyleGAN2, 64 px`; empty where its files do not tell."""
        config = self.folder.config
        row = networks.ARCHITECTURES.get(str(config.get("arch")))
        side = config.get("resolution")
        return ", ".join(([row.title] if row else []) + ([f"{side} px"] if side else []))

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def is_stopping(self) -> bool:
        """Whether a stop was asked for and not yet answered."""
        return self.is_active and (self.folder.path / "stop").exists()

    def query(self) -> dict[str, str]:
        """The address's parameters of this run's view."""
        inside = self.folder.path.parent.resolve() == workspace.runs_root().resolve()
        return {"run": self.id} if inside else {"folder": str(self.folder.path)}

    def words(self, *, with_time: bool = True) -> str:
        """How far it is, such as `12.3 of 400 kimg, 3 h 20 min left`."""
        status = self.job.status if self.folder.is_ours else {}
        done, total = status.get("done"), status.get("total")
        if not isinstance(done, int | float) or not isinstance(total, int | float):
            stats = self.folder.path / "stats.jsonl"
            kimg = None if self.is_active or not stats.is_file() else _last_kimg(str(stats), stats.stat().st_mtime_ns)
            return "starting" if self.state == "running" else "" if kimg is None else f"{kimg:.4g} kimg"
        left = self.job.eta_seconds if with_time else None
        far = f"{done:.4g} of {total:.6g} kimg"
        return far + (f", {runs.format_seconds(left)} left" if left is not None else "")


@st.cache_data(max_entries=256, show_spinner=False)
def _last_kimg(stats: str, changed: int) -> float | None:
    records = TrainingFolder(Path(stats).parent).stats()
    return mean_of(records[-1], "Progress/kimg") if records else None


def badge(run: Run) -> None:
    """Show a run's state as a small label."""
    words = "stopping" if run.is_stopping else run.state
    help = {"lost": "its worker disappeared; Resume continues at the last snapshot", "queued": "waits for its turn"}
    st.badge(plain(words), color=COLOURS.get(run.state, "gray"), help=help.get(run.state))  # type: ignore[arg-type]


def show_list() -> None:
    """The runs with their state, looked at every two seconds while one is at work."""
    is_active = any(Run.of(folder).is_active for folder in list_training(workspace.runs_root()))
    fragment(every=POLL_SECONDS if is_active else None)(_list)(is_active)


def _list(was_active: bool) -> None:
    place.follow()
    found = [Run.of(folder) for folder in list_training(workspace.runs_root())]
    if was_active != any(run.is_active for run in found):
        st.rerun()  # the first one has begun or the last one ended: begin or stop looking
    if not found:
        st.caption("No run yet. What you start appears here, and stays when the browser or the studio is closed.")
    length = st.session_state.setdefault("runs-length", LENGTH)
    for run in sorted(found, key=lambda run: not run.is_active)[:length]:
        _card(run)
    if len(found) > length:
        st.button("Show more", on_click=_lengthen)
    with st.expander("A run in another folder"):
        st.text_input(
            "Folder",
            placeholder="/data/training-runs/00000-fruit-auto1",
            help="A run's directory, ours or one that NVIDIA's tools made: stats.jsonl, fakes….png, network-snapshot-…",
            key="other-folder",
            on_change=_open_other,
        )


def _lengthen() -> None:
    st.session_state["runs-length"] += LENGTH


def _open_other() -> None:
    if path := st.session_state["other-folder"].strip():
        remember(path)
        place.go(folder=path)


def _card(run: Run) -> None:
    with st.container(border=True, key=f"run-{run.id}", gap="small"):
        row = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
        with row:
            st.button(plain(run.title), key=f"open-{run.id}", type="tertiary", on_click=place.go, kwargs=run.query())
            badge(run)
        st.caption(plain(" · ".join(filter(None, (run.id, run.family, run.words())))))
        if run.is_active:
            st.progress(run.job.progress)
        if thumbs := _thumbs(run.folder):
            st.image(data_url(thumbs), width=64 * THUMBS)


def _thumbs(folder: TrainingFolder) -> bytes | None:
    sheets = folder.sheets()
    if not sheets:
        return None
    try:
        newest = sheets[-1].path
        return part_of_sheet(str(folder.path), str(newest), newest.stat().st_mtime_ns, THUMBS, 1, 64, True)
    except (GanlibError, OSError):  # a run that goes, or one whose files say too little: the list shows the others
        return None


@st.cache_data(max_entries=256, show_spinner=False)
def part_of_sheet(folder: str, sheet: str, changed: int, columns: int, rows: int, side: int, smooth: bool) -> bytes:
    """The first pictures of a sheet as PNG; `changed` is the file's time, which keeps an old picture from staying."""
    whole = TrainingFolder(Path(folder))
    return sheet_part(whole, Path(sheet), columns=columns, rows=rows, side=side, smooth=smooth)
