"""Seeds, recipes and favourites: what is written is read back, and what is hostile is refused with a sentence."""

import json
import threading

import numpy as np
import pytest
import torch

from ganlib.base.errors import DataError, InputError
from ganlib.latents import favourites, recipes
from ganlib.latents.recipes import Edit, Recipe

FULL = Recipe(
    seeds=((85, 0.7), (4294967295, -0.25)),
    label=3,
    psi=-0.1 + 0.7,  # 0.6 and a little
    cutoff=8,
    mix=((9, 12), (8, 12), (2, 7), (10, 12)),
    edits=(Edit("pca-03", -1.5), Edit("ripe", 2.0, 4), Edit("age_2.b", 1e-7, 4, 7), Edit("x", 1, 0, 0)),
    noise_mode="random",
    noise_seed=5,
)
GRAINY = Recipe.of_seed(85, grain=((7, 2.5), (0, 0), (2, 0.0), (1, 0.0), (3, 1.0)))
MOVED = Recipe.of_seed(85, translate=(-0.125, 0.5), rotate=-30.5)
SOME = [
    FULL, MOVED, GRAINY, Recipe.of_seed(85, rotate=90), Recipe.of_seed(85), Recipe.of_seed(0, psi=0.0),
    Recipe(base="3fa2"), Recipe.of_seed(1, noise_mode="none"),
]  # fmt: skip


def test_grain_as_learned_is_no_change():
    assert GRAINY.grain == ((0, 0.0), (1, 0.0), (2, 0.0), (7, 2.5))
    assert GRAINY.to_query()["grain"] == "0-2:0,7:2.5"
    assert Recipe.of_seed(1, grain=((3, 1.0),)) == Recipe.of_seed(1) and "grain" not in Recipe.of_seed(1).to_dict()


# --- seeds ------------------------------------------------------------------------------------------------------------


def test_famous_seeds_stay_famous():
    z = recipes.seed_z(85, 512)
    assert z.shape == (1, 512) and z.dtype == np.float64
    golden = [0.1768507210788626, 2.3777541249700573, 0.998732857053734, 0.8217957110292099]
    assert z[0, [0, 1, 2, 511]].tolist() == golden
    assert recipes.seed_z(2**32 - 1, 4)[0].tolist() == pytest.approx([0.64840867, 0.66932353, -1.08054372, 0.28450104])
    for seed in (-1, 2**32):
        with pytest.raises(InputError):
            recipes.seed_z(seed, 4)


@pytest.mark.parametrize(
    "text, seeds",
    [
        ("85", [85]),
        ("6600-6603", [6600, 6601, 6602, 6603]),
        ("1,5,9-12", [1, 5, 9, 10, 11, 12]),
        (" 3 - 4 , 9,9 7 ", [3, 4, 9, 9, 7]),
        ("0-0,4294967295", [0, 4294967295]),
        ("1,,2,", [1, 2]),
    ],
)
def test_seed_lists_are_read(text, seeds):
    assert recipes.parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-1",
        "x",
        "6625-6600",
        "1.5",
        "4294967296",
        "1-",
        "1--2",
        "0-100000",
        "٣",
        "nan",
        "9" * 5000,
    ],
)
def test_odd_seed_lists_are_refused_with_a_hint(text):
    with pytest.raises(InputError) as caught:
        recipes.parse_seeds(text)
    assert caught.value.hint and len(caught.value.message) < 120


def test_a_huge_range_is_refused_before_it_is_built():
    assert len(recipes.parse_seeds("0-99999")) == 100_000
    for text in ("0-4294967295", "0-99998,1,2"):
        with pytest.raises(InputError, match="more than"):
            recipes.parse_seeds(text)


# --- recipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", SOME)
def test_a_recipe_survives_every_form(recipe):
    recipe.validate()
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert Recipe.from_query(recipe.to_query()) == recipe
    assert recipes.parse_embedded(recipes.embed_text(recipe, digest="ab", model="frucht")) == (recipe, "ab", "frucht")
    assert hash(Recipe.from_json(recipe.to_json())) == hash(recipe)


