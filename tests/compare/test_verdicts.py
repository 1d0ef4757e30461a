"""What the discriminator says, and where it objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganlib.base.errors import InputError
from ganlib.compare.attribution import Critic, Verdict, heat_maps
from ganlib.media import images


@pytest.fixture(scope="module")
def critic(repository) -> Critic:
    return Critic.open(repository / "checkpoints" / "fruit.safetensors")


def test_a_verdict_is_the_discriminators_own_number(critic, fruit):
    company = fruit[:3]
    (found,) = critic.judge(fruit[5:6], company=company)
    with torch.no_grad():
        wanted = critic.discriminator(images.from_pixels(np.concatenate([fruit[5:6], company])), None)[0, 0]
    assert found.score == pytest.approx(float(wanted), abs=1e-4)
    assert found.shares.shape == (8, 8) and 0 < found.probability < 1


def test_pictures_are_judged_by_themselves(critic, fruit):
    together = critic.judge(fruit[3:6], company=fruit[:2])
    alone = [critic.judge(fruit[i : i + 1], company=fruit[:2])[0] for i in (3, 4, 5)]
    assert [v.score for v in together] == [v.score for v in alone]


def test_it_prefers_real_pictures_to_noise_and_objects_where_the_noise_is(critic, fruit):
    noise = np.random.default_rng(0).integers(0, 256, fruit[:1].shape, dtype=np.uint8)
    spoilt = fruit[6:7].copy()
    spoilt[:, 32:, 32:] = noise[:, 32:, 32:]
    real, bad, patch = (critic.judge(p, company=fruit[:3])[0] for p in (fruit[6:7], noise, spoilt))
    assert bad.score < real.score and patch.score < real.score
    gone = patch.shares - real.shares
    assert gone[4:, 4:].sum() < min(gone[:4, :4].sum(), 0)


def test_a_map_is_red_where_it_objects(fruit):
    shares = np.zeros((8, 8), np.float32)
    shares[:, :3], shares[:, 5:] = -1, 1
    (mapped,) = heat_maps(fruit[:1], [Verdict(0.0, shares)])
    red, blue = mapped[:, :16].mean((0, 1)), mapped[:, -16:].mean((0, 1))
    assert mapped.shape == fruit[0].shape and red[0] > red[2] + 50 and blue[2] > blue[0] + 50


def test_a_model_without_a_discriminator_is_told(tiny_model):
    with pytest.raises(InputError):
        Critic.open(tiny_model)
