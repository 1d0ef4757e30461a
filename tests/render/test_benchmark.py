"""The bench table: speeds are positive, and arithmetic is counted."""

import math

import pytest
import torch

from ganlib.base.errors import InputError
from ganlib.render.benchmark import convolution_peak, fastest_seconds, measure
from ganlib.render.renderer import Renderer


def test_measures_each_batch_and_the_peak(tiny_model):
    renderer = Renderer.open(tiny_model, device="cpu")
    result = measure(renderer, batches=(1, 3), seconds=0.02)
    assert [row.batch for row in result.rows] == [1, 3]
    assert all(math.isfinite(row.images_per_second) and row.images_per_second > 0 for row in result.rows)
    assert 0 < result.gflop_per_image < 1 < result.peak_gflops


@pytest.mark.parametrize("options", [{"batches": ()}, {"batches": (0,)}, {"seconds": 0}, {"seconds": math.nan}])
def test_impossible_measurements_are_refused(tiny_model, options):
    with pytest.raises(InputError):
        measure(Renderer.open(tiny_model, device="cpu"), **options)


def test_the_fastest_call_counts_and_the_first_does_not():
    calls = []
    assert fastest_seconds(lambda: calls.append(1), torch.device("cpu"), 0.0) >= 0
    assert len(calls) == 3


def test_the_peak_is_a_plausible_number():
    assert 0.1 < convolution_peak(torch.device("cpu"), seconds=0.01) < 1e6
