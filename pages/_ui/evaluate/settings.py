"""The settings of the Evaluate page in its address: a reload, a bookmark and the browser's Back find them again."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from ganlib.features.extractors import OPENERS
from ganlib.metrics import KINDS
from ganlib.models.checkpoints import SUFFIX
from pages._ui.evaluate.form import AUTO, COUNTS, USUAL_COUNT, USUAL_KINDS, network_choices

SWITCHES = {"full": False, "mirror": False, "floor": True, "card": True}
BETWEEN = "~"  # several models, runs or kinds; no name of them holds one
NONE = "none"  # chosen, not forgotten
state = st.session_state


def are_there() -> bool:
    """Whether the page's fields remember; a page that was left forgets them."""
    return "evaluate-kinds" in state


def take(query: Mapping[str, str]) -> None:
    """Set the page's fields as an address says; what it does not say, or what is not possible, as usual."""
    state["evaluate-asked"] = query.get("data", "")
    state.pop("evaluate-data", None)
    kinds = query.get("kinds", "")
    chosen = [kind for kind in KINDS if kind in kinds.split(BETWEEN)]
    state["evaluate-kinds"] = chosen or ([] if kinds == NONE else USUAL_KINDS)
    counts = {str(count): count for count in COUNTS}
    state["evaluate-count"] = counts.get(query.get("count", ""), USUAL_COUNT)
    asked = query.get("features", "")
    state["evaluate-features"] = asked if asked in OPENERS else AUTO
    for name, usual in SWITCHES.items():
        state[f"evaluate-{name}"] = {"1": True, "0": False}.get(query.get(name, ""), usual)
    known = network_choices()
    names = {name for key in ("model", "run") for name in query.get(key, "").split(BETWEEN)}
    wanted = [path for path in known if _name(path) in names]
    state["evaluate-networks"] = wanted or list(known)[:1]


def to_query() -> dict[str, str]:
    """The address of the fields as they are; `take` restores them."""
    query = {"data": str(state.get("evaluate-data") or "")}
    networks = state.get("evaluate-networks", [])
    for key, is_file in (("model", True), ("run", False)):
        query[key] = BETWEEN.join(_name(path) for path in networks if (Path(path).suffix == SUFFIX) == is_file)
    if state.get("evaluate-kinds") != USUAL_KINDS:
        query["kinds"] = BETWEEN.join(state.get("evaluate-kinds", [])) or NONE
    if state.get("evaluate-count") != USUAL_COUNT:
        query["count"] = str(state.get("evaluate-count"))
    if state.get("evaluate-features") != AUTO:
        query["features"] = str(state.get("evaluate-features"))
    for name, usual in SWITCHES.items():
        if state.get(f"evaluate-{name}", usual) != usual:
            query[name] = str(int(not usual))
    return {key: value for key, value in query.items() if value}


def _name(path: str) -> str:
    """Of a model its file's name without the suffix, of a run its folder's."""
    return Path(path).stem if Path(path).suffix == SUFFIX else Path(path).name
