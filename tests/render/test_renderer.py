"""A picture is a function of recipe and model: in any batch, in any thread."""

import os
import threading

import numpy as np
import pytest
import torch

from ganlib import networks
from ganlib.base.errors import DataError, InputError
from ganlib.latents import recipes as latents
from ganlib.latents.editing import Direction, save_direction
from ganlib.latents.recipes import Edit, Recipe
from ganlib.models import checkpoints
from ganlib.render.renderer import Renderer, keep_w_plus, load_w_plus


@pytest.fixture(scope="module")
def renderer():
    G = networks.tiny_generator(seed=1)
    with torch.no_grad():
        G.w_avg.copy_(torch.linspace(-1, 1, G.spec.w_dim))
        for name, p in G.named_parameters():
            if name.endswith("noise_strength"):
                p.fill_(0.4)
    return Renderer(G, directions={"size": torch.ones(G.spec.w_dim)})


def seeds(*values, **changes):
    return [Recipe(seeds=((v, 1.0),), **changes) for v in values]


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max()


@pytest.mark.parametrize("mode", ["const", "random", "none"])
def test_batch_size_does_not_change_a_picture(renderer, mode):
    recipes = [Recipe(seeds=((s, 1.0),), noise_mode=mode, noise_seed=s) for s in range(7)]
    together = renderer.render(recipes, batch=7)
    assert together.shape == (7, 16, 16, 3)
    assert together.dtype == np.uint8
    for batch in (1, 2, 3):
        assert difference(renderer.render(recipes, batch=batch), together) <= 1
    alone = renderer.render(recipes[4:5])
    assert difference(alone[0], together[4]) <= 1


def test_grain_scales_the_noise_of_its_layer_alone(renderer):
    (as_learned,), (none,) = renderer.render(seeds(3)), renderer.render(seeds(3, noise_mode="none"))
    last = renderer.spec.num_ws - 1
    off = tuple((layer, 0.0) for layer in range(last))
    recipes = seeds(3, grain=off) + seeds(3) + seeds(3, grain=((1, 3.0),))
    together = renderer.render(recipes, batch=4)
    assert difference(together[0], none) <= 1, "no grain anywhere is no noise"
    assert difference(together[1], as_learned) <= 1
    assert difference(together[2], as_learned) > 5
    assert difference(renderer.render(recipes, batch=1), together) <= 1
    fresh = seeds(3, noise_mode="random", noise_seed=7)
    assert difference(renderer.render(seeds(3, noise_mode="random", grain=off)), none[None]) <= 1
    assert difference(renderer.render(fresh), none[None]) > 5
    for beyond in (last, 40):
        with pytest.raises(InputError, match=f"style input {beyond} has no noise"):
            renderer.render(seeds(3, grain=((beyond, 2.0),)))
    silent = Renderer(networks.tiny_generator("dcgan", seed=1))
    assert np.array_equal(silent.render(seeds(3, grain=((0, 2.0),))), silent.render(seeds(3)))


def test_each_picture_is_moved_as_its_recipe_says():
    mover = Renderer(networks.tiny_generator("stylegan3", seed=1))
    places = [{}, {"rotate": 40.0}, {"translate": (0.25, 0.0)}, {"translate": (0.0, 0.25), "rotate": -10.0}]
    recipes = [recipe for place in places for recipe in seeds(3, **place)]
    together = mover.render(recipes, batch=4)
    assert min(difference(together[0], other) for other in together[1:]) > 20
    assert difference(mover.render(recipes, batch=1), together) <= 1
    assert difference(together[2][3:-3, 7:-3], together[0][3:-3, 3:-7]) <= 40  # four of 16 pixels to the right


def test_a_model_that_cannot_move_ignores_the_place(renderer):
    assert np.array_equal(renderer.render(seeds(3, rotate=40.0)), renderer.render(seeds(3)))


def test_the_same_recipe_twice_is_identical(renderer):
    assert np.array_equal(renderer.render(seeds(85)), renderer.render(seeds(85)))
    assert difference(renderer.render(seeds(85)), renderer.render(seeds(86))) > 5


def test_w_plus_follows_the_definition(renderer):
    G, spec = renderer.generator, renderer.spec
    w = [G.mapping(torch.from_numpy(latents.seed_z(s, spec.z_dim)).float())[0] for s in (1, 2, 3)]
    recipe = Recipe(
        seeds=((1, 3.0), (2, 1.0)), psi=0.5, cutoff=4, mix=((2, 3),), edits=(Edit("size", 2.0, first=1, last=2),)
    )
    expected = (0.75 * w[0] + 0.25 * w[1])[None].repeat(spec.num_ws, 1)
    expected[2] = w[2]
    expected[:4] = G.w_avg + 0.5 * (expected[:4] - G.w_avg)
    expected[1:3] += 2.0
    torch.testing.assert_close(renderer.w_plus([recipe])[0], expected, atol=1e-5, rtol=1e-5)


