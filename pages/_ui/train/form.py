"""The form of a new run: made from the fields of `TrainConfig`, in its groups, with its help."""

import math
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ganlib import runs
from ganlib.base import workspace
from ganlib.base.options import facts_of
from ganlib.models.checkpoints import list_checkpoints
from ganlib.runs import list_runs
from ganlib.training.config import TrainConfig, own_defaults
from ganlib.training.presets import PRESETS
from ganlib.training.setup import options_without_use
from ganlib.training.watch.folder import list_training, look_at_data
from pages._ui.common import fields, model_cache
from pages._ui.common.frame import error_boundary, is_left, plain, sentences
from pages._ui.common.paths import accept_path, remember
from pages._ui.components.mount import data_url
from pages._ui.datasets.choices import ONLY_USED
from pages._ui.train.draft import FIELDS, OWN, Draft, kinds_of

ABOVE = ("data", "resume")  # asked for above the groups
DECIDING = ("arch", "loss")  # known before the fields are shown: they decide which there are
AUTOMATIC = "automatic"
YES_NO = {True: "yes", False: "no"}


def show_form(draft: Draft) -> tuple[DeltaGenerator, bool]:
    """Show every option; what a person changes goes into `draft`.

    Returns the place above the options, for what is done with them, and whether there is a data set to train on."""
    is_ready = _choose_data(draft)
    _choose_preset(draft)
    _choose_start(draft)
    launch = st.container(key="launch" if is_ready else None)
    for name in DECIDING:
        key = f"opt-{draft.rev}-{name}"
        if key in st.session_state:
            draft.put(name, st.session_state[key])
    own, hidden = _own_values(draft), _without_use(draft)
    st.caption("Every option, with the preset's values")
    for group in dict.fromkeys(facts_of(item).group for item in FIELDS.values()):
        names = [name for name, item in FIELDS.items() if facts_of(item).group == group and name not in ABOVE]
        names = [name for name in names if name not in hidden]
        changed = sum(name in draft.changes for name in names)
        if not names:
            continue
        with st.expander(plain(f"{group} · {changed} changed" if changed else group), key=f"group-{group}"):
            columns = st.columns(3)
            for i, name in enumerate(names):
                with columns[i % 3]:
                    draft.put(name, _field(draft, name, own.get(name)))
    return launch, is_ready


def data_sets() -> list[str]:
    """Data sets known here: made by `prepare`, in `data/` (or `ATELIER_DATA`), or trained on before; newest first."""
    root = workspace.runs_root()
    found = [str(run.job["config"].get("dest", "")) for run in list_runs(root, verb="prepare")]
    folder = workspace.data_root()
    if folder.is_dir():
        found += sorted(map(str, [*folder.glob("*.zip"), *(path.parent for path in folder.glob("*/dataset.json"))]))
    found += [str(run.job["config"].get("data", "")) for run in list_runs(root, verb="train")]
    return [path for path in dict.fromkeys(found) if path and Path(path).exists()]


def _choose_data(draft: Draft) -> bool:
    now, known = draft.shown["data"], data_sets()
    options = known if not now or now in known else [now, *known]
    chosen = st.selectbox(
        "Data set",
        options,
        options.index(now) if now else None,
        placeholder="Choose a set, or type the path of a zip or folder",
        accept_new_options=True,
        help=facts_of(FIELDS["data"]).help,
        key=f"opt-{draft.rev}-data",
    )
    draft.put("data", (chosen or "").strip())
    if path := draft.values()["data"]:
        with st.container(key="about-data"), error_boundary():
            path = accept_path(path)
            words, row = _about_data(path, Path(path).stat().st_mtime_ns if Path(path).exists() else 0)
            words, *doubts = words.splitlines()
            st.image(data_url(row))
            st.caption(plain(words))
            if doubts and draft.values()["cond"]:
                st.warning(sentences(*doubts), icon=":material/warning:")
            return True
    return False


@st.cache_data(max_entries=16, show_spinner="Looking at the data set …")
def _about_data(path: str, changed: int) -> tuple[str, bytes]:
    return look_at_data(Path(path), count=8, side=64, without=ONLY_USED, should_stop=is_left)


def _choose_preset(draft: Draft) -> None:
    options = [*PRESETS, OWN] if draft.preset == OWN else list(PRESETS)

    def choose() -> None:
        draft.choose(st.session_state["preset"], first_model=next(iter(_starts()), None))

    st.session_state["preset"] = draft.preset
    st.selectbox("Preset", options, format_func=_preset_title, key="preset", on_change=choose)
    words = PRESETS[draft.preset].words if draft.preset in PRESETS else "The settings of an earlier run, to be changed."
    st.caption(words)