def test_a_query_is_short_and_leaves_other_parameters_alone():
    assert Recipe.of_seed(85).to_query() == {"seeds": "85"}
    assert Recipe.of_seed(85, psi=0.7, mix=tuple((i, 55) for i in range(4))).to_query() == {
        "seeds": "85",
        "psi": "0.7",
        "mix": "0-3:55",
    }
    assert FULL.to_query()["edits"] == "pca-03:-1.5,ripe:2:4-,age_2.b:1e-07:4-7,x:1:0"
    assert Recipe.from_query({"model": "fruit", "columns": "6"}) == Recipe.of_seed(0)
    assert Recipe.from_query({"mix": "0-1:3"}).mix == ((0, 3), (1, 3))
    with pytest.raises(InputError, match="no last style input"):  # a recipe does not know how many there are
        Recipe.from_query({"mix": "0-:3"})
    assert Recipe.from_query({"seeds": " 85 "}) == Recipe.of_seed(85)


def test_the_place_of_a_picture_is_written_only_where_it_is_moved():
    assert MOVED.to_query() == {"seeds": "85", "translate": "-0.125,0.5", "rotate": "-30.5"}
    assert {"translate", "rotate"}.isdisjoint(Recipe.of_seed(85).to_dict())
    assert Recipe.from_query({"translate": "0,0.5"}).translate == (0.0, 0.5)


def test_favourites_of_older_versions_keep_their_ids(tmp_path):
    assert favourites.add_favourite(tmp_path, Recipe.of_seed(85)).id == "b606352a5565"
    assert favourites.add_favourite(tmp_path, MOVED).id != "b606352a5565"


@pytest.mark.parametrize(
    "query",
    [{"translate": "1"}, {"translate": "1,2,3"}, {"translate": "1:2,3"}, {"translate": "x,1"}, {"translate": "nan,0"},
     {"translate": "1e9,0"}, {"rotate": "inf"}, {"rotate": "x"}],
)  # fmt: skip
def test_odd_places_in_a_link_are_refused(query):
    with pytest.raises(InputError):
        Recipe.from_query(query)


@pytest.mark.parametrize("change", [{"translate": 3}, {"translate": [1]}, {"translate": ["1", 2]}, {"rotate": None}])
def test_odd_places_in_a_saved_recipe_are_refused(change):
    with pytest.raises(InputError):
        Recipe.from_dict({**MOVED.to_dict(), **change})


def test_a_placement_turns_and_then_moves():
    corner = torch.tensor([0.5, 0.25, 1.0])  # right, down
    moved = recipes.placement((0.25, -0.125), 90)  # counter-clockwise: what was right goes up
    assert torch.allclose(moved @ torch.tensor([0.25 + 0.25, -0.125 - 0.5, 1.0]), corner, atol=1e-6)
    assert torch.equal(recipes.placement((0.0, 0.0), 0), torch.eye(3))


def test_numbers_of_numpy_become_plain_ones():
    recipe = Recipe(seeds=((np.int64(3), np.float32(0.5)),), psi=np.float32(0.5), mix=[[np.int32(1), np.uint32(2)]])
    assert recipe == Recipe(seeds=((3, 0.5),), psi=0.5, mix=((1, 2),)) and Recipe.from_json(recipe.to_json()) == recipe
    with pytest.raises(TypeError):
        Recipe(seeds=((3.7, 1.0),))


