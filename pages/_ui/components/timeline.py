"""The timeline: keyframes in a row, dragged or stepped into order, with the seconds between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pages._ui.components.mount import Hears, data_url, declare, mount, tag

_component = declare("timeline")
SHAPE = {"rev": str, "stops": [{"id": str, "seconds": float}]}
KIND_SHAPE = {"rev": str, "id": str, "kind": int}
LEAST_SECONDS, MOST_SECONDS = 0.1, 60.0  # as the fields on the timeline have it


@dataclass(frozen=True)
class Stop:
    """One keyframe on the timeline."""

    id: str
    """Unique on one timeline."""
    title: str
    """What it is called; under the picture the word "seed" is left out."""
    picture: bytes
    """Picture bytes."""
    seconds: float
    """Seconds to the next keyframe."""
    note: str = ""
    """A second line under the picture."""
    kind: int | None = None
    """The number of its class, -1 where it has none yet; None where it cannot have one."""


def timeline(
    stops: Sequence[Stop],
    *,
    key: str,
    loop: bool,
    rev: str,
    on_change: Callable[[list[tuple[str, float]]], None],
    kinds: Sequence[str] = (),
    on_kind: Callable[[str, int], None] | None = None,
) -> None:
    """Show the keyframes; call `on_change` with the new (id, seconds) list before the next run when a person edits it.

    A keyframe missing from the list was removed. The browser owns the order; `stops` is taken over when `rev` changes,
    and an edit of an older `rev` is dropped. `kinds` are the names of the model's classes, and `on_kind` is called with
    the id and the class that a person chose for a keyframe.
    """

    def changed(message: dict[str, Any]) -> None:
        if message["rev"] == rev:
            known = {stop.id for stop in stops}
            there = {stop["id"]: float(stop["seconds"]) for stop in message["stops"] if stop["id"] in known}
            on_change([(id, min(MOST_SECONDS, max(LEAST_SECONDS, seconds))) for id, seconds in there.items()])

    def kind_chosen(message: dict[str, Any]) -> None:
        is_known = any(stop.id == message["id"] and stop.kind is not None for stop in stops)
        if on_kind is not None and message["rev"] == rev and is_known and 0 <= message["kind"] < len(kinds):
            on_kind(message["id"], message["kind"])

    rows = [
        {
            "id": stop.id,
            "caption": stop.title.removeprefix("seed "),
            "title": stop.title,
            "note": stop.note,
            "kind": stop.kind,
            "seconds": stop.seconds,
            "src": data_url(stop.picture),
            "tag": tag(stop.picture),
        }
        for stop in stops
    ]
    hears: Hears = {"change": (SHAPE, changed), "kind": (KIND_SHAPE, kind_chosen)}
    mount(_component, key=key, data={"stops": rows, "loop": loop, "rev": rev, "kinds": list(kinds)}, hears=hears)