def test_psi_zero_is_the_average_picture(renderer):
    a, b = renderer.render(seeds(1, 2, psi=0.0))
    assert difference(a, b) <= 1


def test_labels_reach_the_network():
    labelled = Renderer(networks.tiny_generator(label_dim=3))
    a, b = labelled.render([*seeds(1, label=0), *seeds(1, label=2)])
    assert difference(a, b) > 3
    with pytest.raises(InputError, match="class 3"):
        labelled.render(seeds(1, label=3))


def test_wrong_style_input_and_direction_are_named(renderer):
    with pytest.raises(InputError, match="style input 99"):
        renderer.render(seeds(1, mix=((99, 2),)))
    with pytest.raises(InputError) as error:
        renderer.render(seeds(1, edits=(Edit("colour", 1.0),)))
    assert "size" in error.value.hint


def test_threads_share_one_renderer(renderer):
    expected = {s: renderer.render(seeds(s))[0] for s in range(8)}
    wrong = []

    def work(seed):
        for _ in range(5):
            if difference(renderer.render(seeds(seed))[0], expected[seed]) > 1:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(s,)) for s in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_no_recipes_give_no_pictures(renderer):
    assert renderer.render([]).shape == (0, 16, 16, 3)


def test_a_saved_latent_is_a_base_for_recipes(tmp_path):
    G = networks.tiny_generator(seed=1)
    card = checkpoints.save_snapshot(tmp_path / "m.safetensors", G_ema=G)
    renderer = Renderer.open(card.path, device="cpu")
    w_plus = renderer.w_plus(seeds(5))
    folder = card.folder / "w_plus"
    folder.mkdir(parents=True)
    np.savez(folder / "photo-1.npz", w=w_plus.numpy())
    assert difference(renderer.render([Recipe(base="photo-1")]), renderer.render(seeds(5))) <= 1
    np.savez(folder / "photo.v2.npz", w=w_plus.numpy())
    assert difference(renderer.render([Recipe.from_query({"base": "photo.v2"})]), renderer.render(seeds(5))) <= 1
    with pytest.raises(DataError):
        renderer.render([Recipe(base="absent")])


def test_load_w_plus_takes_the_common_shapes_and_refuses_others(tmp_path, renderer):
    spec = renderer.spec
    path = tmp_path / "w.npz"
    for shape in ((2, spec.num_ws, spec.w_dim), (spec.num_ws, spec.w_dim), (3, spec.w_dim)):
        np.savez(path, w=np.ones(shape, np.float32))
        assert load_w_plus(path, spec).shape[1:] == (spec.num_ws, spec.w_dim)
    for bad in (np.ones((2, 3, 4)), np.full((spec.num_ws, spec.w_dim), np.nan), np.array(["a"])):
        np.savez(path, w=bad)
        with pytest.raises(DataError):
            load_w_plus(path, spec)
    np.savez(path, w=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError) as error:
        load_w_plus(path, spec)
    assert "pickle" not in error.value.message + error.value.hint, "no advice to load it unsafely"
    for junk in (b"", b"PK\x03\x04 nothing", b"text"):
        path.write_bytes(junk)
        with pytest.raises(DataError):
            load_w_plus(path, spec)


def test_latents_of_other_tools_are_read_and_kept(tmp_path, renderer):
    spec = renderer.spec
    rows = np.random.RandomState(0).randn(2, spec.num_ws, spec.w_dim).astype(np.float32)
    np.save(tmp_path / "a.npy", rows[None])
    np.savez(tmp_path / "b.npz", projected_w=rows, loss=np.ones(3))
    torch.save(torch.from_numpy(rows), tmp_path / "c.pt")
    torch.save({"latent": torch.from_numpy(rows), "noise": torch.zeros(3)}, tmp_path / "d.pt")
    torch.save({f"{i}.png": {"latent": torch.from_numpy(row)} for i, row in enumerate(rows)}, tmp_path / "e.pt")
    for name in ("a.npy", "b.npz", "c.pt", "d.pt", "e.pt"):
        assert np.array_equal(load_w_plus(tmp_path / name, spec).numpy(), rows), name
    np.save(tmp_path / "f.npy", rows[0, 0])
    assert np.array_equal(load_w_plus(tmp_path / "f.npy", spec)[0, -1].numpy(), rows[0, 0])
    torch.save({"x": torch.zeros(3), "y": torch.zeros(4)}, tmp_path / "g.pt")
    with pytest.raises(DataError):
        load_w_plus(tmp_path / "g.pt", spec)
    kept = Renderer(renderer.generator, folder=tmp_path / "model")
    recipes = keep_w_plus(tmp_path / "e.pt", tmp_path / "model", spec)
    assert recipes == keep_w_plus(tmp_path / "e.pt", tmp_path / "model", spec)
    assert np.array_equal(kept.w_plus(recipes).numpy(), rows)


