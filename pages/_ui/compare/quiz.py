"""Which is real? A quiz with a score, its interval, and results per model."""

from functools import partial

import streamlit as st

from ganlib.base import workspace
from ganlib.base.errors import GanlibError
from ganlib.compare.games import Sitting
from ganlib.compare.quiz import Play, Round, begin_quiz, pair_of
from ganlib.compare.votes import Game, as_csv, as_json, by_model, keep_game, load_games, tally
from ganlib.media import images
from ganlib.models.checkpoints import Checkpoint
from pages._ui.common import model_cache
from pages._ui.common.frame import download, error_boundary, fragment, plain, show_error
from pages._ui.compare.games import Table
from pages._ui.compare.sets import RealSet, choose_label, label_of
from pages._ui.components import picture_pair

ROUNDS = (5, 10, 20, 50)
TIMES = {0.0: "no limit", 2.0: "2 s", 1.0: "1 s", 0.5: "½ s"}
FOOLED = 6  # pairs that are shown at the end
state = st.session_state
table = Table("quiz")


@fragment()
def show_quiz(model: Checkpoint, reals: RealSet, told: str) -> None:
    """Show the quiz of a model against a set: its settings, a round, or its end. `told`: the game in the address."""
    game = table.sitting(model.digest, [reals.path])  # another model or set: another quiz
    if game is not None and max(each.first for each in game.play.rounds) >= len(reals.dataset):
        game = None
        table.leave()
    table.follow(told)
    if game is None:
        _settings(model, reals)
    elif game.play.is_over:
        _end(model, reals, game)
    else:
        _round(model, reals, game)
    if error := state.pop("quiz-error", None):
        show_error(error)


