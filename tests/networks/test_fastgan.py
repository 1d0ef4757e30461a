"""FastGAN's generator in its light form, held to the paper's equations."""

import pytest
import torch
import torch.nn.functional as F

from ganlib import networks
from ganlib.base.errors import CheckpointError, InputError
from ganlib.models import checkpoints
from ganlib.networks import fastgan
from ganlib.networks.base import GeneratorSpec
from ganlib.training.config import TrainConfig


def generator(seed=0, **options):
    return networks.tiny_generator("fastgan", seed=seed, **options)


def test_maps_have_the_papers_widths():
    G = networks.build_generator(fastgan.make_spec(resolution=256, ngf=128))
    assert [G.synthesis.get_submodule(f"b{side}").conv.out_channels // 2 for side in (8, 16, 32, 64, 128, 256)] == [
        1024, 512, 256, 256, 128, 64,
    ]  # fmt: skip
    assert G.synthesis.b4.conv.out_channels == 2 * 2048 and G.spec.w_dim == G.spec.z_dim == 256


def test_a_picture_is_what_the_equations_say():
    """Each block once more, in other words: gated units and excitations by hand."""
    G = generator(resolution=64, z_dim=8, ngf=2)
    z = torch.randn(3, 8)
    s, kept = G.synthesis, {}
    x = z / z.square().mean(dim=1, keepdim=True).add(1e-8).sqrt()
    x = F.conv_transpose2d(x[..., None, None], s.b4.conv.weight)

    def gated(x, norm):
        x = (x - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
        a, b = (x * norm.weight[:, None, None] + norm.bias[:, None, None]).chunk(2, dim=1)
        return a / (1 + (-b).exp())

    x = kept[4] = gated(x, s.b4.norm)
    for side in (8, 16, 32, 64):
        block = s.get_submodule(f"b{side}")
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        x = gated(F.conv2d(x, block.conv.weight, padding=1), block.norm)
    squeezed = F.conv2d(kept[4], s.excite64.squeeze.weight)
    x = x * torch.sigmoid(F.conv2d(squeezed * torch.sigmoid(squeezed), s.excite64.excite.weight))
    torch.testing.assert_close(G(z), torch.tanh(F.conv2d(x, s.torgb.weight, s.torgb.bias, padding=1)))


def test_latents_act_on_a_sphere_and_classes_count():
    G = generator()
    z = torch.randn(2, 16)
    torch.testing.assert_close(G(z), G(3 * z))
    G = generator(label_dim=3)
    one, two = (F.one_hot(torch.tensor([k, k]), 3).float() for k in (0, 1))
    assert not torch.allclose(G(z, one), G(z, two))
    with pytest.raises(InputError, match="classes"):
        G(z)


@pytest.mark.parametrize("options", [{}, {"label_dim": 4}, {"resolution": 64, "ngf": 4}, {"img_channels": 1}])
def test_a_spec_is_read_off_the_tensors(options):
    G = generator(**options)
    found = fastgan.infer_spec(G.state_dict())
    known = {**G.spec.to_dict(), "params": found.to_dict()["params"]}  # the discriminator's width is a guess
    assert found.to_dict() == known and found.params["ngf"] == G.spec.params["ngf"]
    with pytest.raises(CheckpointError, match="no FastGAN"):
        fastgan.infer_spec({})


def test_it_goes_through_a_file(tmp_path):
    G = generator(label_dim=2)
    path = checkpoints.save_snapshot(tmp_path / "m.safetensors", G_ema=G).path
    label = F.one_hot(torch.tensor([1]), 2).float()
    z = torch.randn(1, 16)
    assert torch.equal(checkpoints.load_generator(path)(z, label), G(z, label))


@pytest.mark.parametrize("resolution", [8, 48, 2048])
def test_sides_that_it_cannot_make_are_refused(resolution):
    with pytest.raises(InputError, match=f"{resolution} pixels"):
        fastgan.make_spec(resolution=resolution)


@pytest.mark.parametrize("change", [{"num_ws": 2}, {"w_dim": 20}, {"params": {}}, {"params": {"ngf": 0}}])
def test_a_hostile_spec_is_refused(change):
    values = {**networks.ARCHITECTURES["fastgan"].tiny().to_dict(), **change}
    with pytest.raises(CheckpointError):
        networks.build_generator(GeneratorSpec.from_dict(values))


def test_its_own_rates_stand_under_its_own_discriminator():
    plain = TrainConfig(data="x", arch="fastgan").resolve()
    assert (plain.discriminator, plain.glr, plain.loss, plain.aug) == ("projected", 2e-4, "hinge", "diffaug")
    assert TrainConfig(data="x", arch="fastgan", discriminator="own").resolve().discriminator == "own"