def test_z_is_mapped_and_never_drawn_as_if_it_were_w(tmp_path, renderer):
    spec = renderer.spec
    z = np.random.RandomState(5).randn(3, spec.z_dim).astype(np.float32)
    expected = renderer.mapping(z)[:, None].repeat(1, spec.num_ws, 1)
    np.savez(tmp_path / "a.npz", z=z)
    np.savez(tmp_path / "b.npz", z=z[:, None], seed=np.arange(3))
    torch.save({"z": torch.from_numpy(z)}, tmp_path / "c.pt")
    for name in ("a.npz", "b.npz", "c.pt"):
        assert torch.equal(load_w_plus(tmp_path / name, spec, mapping=renderer.mapping), expected), name
        with pytest.raises(DataError, match="holds z, the input of the mapping network"):
            load_w_plus(tmp_path / name, spec)
    np.savez(tmp_path / "d.npz", z=z[0])
    torch.testing.assert_close(load_w_plus(tmp_path / "d.npz", spec, mapping=renderer.mapping), expected[:1])
    np.savez(tmp_path / "both.npz", z=z, w=expected.numpy())
    assert torch.equal(load_w_plus(tmp_path / "both.npz", spec), expected)
    for shape in ((2, spec.z_dim + 1), (3, 3, spec.z_dim), (), (0, spec.z_dim), (3, 0)):
        np.savez(tmp_path / "odd.npz", z=np.ones(shape, np.float32))
        with pytest.raises(DataError, match="has z of shape"):
            load_w_plus(tmp_path / "odd.npz", spec, mapping=renderer.mapping)
    kept = Renderer(renderer.generator, folder=tmp_path / "model")
    recipes = keep_w_plus(tmp_path / "a.npz", tmp_path / "model", spec, mapping=renderer.mapping)
    assert torch.equal(kept.w_plus(recipes), expected)
    (tmp_path / "model" / "w_plus" / "mine.npz").write_bytes((tmp_path / "a.npz").read_bytes())
    with pytest.raises(DataError, match="holds z"):
        kept.render([Recipe(base="mine")])


@pytest.mark.parametrize("name", ["Z", "ZS", "lat", "arr_1"])
def test_an_array_of_another_name_is_never_taken_as_w(tmp_path, renderer, name):
    spec, z = renderer.spec, np.random.RandomState(5).randn(2, renderer.spec.z_dim).astype(np.float32)
    np.savez(tmp_path / "a.npz", **{name: z})
    torch.save({name: torch.from_numpy(z)}, tmp_path / "a.pt")
    for path in (tmp_path / "a.npz", tmp_path / "a.pt"):
        if name.startswith("Z"):
            expected = renderer.mapping(z)[:, None].repeat(1, spec.num_ws, 1)
            assert torch.equal(load_w_plus(path, spec, mapping=renderer.mapping), expected)
        else:
            with pytest.raises(DataError, match=f"{path.name} holds '{name}'") as error:
                load_w_plus(path, spec, mapping=renderer.mapping)
            assert all(known in error.value.hint for known in ("w, w_plus, projected_w, latent, ws", "z, zs"))
    np.savez(tmp_path / "b.npz", W=z)
    assert torch.equal(load_w_plus(tmp_path / "b.npz", spec)[:, 0], torch.from_numpy(z))


def test_z_of_a_model_with_classes_does_not_say_its_class(tmp_path):
    G = networks.tiny_generator(label_dim=3)
    np.savez(tmp_path / "z.npz", z=np.ones((1, G.spec.z_dim), np.float32))
    with pytest.raises(DataError, match="which of the 3 classes is meant it does not say"):
        load_w_plus(tmp_path / "z.npz", G.spec, mapping=Renderer(G).mapping)


