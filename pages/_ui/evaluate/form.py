"""What is to be measured: models, real pictures, figures; in words that say what each of them tells."""

from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from ganlib import runs
from ganlib.base import workspace
from ganlib.commands.flags import command_line
from ganlib.features import extractors, inception
from ganlib.metrics import KINDS, Metric, MetricsConfig
from ganlib.metrics.job import estimate_seconds
from ganlib.models.checkpoints import list_checkpoints
from ganlib.training.watch.folder import list_training
from pages._ui.common import fields, model_cache
from pages._ui.common.frame import plain
from pages._ui.common.paths import accept_path
from pages._ui.common.sets import open_set
from pages._ui.train.form import data_sets

COUNTS = [250, 500, 1000, 2000, 5000, 10_000, 50_000]
USUAL_KINDS, USUAL_COUNT = ["kid", "pr"], 1000
AUTO = "auto"


@dataclass(frozen=True)
class Wish:
    """What the form says."""

    config: MetricsConfig
    estimate: float
    """Seconds."""

    @property
    def command(self) -> str:
        """The same for a terminal."""
        return command_line("metrics", replace(self.config, outdir=Path("m")))


def show_form(asked: str) -> Wish | None:
    """Show the choices, which `settings.take` has set; `asked` is the address's data set. None while something is
    missing. Raises GanlibError for what cannot be measured."""
    data = _choose_data(asked)
    networks = _choose_networks()
    kinds = st.pills(
        "What to measure", list(KINDS), selection_mode="multi", format_func=lambda kind: KINDS[kind].title,
        key="evaluate-kinds",
    )  # fmt: skip
    count = st.select_slider(
        "Pictures", COUNTS, format_func=lambda number: f"{number:,}", key="evaluate-count",
        help="Generated pictures, and as many real ones. More make the figure surer.",
    )  # fmt: skip
    for kind in kinds:
        st.caption(KINDS[kind].sentence)
    _advise(kinds, count)
    chosen = _choose_features(kinds)
    with st.expander("More"):
        full = st.toggle("Compare with every real picture", key="evaluate-full", help="names that end in _full")
        mirror = fields.toggle(
            MetricsConfig, "mirror", "The model was trained with mirrored pictures", value=fields.HELD,
            key="evaluate-mirror",
        )  # fmt: skip
        floor = fields.toggle(
            MetricsConfig, "real_floor", "Real against real", value=fields.HELD, key="evaluate-floor",
            help="Two halves of the set against each other: what a perfect model would score.",
        )  # fmt: skip
        card = fields.toggle(
            MetricsConfig, "card", "Write the figures into the models' cards", value=fields.HELD, key="evaluate-card"
        )
    if data:
        data = accept_path(data)
        open_set(data)  # what is no set, or far too large for one, is told before anything is tried
    if not data or not networks or not kinds:
        missing = "a data set" if not data else "a model" if not networks else "what to measure"
        st.caption(f"Choose {missing} to go on.")
        return None
    names = ",".join(Metric(kind, count, full and KINDS[kind].needs_reals).short for kind in kinds)
    fetch = bool(st.session_state.get("evaluate-fetch")) and not extractors.inception_file().is_file()
    config = MetricsConfig(
        network=tuple(Path(path) for path in networks), data=Path(data), metrics=names, features=chosen,
        mirror=mirror, real_floor=floor, card=card, fetch=fetch,
    ).validate()  # fmt: skip
    if fetch:  # what is not here yet cannot be tried
        return Wish(config, 0.0)
    return Wish(config, _estimate(tuple(networks), _changed(networks), data, names, chosen, mirror, floor))


def _changed(paths: list[str]) -> float:
    return sum(Path(path).stat().st_mtime for path in paths if Path(path).exists())


