"""What is to be measured: models, real pictures, figures; in words that say what each of them tells."""

from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from ganlib import features, inception, runs
from ganlib.checkpoints import list_checkpoints
from ganlib.commands.flags import command_line
from ganlib.metrics import MetricsConfig
from ganlib.metrics.job import estimate_seconds
from ganlib.metrics.names import FEW
from ganlib.training.folder import list_training
from pages._ui import models
from pages._ui.frame import plain
from pages._ui.paths import existing
from pages._ui.sets import open_set
from pages._ui.training.form import data_sets

KINDS = {
    "kid": "How near (KID)",
    "fid": "How near (FID)",
    "pr": "Quality and variety",
    "ppl": "Smoothness",
    "is": "Inception score",
}
MEANINGS = {
    "kid": "**KID**, kernel distance: 0 when generated and real pictures cannot be told apart by their features. It is "
    "right on average at any number of pictures, and its interval says how sure it is.",
    "fid": "**FID**, Fréchet distance: compares averages and spreads of features; lower is nearer. The figure of most "
    "papers, there on 50,000 pictures.",
    "pr": "**Precision**: the share of generated pictures that could be real ones. **Recall**: the share of real "
    "pictures that the model could have made. From 0 to 1.",
    "ppl": "**Path length**: how much a picture changes on a small step; lower is smoother. No real pictures needed.",
    "is": "**Inception score**: how sure a classifier of photographs is of each picture, and how many kinds it sees; "
    "higher is better. It says little about paintings.",
}
COUNTS = [250, 500, 1000, 2000, 5000, 10_000, 50_000]
USUAL_KINDS, USUAL_COUNT = ["kid", "pr"], 1000
FEATURES = {
    "auto": "the best there are here",
    "inception": "Inception-v3, as in papers",
    "squeezenet": "SqueezeNet",
    "efficientnet": "EfficientNet",
    "embedded": "those of Fruit",
}
ABOUT_FEATURES = {
    "inception": "Pictures are compared as Inception-v3 of 2015 sees them, resized with antialiasing (as clean-fid "
    "does): figures can be held against published ones that are measured so.",
    "squeezenet": "Pictures are compared as SqueezeNet sees them, a network trained on photographs. Figures compare "
    "models fairly, but only with figures of the same name; they are not the FID and KID of papers.",
    "efficientnet": "Pictures are compared as EfficientNet-lite0 sees them: trained on photographs, it comes "
    "with the studio. Figures compare only with figures of the same name; they are not the FID and KID of papers.",
    "embedded": "Pictures are compared as Fruit's discriminator sees them. That needs no download and sees "
    "a run improve; it is mild to models that it was trained with, and no figure of papers.",
}


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
        "What to measure", list(KINDS), selection_mode="multi", format_func=KINDS.__getitem__, key="evaluate-kinds"
    )
    count = st.select_slider(
        "Pictures", COUNTS, format_func=lambda number: f"{number:,}", key="evaluate-count",
        help="Generated pictures, and as many real ones. More make the figure surer.",
    )  # fmt: skip
    for kind in kinds:
        st.caption(MEANINGS[kind])
    _advise(kinds, count)
    chosen = _choose_features(kinds)
    with st.expander("More"):
        full = st.toggle("Compare with every real picture", key="evaluate-full", help="names that end in _full")
        mirror = st.toggle("The model was trained with mirrored pictures", key="evaluate-mirror")
        floor = st.toggle(
            "Real against real", key="evaluate-floor",
            help="Two halves of the set against each other: what a perfect model would score.",
        )  # fmt: skip
        card = st.toggle("Write the figures into the models' cards", key="evaluate-card")
    if data:
        data = existing(data)
        open_set(data)  # what is no set, or far too large for one, is told before anything is tried
    if not data or not networks or not kinds:
        missing = "a data set" if not data else "a model" if not networks else "what to measure"
        st.caption(f"Choose {missing} to go on.")
        return None
    names = ",".join(_name(kind, count, full) for kind in kinds)
    fetch = bool(st.session_state.get("evaluate-fetch")) and not features.inception_file().is_file()
    config = MetricsConfig(
        network=tuple(Path(path) for path in networks), data=Path(data), metrics=names, features=chosen,
        mirror=mirror, real_floor=floor, card=card, fetch=fetch,
    ).validate()  # fmt: skip
    if fetch:  # what is not here yet cannot be tried
        return Wish(config, 0.0)
    return Wish(config, _estimate(tuple(networks), _changed(networks), data, names, chosen, mirror, floor))


def _name(kind: str, count: int, full: bool) -> str:
    number = f"{count // 1000}k" if count % 1000 == 0 else str(count)
    if kind == "ppl":
        return f"ppl2_wend{'' if count == 50_000 else number}"
    return f"{kind}{number}{'_full' if full and kind in ('kid', 'fid', 'pr') else ''}"


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
    known, _ = list_checkpoints(models.checkpoints_root())
    titles = models.titles_of(known)
    found = {str(model.path.resolve()): f"{titles[model.name]}, {model.spec.resolution} px" for model in known}
    for folder in list_training(models.runs_root()):
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
    if "fid" in kinds and count < FEW:
        st.info(
            f"With fewer than {FEW:,} pictures prefer KID. FID guesses thousands of averages and spreads from a few "
            "pictures, and what it guesses wrong adds to the distance: it grows as the pictures get fewer, for the "
            "best model too. KID has no such bias.",
            icon=":material/info:",
        )
    elif "fid" in kinds and count < COUNTS[-1]:
        st.caption("FID is only held against FID on as many pictures: with fewer it comes out higher.")


def _choose_features(kinds: list[str]) -> str:
    """What looks at the pictures, and what that means."""
    chosen = st.selectbox(
        "What compares the pictures", list(FEATURES), format_func=FEATURES.__getitem__, key="evaluate-features",
        help="A network turns pictures into numbers, and the numbers are compared. Figures carry its name.",
    )  # fmt: skip
    is_here = features.inception_file().is_file()
    used = features.automatic() if chosen == "auto" else chosen
    if set(kinds) - {"ppl", "is"}:
        st.caption(ABOUT_FEATURES[used])
    if not is_here and (used != "inception" or "is" in kinds or chosen == "inception"):
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