def test_shapes_that_could_mean_something_else_are_told(tmp_path, renderer):
    spec = renderer.spec

    def told(array, **named):
        said = []
        np.savez(tmp_path / "a.npz", **named) if named else np.save(tmp_path / "a.npy", array)
        rows = load_w_plus(tmp_path / f"a.np{'z' if named else 'y'}", spec, say=said.append)
        return len(rows), " ".join(said)

    assert "the 6 style inputs of one picture" in told(None, w=np.ones((spec.num_ws, spec.w_dim)))[1]
    assert told(None, w=np.ones((1, spec.num_ws, spec.w_dim))) == (1, "")
    assert told(None, w=np.ones((3, spec.w_dim))) == (3, "")
    count, said = told(np.ones((3, spec.w_dim)))
    assert count == 3 and "taken as w; z has to be called so" in said
    count, said = told(None, latent=np.ones((3, spec.w_dim)))  # some tools call z so
    assert count == 3 and "its array is called latent and is taken as w; z has to be called so" in said
    assert told(None, latent=np.ones((2, spec.num_ws, spec.w_dim))) == (2, "")


def test_directions_are_read_from_the_folder_and_again_when_they_change(tmp_path):
    G = networks.tiny_generator(seed=1)
    renderer = Renderer(G, folder=tmp_path)
    plain = renderer.w_plus([Recipe.of_seed(3)])[0]
    recipe = Recipe(seeds=((3, 1.0),), edits=(Edit("size", 2.0, 1, 2),))
    with pytest.raises(InputError, match="no direction"):
        renderer.w_plus([recipe])
    for vector in (torch.ones(G.spec.w_dim), torch.full((G.spec.num_ws, G.spec.w_dim), -1.0)):
        path = save_direction(tmp_path, Direction("size", vector))
        os.utime(path, ns=(1, int(vector.sum().abs())))  # two writes in a moment may have one time
        moved = renderer.w_plus([recipe])[0] - plain
        assert torch.allclose(moved[1:3], torch.full_like(moved[1:3], 2.0 * float(vector.flatten()[0])), atol=1e-5)
        assert torch.equal(moved[0], torch.zeros_like(moved[0])) and not moved[3:].any()
    save_direction(tmp_path, Direction("long", torch.ones(5)))
    with pytest.raises(InputError, match="has the shape"):
        renderer.w_plus([Recipe(seeds=((3, 1.0),), edits=(Edit("long", 1.0),))])
    with pytest.raises(InputError) as caught:
        renderer.w_plus([Recipe(seeds=((3, 1.0),), edits=(Edit("absent", 1.0),))])
    assert "size" in caught.value.hint


def test_truncation_towards_the_nearest_of_several_centres():
    G = networks.tiny_generator(seed=6)
    renderer, other = Renderer(G), Renderer(G)
    centroids = renderer.centroids(4)
    assert centroids.shape == (4, G.spec.w_dim) and torch.equal(centroids, other.centroids(4))
    plain = renderer.w_plus([Recipe.of_seed(3)])[0]
    nearest = centroids[(centroids - plain[0]).norm(dim=1).argmin()]
    half = renderer.w_plus([Recipe.of_seed(3, psi=0.5, centres=4)])[0]
    assert torch.allclose(half, (plain + nearest) / 2, atol=1e-6)
    assert torch.allclose(renderer.w_plus([Recipe.of_seed(3, psi=0.0, centres=4)])[0], nearest.expand_as(plain))
    recipe = Recipe.of_seed(3, psi=0.5, centres=4)
    assert Recipe.from_query(recipe.to_query()) == Recipe.from_json(recipe.to_json()) == recipe
    assert "centres" not in Recipe.of_seed(3).to_dict()  # ids of favourites from before stay as they were
    with pytest.raises(InputError, match="centres"):
        Recipe.of_seed(3, centres=99).validate()


def test_a_sketch_has_the_shapes_and_the_colours_of_the_whole_picture(monkeypatch, repository):
    G = checkpoints.load_generator(repository / "checkpoints" / "fruit.safetensors")
    renderer, recipe = Renderer(G), Recipe.of_seed(3, psi=0.8)
    assert renderer.sketch(recipe) is None  # nothing is known of its colours yet
    monkeypatch.setattr("ganlib.render.renderer.SLOW_SECONDS", 0.0)
    whole = renderer.render_one(recipe)
    assert np.array_equal(whole, renderer.render([recipe])[0]) and renderer.seconds_per_picture > 0
    sketch = renderer.sketch(recipe)
    assert sketch is not None and sketch.shape == (16, 16, 3)
    small = whole.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(small.mean(axis=(0, 1)) - sketch.mean(axis=(0, 1))).max() < 2
    raw = np.clip(G.sketch(renderer.w_plus([recipe]), 16)[0].detach().permute(1, 2, 0).numpy() * 127.5 + 128, 0, 255)
    assert np.abs(small - sketch).mean() < np.abs(small - raw).mean()
    assert networks.tiny_generator("dcgan").sketch(torch.zeros(1, 1, 16), 16) is None
    assert networks.tiny_generator(architecture="resnet").sketch(torch.zeros(1, 6, 32), 8) is None
