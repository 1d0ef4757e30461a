"""What only a CUDA device can show: half precision in the networks, rendering and training there."""

import numpy as np
import pytest
import torch

from ganlib import networks
from ganlib.latents.recipes import Recipe
from ganlib.networks import stylegan2
from ganlib.render.renderer import Renderer

pytestmark = pytest.mark.gpu


def spec(**options):
    return stylegan2.make_spec(resolution=128, channel_base=4096, channel_max=128, conv_clamp=256.0, **options)


def test_half_precision_synthesis_agrees_with_float32():
    torch.manual_seed(0)
    full = networks.build_generator(spec()).cuda()
    half = networks.build_generator(spec(num_fp16_res=4)).cuda()
    half.load_state_dict(full.state_dict())
    w_plus = torch.randn(4, full.spec.num_ws, full.spec.w_dim, device="cuda")
    with torch.no_grad():
        a, b = full.synthesis(w_plus), half.synthesis(w_plus)
    assert (a - b).abs().max() < 0.05 * a.std()


def test_half_precision_discriminator_agrees_with_float32():
    torch.manual_seed(0)
    full = networks.build_discriminator(spec()).cuda()
    half = networks.build_discriminator(spec(num_fp16_res=4)).cuda()
    half.load_state_dict(full.state_dict())
    image = torch.randn(8, 3, 128, 128, device="cuda").clamp(-1, 1)
    with torch.no_grad():
        assert (full(image) - half(image)).abs().max() < 0.05


def test_pictures_on_the_card_equal_those_of_the_processor():
    torch.manual_seed(0)
    G = networks.build_generator(spec())
    recipes = [Recipe.of_seed(s, psi=0.7, noise_mode=m) for s, m in ((1, "const"), (2, "random"), (3, "none"))]
    here = Renderer(G).render(recipes)
    there = Renderer(G.cuda()).render(recipes)
    assert np.abs(here.astype(int) - there.astype(int)).max() <= 1


def test_a_step_of_training_with_gradient_penalties_is_finite():
    from ganlib.training import losses

    torch.manual_seed(0)
    G, D = (
        networks.build_generator(spec(num_fp16_res=4)).cuda(),
        networks.build_discriminator(spec(num_fp16_res=4)).cuda(),
    )
    w_plus = torch.randn(4, G.spec.num_ws, G.spec.w_dim, device="cuda", requires_grad=True)
    image = G.synthesis(w_plus, noise_mode="random")
    losses.path_lengths(image, w_plus, torch.randn_like(image)).square().mean().backward()
    real = torch.randn(4, 3, 128, 128, device="cuda").clamp(-1, 1).requires_grad_(True)
    losses.squared_gradient(D(real), real).mean().backward()
    for p in [*G.synthesis.parameters(), *D.parameters()]:
        assert p.grad is None or torch.isfinite(p.grad).all()


@pytest.mark.parametrize("arch", ["stylegan2", "progan", "dcgan"])
def test_every_family_trains_on_the_card(arch, tmp_path):
    from ganlib.models import checkpoints
    from ganlib.training import TrainConfig, train
    from tests.training.conftest import TINY_OF, Stopper, pictures, write_set

    data = write_set(tmp_path / "set.zip", pictures(16, side=64))
    options = {**TINY_OF[arch], "aug": "ada" if arch == "stylegan2" else "noaug", "device": "cuda", "workers": 1}
    reporter = Stopper()
    whole = train(TrainConfig(data=str(data), **options), tmp_path / "whole", reporter)
    assert all(np.isfinite(record["Loss/D/loss"]["mean"]) for record in reporter.records)
    assert reporter.records[-1]["Resources/peak_gpu_mem_gb"]["mean"] > 0
    card = checkpoints.read_card(whole)
    if arch == "stylegan2":
        assert (card.spec.params["num_fp16_res"], card.spec.params["conv_clamp"]) == (4, 256.0)
    train(TrainConfig(data=str(data), **options), tmp_path / "parts", Stopper(steps=3))
    again = train(TrainConfig(data=str(data), **options), tmp_path / "parts", Stopper())
    assert checkpoints.read_card(again).kimg == card.kimg
