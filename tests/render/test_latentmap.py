"""The latent map: neighbours lie near each other, clusters are told apart, and it is the same every time."""

import numpy as np
import pytest

from ganlib.base.errors import InputError
from ganlib.latents.recipes import Recipe
from ganlib.networks import tiny_generator
from ganlib.render import latent_map
from ganlib.render.latent_map import draw_map, mean_w
from ganlib.render.renderer import Renderer


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(tiny_generator(seed=2))


def test_straight_maps_keep_the_two_strongest_axes(renderer):
    drawn = draw_map(renderer, range(200), clusters=5)
    w = renderer.w_plus([Recipe.of_seed(seed, psi=0.7) for seed in range(200)]).mean(dim=1).double().numpy()
    centred = w - w.mean(axis=0)
    left, _, _ = np.linalg.svd(centred, full_matrices=False)
    for axis in range(2):
        assert abs(np.corrcoef(drawn.xy[:, axis], left[:, axis])[0, 1]) > 0.9999
    assert drawn.xy.min() == -1 and drawn.xy.max() == 1
    sizes = np.bincount(drawn.clusters)
    assert len(sizes) == 5 and (np.diff(sizes) <= 0).all()
    assert drawn.centroids.shape == (5, renderer.spec.w_dim)
    again = draw_map(renderer, range(200), clusters=5)
    assert np.array_equal(again.xy, drawn.xy) and np.array_equal(again.clusters, drawn.clusters)


@pytest.mark.parametrize("method", [name for name in latent_map.methods_here() if name != "pca"])
def test_maps_by_neighbours_put_copies_side_by_side(renderer, method):
    drawn = draw_map(renderer, range(60), method=method, clusters=3)
    gaps = np.linalg.norm(drawn.xy[:, None] - drawn.xy[None], axis=2)
    in_w = np.linalg.norm(drawn.w[:, None] - drawn.w[None], axis=2) + 1e9 * np.eye(60)
    nearest = in_w.argmin(axis=1)
    assert np.median(gaps[np.arange(60), nearest]) < 0.7 * np.median(gaps)


def test_other_pictures_are_placed_on_a_map_that_stays(renderer):
    drawn = draw_map(renderer, range(80), clusters=4)
    copies = [Recipe(seeds=((seed, 0.9999), (seed + 100, 0.0001)), psi=0.7) for seed in range(5)]
    xy, clusters = drawn.place(mean_w(renderer, copies))
    assert np.abs(xy - drawn.xy[:5]).max() < 0.05 and (clusters == drawn.clusters[:5]).mean() >= 0.8
    assert drawn.place(mean_w(renderer, []))[0].shape == (0, 2)


def test_what_makes_no_map_is_told(renderer):
    for arguments in ({"method": "astrology"}, {"clusters": 0}, {"clusters": 99}):
        with pytest.raises(InputError) as caught:
            draw_map(renderer, range(20), **arguments)
        assert caught.value.hint
    with pytest.raises(InputError, match="make no map"):
        draw_map(renderer, range(2))


def test_by_colour_goes_round_the_wheel_from_dark_to_light():
    colours = [(0, 0, 255), (120, 0, 0), (128, 128, 128), (255, 60, 60), (0, 200, 0), (250, 250, 250), (230, 220, 0)]
    pixels = np.array(colours, np.uint8)[:, None, None, :].repeat(4, axis=1).repeat(4, axis=2)
    assert latent_map.by_colour(pixels) == [2, 5, 1, 3, 6, 4, 0]
    framed = np.full((2, 8, 8, 3), 240, np.uint8)  # a small red and a small green thing on pale ground
    framed[0, 3:5, 3:5], framed[1, 3:5, 3:5] = (0, 160, 0), (200, 0, 0)
    assert latent_map.by_colour(framed) == [1, 0]


def test_by_likeness_walks_along_a_line():
    places = np.array([5.0, 1, 9, 3, 7, 0, 8])
    order = latent_map.by_likeness(places[:, None].repeat(3, axis=1))
    walked = np.abs(np.diff(places[order])).sum()
    assert sorted(order) == list(range(7)) and order[0] == 0
    assert walked <= 14  # the shortest way that begins at 5 and sees all: 4 or 5 to one end, 9 to the other
    assert latent_map.by_likeness(np.zeros((0, 3))) == [] and latent_map.by_likeness(np.zeros((1, 3))) == [0]
