"""Quizzes and face-offs: intervals, fair rounds, pictures that give nothing away, results that are kept."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ganlib.base.errors import DataError, InputError
from ganlib.compare.games import Sitting, answer, sit_down, sitting_of
from ganlib.compare.quiz import SHOWN, begin_faceoff, begin_quiz, pair_of
from ganlib.compare.votes import Game, as_csv, as_json, by_model, keep_game, load_games, tally, wilson
from ganlib.media import images


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [  # the first two from Newcombe 1998, table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (20, 20, 0.8389, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_is_wilsons(hits, total, low, high):
    assert wilson(hits, total) == pytest.approx((low, high), abs=6e-5)


def test_a_share_that_cannot_be_is_told():
    with pytest.raises(InputError, match="3 of 2"):
        wilson(3, 2)


def test_rounds_are_fair_and_none_comes_twice():
    play = begin_quiz(100, 120, seed=5)
    assert len({each.first for each in play.rounds}) == len({each.second for each in play.rounds}) == 100
    assert all(0 <= each.first < 120 for each in play.rounds)
    assert 30 < sum(each.first_is_left for each in play.rounds) < 70
    assert begin_quiz(100, 120, seed=5) == play != begin_quiz(100, 120, seed=6)
    assert begin_quiz(5, 9) != begin_quiz(5, 9)
    with pytest.raises(InputError, match="4 real pictures"):
        begin_quiz(5, 4)
    with pytest.raises(InputError, match="0 rounds"):
        begin_faceoff(0)


def test_a_quiz_is_played_to_a_score():
    play = begin_quiz(4, 9, seed=1)
    for i in range(4):
        right = "left" if play.rounds[i].first_is_left else "right"
        wrong = "right" if right == "left" else "left"
        play = play.answer(i, right if i < 3 else wrong, 1.5)
        assert play.answer(i, wrong) == play  # too late
    assert play.is_over and play.hits == 3 and play.seconds == 6.0
    assert play.answer(4, "left") == play
    game = play.result(model="fruit", digest="d", other="set.zip", exposure=1.0)
    assert (game.rounds, game.hits, game.ties, tally([game]).error_rate) == (4, 3, 0, 0.25)


def test_a_face_off_may_end_in_ties():
    play = begin_faceoff(3, seed=2)
    play = play.answer(0, "neither").answer(1, "left" if play.rounds[1].first_is_left else "right")
    play = play.answer(2, "right" if play.rounds[2].first_is_left else "left")
    assert (play.hits, play.ties, play.chose_first(0), play.chose_first(2)) == (1, 1, None, False)
    assert play.interval == wilson(1, 2)
    with pytest.raises(InputError, match="no answer"):
        begin_quiz(1, 1).answer(0, "neither")


def test_a_pair_is_one_file_and_its_halves_went_the_same_way():
    rng = np.random.default_rng(0)
    small, large = (rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (32, 64))
    data = pair_of(small, large, first_is_left=True)
    pixels = images.decode(data)
    assert pixels.shape == (SHOWN, 2 * SHOWN, 3) and data[:3] == b"\xff\xd8\xff"
    mirrored = images.decode(pair_of(small, large, first_is_left=False))
    inner = slice(4, SHOWN - 4)  # decoders blend the colours of neighbouring pixels, at the seam too
    assert np.array_equal(mirrored[:, SHOWN:][:, inner], pixels[:, :SHOWN][:, inner])
    # The larger one has no structure that the smaller one could not have.
    fine = [np.abs(np.diff(pixels[:, half].astype(int), axis=1)).mean() for half in
            (slice(0, SHOWN), slice(SHOWN, 2 * SHOWN))]  # fmt: skip
    assert fine[1] < fine[0]
    one = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    same = images.decode(pair_of(one, one, first_is_left=True))
    assert np.array_equal(same[:, :SHOWN][:, inner], same[:, SHOWN:][:, inner])


def test_results_are_kept_per_model_and_exported(tmp_path):
    root = tmp_path / "runs"
    assert load_games(root) == []
    games = [Game("quiz", "a", "d1", "set.zip", "", 10, hits, at=f"2026-01-0{hits}") for hits in (7, 5)]
    games += [Game("quiz", "b", "d2", "set.zip", "", 4, 4, at="2026-01-09")]
    games += [Game("faceoff", "a", "d1", "b", "d2", 9, 3, ties=2, at="2026-01-01")]
    for game in games:
        keep_game(root, game)
    assert load_games(root) == games
    groups = by_model(load_games(root), "quiz")
    assert list(groups) == [("d2", "set.zip", 0.0, 1.0), ("d1", "set.zip", 0.0, 1.0)]
    found = tally(groups["d1", "set.zip", 0.0, 1.0])
    assert (found.games, found.rounds, found.hits, found.error_rate) == (2, 20, 12, 0.4)
    face = tally(by_model(load_games(root), "faceoff")["d1", "d2"])
    assert (face.rounds, face.hits, face.ties) == (7, 3, 2)
    told = json.loads(as_json(games[:2]))
    assert told["summary"]["share"] == 0.6 and len(told["games"]) == 2
    rows = list(csv.DictReader(io.StringIO(as_csv([Game("quiz", "=1+1", "d", "s", "", 1, 1)]).decode())))
    assert rows[0]["model"] == "'=1+1" and rows[0]["rounds"] == "1"


def test_quizzes_with_another_exposure_or_variation_are_counted_apart():
    games = [Game("quiz", "a", "d", "set", "", 10, 9, exposure=seen, psi=psi)
             for seen, psi in ((0.0, 1.0), (0.5, 1.0), (0.0, 0.7), (0.0, 1.0))]  # fmt: skip
    groups = by_model(games, "quiz")
    assert {key: len(group) for key, group in groups.items()} == {
        ("d", "set", 0.0, 1.0): 2, ("d", "set", 0.5, 1.0): 1, ("d", "set", 0.0, 0.7): 1,
    }  # fmt: skip


def test_games_that_end_at_once_are_all_kept(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: keep_game(tmp_path, Game("quiz", "a", "d", "s", "", 2, i % 3)), range(12)))
    assert len(load_games(tmp_path)) == 12 and all(game.at for game in load_games(tmp_path))


def test_a_damaged_file_is_told_and_left_alone(tmp_path):
    for text in ("{", '{"games": [{"kind": 3}]}', "[]"):
        (tmp_path / "votes.json").write_text(text)
        with pytest.raises(DataError, match="is damaged"):
            keep_game(tmp_path, Game("quiz", "a", "d", "s", "", 1, 1))
        assert (tmp_path / "votes.json").read_text() == text


def test_a_game_on_the_disk_goes_on_and_an_answer_counts_once(tmp_path):
    name = sit_down(tmp_path, Sitting(begin_quiz(3, 9, seed=1), "d", "/set.zip", 0.8, 0.5, 2))
    assert sitting_of(tmp_path, name) == Sitting(begin_quiz(3, 9, seed=1), "d", "/set.zip", 0.8, 0.5, 2)
    ended = [answer(tmp_path, name, i, "left", 1.0) for i in (0, 0, 1, 2, 2)]
    assert [found[1] for found in ended if found] == [False, False, False, True, False], "it ends once"
    assert sitting_of(tmp_path, name).play.answers == ("left",) * 3
    with pytest.raises(InputError):
        answer(tmp_path, sit_down(tmp_path, Sitting(begin_quiz(3, 9), "d", "s")), 0, "neither", 1.0)
    assert answer(tmp_path, "0" * 16, 0, "left", 1.0) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"rounds": []}, {"rounds": [[0, 1]]}, {"rounds": [[-1, 2, True]]}, {"rounds": [[0, 2**40, True]]},
        {"answers": ["up"]}, {"answers": ["left"] * 9}, {"answers": ["neither"]}, {"kind": "chess"}, {"psi": None},
        {"seconds": "long"}, {"more": 1}, {"rounds": [[0, 1, True]] * 201},
    ],
)  # fmt: skip
def test_a_game_that_could_not_have_been_written_is_none(tmp_path, changes):
    name = sit_down(tmp_path, Sitting(begin_quiz(3, 9), "d", "s"))
    path = tmp_path / "games" / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert sitting_of(tmp_path, name) is None
    path.write_text("[" * 9000)
    assert sitting_of(tmp_path, name) is None


def test_old_games_are_cleared_away(tmp_path, monkeypatch):
    monkeypatch.setattr("ganlib.compare.games.MOST_KEPT", 3)
    names = [sit_down(tmp_path, Sitting(begin_quiz(3, 9), "d", "s")) for _ in range(5)]
    assert sitting_of(tmp_path, names[-1]) is not None and len(list((tmp_path / "games").iterdir())) == 3
