"""The live slider bank: controls that act while they are dragged; the newest values win."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import streamlit as st

from pages._ui.components.mount import declare, fits, mount

_component = declare("sliders")
CHANGE = {"values": dict, "final": bool, "echo": str}
CHECK = {"id": str, "text": str}
SEEDS = 2**32


@dataclass(frozen=True)
class Slider:
    """A number on a track; a double-click brings it back to `reset`."""

    id: str
    label: str
    low: float
    high: float
    reset: float
    step: float = 0.01
    digits: int = 2
    """Decimals shown."""
    marks: tuple[float, ...] = ()
    """Values with a small tick under the track."""
    needs: str = ""
    """Id of a seed that must be set before this slider does anything; empty for none."""
    help: str = ""
    kind: Literal["slider"] = "slider"


@dataclass(frozen=True)
class Seed:
    """A whole number with steps and a dice."""

    id: str
    label: str
    optional: bool = False
    """Whether the field may be left empty; its value is then None."""
    empty: str = "none"
    """Shown in the empty field."""
    needs: str = ""
    """Id of a control that must have the value `needs_value` before this seed does anything; empty for none."""
    needs_value: str = ""
    help: str = ""
    kind: Literal["seed"] = "seed"


@dataclass(frozen=True)
class Choice:
    """One of a few words; more than four become a menu."""

    id: str
    label: str
    options: tuple[tuple[Any, str], ...]
    """(value, word) pairs."""
    help: str = ""
    kind: Literal["choice"] = "choice"


Control = Slider | Seed | Choice


@dataclass(frozen=True)
class Group:
    """Controls under one heading."""

    title: str
    controls: tuple[Control, ...]
    note: str = ""
    closed: bool = False
    """Whether only the heading is shown until it is clicked."""


def _is_legal(control: Control, value: Any) -> bool:
    """Whether a control can be moved to a value; what it shows already needs no asking."""
    match control:
        case Slider():
            return fits(value, float) and control.low <= value <= control.high
        case Seed():
            return (value is None and control.optional) or (fits(value, int) and 0 <= value < SEEDS)
        case Choice():
            return fits(value, object) and any(value == option for option, _ in control.options)


def _no_seed(text: str) -> str:
    return "This is no seed."


def slider_bank(
    groups: Sequence[Group],
    values: Mapping[str, Any],
    *,
    key: str,
    rev: str,
    on_change: Callable[[dict[str, Any], bool], None],
    explain: Callable[[str], str] = _no_seed,
) -> None:
    """Show the bank; call `on_change(values, settled)` before the next run of the surrounding fragment.

    `explain` says what is wrong with text that was typed for a seed and is none; the text stays until it is mended.

    `settled` is False while a slider is being dragged. The browser owns the values; `values` is taken over when `rev`
    changes, which is how undo and reset reach the sliders.
    """

    controls = {control.id: control for group in groups for control in group.controls}

    def changed(message: dict[str, Any]) -> None:
        st.session_state[f"{key}-echo"] = message["echo"]
        sent = message["values"]
        legal = {id: sent[id] for id, control in controls.items() if id in sent and _is_legal(control, sent[id])}
        # A message sent before the sliders heard of an undo or a reset would take it back.
        if message["echo"].rsplit(":", 1)[0] == rev:
            on_change({**values, **legal}, message["final"])

    def check(message: dict[str, Any]) -> None:
        text = message["text"]
        st.session_state[f"{key}-problem"] = {"id": message["id"], "text": text, "words": explain(text[:200])}

    echo, problem = (st.session_state.get(f"{key}-{name}") for name in ("echo", "problem"))
    data: dict[str, Any] = {"groups": [asdict(group) for group in groups], "values": dict(values), "rev": rev}
    data |= {"echo": echo, "problem": problem}
    mount(_component, key=key, data=data, hears={"change": (CHANGE, changed), "check": (CHECK, check)})
