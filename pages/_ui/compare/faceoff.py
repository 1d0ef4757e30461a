"""The same seeds from two models, side by side and blind; a vote, and the tally."""

from functools import partial
from typing import Any

import streamlit as st

from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.compare.games import Sitting
from ganlib.compare.quiz import Play, begin_faceoff, pair_of
from ganlib.compare.votes import as_csv, by_model, keep_game, load_games, tally
from ganlib.models.checkpoints import Checkpoint, list_checkpoints
from pages._ui.common import model_cache
from pages._ui.common.frame import MODELS, download, error_boundary, fragment, plain, show_error
from pages._ui.compare.games import Table
from pages._ui.compare.sets import label_of
from pages._ui.components import picture_pair

ROUNDS = (5, 10, 20, 50)
state = st.session_state
table = Table("faceoff")


@fragment()
def show_faceoff(model: Checkpoint, told: str) -> None:
    """Show the face-off of a model with another one. `told`: the game in the address."""
    known = {each.name: each for each in list_checkpoints(workspace.checkpoints_root())[0] if each.name != model.name}
    game = table.sitting(model.digest, known)
    table.follow(told)
    if not known:
        st.markdown(
            "A face-off asks which of two models makes the better picture of the same seed, without saying whose is "
            "which. It needs a second model: a snapshot of a training run, another one from the Hub, or a blend."
        )
        if st.button("Add a model", type="primary", icon=":material/add:", key="faceoff-add"):
            st.switch_page(MODELS)
        return
    if game is None:
        _settings(model, known)
    elif game.play.is_over:
        _end(model, known[game.other], game)
    else:
        _round(model, known[game.other], game)
    if error := state.pop("faceoff-error", None):
        show_error(error)


def _settings(model: Checkpoint, known: dict[str, Checkpoint]) -> None:
    left, right = st.columns([1, 1], gap="large")
    with left:
        st.markdown(
            "The same seed from two models, side by side. Which is better is your word for it: choose with a click or "
            "the **arrow keys**; the names are told at the end."
        )
        titles = model_cache.titles_of(list(known.values()))
        other: str = st.selectbox("Against", list(known), format_func=titles.__getitem__, key="faceoff-other")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.segmented_control("Rounds", ROUNDS, default=10, key="faceoff-rounds")
            st.slider("Variation", 0.3, 1.2, 0.7, 0.05, key="faceoff-psi", width=200, help="truncation psi")
        if set(_kinds(model)) != set(_kinds(known[other])):
            st.caption("Seeds of models that were trained apart have nothing in common but their number.")
        st.button("Begin", type="primary", icon=":material/play_arrow:", key="faceoff-begin", on_click=_begin_as_chosen,
                  args=(model, other))  # fmt: skip
    with right:
        _tallies()


def _kinds(model: Checkpoint) -> tuple[str, int]:
    return model.data, model.spec.z_dim


def _begin_as_chosen(model: Checkpoint, other: str) -> None:
    """Begin with the choices of this moment: those of the last run may be older than the click."""
    chosen = state.get("faceoff-other") or other
    _begin(model, chosen, state.get("faceoff-rounds") or 10, state.get("faceoff-psi", 0.7))


def _begin(model: Checkpoint, other: str, rounds: int, psi: float) -> None:
    table.begin(Sitting(begin_faceoff(rounds), model.digest, other, psi, label=label_of(model)))


def _round(model: Checkpoint, other: Checkpoint, game: Sitting) -> None:
    play = game.play

    def answered(i: int, side: str, seconds: float) -> None:
        side_of: Any = side if side in ("left", "right") else "neither"
        if over := table.answer(i, side_of, seconds):
            _keep(over, model, other, game.psi)

    with st.spinner("Drawing …"):
        both = _pair(model, other, game)
    picture_pair(
        both, key="faceoff-pair", ask="Which one is better?", round=play.at, rounds=len(play.rounds),
        on_answer=answered, neither=True,
    )  # fmt: skip
    if table.sitting(game.digest, [game.other]) != game:
        st.rerun(scope="fragment")
    with st.container(horizontal_alignment="center"):
        st.button("Stop", key="faceoff-stop", type="tertiary", on_click=table.leave)


def _pair(model: Checkpoint, other: Checkpoint, game: Sitting) -> bytes:
    each = game.play.rounds[game.play.at]
    return _made(model.digest, other.digest, each.first, each.first_is_left, game.psi, game.label, model, other)


@st.cache_data(max_entries=256, show_spinner=False)
def _made(digest: str, other_digest: str, seed: int, is_left: bool, psi: float, label: int | None,
          _model: Checkpoint, _other: Checkpoint) -> bytes:  # fmt: skip
    drawn = []
    for each in (_model, _other):
        drawn.append(model_cache.renderer(each).render([model_cache.seed_recipe(each, seed, psi=psi, label=label)])[0])
    return pair_of(drawn[0], drawn[1], first_is_left=is_left, side=max(each.shape[0] for each in drawn))


def _keep(play: Play, model: Checkpoint, other: Checkpoint, psi: float) -> None:
    try:
        result = play.result(
            model=model.name, digest=model.digest, other=other.name, other_digest=other.digest, psi=psi
        )
        keep_game(workspace.runs_root(), result)
    except GanlibError as error:
        state["faceoff-error"] = error
    except OSError as error:
        words = f"the result is not kept: {error.strerror or error}"
        state["faceoff-error"] = GanlibError(words, "Free some disk space.")


def _end(model: Checkpoint, other: Checkpoint, game: Sitting) -> None:
    play = game.play
    decided, low, high = play.at - play.ties, *play.interval
    left, right = st.columns([1, 1], gap="large")
    with left:
        st.subheader(plain(f"{model.name} {play.hits} : {decided - play.hits} {other.name}"), anchor=False)
        if decided:
            st.markdown(
                f"**{plain(model.name)}** was chosen in **{play.hits / decided:.0%}** of {decided:d} rounds; from "
                f"{low:.0%} to {high:.0%} with 95 % confidence."
                + (f" {play.ties:d} showed no difference." if play.ties else "")
            )
            is_clear = low > 0.5 or high < 0.5
            st.markdown("One of them is better." if is_clear else "That may be chance: play more rounds.")
        with st.container(horizontal=True):
            st.button("Once more", type="primary", icon=":material/replay:", key="faceoff-again", on_click=_begin,
                      args=(model, other.name, len(play.rounds), game.psi))  # fmt: skip
            st.button("Other settings", key="faceoff-leave", on_click=table.leave)
    with right:
        _tallies()


def _tallies() -> None:
    with error_boundary():
        groups = by_model(load_games(workspace.runs_root()), "faceoff")
        if not groups:
            st.caption("Tallies appear here: how often each model was preferred, with 95 % intervals.")
            return
        lines = ["| model | against | rounds | ties | preferred | 95 % |", "|:--|:--|--:|--:|--:|--:|"]
        for games in groups.values():
            found = tally(games)
            low, high = found.interval
            names = f"{plain(games[0].model)} | {plain(games[0].other)}"
            rounds = f"{found.rounds + found.ties} | {found.ties}"
            lines.append(f"| {names} | {rounds} | {found.share:.0%} | {low:.0%}–{high:.0%} |")
        with st.container(key="faceoff-results"):
            st.markdown("\n".join(lines))
        st.caption("Preferred: how often the first model's picture was chosen, of the rounds without ties.")
        every = [game for games in groups.values() for game in games]
        download("CSV", "face-offs.csv", partial(as_csv, every), icon="table")
