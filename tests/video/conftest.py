"""Fixtures of the film tests."""

import pytest
import torch

from ganlib.networks import tiny_generator
from ganlib.render.renderer import Renderer


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    torch.set_num_threads(1)
    return Renderer(tiny_generator(), name="tiny", digest="abc")