@pytest.mark.parametrize(
    "query",
    [
        {"seeds": "-1"},
        {"seeds": "4294967296"},
        {"seeds": "1:nan"},
        {"seeds": "1:inf"},
        {"seeds": "1:0"},
        {"seeds": "1:2:3"},
        {"seeds": "1:1,2:-1"},
        {"seeds": ",".join("123456789")},
        {"seeds": "<script>alert(1)</script>"},
        {"seeds": "1" * 5000},
        {"psi": "nan"},
        {"psi": "2.01"},
        {"psi": "1e999"},
        {"psi": "one"},
        {"cutoff": "-1"},
        {"cutoff": "1.5"},
        {"label": "-2"},
        {"mix": "0-999999999:1"},
        {"mix": "1:2,1:3"},
        {"mix": "4"},
        {"edits": "../../etc/passwd:1"},
        {"edits": "a:1:5-2"},
        {"edits": "a:nan"},
        {"edits": "a"},
        {"edits": ".hidden:1"},
        {"noise": "loud"},
        {"grain": "0-3:-1"},
        {"grain": "0-3:99"},
        {"grain": "0:1:2"},
        {"grain": "0:2,0:3"},
        {"grain": "0-:2"},
        {"noise_seed": "x"},
        {"base": "../secret"},
        {"base": "a/b"},
        {"base": "a\nb"},
        {"label": "١"},
    ],
)
def test_hostile_links_are_refused_with_a_hint(query):
    with pytest.raises(InputError) as caught:
        Recipe.from_query(query)
    assert caught.value.hint and len(caught.value.message) < 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"seeds": 3}',
        '{"seeds": [[1]]}',
        '{"seeds": [["a", 1]]}',
        '{"seeds": [[1, 1]], "psi": "x"}',
        '{"seeds": [[1, 1]], "psi": null}',
        '{"seeds": [[1, 1]], "psi": NaN}',
        '{"seeds": [[1, 1]], "cutoff": "8"}',
        '{"seeds": [[1, 1]], "label": [1]}',
        '{"seeds": [[1, 1]], "noise_mode": 3}',
        '{"seeds": [[1, 1]], "edits": [3]}',
        '{"seeds": [[1, 1]], "edits": [{"direction": "a"}]}',
        '{"seeds": [[1, 1]], "edits": [{"direction": "a", "strength": "b"}]}',
        '{"seeds": [[1, 1]], "base": 7}',
        '{"seeds": [[1, 1]], "style": 1}',
        '{"seeds": []}',
        "{}",
        "[" * 5000,
        '{"seeds": [[1, 1e400]]}',
        "x" * 10**6,
    ],
)
def test_odd_recipes_in_files_are_refused(text):
    with pytest.raises(InputError) as caught:
        Recipe.from_json(text)
    assert caught.value.hint
    with pytest.raises(InputError):
        recipes.parse_embedded('{"recipe": ' + text + "}")


@pytest.mark.parametrize(
    "field", ["label", "cutoff", "noise_seed", "seed", "mixed layer", "mixed seed", "first", "last"]
)
@pytest.mark.parametrize("value", [1.5, 1.0, True, "1", [1], {}, float("nan")])
def test_whole_numbers_must_be_whole(field, value):
    data = {"seeds": [[3, 1]], "mix": [[2, 5]], "edits": [{"direction": "a", "strength": 1.0, "first": 0, "last": 4}]}
    if field == "seed":
        data["seeds"][0][0] = value
    elif field.startswith("mixed"):
        data["mix"][0][field == "mixed seed"] = value
    elif field in ("first", "last"):
        data["edits"][0][field] = value
    else:
        data[field] = value
    with pytest.raises(InputError) as caught:
        Recipe.from_dict(data)
    assert caught.value.hint
    with pytest.raises(InputError):
        Recipe.from_json(json.dumps(data))


@pytest.mark.parametrize("value", ["0.5", True, None, [], {}])
def test_numbers_must_be_numbers(value):
    for data in (
        {"seeds": [[3, 1]], "psi": value},
        {"seeds": [[3, value]]},
        {"seeds": [[3, 1]], "edits": [{"direction": "a", "strength": value}]},
    ):
        with pytest.raises(InputError):
            Recipe.from_dict(data)


@pytest.mark.parametrize("field", ["seeds", "mix", "edits"])
def test_lists_must_be_lists(field):
    for value in ("12", {"1": 2}, 3, None):
        with pytest.raises(InputError):
            Recipe.from_dict({"seeds": [[3, 1]], field: value})


@pytest.mark.parametrize("text", ["4294967296", "99999999999", "1-99999999999", "9" * 5000])
def test_a_seed_that_is_too_large_is_called_so(text):
    with pytest.raises(InputError, match="too large") as caught:
        recipes.parse_seeds(text)
    assert "4294967295" in caught.value.hint and len(caught.value.message) < 120
    assert recipes.parse_seeds("00000000000085") == [85]


