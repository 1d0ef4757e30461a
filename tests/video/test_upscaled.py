"""Films whose pictures are enlarged by an upscaling network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ganlib import video
from ganlib.base.errors import InputError
from ganlib.media import images
from ganlib.superres.networks import NetworkSpec
from ganlib.superres.training import start_network
from ganlib.superres.weights import Card, save
from ganlib.video import RenderJob
from ganlib.video.frames import Framing
from tests.video.films import QUIET, decoded, job_of


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory) -> str:
    spec = NetworkSpec("srvgg", 4, 4, 1)
    path = tmp_path_factory.mktemp("upscaler") / "little.safetensors"
    return str(save(path, spec, start_network(spec, 0), Card("Little")))


def test_a_film_is_enlarged_by_the_network_that_its_job_names(renderer, upscaler, tmp_path):
    own = renderer.spec.resolution
    job = job_of(seeds=(1, 2), seconds=0.1, size=3 * own, upscaler=upscaler)
    assert RenderJob.from_dict(job.to_dict()) == job
    by_network = np.concatenate(list(video.frames(job, renderer)))
    plain = np.concatenate(list(video.frames(replace(job, upscaler=""), renderer)))
    assert by_network.shape == plain.shape and not np.array_equal(by_network, plain)
    assert np.abs(by_network.astype(int) - plain).mean() < 8
    path = video.render_video(job, tmp_path / "a.mp4", renderer=renderer, reporter=QUIET)
    assert len(decoded(path, 3 * own)) == job.num_frames


def test_smaller_and_far_larger_frames_are_made_too(renderer, upscaler):
    pixels = images.resize(np.random.default_rng(0).integers(0, 255, (1, 4, 4, 3), np.uint8), 16, 16)
    for side in (16, 18, 400):
        frames = Framing(job_of(size=side, upscaler=upscaler), 16).frames(pixels, 0)
        assert frames.shape == (1, side, side, 3)


def test_an_upscaler_that_is_not_there_is_told_before_rendering(renderer, tmp_path):
    with pytest.raises(InputError, match="no upscaling model"):
        video.render_video(job_of(upscaler="nobody"), tmp_path / "a.mp4", renderer=renderer, reporter=QUIET)
    with pytest.raises(InputError):
        job_of(upscaler=3).validate()