def _preset_title(name: str) -> str:
    return PRESETS[name].title if name in PRESETS else "As an earlier run"


def _choose_start(draft: Draft) -> None:
    """Where to start: from nothing, a model of this studio, or a run."""
    known = _starts()
    now = draft.shown["resume"]
    options = list(known) if now is None or now in known else [now, *known]
    chosen = st.selectbox(
        "Start from",
        options,
        None if now is None else options.index(now),
        format_func=lambda path: known.get(path, path),
        placeholder="Nothing: random weights",
        accept_new_options=True,
        help=facts_of(FIELDS["resume"]).help,
        key=f"opt-{draft.rev}-resume",
    )
    remember(chosen or "")
    draft.put("resume", (chosen or "").strip() or None)


def _starts() -> dict[str, str]:
    """Paths of models and runs to start from, with words for people."""
    known, _ = list_checkpoints(workspace.checkpoints_root())
    titles = model_cache.titles_of(known)
    found = {str(model.path): f"{titles[model.name]}, {model.spec.resolution} px" for model in known}
    for folder in list_training(workspace.runs_root()):
        if folder.snapshots():
            found[str(folder.path)] = f"Run {folder.path.name}"
    return found


def _without_use(draft: Draft) -> frozenset[str]:
    """Options that the chosen family or loss does not have; one that a person changed stays in sight."""
    values = draft.values()
    return options_without_use(values["arch"], values["discriminator"], values["loss"]) - draft.changes.keys()


def _own_values(draft: Draft) -> dict[str, Any]:
    """What the chosen family and discriminator take where nothing is said."""
    return own_defaults(draft.values())


# --- fields -----------------------------------------------------------------------------------------------------------


def _field(draft: Draft, name: str, own: Any) -> Any:
    """Show one option's field and return its value."""
    item, kinds = FIELDS[name], kinds_of(name)
    common: dict[str, Any] = {"help": facts_of(item).help, "key": f"opt-{draft.rev}-{name}"}
    label = plain(_label(name))
    now = draft.shown[name]
    choices: Iterable[Any] | None = facts_of(item).choices
    if choices is None and bool in kinds and len(kinds) > 1:
        choices = tuple(YES_NO)
    if choices:
        return _choice(label, choices, now, type(None) in kinds, own, common)
    if bool in kinds:
        return st.toggle(label, now, **common)
    if int in kinds or float in kinds:
        return _number(draft, name, label, own)
    if any(typing.get_origin(kind) is tuple for kind in kinds):
        text = st.text_input(label, _listed(now or ()), placeholder=_listed(own or ()) or AUTOMATIC, **common)
        return _numbers(text) if text.strip() else item.default
    text = st.text_input(label, now or "", **common).strip()
    return text or item.default


def _choice(label: str, choices: Iterable[Any], now: Any, may_be_none: bool, own: Any, common: dict[str, Any]) -> Any:
    options = [None, *choices] if may_be_none else list(choices)
    own_words = f"{AUTOMATIC} ({YES_NO.get(own, own)})" if own is not None else AUTOMATIC
    words: dict[Any, str] = {None: own_words, **YES_NO}
    at = options.index(now) if now in options else 0
    return st.selectbox(label, options, at, format_func=lambda value: words.get(value, str(value)), **common)


def _number(draft: Draft, name: str, label: str, own: Any) -> Any:
    now = draft.shown[name]
    more: dict[str, Any] = {"placeholder": AUTOMATIC if own is None else f"{own:g}", "step": 1}
    if fields.kind_of(TrainConfig, name) is float:
        usual = now if now is not None else own
        size = abs(usual) if isinstance(usual, int | float) and usual else 1.0
        more |= {"step": 10.0 ** (math.floor(math.log10(size)) - 1), "format": "%g"}
    return fields.number_input(TrainConfig, name, label, value=now, key=f"opt-{draft.rev}-{name}", **more)


def _label(name: str) -> str:
    return name.replace("_", " ")


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _numbers(text: str) -> tuple[Any, ...]:
    """Numbers separated by commas; a word that is none stays a word, which the configuration then refuses."""
    return tuple(_number_of(part.strip()) for part in text.split(",") if part.strip())


def _number_of(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def is_busy() -> bool:
    """Whether a training run is at work here, which makes a measurement slower than the run alone would be."""
    return any(run.state == "running" for run in runs.list_runs(workspace.runs_root(), verb="train"))