def test_blends_are_divided_by_their_sum():
    assert Recipe(seeds=((1, 3.0), (2, 1.0))).blend_weights == (0.75, 0.25)
    assert Recipe.of_seed(1).blend_weights == (1.0,)


def test_captions():
    assert Recipe.of_seed(85).caption() == "seed 85" and Recipe(base="3fa2").caption() == "saved 3fa2"
    assert Recipe(seeds=((85, 7.0), (12, 3.0))).caption() == "seeds 85 × 0.7 + 12 × 0.3"


# --- truncation -------------------------------------------------------------------------------------------------------


def test_truncation_moves_the_first_style_inputs_towards_the_average():
    w_plus, w_avg = torch.arange(12.0).view(1, 3, 4), torch.tensor([1.0, 0.0, -1.0, 2.0])
    assert torch.equal(recipes.truncate(w_plus, w_avg, 1.0), w_plus)
    assert torch.equal(recipes.truncate(w_plus, w_avg, 0.0), w_avg.expand(1, 3, 4))
    half = recipes.truncate(w_plus, w_avg, 0.5, cutoff=2)
    assert torch.allclose(half[:, :2], w_avg + 0.5 * (w_plus[:, :2] - w_avg)) and torch.equal(
        half[:, 2:], w_plus[:, 2:]
    )
    assert torch.equal(recipes.truncate(w_plus, w_avg, 0.5, cutoff=0), w_plus)
    each = recipes.truncate(w_plus.repeat(2, 1, 1), w_avg, torch.tensor([1.0, 0.5]).view(2, 1, 1))
    assert torch.equal(each[0], w_plus[0]) and torch.equal(each[1], recipes.truncate(w_plus, w_avg, 0.5)[0])


# --- favourites -------------------------------------------------------------------------------------------------------


def test_favourites_persist_and_can_be_renamed_and_removed(tmp_path):
    folder = tmp_path / "checkpoints" / "fruit"
    assert favourites.load_favourites(folder) == [] and not folder.exists()
    first = favourites.add_favourite(folder, Recipe.of_seed(85), "Pear")
    second = favourites.add_favourite(folder, FULL)
    assert favourites.load_favourites(folder) == [first, second] and first.added.endswith("+00:00")
    assert favourites.add_favourite(folder, Recipe.of_seed(85)) == first
    renamed = favourites.add_favourite(folder, Recipe.of_seed(85), "Quince")
    assert (renamed.id, renamed.added, renamed.name) == (first.id, first.added, "Quince")
    favourites.remove_favourite(folder, first.id)
    favourites.remove_favourite(folder, "nobody")
    assert favourites.load_favourites(folder) == [second]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"favourites": [{"recipe": {"seeds": [[-1, 1]]}}]}', '{"favourites": [3]}']
)
def test_a_damaged_list_of_favourites_is_kept(tmp_path, text):
    (tmp_path / "favourites.json").write_text(text)
    for action in (favourites.load_favourites, lambda folder: favourites.add_favourite(folder, FULL)):
        with pytest.raises(DataError) as caught:
            action(tmp_path)
        assert caught.value.hint
    assert (tmp_path / "favourites.json").read_text() == text


def test_favourites_added_at_once_are_all_kept(tmp_path):
    threads = [
        threading.Thread(target=favourites.add_favourite, args=(tmp_path, Recipe.of_seed(seed))) for seed in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {favourite.recipe for favourite in favourites.load_favourites(tmp_path)} == {
        Recipe.of_seed(s) for s in range(12)
    }


def test_style_groups_cover_every_style_input_once():
    for num_ws in range(1, 19):
        groups = recipes.style_groups(num_ws)
        assert [layer for group in groups for layer in group] == list(range(num_ws))
    assert recipes.style_groups(18) == (range(4), range(4, 8), range(8, 18))
    assert recipes.style_groups(8) == (range(3), range(3, 6), range(6, 8))
