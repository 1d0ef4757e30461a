"""Directions: held against direct linear algebra, measured, kept in files, and found from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ganlib import networks
from ganlib.__main__ import main
from ganlib.base.errors import DataError, InputError
from ganlib.latents.editing import (
    Direction,
    list_directions,
    load_direction,
    read_directions,
    remove_direction,
    rename_direction,
    save_direction,
)
from ganlib.latents.recipes import Recipe
from ganlib.models.checkpoints import save_snapshot
from ganlib.render import directions
from ganlib.render.directions import between, measure_safe, principal_components, sample_w, strip, style_directions
from ganlib.render.directions.limits import apply_step
from ganlib.render.renderer import Renderer

SPEC = networks.tiny_generator().spec


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(networks.tiny_generator(seed=5))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    G = networks.tiny_generator(seed=5)
    path = tmp_path / "plum.safetensors"
    save_snapshot(path, G_ema=G, D=networks.build_discriminator(G.spec), title="Plum")
    return path


def same_lines(a: np.ndarray, b: np.ndarray) -> None:
    """Rows of length 1 that lie on the same lines, each way round."""
    cosines = np.abs((a * b).sum(axis=1))
    assert np.allclose(cosines, 1, atol=1e-4), cosines


# --- linear algebra ---------------------------------------------------------------------------------------------------


def test_principal_components_are_those_of_numpys_decomposition(renderer):
    found = principal_components(renderer, 5, samples=3000, seed=2)
    w = sample_w(renderer, 3000, seed=2).double().numpy()
    centred = w - w.mean(axis=0)
    _, lengths, rows = np.linalg.svd(centred, full_matrices=False)
    same_lines(found.vectors.double().numpy(), rows[:5])
    assert np.allclose(found.sigma.numpy(), lengths[:5] / len(w) ** 0.5, rtol=1e-4)
    assert np.allclose(found.share.numpy(), lengths[:5] ** 2 / (lengths**2).sum(), rtol=1e-4)
    assert np.allclose(found.mean.numpy(), w.mean(axis=0), atol=1e-5)
    at = found.vectors.abs().argmax(dim=1, keepdim=True)
    assert (found.vectors.gather(1, at) > 0).all()


def test_style_directions_are_eigenvectors_of_the_weights_gram_matrix():
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((rows, 12)) for rows in (5, 9, 3)]
    values, vectors = style_directions([torch.from_numpy(weight) for weight in weights], 4)
    A = np.concatenate([weight / np.linalg.norm(weight, axis=1, keepdims=True) for weight in weights])
    expected_values, expected = np.linalg.eigh(A.T @ A)
    assert np.allclose(values.numpy(), expected_values[::-1][:4])
    same_lines(vectors.numpy(), expected.T[::-1][:4])
    # The paper's criterion: no other direction of length 1 moves the styles more than the first.
    others = rng.standard_normal((1000, 12))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert np.linalg.norm(A @ vectors[0].numpy()) >= np.linalg.norm(A @ others.T, axis=0).max()


def test_the_first_samples_of_a_seed_are_the_same_for_every_count(renderer):
    assert torch.equal(sample_w(renderer, 1500, seed=1)[:700], sample_w(renderer, 700, seed=1))
    assert not torch.equal(sample_w(renderer, 50, seed=1), sample_w(renderer, 50, seed=2))


def test_a_network_without_styles_gets_directions_of_what_it_paints():
    renderer = Renderer(networks.tiny_generator("dcgan", seed=1))
    found = principal_components(renderer, 3, samples=600)
    assert found.vectors.shape == (3, renderer.spec.w_dim)
    assert torch.allclose(found.vectors.norm(dim=1), torch.ones(3), atol=1e-4)
    assert (found.share.diff() <= 0).all()
    # A step along the first moves pictures more than a step of the same length in a random direction.
    w = sample_w(renderer, 32, seed=9)

    def moved_by(direction: torch.Tensor) -> float:
        step = 2 * direction / direction.norm()
        a, b = (renderer.synthesize((w + s * step)[:, None], noise_mode="none").astype(float) for s in (-1, 1))
        return float(np.abs(a - b).mean())

    others = [moved_by(torch.randn(w.shape[1], generator=torch.Generator().manual_seed(s))) for s in range(5)]
    assert moved_by(found.vectors[0]) > max(others)
    with pytest.raises(InputError, match="no styles"):
        style_directions({}, 3)


@pytest.mark.parametrize("arch", [name for name, row in networks.ARCHITECTURES.items() if row.tiny().num_ws > 1])
def test_every_layers_style_input_is_the_one_that_it_is_fed(arch):
    G = networks.tiny_generator(arch)
    inputs = networks.architecture(arch).style_inputs(G)
    assert inputs.keys() == networks.architecture(arch).style_weights(G).keys()
    fed: dict[str, float] = {}
    hooks = [
        G.get_submodule(name.removesuffix(".weight")).register_forward_pre_hook(
            lambda _, arguments, name=name: fed.__setitem__(name, float(arguments[0][0, 0]))
        )
        for name in inputs
    ]
    rows = torch.arange(G.spec.num_ws, dtype=torch.float32)[None, :, None].expand(1, -1, G.spec.w_dim)
    G.synthesis(rows, noise_mode=G.spec.noise_modes[0])
    for hook in hooks:
        hook.remove()
    assert fed == inputs


def test_a_direction_leads_from_some_pictures_to_others(renderer):
    recipes = [Recipe.of_seed(seed) for seed in range(6)]
    w_plus = renderer.w_plus(recipes)
    direction = between(renderer, w_plus[:3], w_plus[3:], "there", method="favourites")
    difference = (w_plus[:3].mean(0) - w_plus[3:].mean(0))[0]
    cosine = torch.nn.functional.cosine_similarity(direction.vector, difference, dim=0)
    assert cosine > 0.9999 and direction.vector.ndim == 1
    w = sample_w(renderer, 2000)
    unit = direction.vector / direction.vector.norm()
    assert float(direction.vector.norm()) == pytest.approx(float(((w - w.mean(0)) @ unit).std()), rel=1e-3)
    mixed = w_plus[:1].clone()
    mixed[:, 2:] = w_plus[1:2, 2:]
    assert between(renderer, mixed, None, "apart", method="pair").vector.shape == (SPEC.num_ws, SPEC.w_dim)
    with pytest.raises(InputError, match="same picture"):
        between(renderer, w_plus[:2], w_plus[:2], "nowhere", method="pair")


# --- what is measured -------------------------------------------------------------------------------------------------


class Colours:
    """Stands in for a model whose pictures have one colour, 128 + 20 w, and for features that are that colour."""

    spec = replace(SPEC, w_dim=3, z_dim=3)
    w_avg = torch.zeros(3)

    def mapping(self, z: np.ndarray, labels: object = None) -> torch.Tensor:
        return torch.from_numpy(z)

    def synthesize_batches(self, w_plus: torch.Tensor, **_: object) -> Iterator[np.ndarray]:
        yield (128 + 20 * w_plus[:, 0]).clamp(0, 255).byte().numpy()[:, None, None]

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return pixels[:, 0, 0].astype(np.float32)


def test_a_direction_is_safe_as_far_as_pictures_stay_among_ordinary_ones():
    model, red = Colours(), torch.tensor([1.0, 0, 0])
    low, high = measure_safe(model, Direction("red", red), model)  # type: ignore[arg-type]
    # Ordinary reds have a deviation of 0.7 at psi 0.7: two to four of them on either side.
    assert -2.8 < low < -0.7 and 0.7 < high < 2.8
    long = measure_safe(model, Direction("far", 3 * red), model)  # type: ignore[arg-type]
    assert long == pytest.approx((low / 3, high / 3), abs=0.3)
    short = measure_safe(model, Direction("near", 0.01 * red), model)  # type: ignore[arg-type]
    assert short == (-directions.REACH, directions.REACH)


def test_a_strip_walks_along_the_direction_in_the_layers_it_acts_on(renderer):
    w_plus = renderer.w_plus([Recipe.of_seed(4)])[0]
    vector = torch.randn(SPEC.w_dim, generator=torch.Generator().manual_seed(0))
    pictures = strip(renderer, Direction("a", vector, first=1, last=2), w_plus, (-2, 0, 2))
    assert np.array_equal(pictures[1], renderer.render([Recipe.of_seed(4)])[0])
    moved = w_plus.clone()
    moved[1:3] += 2 * vector
    assert np.array_equal(pictures[2], renderer.synthesize(moved[None])[0])
    each = torch.randn(SPEC.num_ws, SPEC.w_dim, generator=torch.Generator().manual_seed(1))
    stepped = apply_step(w_plus[None], Direction("b", each, first=2), 0.5)[0]
    assert torch.equal(stepped[:2], w_plus[:2]) and torch.allclose(stepped[2:], w_plus[2:] + 0.5 * each[2:])
    with pytest.raises(InputError, match="does not fit"):
        strip(renderer, Direction("c", torch.ones(7)), w_plus, (1,))


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_direction_comes_back_from_its_file_and_can_be_renamed(tmp_path):
    direction = Direction("size", torch.arange(1.0, 9.0), "Größe [2]", 1, 3, (-2.5, 4.0), "pca", "words", "a" * 64)
    path = save_direction(tmp_path, direction)
    loaded = load_direction(path)
    assert torch.equal(loaded.vector, direction.vector)
    assert loaded.card() == direction.card() and loaded.name == "size" and loaded.words == "Größe [2]"
    renamed = rename_direction(tmp_path, "size", "bulk", "Bulk")
    (only,), _ = list_directions(tmp_path)
    assert (renamed.name, only.name, only.title) == ("bulk", "bulk", "Bulk")
    save_direction(tmp_path, Direction("other", torch.ones(8)))
    for bad in ("other", "../x", "", "a b"):
        with pytest.raises(InputError):
            rename_direction(tmp_path, "bulk", bad)
    assert [d.name for d in list_directions(tmp_path)[0]] == ["bulk", "other"]
    remove_direction(tmp_path, "other")
    remove_direction(tmp_path, "other")
    assert [d.name for d in list_directions(tmp_path)[0]] == ["bulk"]
    for vector in (torch.zeros(4), torch.tensor([1.0, float("nan")]), torch.ones(2, 2, 2)):
        with pytest.raises(InputError, match="no length"):
            save_direction(tmp_path, Direction("bad", vector))


@pytest.mark.parametrize(
    "data",
    [b"", b"no zip", b"PK\x03\x04broken", json.dumps({"direction": [1]}).encode()],
    ids=["empty", "text", "zip", "json"],
)
def test_damaged_files_are_listed_as_such_and_the_others_stay(tmp_path, data):
    save_direction(tmp_path, Direction("good", torch.ones(4)))
    (tmp_path / "directions" / "torn.npz").write_bytes(data)
    good, bad = list_directions(tmp_path)
    assert [d.name for d in good] == ["good"] and len(bad) == 1 and bad[0].hint


def test_absurd_words_of_a_card_are_left_out(tmp_path):
    path = tmp_path / "x.npz"
    card = {"title": 5, "first": -3, "last": "x", "safe": [2, 1], "about": "y" * 999, "more": 1}
    np.savez(path, direction=np.ones(4, np.float32), card=np.array(json.dumps(card)))
    direction = load_direction(path)
    assert (direction.title, direction.first, direction.last, direction.safe) == ("5", 0, None, None)
    assert len(direction.about) == 200
    np.savez(path, direction=np.full(4, np.inf, np.float32), card=np.array("[]"))
    with pytest.raises(DataError):
        load_direction(path)
    np.savez(path, direction=np.array([object()]), card=np.array("{}"))
    with pytest.raises(DataError):
        load_direction(path)


def test_directions_of_other_tools_are_read_in_their_shapes(tmp_path):
    rng = np.random.default_rng(3)
    one = rng.standard_normal(SPEC.w_dim).astype(np.float32)
    np.save(tmp_path / "smile.npy", one[None, None])
    (smile,) = read_directions(tmp_path / "smile.npy", SPEC)
    assert smile.name == "smile" and np.array_equal(smile.vector.numpy(), one) and smile.method == "imported"
    np.savez(tmp_path / "many.npz", boundary=rng.standard_normal((3, SPEC.w_dim)), labels=np.arange(3))
    many = read_directions(tmp_path / "many.npz", SPEC)
    assert [d.name for d in many] == ["many-boundary-01", "many-boundary-02", "many-boundary-03"]
    torch.save({"age": torch.randn(SPEC.num_ws, SPEC.w_dim), "note": "text"}, tmp_path / "age.pt")
    (age,) = read_directions(tmp_path / "age.pt", SPEC)
    assert age.vector.shape == (SPEC.num_ws, SPEC.w_dim)
    own = save_direction(tmp_path, Direction("own", torch.ones(SPEC.w_dim), "Own"))
    assert read_directions(own, SPEC)[0].title == "Own"
    save_direction(tmp_path, Direction("long", torch.ones(SPEC.w_dim + 1)))
    np.save(tmp_path / "wrong.npy", np.ones(SPEC.w_dim + 1))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "text.pt").write_text("no model")
    for name in ("directions/long.npz", "wrong.npy", "objects.npy", "text.pt", "absent.npy"):
        with pytest.raises(DataError) as caught:
            read_directions(tmp_path / name, SPEC)
        assert caught.value.hint


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_finds_measures_names_and_shows(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--samples", "200", "--count", "2"]
    assert main(["directions", "--network", str(model), "--method", "sefa", "--layers", "coarse", *small]) == 0
    found, _ = list_directions(model.with_suffix(""))
    assert [d.name for d in found] == ["sefa-coarse-01", "sefa-coarse-02"]
    assert all(d.safe is not None and (d.first, d.last) == (0, 1) for d in found)
    rename_direction(model.with_suffix(""), "sefa-coarse-01", "sefa-coarse-01", "Ripeness")
    assert main(["directions", "--network", str(model), "--method", "sefa", "--layers", "coarse", *small]) == 0
    names = {d.name: d.title for d in list_directions(model.with_suffix(""))[0]}
    assert names["sefa-coarse-01"] == "Ripeness" and "sefa-coarse-01-2" in names
    assert main(["directions", "--network", str(model), "--there", "1,2", "--here", "3", "--name", "rounder"]) == 0
    np.save("smile.npy", np.ones(SPEC.w_dim))
    assert main(["directions", "--network", str(model), "--import", "smile.npy"]) == 0
    capsys.readouterr()
    assert main(["directions", "--network", str(model), "--list", "--strips", "strips.png"]) == 0
    out = capsys.readouterr().out
    assert "rounder" in out and "smile" in out and "Ripeness" in out
    assert Path("strips.png").exists()
    for wrong in (["--count", "0"], ["--samples", "5"], ["--here", "1"], ["--import", "absent.npy"]):
        assert main(["directions", "--network", str(model), *wrong]) == 2
        assert "hint:" in capsys.readouterr().err
