"""The choices behind the pages: sliders, timelines and views as values."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ganlib.__main__ import main
from ganlib.base.errors import InputError
from ganlib.latents.paths import CURVES, Keyframe, LatentPath
from ganlib.latents.recipes import MAX_SEED, Recipe
from ganlib.models.checkpoints import read_card
from ganlib.networks import tiny_generator
from ganlib.video import ASPECTS, RenderJob
from pages._ui.common.model_cache import file_name
from pages._ui.explore.history import (
    Bench,
    fit_to_model,
    groups_of,
    recipe_words,
    values_of,
    what_is_wrong,
    with_values,
)
from pages._ui.gallery.wall_state import View, Wall
from pages._ui.morph.choices import FPS, GROUNDS, SIZES, Film, codings
from pages._ui.morph.films import command_of, size_words
from pages._ui.morph.keyframes import MAX_KEYFRAMES, Track, from_text, full_name, to_text

SPEC = tiny_generator(resolution=64).spec

RECIPES = [
    Recipe.of_seed(85),
    Recipe(((85, 0.25), (12, 0.75)), psi=-0.5, cutoff=4, noise_mode="random", noise_seed=9),
    Recipe(((1, 1.0), (2, 1.0), (3, 1.0)), mix=((0, 7), (1, 7), (2, 7), (3, 7), (5, 8))),
    Recipe(base="portrait", psi=0.3),
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_sliders_that_nobody_moves_change_nothing(recipe):
    assert with_values(recipe, values_of(recipe, SPEC), SPEC) == recipe


@pytest.mark.parametrize("recipe", RECIPES)
def test_one_slider_changes_its_own_field_alone(recipe):
    values = values_of(recipe, SPEC)
    assert with_values(recipe, values | {"psi": 0.9}, SPEC) == Recipe(**(vars(recipe) | {"psi": 0.9}))
    mixed = with_values(recipe, values | {"fine": 5}, SPEC)
    assert dict(mixed.mix) == dict(recipe.mix) | {8: 5, 9: 5}
    assert mixed.seeds == recipe.seeds and mixed.base == recipe.base


def test_blend_styles_and_cutoff_go_there_and_back():
    values = values_of(Recipe.of_seed(1), SPEC) | {"b": 2, "mix": 0.3, "coarse": 4, "cutoff": 3}
    recipe = with_values(Recipe.of_seed(1), values, SPEC)
    assert recipe == Recipe(((1, 0.7), (2, 0.3)), cutoff=3, mix=tuple((layer, 4) for layer in range(4)))
    assert values_of(recipe, SPEC) == values
    assert with_values(recipe, values | {"b": None, "coarse": None, "cutoff": 10}, SPEC) == Recipe.of_seed(1)


def test_grain_is_set_for_each_layer():
    (group,) = [group for group in groups_of(SPEC) if group.closed]
    assert [control.id for control in group.controls] == [f"n:{layer}" for layer in range(SPEC.num_ws - 1)]
    values = values_of(Recipe.of_seed(1), SPEC)
    recipe = with_values(Recipe.of_seed(1), values | {"n:2": 0.0, "n:5": 2.5}, SPEC)
    assert recipe.grain == ((2, 0.0), (5, 2.5)) and "grain by layer" in recipe_words(recipe)
    assert values_of(recipe, SPEC)["n:5"] == 2.5
    assert with_values(recipe, values_of(recipe, SPEC) | {"n:2": 1, "n:5": 1}, SPEC) == Recipe.of_seed(1)
    for other in (tiny_generator("dcgan").spec, tiny_generator(resolution=8).spec):
        assert fit_to_model(recipe, other)[0].grain == () and "grain by layer" in fit_to_model(recipe, other)[1]


def test_the_bank_has_what_the_model_can_do():
    shown = [group for group in groups_of(SPEC) if not group.closed]
    ids = [control.id for group in shown for control in group.controls]
    assert ids == ["a", "b", "mix", "psi", "centres", "cutoff", "noise_mode", "noise_seed", "coarse", "middle", "fine"]
    labelled = [control.id for group in groups_of(tiny_generator(label_dim=3).spec) for control in group.controls]
    assert "label" in labelled


def test_pictures_that_can_move_have_sliders_for_it():
    spec = tiny_generator("stylegan3").spec
    ids = [control.id for group in groups_of(spec) for control in group.controls]
    assert [name for name in ids if name in ("right", "down", "turn")] == ["right", "down", "turn"]
    assert "noise_mode" not in ids
    recipe = Recipe.of_seed(1, translate=(0.123456, 2.0))  # beyond the track: stays while nobody moves it
    values = values_of(recipe, spec)
    assert with_values(recipe, values, spec) == recipe
    assert with_values(recipe, values | {"turn": 45}, spec) == Recipe.of_seed(1, translate=(0.123456, 2.0), rotate=45)
    assert with_values(recipe, values | {"down": -0.5}, spec).translate == (0.1235, -0.5)
    assert fit_to_model(Recipe.of_seed(1), spec)[1] == []
    assert fit_to_model(recipe, SPEC) == (Recipe.of_seed(1), ["the picture's place"])
    assert "turned by 45°" in recipe_words(Recipe.of_seed(1, rotate=45))


def test_a_recipe_is_fitted_to_another_model():
    recipe = Recipe.of_seed(1, label=4, cutoff=18, mix=((3, 5), (14, 6)))
    fitting, left_out = fit_to_model(recipe, SPEC)
    assert fitting == Recipe.of_seed(1, mix=((3, 5),))
    assert len(left_out) == 2


def test_undo_and_redo_walk_over_settled_steps_only():
    bench = Bench.begin("digest", Recipe.of_seed(1))
    for psi, settled in ((0.9, False), (0.8, False), (0.7, True), (0.6, True)):
        bench.drag(Recipe.of_seed(1, psi=psi), settled)
    bench.undo()
    assert bench.recipe.psi == 0.7
    bench.undo()
    assert bench.recipe.psi == 1.0
    bench.undo()
    bench.redo()
    assert bench.recipe.psi == 0.7 and bench.settled.psi == 0.7
    bench.show(Recipe.of_seed(2))
    assert not bench.future and bench.past[-1].psi == 0.7


def test_keyframes_go_through_an_address():
    keyframes = [Keyframe(recipe, seconds) for recipe, seconds in zip(RECIPES, (2.0, 0.5, 1.25, 60.0), strict=True)]
    assert from_text(to_text(keyframes)) == keyframes
    assert from_text("") == []


@pytest.mark.parametrize(
    "film",
    [
        Film(),
        Film(seconds=0.7, fps=60, curve="slerp", loop=False, size=512, format="gif", shape="9:16", ground="#ffffff"),
        *(Film(fps=fps) for fps in FPS),
        *(Film(curve=curve) for curve in CURVES),
        *(Film(size=size) for size in SIZES),
        *(Film(format=format) for format in codings()),
        *(Film(shape=shape, ground=ground) for shape in ASPECTS for ground in GROUNDS),
    ],
)
def test_every_choice_of_a_film_goes_through_an_address_and_can_be_rendered(film):
    query = film.to_query()
    assert Film.from_query(query | {"k": "seeds=1@2"}) == film
    assert (query == {}) == (film == Film())
    path = LatentPath((Keyframe(Recipe.of_seed(1)), Keyframe(Recipe.of_seed(2))), curve=film.curve, loop=film.loop)
    if film.format == "mp4" or film.fps <= 50:
        film.job("tiny", path).validate()


@pytest.mark.parametrize("name", ["fps", "curve", "loop", "size", "format", "shape", "ground", "seconds"])
def test_a_choice_of_a_film_that_there_is_not_is_named(name):
    with pytest.raises(InputError, match="'<b>' is no"):
        Film.from_query({name: "<b>"})


def test_shapes_are_those_of_the_film():
    path = LatentPath((Keyframe(Recipe.of_seed(1)), Keyframe(Recipe.of_seed(2))))
    sizes = [Film(size=1080, shape=shape).job("tiny", path).frame_size(64) for shape in ASPECTS]
    assert sizes == [(1080, 1080), (1080, 1920), (1920, 1080), (1080, 1350)]


def test_pictures_of_one_seed_are_told_apart_in_lists():
    assert full_name(Recipe.of_seed(7, psi=0.5)) == "seed 7 · psi 0.5"
    assert full_name(Recipe.of_seed(7, psi=0.5)) != full_name(Recipe.of_seed(7, psi=0.7))


def test_files_have_their_size_in_words():
    assert [size_words(count) for count in (1, 840_499, 999_999, 1_000_000, 12_340_000)] == [
        *("1 kB", "840 kB", "1000 kB", "1.0 MB", "12.3 MB")
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [("-1", "whole numbers from 0"), ("1.5", "no seed"), ("nan", "no seed"), ("1-4", "4 seeds"), ("9" * 12, "large")],
)
def test_text_that_is_no_seed_is_explained_in_the_words_of_the_library(text, words):
    assert words in what_is_wrong(text)


def test_a_timeline_reorders_removes_and_times():
    track = Track("digest")
    track.put([Keyframe(Recipe.of_seed(seed)) for seed in (1, 2, 3)], SPEC)
    first, _, third = track.stops
    track.edit([(third, 1.0), (first, 4.0), ("of an older timeline", 1.0)])
    assert [(k.recipe.seeds[0][0], k.seconds) for k in track.keyframes] == [(3, 1.0), (1, 4.0)]
    with pytest.raises(InputError, match="pictures in one film"):
        track.put(track.keyframes * MAX_KEYFRAMES, SPEC)
    assert len(track.stops) == 2


def test_views_step_within_their_list_and_beyond_it():
    view = View(seeds="0-99", per_page=24)
    for start in (24, 48, 72, 96):
        view = view.step(1)
        assert (view.seeds, view.start) == ("0-99", start)
    assert view.step(1).seeds == "100-123"
    assert View("10-13").step(-1).seeds == "6-9"
    assert View("2-5").step(-1).seeds == "0-3"
    assert View(f"{MAX_SEED}").step(1).seeds == f"{MAX_SEED}-{MAX_SEED}"
    with pytest.raises(InputError):
        View("x").step(1)


def test_a_selection_follows_the_variation_of_its_wall():
    wall = Wall("tiny", View(psi=0.7), ["seeds=3&psi=0.7", "seeds=4&psi=0.2", "seeds=3,4&psi=0.7"])
    wall.drag({"psi": 0.5}, True)
    assert wall.selection == ["seeds=3&psi=0.5", "seeds=4&psi=0.2", "seeds=3%2C4&psi=0.7"]


def test_the_command_shown_makes_the_same_film(tiny_model, capsys):
    keyframes = tuple(Keyframe(Recipe.of_seed(seed, psi=0.7), 1.5) for seed in (5, 6, 7))
    path = LatentPath(keyframes, "slerp", loop=False)
    job = RenderJob(str(tiny_model), path, fps=24, size=64, format="gif", aspect="16:9", background="blur")
    command = shlex.split(command_of(job, "film.gif"))
    assert command[:3] == ["python", "-m", "ganlib"]
    assert main([*command[3:], "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith(f"{job.num_frames} frames of 114 × 64 px at 24 per second")
    odd = (*keyframes, Keyframe(Recipe(((1, 0.5), (2, 0.5))), 1.5))
    assert command_of(RenderJob("x", LatentPath(odd)), "f.mp4") == ""


def test_files_are_named_after_model_and_seed(tiny_model: Path):
    model = read_card(tiny_model)
    assert file_name(model, Recipe.of_seed(85)) == "tiny-seed85.png"
    assert file_name(model, Recipe(((85, 0.25), (12, 0.75)))) == "tiny-seeds85-blend.png"
