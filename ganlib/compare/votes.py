"""What people saw and chose: the results of quizzes and face-offs, kept in one small file, and what they prove.

The file is `votes.json` beside the jobs: a list of games, each a table of names and numbers. Models are named by their
digest too, so that a renamed model keeps its results and another one of the same name has none of them.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ganlib.base.errors import DataError, InputError
from ganlib.base.filesystem import reason
from ganlib.base.options import check_types
from ganlib.runs import write_json
from ganlib.runs.files import lock, read_json

FILE = "votes.json"
MOST_GAMES = 10_000
_Z = 1.959963984540054  # of a normal distribution, 95 % lie within


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, from 0 to 1: Wilson 1927, which holds for few trials and near 0 and 1 too.

    Raises `InputError` for counts that cannot be."""
    if not 0 <= hits <= total:
        raise InputError(f"{hits} of {total} is no share", "count again")
    if total == 0:
        return 0.0, 1.0
    share = hits / total
    middle = (share + _Z**2 / (2 * total)) / (1 + _Z**2 / total)
    reach = _Z / (1 + _Z**2 / total) * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


@dataclass(frozen=True)
class Game:
    """One quiz or face-off that was played to its end."""

    kind: str
    """`quiz` or `faceoff`."""
    model: str
    """Name of the model, of a face-off the first one."""
    digest: str
    """Its digest."""
    other: str
    """Name of the data set, of a face-off the second model."""
    other_digest: str
    """Digest of the second model; empty for a quiz."""
    rounds: int
    """Pairs that were answered."""
    hits: int
    """Of a quiz: the real one was found. Of a face-off: the first model's picture was chosen."""
    ties: int = 0
    """Of a face-off: neither was chosen; not among `hits`."""
    seconds: float = 0.0
    """How long all answers took."""
    exposure: float = 0.0
    """Seconds that each pair was seen; 0 as long as one liked."""
    psi: float = 1.0
    """Truncation of the generated pictures."""
    at: str = ""
    """When it ended, in UTC, ISO 8601."""


@dataclass(frozen=True)
class Tally:
    """What several games say together."""

    games: int
    rounds: int
    """Without ties."""
    hits: int
    ties: int

    @property
    def share(self) -> float:
        """Hits per round; one half where there is none."""
        return self.hits / self.rounds if self.rounds else 0.5

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `share`."""
        return wilson(self.hits, self.rounds)

    @property
    def error_rate(self) -> float:
        """Of quizzes: how often the generated picture was taken for the real one. 0.5 is chance."""
        return 1 - self.share


def tally(games: Iterable[Game]) -> Tally:
    """Return what games say together."""
    known = list(games)
    ties = sum(game.ties for game in known)
    return Tally(len(known), sum(game.rounds for game in known) - ties, sum(game.hits for game in known), ties)


def by_model(games: Iterable[Game], kind: str) -> dict[tuple[str | float, ...], list[Game]]:
    """Return the games of a kind by what was compared: (digest, other, exposure, psi) of quizzes, whose error rates
    depend on how long pairs are seen and how varied the pictures are, and (digest, other digest) of face-offs; the
    newest group first."""
    groups: dict[tuple[str | float, ...], list[Game]] = {}
    for game in sorted(games, key=lambda game: game.at, reverse=True):
        if game.kind == kind:
            quiz = (game.digest, game.other, game.exposure, round(game.psi, 3))
            key: tuple[str | float, ...] = quiz if kind == "quiz" else (game.digest, game.other_digest)
            groups.setdefault(key, []).append(game)
    return groups


def load_games(root: Path) -> list[Game]:
    """Return the games kept in `root/votes.json`, oldest first; none where there is no such file. Raises `DataError`
    for a damaged one, and leaves it alone."""
    path = Path(root) / FILE
    try:
        rows = read_json(path)["games"]
        return [Game(**check_types(Game, row)) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, InputError) as error:
        hint = "Mend it in a text editor, or rename it to begin anew."
        raise DataError(f"{path} is damaged: {reason(error)}", hint) from error


def keep_game(root: Path, game: Game) -> None:
    """Add a game to the file, with the time of now; processes that do so at once wait for each other. The oldest of
    more than 10,000 are dropped. Raises `DataError` for a damaged file, OSError on a full disk."""
    row = asdict(game) | {"at": game.at or datetime.now(UTC).isoformat(timespec="seconds")}
    Path(root).mkdir(parents=True, exist_ok=True)
    with lock(Path(root) / ".votes", patience_seconds=10.0):
        rows = [asdict(known) for known in load_games(root)]
        write_json(Path(root) / FILE, {"games": [*rows, row][-MOST_GAMES:]})


def as_csv(games: Iterable[Game]) -> bytes:
    """Return games as CSV with a line of names, for spreadsheets; text that they would take for a formula is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([item.name for item in fields(Game)])
    for game in games:
        writer.writerow([_harmless(value) for value in asdict(game).values()])
    return out.getvalue().encode()


def as_json(games: Iterable[Game]) -> bytes:
    """Return games as JSON with their tally."""
    known = list(games)
    found = tally(known)
    low, high = found.interval
    summary: Mapping[str, Any] = {
        "games": found.games, "rounds": found.rounds, "hits": found.hits, "ties": found.ties,
        "share": round(found.share, 6), "interval95": [round(low, 6), round(high, 6)],
    }  # fmt: skip
    return (json.dumps({"summary": summary, "games": [asdict(game) for game in known]}, indent=1) + "\n").encode()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
