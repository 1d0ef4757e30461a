"""Two pictures, one choice: which is real, or which of two models' pictures is the better one.

A game is a row of rounds, drawn before it begins, and the answers so far; each step returns another game. The two
pictures of a round leave here as *one* file, made from pixels that went the same way: so neither name, size,
compression nor the order of loading says which is which.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ganlib.base.errors import InputError
from ganlib.compare.votes import Game, wilson
from ganlib.latents.recipes import MAX_SEED
from ganlib.media import images

Side = Literal["left", "right", "neither"]
SHOWN = 384
"""Side of each picture in pixels, as shown; a multiple of 16, so that no block of JPEG lies across both."""
MOST_ROUNDS = 200
_QUALITY = 95


@dataclass(frozen=True)
class Round:
    """One pair. What a first and a second picture is depends on the game."""

    first: int
    """Of a quiz: the place of the real picture in its set. Of a face-off: the seed of both pictures."""
    second: int
    """The seed of the generated picture."""
    first_is_left: bool


@dataclass(frozen=True)
class Play:
    """A game that is being played."""

    kind: Literal["quiz", "faceoff"]
    rounds: tuple[Round, ...]
    answers: tuple[Side, ...] = ()
    seconds: float = 0.0

    @property
    def at(self) -> int:
        """The number of the round that waits for an answer, from 0."""
        return len(self.answers)

    @property
    def is_over(self) -> bool:
        """Whether every round is answered."""
        return self.at >= len(self.rounds)

    @property
    def hits(self) -> int:
        """Rounds in which the first picture was chosen."""
        return sum(self.chose_first(i) is True for i in range(self.at))

    @property
    def ties(self) -> int:
        """Rounds in which neither was chosen."""
        return self.answers.count("neither")

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share of hits."""
        return wilson(self.hits, self.at - self.ties)

    def chose_first(self, i: int) -> bool | None:
        """Whether answer `i` was the first picture; None for neither."""
        if self.answers[i] == "neither":
            return None
        return (self.answers[i] == "left") == self.rounds[i].first_is_left

    def answer(self, i: int, side: Side, seconds: float = 0.0) -> Play:
        """Return the game after an answer to round `i`. One that comes too late or twice changes nothing.

        Raises `InputError` for a side that this game does not have."""
        if side not in ("left", "right", "neither") or (side == "neither" and self.kind == "quiz"):
            raise InputError(f"{str(side)[:20]!r} is no answer", "choose left or right")
        if i != self.at or self.is_over:
            return self
        spent = seconds if 0 <= seconds < 3600 else 0.0
        return replace(self, answers=(*self.answers, side), seconds=self.seconds + spent)

    def result(
        self, *, model: str, digest: str, other: str, other_digest: str = "", exposure: float = 0.0, psi: float = 1.0
    ) -> Game:
        """Return what is kept of the game; fields as `Game` has them."""
        return Game(
            self.kind, model, digest, other, other_digest, rounds=self.at, hits=self.hits, ties=self.ties,
            seconds=round(self.seconds, 1), exposure=exposure, psi=psi,
        )  # fmt: skip


def begin_quiz(rounds: int, num_real: int, *, seed: int | None = None) -> Play:
    """Return a quiz with so many rounds, each of a real picture out of `num_real` and a seed, none of them twice.

    `seed` None draws by chance. Raises `InputError` where there are too few pictures."""
    _check(rounds)
    if rounds > num_real:
        raise InputError(f"{rounds} rounds with {num_real} real pictures", f"play {num_real} rounds at most")
    rng = np.random.default_rng(secrets.randbits(64) if seed is None else seed)
    reals = rng.choice(num_real, rounds, replace=False).tolist()
    seeds = _seeds(rng, rounds)
    lefts = rng.random(rounds) < 0.5
    return Play("quiz", tuple(Round(*each) for each in zip(reals, seeds, lefts.tolist(), strict=True)))


def begin_faceoff(rounds: int, *, seed: int | None = None) -> Play:
    """Return a face-off with so many rounds, each of one seed in two models; `seed` as for `begin_quiz`."""
    _check(rounds)
    rng = np.random.default_rng(secrets.randbits(64) if seed is None else seed)
    seeds = _seeds(rng, rounds)
    lefts = (rng.random(rounds) < 0.5).tolist()
    return Play("faceoff", tuple(Round(s, s, left) for s, left in zip(seeds, lefts, strict=True)))


def pair_of(first: np.ndarray, second: np.ndarray, *, first_is_left: bool, side: int | None = None) -> bytes:
    """Return one JPEG of both pictures, uint8 `[H, W, 3]`, `SHOWN` pixels each, side by side.

    Both are first brought to the side of the smaller one (or to `side`), so that neither is sharper for having been
    larger."""
    least = side or min(*first.shape[:2], *second.shape[:2])
    halves = [images.resize(images.resize(picture, least, least), SHOWN, SHOWN) for picture in (first, second)]
    ordered = halves if first_is_left else halves[::-1]
    return images.encode(np.ascontiguousarray(np.concatenate(ordered, axis=1)), "jpeg", quality=_QUALITY)


def _seeds(rng: np.random.Generator, count: int) -> list[int]:
    found: dict[int, None] = {}
    while len(found) < count:
        found[int(rng.integers(0, MAX_SEED, endpoint=True))] = None
    return list(found)


def _check(rounds: int) -> None:
    if not 1 <= rounds <= MOST_ROUNDS:
        raise InputError(f"{rounds} rounds", f"play 1 to {MOST_ROUNDS}")
