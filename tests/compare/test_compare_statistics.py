"""Diversity, colours and spectra."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ganlib.__main__ import main
from ganlib.base.errors import DataError, InputError
from ganlib.compare.statistics import (
    Gathered,
    StatisticsConfig,
    compare_statistics,
    load_statistics,
    radial,
    summary,
)
from ganlib.features.perceptual import PixelDistance


def test_a_grating_has_its_frequency_in_both_spectra():
    x = np.arange(32)
    wave = (127.5 + 100 * np.sin(2 * np.pi * x / 4)).astype(np.uint8)  # 8 cycles in 32 pixels, across
    gathered = Gathered(32)
    gathered.add(np.broadcast_to(wave[None, None, :, None], (2, 32, 32, 3)))
    found = gathered.result()
    spectrum = np.array(found["spectrum"])
    assert np.unravel_index(spectrum.argmax(), spectrum.shape) in ((16, 8), (16, 24))
    assert int(np.argmax(found["radial"])) == 8 and len(found["radial"]) == 17


def test_white_noise_has_a_flat_spectrum_at_its_variance():
    rng = np.random.default_rng(0)
    gathered = Gathered(32)
    for _ in range(20):
        grey = np.clip(128 + 30 * rng.standard_normal((16, 32, 32, 1)), 0, 255).astype(np.uint8)
        gathered.add(np.repeat(grey, 3, axis=3))
    rings = np.array(gathered.result()["radial"][2:])
    assert np.ptp(rings) < 0.6 and rings.mean() == pytest.approx(10 * np.log10((30 / 255) ** 2), abs=0.1)


def test_rings_are_means_over_equal_frequency():
    power = np.zeros((8, 8))
    power[4, 6] = power[4, 2] = power[2, 4] = power[6, 4] = 3.0
    assert radial(power)[2] == pytest.approx(12 / np.sum(np.rint(np.hypot(*np.mgrid[-4:4, -4:4])) == 2))
    assert radial(power)[1] == 0


def test_equal_pictures_have_no_diversity_and_one_colour():
    gathered = Gathered(16)
    gathered.add(np.full((4, 16, 16, 3), (10, 100, 250), np.uint8), PixelDistance())
    found = gathered.result()
    assert found["diversity"] == {"mean": 0.0, "reach": 0.0, "pairs": 2}
    assert [int(np.argmax(row)) for row in found["histogram"]] == [2, 25, 62]
    assert [sum(row) for row in found["histogram"]] == pytest.approx([1, 1, 1])


def test_a_model_against_a_set(fruit_set, tiny_model, tmp_path):
    config = StatisticsConfig(tiny_model, fruit_set, tmp_path / "out", pictures=10, distance="pixels")
    found = compare_statistics(config)
    assert found["pictures"] == 10 and found["fake"]["diversity"]["pairs"] == 5
    assert load_statistics(tmp_path / "out") == found and "times as varied" in summary(found)
    assert compare_statistics(config) == found
    assert StatisticsConfig.from_dict(config.to_dict()) == config


def test_the_command_says_how_varied(fruit_set, tiny_model, tmp_path, capsys):
    words = ["statistics", "--network", str(tiny_model), "--data", str(fruit_set), "--distance", "pixels"]
    assert main([*words, "--pictures", "6", "--outdir", str(tmp_path / "out")]) == 0
    assert "times as varied" in capsys.readouterr().out and (tmp_path / "out" / "statistics.json").is_file()


@pytest.mark.parametrize(("options", "words"), [({"pictures": 2}, "pictures = 2"), ({"distance": "x"}, "distance = ")])
def test_what_cannot_be_is_told(options, words, tmp_path):
    with pytest.raises(InputError, match=words):
        StatisticsConfig(Path("m"), Path("d"), **options).validate()
    with pytest.raises(DataError, match="no statistics"):
        load_statistics(tmp_path)