@st.cache_data(max_entries=64, ttl=900, show_spinner="Trying a few pictures …")
def _estimate(
    networks: tuple[str, ...], changed: float, data: str, names: str, chosen: str, mirror: bool, floor: bool
) -> float:
    config = MetricsConfig(
        network=tuple(map(Path, networks)), data=Path(data), metrics=names, features=chosen, mirror=mirror,
        real_floor=floor,
    )  # fmt: skip
    return estimate_seconds(config)


def _choose_data(asked: str) -> str:
    known = data_sets()
    options = [asked, *known] if asked and asked not in known else known
    return str(
        st.selectbox(
            "Real pictures", options, options.index(asked) if asked else 0 if options else None,
            placeholder="Choose a set, or type the path of a zip or folder", accept_new_options=True,
            key="evaluate-data",
            help="The data set that the model was trained on, or what its pictures should look like.",
        )
        or ""
    ).strip()  # fmt: skip


def network_choices() -> dict[str, str]:
    """Paths of models and of runs that have saved one, with words for people."""
    known, _ = list_checkpoints(workspace.checkpoints_root())
    titles = model_cache.titles_of(known)
    found = {str(model.path.resolve()): f"{titles[model.name]}, {model.spec.resolution} px" for model in known}
    for folder in list_training(workspace.runs_root()):
        if number := len([one for one in folder.snapshots() if one.path.suffix == ".safetensors"]):
            words = f"Run {folder.path.name}, {number} snapshot{'s' if number > 1 else ''}"
            found[str(folder.path.resolve())] = words
    return found


def _choose_networks() -> list[str]:
    known = network_choices()
    there = [path for path in st.session_state.get("evaluate-networks", []) if path in known]
    if there != st.session_state.get("evaluate-networks"):  # one was removed meanwhile
        st.session_state["evaluate-networks"] = there
    return st.multiselect(
        "Models", list(known), format_func=lambda path: known.get(path, path),
        placeholder="Choose models or runs", key="evaluate-networks",
        help="A run stands for all of its snapshots: they make a curve.",
    )  # fmt: skip


def _advise(kinds: list[str], count: int) -> None:
    """Which figure to trust at this number of pictures, and why."""
    for kind in kinds:
        row = KINDS[kind]
        if row.advice and count < row.enough:
            st.info(plain(row.advice.format(enough=row.enough)), icon=":material/info:")
        elif row.is_biased and count < COUNTS[-1]:
            name = plain(kind.upper())
            st.caption(f"{name} is only held against {name} on as many pictures: with fewer it comes out higher.")


def _title(name: str) -> str:
    return "the best there are here" if name == AUTO else extractors.OPENERS[name].title


def _choose_features(kinds: list[str]) -> str:
    """What looks at the pictures, and what that means."""
    chosen = st.selectbox(
        "What compares the pictures", [AUTO, *extractors.OPENERS], format_func=_title, key="evaluate-features",
        help="A network turns pictures into numbers, and the numbers are compared. Figures carry its name.",
    )  # fmt: skip
    used = extractors.automatic() if chosen == AUTO else chosen
    if any(not KINDS[kind].of_steps and not KINDS[kind].features for kind in kinds):
        st.caption(extractors.OPENERS[used].sentence)
    if not extractors.inception_file().is_file():
        st.toggle(
            f"Fetch Inception-v3 first ({inception.BYTES / 1e6:.0f} MB, once)", key="evaluate-fetch",
            help=f"From {inception.ADDRESS}, held against its known checksum. Needs a network.",
        )  # fmt: skip
    return str(chosen)


def words_of(seconds: float) -> str:
    """An estimate as a button says it."""
    return f", about {runs.format_seconds(seconds)}" if seconds >= 1 else ""


def summary(wish: Wish) -> str:
    """What a job is called."""
    first = wish.config.network[0]
    number = len(wish.config.network)
    name = first.stem if first.suffix else first.name
    return plain_name(name) + (f" and {number - 1} more" if number > 1 else "") + f": {wish.config.metrics}"


def plain_name(text: str) -> str:
    """A name without what Markdown would take for its own."""
    return plain(text).replace("\\", "")
