"""Games that are being played, each in a small file: a page that is opened again goes on with the same questions.

A game is called by a name that only chance gives, so an address can name one and make none. What cannot be read, or
could not have been written here, counts as no game.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from ganlib.base.errors import InputError
from ganlib.base.options import check_types
from ganlib.compare.quiz import MOST_ROUNDS, Play, Round, Side
from ganlib.latents.recipes import MAX_SEED
from ganlib.runs import write_json
from ganlib.runs.files import lock, mtime, read_json

FOLDER = "games"
MOST_KEPT = 200
_NAME = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Sitting:
    """A game, and what it is played about."""

    play: Play
    digest: str
    """The model's."""
    other: str
    """Of a quiz: the path of the set. Of a face-off: the name of the other model."""
    psi: float = 1.0
    exposure: float = 0.0
    """Seconds for which a pair is seen; 0 for no limit."""
    label: int | None = None
    """The class that is drawn; None for none, or all in turn."""


@dataclass(frozen=True)
class _Stored:
    kind: Literal["quiz", "faceoff"]
    rounds: tuple[tuple[int, int, bool], ...]
    digest: str
    other: str
    psi: float
    exposure: float
    label: int | None
    answers: tuple[Side, ...] = ()
    seconds: float = 0.0


def sit_down(root: Path, sitting: Sitting) -> str:
    """Keep a game that begins, below `root`, and return its name. The oldest of more than `MOST_KEPT` are removed.
    Raises OSError on a full disk."""
    name = secrets.token_hex(8)
    _path(root, name).parent.mkdir(parents=True, exist_ok=True)
    _write(_path(root, name), sitting)
    kept = sorted(_path(root, name).parent.glob("*.json"), key=lambda path: mtime(path) or 0.0)
    for path in kept[:-MOST_KEPT]:
        with suppress(OSError):
            path.unlink()
    return name


def sitting_of(root: Path, name: str) -> Sitting | None:
    """Return the game of a name as far as it was played; None where there is none, whatever the name is."""
    if not _NAME.fullmatch(name):
        return None
    try:
        stored = _Stored(**check_types(_Stored, read_json(_path(root, name))))
    except (OSError, ValueError, InputError):
        return None
    seeds = [number for first, second, _ in stored.rounds for number in (first, second)]
    is_possible = 1 <= len(stored.rounds) <= MOST_ROUNDS and len(stored.answers) <= len(stored.rounds)
    if not is_possible or not all(0 <= seed <= MAX_SEED for seed in seeds):
        return None
    if stored.kind == "quiz" and "neither" in stored.answers:
        return None
    play = Play(stored.kind, tuple(Round(*each) for each in stored.rounds), stored.answers, stored.seconds)
    return Sitting(play, stored.digest, stored.other, stored.psi, stored.exposure, stored.label)


def answer(root: Path, name: str, i: int, side: Side, seconds: float) -> tuple[Sitting, bool] | None:
    """Answer round `i` of a game; return it, and whether this very answer ended it. None where there is no such game.

    Pages that have the same game open wait for each other, and an answer counts once. Raises `InputError` as
    `Play.answer`, OSError on a full disk."""
    with lock(Path(root) / ".games", patience_seconds=10.0):
        before = sitting_of(root, name)
        if before is None:
            return None
        after = replace(before, play=before.play.answer(i, side, seconds))
        if after.play is not before.play:
            _write(_path(root, name), after)
    return after, after.play.is_over and not before.play.is_over


def _path(root: Path, name: str) -> Path:
    return Path(root) / FOLDER / f"{name}.json"


def _write(path: Path, sitting: Sitting) -> None:
    play = sitting.play
    rounds = tuple((each.first, each.second, each.first_is_left) for each in play.rounds)
    stored = _Stored(
        play.kind, rounds, sitting.digest, sitting.other, sitting.psi, sitting.exposure, sitting.label, play.answers,
        play.seconds,
    )  # fmt: skip
    write_json(path, asdict(stored))
