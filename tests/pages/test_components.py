"""What a browser sends is not believed: forged messages of the parts of our own are ignored, quietly."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st

from pages._ui.components import (
    Choice,
    Group,
    MapPoint,
    ModelCard,
    Seed,
    Slider,
    Square,
    Stop,
    WallPicture,
    address_bar,
    latent_map,
    model_shelf,
    mount,
    picture_pair,
    picture_wall,
    slider_bank,
    square_crop,
    tab_seen,
    timeline,
)

PNG = b"\x89PNG"
DEEP: Any = 0
for _ in range(500):
    DEEP = [DEEP, {"a": DEEP}] if DEEP == 0 else [DEEP]
JUNK: tuple[Any, ...] = (
    None, True, 0, 1, -1, 1.5, 10**400, 2**64, math.inf, -math.inf, math.nan, "", "a", "é\x00", "x" * 1_000_000, [],
    [[]], [None], ["a", 1, {}], [1] * 100_000, {}, {"a": {}}, {"rev": []}, {str(i): i for i in range(20_000)}, DEEP,
)  # fmt: skip
Told = list[Any]


def finite(*numbers: Any) -> bool:
    return all(isinstance(n, int | float) and math.isfinite(n) for n in numbers)


def show_wall(told: Told) -> Any:
    def select(ids: list[str]) -> None:
        assert set(ids) <= {"1", "2"}
        told.append(ids)

    def keep(id: str, kept: bool) -> None:
        assert id in ("1", "2") and isinstance(kept, bool)
        told.append(kept)

    return picture_wall([WallPicture("1", "a", PNG), WallPicture("2", "b")], key="k", label="l", on_select=select,
                        on_keep=keep)  # fmt: skip


def show_shelf(told: Told) -> Any:
    return model_shelf([ModelCard("1", "a", "", "", ""), ModelCard("2", "a", "", "", "")], "1", key="k")


def show_tab(told: Told) -> Any:
    if tab_seen(key="k"):
        told.append(True)
    return None


def show_map(told: Told) -> Any:
    def hover(index: int) -> None:
        assert index in (0, 1)
        told.append(index)

    def select(indices: list[int]) -> None:
        assert set(indices) <= {0, 1}
        told.append(indices)

    points = [MapPoint(0, 0, "a"), MapPoint(1, 1, "b")]
    opened = latent_map(points, key="k", rev="r", seen=None, on_hover=hover, on_select=select)
    assert opened in (None, 0, 1)
    return None if opened is None else str(opened + 1)


def show_timeline(told: Told) -> Any:
    def change(stops: list[tuple[str, float]]) -> None:
        assert all(id == "1" and 0.1 <= seconds <= 60 for id, seconds in stops)
        told.append(stops)

    timeline([Stop("1", "a", PNG, 1.0)], key="k", loop=False, rev="r", on_change=change)


def show_pair(told: Told) -> Any:
    def answer(round: int, side: str, seconds: float) -> None:
        assert isinstance(round, int) and side in ("left", "right") and finite(seconds)
        told.append(side)

    picture_pair(PNG, key="k", ask="?", round=0, rounds=1, on_answer=answer)


def show_crop(told: Told) -> Any:
    def change(square: Square) -> None:
        assert finite(square.x, square.y, square.side, square.angle) and 1 <= square.side <= 200
        told.append(square)

    square_crop(PNG, 100, 50, Square(0, 0, 50), key="k", rev="r", on_change=change)


def show_sliders(told: Told) -> Any:
    def change(values: dict[str, Any], settled: bool) -> None:
        assert values.keys() == {"psi", "a", "b", "kind"} and isinstance(settled, bool)
        assert -1 <= values["psi"] <= 1.5 and isinstance(values["a"], int) and 0 <= values["a"] < 2**32
        assert values["b"] is None or isinstance(values["b"], int)
        assert values["kind"] in (None, 0)
        told.append(values)

    controls = (Slider("psi", "p", -1, 1.5, 1), Seed("a", "A"), Seed("b", "B", optional=True),
                Choice("kind", "k", ((None, "none"), (0, "zero"))))  # fmt: skip
    values = {"psi": 1.0, "a": 1, "b": None, "kind": None}
    slider_bank([Group("", controls)], values, key="k", rev="r", on_change=change)


def show_address(told: Told) -> Any:
    def went(query: dict[str, str]) -> None:
        assert all(isinstance(word, str) for pair in query.items() for word in pair)
        told.append(query)

    address_bar({"a": "b"}, key="k", on_went=went)


# How each is shown, and what its JavaScript sends: by event, a message as it should be.
COMPONENTS: dict[str, tuple[Callable[[Told], Any], dict[str, Any]]] = {
    "wall": (show_wall, {"select": ["1"], "keep": {"id": "1", "kept": True}, "open": "1", "more": {"have": 1}}),
    "shelf": (show_shelf, {"choose": "2"}),
    "map": (show_map, {"hover": {"rev": "r", "index": 1}, "select": {"rev": "r", "indices": [0]},
                       "open": {"rev": "r", "index": 1}}),
    "timeline": (show_timeline, {"change": {"rev": "r", "stops": [{"id": "1", "seconds": 2}]}}),
    "pair": (show_pair, {"answer": {"round": 0, "side": "left", "seconds": 0.5}}),
    "crop": (show_crop, {"change": {"rev": "r", "x": 1, "y": 2.5, "side": 20, "angle": 3}}),
    "sliders": (show_sliders, {"change": {"values": {"psi": 0.5, "a": 7, "b": None, "kind": 0}, "final": True,
                                          "echo": "r:1"}, "check": {"id": "a", "text": "abc"}}),
    "address": (show_address, {"went": {"query": "a=c", "id": "1"}}),
    "tab": (show_tab, {"seen": True}),
}  # fmt: skip
SILENT = {"more", "check"}  # they tell the caller nothing


def sending(monkeypatch: pytest.MonkeyPatch, name: str, messages: dict[str, Any]) -> None:
    """Let a component answer with messages, the way Streamlit hands over what the browser sent."""
    monkeypatch.setattr(st, "session_state", {})
    monkeypatch.setattr(st, "rerun", lambda: None)

    class Answer(dict[str, Any]):
        def __missing__(self, key: str) -> None:
            return None

    def component(**given: Any) -> Answer:
        return Answer(messages)

    module = __import__(f"pages._ui.components.{name}", fromlist=["_component"])
    monkeypatch.setattr(module, "_component", component)


def forged(message: Any) -> Iterator[Any]:
    """Junk in the place of a message, and of each of its parts; and the message with each of its parts left out."""
    yield from JUNK
    parts = message.items() if isinstance(message, dict) else enumerate(message) if isinstance(message, list) else ()
    for name, part in list(parts):
        less = copy.copy(message)
        del less[name]
        yield less
        for junk in forged(part):
            changed = copy.copy(message)
            changed[name] = junk
            yield changed


@pytest.mark.parametrize(("name", "event"), [(name, event) for name, (_, sent) in COMPONENTS.items() for event in sent])
def test_a_forged_message_is_ignored_and_a_right_one_is_heard(monkeypatch, name, event):
    show, right = COMPONENTS[name]
    told: Told = []
    sending(monkeypatch, name, {event: right[event]})
    answer = show(told)
    assert event in SILENT or told or answer == ("1" if name == "wall" else "2")
    for message in forged(right[event]):
        sending(monkeypatch, name, {event: message})
        told.clear()
        answer = show(told)  # whatever it tells has been looked at by the handlers above
        assert answer in (None, "1", "2")


def test_every_component_that_listens_is_in_the_table():
    listening = {path.stem for path in mount.FOLDER.glob("*.js") if ".send(" in path.read_text()}
    assert listening == COMPONENTS.keys()


def test_a_square_far_outside_of_the_picture_is_ignored(monkeypatch):
    told: Told = []
    sending(monkeypatch, "crop", {"change": {"rev": "r", "x": 1e9, "y": 0, "side": 20, "angle": 0}})
    show_crop(told)
    assert told == []


def test_a_message_through_the_callback_is_checked_too(monkeypatch):
    monkeypatch.setattr(st, "session_state", {"k": SimpleNamespace(get=lambda event: {"round": []})})
    calls: list[Callable[[], None]] = []

    def component(on_answer_change: Callable[[], None], **given: Any) -> dict[str, Any]:
        calls.append(on_answer_change)
        return {"answer": None}

    told: Told = []
    mount.mount(component, key="k", data={}, hears={"answer": ({"round": int}, told.append)})  # type: ignore[arg-type]
    calls[0]()
    assert told == []
