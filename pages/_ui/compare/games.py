"""The game that is being played on the page: its name in the session and in the address, its rounds in a file."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.compare.games import Sitting, answer, sit_down, sitting_of
from ganlib.compare.quiz import Play

state = st.session_state


@dataclass(frozen=True)
class Table:
    """Where a kind of game is played: `quiz` or `faceoff`."""

    kind: str

    def name(self) -> str:
        """What the game is called in the address; empty where none is played."""
        return str(state.get(self.kind) or "")

    def follow(self, told: str) -> None:
        """Run the whole page again where a game began or ended since the address was written with `told`."""
        if self.name() != told:
            st.rerun()

    def sitting(self, digest: str, others: Any) -> Sitting | None:
        """The game that is played, if it is about this model and one of `others`; else it is left."""
        found = sitting_of(workspace.runs_root(), self.name())
        if found is None or (found.play.kind, found.digest) != (self.kind, digest) or found.other not in others:
            self.leave()
            return None
        return found

    def begin(self, sitting: Sitting) -> None:
        """Begin to play."""
        try:
            state[self.kind] = sit_down(workspace.runs_root(), sitting)
        except OSError as error:
            self._complain(error, "the game cannot be kept")

    def answer(self, i: int, side: Any, seconds: float) -> Play | None:
        """Answer a round; return the game if this ended it."""
        try:
            found = answer(workspace.runs_root(), self.name(), i, side, seconds)
        except GanlibError as error:
            state[f"{self.kind}-error"] = error
        except OSError as error:
            self._complain(error, "the answer is not kept")
        else:
            return found[0].play if found is not None and found[1] else None
        return None

    def leave(self) -> None:
        """Play no longer."""
        state[self.kind] = ""

    def _complain(self, error: OSError, what: str) -> None:
        state[f"{self.kind}-error"] = GanlibError(f"{what}: {error.strerror or error}", "Free some disk space.")
