"""Directions by what pictures show: the measures themselves, and that pictures follow them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ganlib.base.errors import InputError
from ganlib.features import extractors
from ganlib.latents.editing import list_directions, save_direction
from ganlib.render.directions import (
    DirectionsConfig,
    find_attribute_directions,
    find_directions,
    measure_attributes,
    sample_w,
)
from ganlib.render.directions.attributes import ATTRIBUTES, TITLES
from ganlib.render.renderer import Renderer

PLACE = {attribute.name: i for i, attribute in enumerate(ATTRIBUTES)}


def disc(radius=16.0, height=1.0, colour=(200, 40, 40), ground=(240, 235, 220), side=64):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    picture = np.empty((side, side, 3), np.uint8)
    picture[:] = ground
    picture[(x * height) ** 2 + (y / height) ** 2 < radius**2] = colour
    return picture


@pytest.mark.parametrize(
    ("name", "less", "more"),
    [
        ("size", {"radius": 10}, {"radius": 20}),
        ("tallness", {"height": 0.8}, {"height": 1.25}),
        ("lightness", {"colour": (90, 20, 20)}, {"colour": (230, 120, 120)}),
        ("redness", {"colour": (90, 160, 60)}, {"colour": (190, 50, 60)}),
        ("yellowness", {"colour": (90, 90, 180)}, {"colour": (190, 170, 40)}),
        ("colourfulness", {"colour": (140, 110, 110)}, {"colour": (220, 30, 30)}),
    ],
)
def test_attributes_measure_what_they_are_called_after(name, less, more):
    values, is_plain = measure_attributes(np.stack([disc(**less), disc(**more)]))
    assert is_plain.all()
    assert values[0, PLACE[name]] < values[1, PLACE[name]]


def test_contrast_and_detail_are_two_things():
    rng = np.random.default_rng(0)
    coarse = np.repeat(np.repeat(rng.integers(60, 200, (4, 4, 1)), 16, 0), 16, 1) * np.ones(3)
    fine = rng.integers(60, 200, (32, 32, 1)).repeat(2, 0).repeat(2, 1) * np.ones(3)
    faint = 130 + (fine - 130) / 3
    values, is_plain = measure_attributes(np.stack([coarse, fine, faint]).astype(np.uint8))
    assert not is_plain.any(), "without plain ground everything is the subject"
    detail, contrast = values[:, PLACE["detail"]], values[:, PLACE["contrast"]]
    assert detail[0] < detail[1] and contrast[2] < contrast[1] / 2
    assert abs(detail[1] - detail[2]) < 0.1 < detail[1] - detail[0]


@pytest.fixture(scope="module")
def fruit():
    if not extractors.bundled_model().is_file():
        pytest.skip("the bundled model is absent")
    return Renderer.open(extractors.bundled_model())


def test_pictures_follow_the_directions(fruit):
    found = find_attribute_directions(fruit, samples=500)
    names = [each.attribute.name for each in found]
    assert {"size", "lightness", "redness"} <= set(names)
    assert [each.told for each in found] == sorted((each.told for each in found), reverse=True)
    w = sample_w(fruit, 40, seed=9)
    for each in found:
        if each.attribute.name not in ("size", "lightness", "redness"):
            continue
        step = each.step / each.step.norm()
        length = float((w @ step).std())
        ends = [
            measure_attributes(fruit.synthesize((w + sign * length * step)[:, None].repeat(1, fruit.spec.num_ws, 1)))[0]
            for sign in (-1.5, 1.5)
        ]
        at = PLACE[each.attribute.name]
        assert (ends[1][:, at] > ends[0][:, at]).mean() > 0.8, each.attribute.name


def test_a_model_whose_pictures_are_noise_says_so(tiny_model):
    with pytest.raises(InputError, match="too few"):
        find_attribute_directions(Renderer.open(tiny_model), samples=99)


def test_they_bring_titles_and_are_found_anew_but_not_over_a_name_that_a_person_gave(tiny_model, tmp_path, monkeypatch):
    path = tmp_path / tiny_model.name
    path.write_bytes(tiny_model.read_bytes())
    monkeypatch.setattr("ganlib.render.directions.attributes.LEAST_TOLD", -10.0)
    config = DirectionsConfig(path, method="shown", samples=200, count=2, measure=False)
    first = find_directions(config)
    assert len(first) == 2 and all(each.title == TITLES[each.name] and each.method == "shown" for each in first)
    assert [each.name for each in find_directions(config)] == [each.name for each in first]
    save_direction(path.with_suffix(""), replace(first[0], title="Mine"))
    again = find_directions(config)
    assert again[0].name == f"{first[0].name}-2"
    titles = {each.name: each.title for each in list_directions(path.with_suffix(""))[0]}
    assert titles[first[0].name] == "Mine" and len(titles) == 3