def _settings(model: Checkpoint, reals: RealSet) -> None:
    left, right = st.columns([1, 1], gap="large")
    with left:
        st.markdown(
            "Two pictures, one of them real. Choose it with a click or with the **arrow keys**. Where people err half "
            "of the time, they cannot tell the model's pictures from real ones."
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            known = [count for count in ROUNDS if count <= len(reals.dataset)] or [len(reals.dataset)]
            st.segmented_control("Rounds", known, default=known[min(1, len(known) - 1)], key="quiz-rounds")
            choose_label(model)
        st.segmented_control("Seen for", list(TIMES), default=0.0, format_func=TIMES.__getitem__, key="quiz-time")
        if model.spec.truncatable:
            st.slider("Variation", 0.3, 1.2, 1.0, 0.05, key="quiz-psi",
                            help="truncation psi; below 1 pictures are better and less varied")  # fmt: skip
        st.button("Begin", type="primary", icon=":material/play_arrow:", key="quiz-begin", on_click=_begin_as_chosen,
                  args=(model, reals))  # fmt: skip
    with right:
        with st.spinner("Drawing …"):
            st.image(_example(model, reals), width=520)
        st.caption("One of these is real.")
        if not _results(model, reals):
            st.caption("Results appear here: how often people erred, model by model, with 95 % intervals.")


def _example(model: Checkpoint, reals: RealSet) -> bytes:
    play = Play("quiz", (Round(len(reals.dataset) // 2, 1, False),))
    return _pair(model, reals, Sitting(play, model.digest, reals.path, 0.7, label=label_of(model)), 0)


def _begin_as_chosen(model: Checkpoint, reals: RealSet) -> None:
    """Begin with the choices of this moment: those of the last run may be older than the click."""
    rounds = state.get("quiz-rounds") or min(ROUNDS[1], len(reals.dataset))
    _begin(model, reals, rounds, state.get("quiz-time") or 0.0, state.get("quiz-psi", 1.0))


def _begin(model: Checkpoint, reals: RealSet, rounds: int, exposure: float, psi: float) -> None:
    try:
        play = begin_quiz(rounds, len(reals.dataset))
        table.begin(Sitting(play, model.digest, reals.path, psi, exposure, label_of(model)))
    except GanlibError as error:
        state["quiz-error"] = error


def _round(model: Checkpoint, reals: RealSet, game: Sitting) -> None:
    play = game.play

    def answered(i: int, side: str, seconds: float) -> None:
        if over := table.answer(i, "left" if side == "left" else "right", seconds):
            _keep(over.result(model=model.name, digest=model.digest, other=reals.name, exposure=game.exposure,
                              psi=game.psi))  # fmt: skip

    before = play.at - 1
    right = "left" if play.rounds[before].first_is_left else "right"
    picture_pair(
        _pair(model, reals, game, play.at), key="quiz-pair", ask="Which one is real?", round=play.at,
        rounds=len(play.rounds), seconds=game.exposure, on_answer=answered,
        told=(before, "left" if right == "left" else "right") if before >= 0 else None,
    )  # fmt: skip
    if table.sitting(game.digest, [game.other]) != game:  # an answer that came with this run
        st.rerun(scope="fragment")
    with st.container(horizontal_alignment="center"):
        st.button("Stop", key="quiz-stop", type="tertiary", on_click=table.leave)


def _pair(model: Checkpoint, reals: RealSet, game: Sitting, i: int) -> bytes:
    each = game.play.rounds[i]
    return _made(str(model.path), model.digest, reals.path, reals.changed, each.first, each.second,
                 each.first_is_left, game.psi, game.label, reals, model)  # fmt: skip


@st.cache_data(max_entries=256, show_spinner=False)
def _made(path: str, digest: str, data: str, changed: int, first: int, second: int, is_left: bool, psi: float,
          label: int | None, _reals: RealSet, _model: Checkpoint) -> bytes:  # fmt: skip
    made = model_cache.renderer(_model).render([model_cache.seed_recipe(_model, second, psi=psi, label=label)])[0]
    return pair_of(_reals.dataset[first][0], made, first_is_left=is_left)


def _keep(result: Game) -> None:
    try:
        keep_game(workspace.runs_root(), result)
    except GanlibError as error:
        state["quiz-error"] = error
    except OSError as error:
        state["quiz-error"] = GanlibError(f"the result is not kept: {error.strerror or error}", "Free some disk space.")


def _end(model: Checkpoint, reals: RealSet, game: Sitting) -> None:
    play = game.play
    low, high = play.interval
    left, right = st.columns([1, 1], gap="large")
    with left:
        st.subheader(f"{play.hits:d} of {play.at:d} right", anchor=False)
        st.markdown(f"That is **{play.hits / play.at:.0%}**; from {low:.0%} to {high:.0%} with 95 % confidence.")
        st.markdown(_meaning(low, high))
        again = st.container(horizontal=True)
        again.button("Once more", type="primary", icon=":material/replay:", key="quiz-again", on_click=_begin,
                     args=(model, reals, len(play.rounds), game.exposure, game.psi))  # fmt: skip
        again.button("Other settings", key="quiz-leave", on_click=table.leave)
        wrong = [i for i in range(play.at) if not play.chose_first(i)][:FOOLED]
        if wrong:
            st.caption("Where you were fooled, the real one is")
            columns = st.columns(3)
            for place, i in enumerate(wrong):
                with columns[place % 3]:
                    _show_pair(model, reals, game, i)
                    st.caption(f"on the {_side_of_real(play, i)}")
        last = play.at - 1
        st.caption(
            f"In the last round the real one was on the {_side_of_real(play, last)}: "
            + (":green[you found it]." if play.chose_first(last) else ":red[you took the other]."),
        )
        if last not in wrong:
            with st.columns(3)[0]:
                _show_pair(model, reals, game, last)
    with right:
        _results(model, reals)


def _side_of_real(play: Play, i: int) -> str:
    return "left" if play.rounds[i].first_is_left else "right"


def _show_pair(model: Checkpoint, reals: RealSet, game: Sitting, i: int) -> None:
    """The two pictures of a round with a gap between them."""
    with st.container(key=f"fooled-{i}"):
        both = _pair(model, reals, game, i)
        for column, half in zip(st.columns(2, gap="small"), _halves(both), strict=True):
            column.image(half, width="stretch")


@st.cache_data(max_entries=64, show_spinner=False)
def _halves(both: bytes) -> tuple[bytes, ...]:
    pixels = images.decode(both)
    middle = pixels.shape[1] // 2
    return tuple(images.encode(half.copy(), "webp") for half in (pixels[:, :middle], pixels[:, middle:]))


def _meaning(low: float, high: float) -> str:
    if low > 0.5:
        return "You tell them apart better than by chance."
    if high < 0.5:
        return "You take the generated ones for real more often than chance would."
    return "That cannot be told from chance: play more rounds to know more."


def _is_of(game: Game, model: Checkpoint, reals: RealSet) -> bool:
    return (game.digest, game.other) == (model.digest, reals.name)


def _seen(seconds: float) -> str:
    return TIMES.get(seconds, f"{seconds:g} s")


def _results(model: Checkpoint, reals: RealSet) -> bool:
    """Show the results of every model, this one first, and their files; return whether there are any."""
    with error_boundary():
        groups = by_model(load_games(workspace.runs_root()), "quiz")
        if not groups:
            return False
        lines = ["| model | set | seen for | psi | rounds | error rate | 95 % |", "|:--|:--|--:|--:|--:|--:|--:|"]
        for games in sorted(groups.values(), key=lambda games: not _is_of(games[0], model, reals)):
            found = tally(games)
            low, high = found.interval
            lines.append(
                f"| {plain(games[0].model)} | {plain(games[0].other)} | {_seen(games[0].exposure)} | "
                f"{games[0].psi:g} | {found.rounds} | {found.error_rate:.0%} | {1 - high:.0%}–{1 - low:.0%} |"
            )
        with st.container(key="quiz-results"):
            st.markdown("\n".join(lines))
        st.caption("Error rate: how often a generated picture was taken for the real one. 50 % is chance.")
        every = [game for games in groups.values() for game in games]
        with st.container(horizontal=True):
            download("CSV", "quiz-results.csv", partial(as_csv, every), icon="table")
            download("JSON", "quiz-results.json", partial(as_json, every), icon="data_object")
    return True
