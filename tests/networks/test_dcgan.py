"""DCGAN: the paper's shapes, both ways of doubling, batch normalisation, classes; saved, rendered and filmed."""

import numpy as np
import pytest
import torch
from torch import nn

from ganlib import networks
from ganlib.base.errors import CheckpointError, InputError
from ganlib.latents import recipes as latents
from ganlib.latents.paths import Keyframe, LatentPath
from ganlib.latents.recipes import Recipe
from ganlib.models import checkpoints
from ganlib.networks import dcgan
from ganlib.networks.base import GeneratorSpec
from ganlib.render.renderer import Renderer

UPSAMPLING = pytest.mark.parametrize("upsampling", dcgan.UPSAMPLING)
NORMS = pytest.mark.parametrize("norm", [False, True])


def trained_like(**options):
    """A generator whose weights and statistics are large enough that latents and labels show in uint8."""
    G = networks.tiny_generator("dcgan", **options)
    rng = torch.Generator().manual_seed(5)
    for module in G.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=rng) * 0.3)
            module.running_var.copy_(torch.rand(module.num_features, generator=rng) + 0.5)
            module.num_batches_tracked.fill_(7)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            with torch.no_grad():
                module.weight.normal_(0, 0.2, generator=rng)
    return G


# ---- The paper ------------------------------------------------------------------------------------------------------


def test_figure_1_has_these_feature_maps():
    spec = dcgan.make_spec(resolution=64, ngf=128)
    with torch.device("meta"):
        G = networks.build_generator(spec)
    shapes = [tuple(m.weight.shape) for m in G.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert G.synthesis.project.out_features == 1024 * 16
    assert shapes == [(1024, 512, 4, 4), (512, 256, 4, 4), (256, 128, 4, 4), (128, 3, 4, 4)]


def test_large_pictures_stop_widening_at_eight_times_the_base():
    assert [dcgan.channels_at(side, 256, 10) for side in (4, 8, 16, 32, 64, 128)] == [80, 80, 80, 40, 20, 10]


def test_no_pooling_and_the_right_activations():
    spec = dcgan.make_spec(resolution=32, ngf=4, ndf=4)
    G, D = networks.build_generator(spec), networks.build_discriminator(spec)
    assert not any("Pool" in type(m).__name__ for net in (G, D) for m in net.modules())
    with torch.no_grad():
        G.synthesis.b32.conv.weight.fill_(1e6)
    assert G(torch.randn(2, 100)).abs().max() == 1.0
    block = D.b16  # 3 → 4 feature maps, 32 → 16 px
    with torch.no_grad():
        block.conv.weight.zero_()
        block.conv.bias.fill_(-1.0)
    torch.testing.assert_close(block(torch.zeros(1, 3, 4, 4)), torch.full([1, 4, 2, 2], -0.2))


def test_weights_start_as_the_paper_says():
    torch.manual_seed(0)
    G = networks.build_generator(dcgan.make_spec(resolution=32, ngf=32))
    assert G.synthesis.b8.conv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert G.synthesis.norm.weight.mean().item() == pytest.approx(1.0, abs=0.01)
    assert 0.01 < G.synthesis.norm.weight.std().item() < 0.03
    assert not G.synthesis.b32.conv.bias.any()


@NORMS
def test_batch_normalisation_is_where_it_was_asked_for(norm):
    spec = dcgan.make_spec(resolution=32, ngf=4, ndf=4, bn_G=norm, bn_D=not norm)
    G, D = networks.build_generator(spec), networks.build_discriminator(spec)
    count = [sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) for net in (G, D)]
    assert count == ([3, 0] if norm else [0, 2])  # never on G's output nor on D's input layer


@UPSAMPLING
def test_doubling_covers_every_pixel_equally(upsampling):
    block = dcgan.UpBlock(1, 1, upsampling=upsampling, batch_norm=False, last=True)
    with torch.no_grad():
        block.conv.weight.fill_(1.0)
        block.conv.bias.zero_()
        inner = block(torch.ones(1, 1, 6, 6))[:, :, 2:-2, 2:-2]
    assert inner.shape[-1] == 8
    assert inner.min() == inner.max()


# ---- Gradients ------------------------------------------------------------------------------------------------------


@UPSAMPLING
@NORMS
def test_first_and_second_gradients(upsampling, norm):
    """Against finite differences, in training mode, where batch normalisation ties the samples together."""
    spec = dcgan.make_spec(
        resolution=16, img_channels=1, z_dim=3, ngf=2, ndf=2, bn_G=norm, bn_D=norm, upsampling=upsampling
    )
    torch.manual_seed(1)
    G, D = (build(spec).double().train() for build in (networks.build_generator, networks.build_discriminator))
    for p in [*G.parameters(), *D.parameters()]:
        p.data.mul_(10.0)
    w = torch.randn(2, 1, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(G.synthesis, (w,), fast_mode=True)
    assert torch.autograd.gradgradcheck(G.synthesis, (w,), fast_mode=True)
    img = torch.randn(2, 1, 16, 16, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(D, (img,), fast_mode=True)
    assert torch.autograd.gradgradcheck(D, (img,), fast_mode=True)


@NORMS
def test_every_parameter_learns(norm):
    spec = dcgan.make_spec(resolution=16, label_dim=3, ngf=4, ndf=4, bn_G=norm, bn_D=norm)
    G, D = networks.build_generator(spec).train(), networks.build_discriminator(spec).train()
    label = torch.eye(3)
    D(G(torch.randn(3, 100), label), label).square().mean().backward()
    for net in (G, D):
        assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


# ---- Latents, labels, spec ------------------------------------------------------------------------------------------


def test_w_is_z_and_synthesis_uses_its_direction():
    G = trained_like()
    z = torch.from_numpy(latents.seed_z(85, G.spec.z_dim))
    assert torch.equal(G.mapping(z), z.float())
    renderer = Renderer(G)
    assert torch.equal(renderer.w_plus([Recipe.of_seed(85, psi=0.7)])[0], z.float())
    half, full = renderer.synthesize(torch.stack([z, 2 * z]), noise_mode="none").astype(int)
    assert np.abs(half - full).max() <= 1
    assert torch.isfinite(G.synthesis(torch.zeros(1, 1, G.spec.w_dim))).all()


def test_a_blend_has_the_contrast_of_its_seeds():
    renderer = Renderer(trained_like())
    seeds = renderer.render([Recipe.of_seed(s) for s in range(40)]).std(axis=(1, 2, 3))
    blends = renderer.render([Recipe(((s, 1.0), (s + 1, 1.0))) for s in range(39)]).std(axis=(1, 2, 3))
    assert blends.mean() == pytest.approx(seeds.mean(), rel=0.1)


def test_w_avg_stays_zero():
    G = networks.tiny_generator("dcgan")
    G.w_avg.fill_(3.0)
    assert not G.w_avg.any()
    assert "w_avg" not in G.state_dict()


def test_a_class_keeps_its_strength():
    G = trained_like(label_dim=3)
    assert G.spec.w_dim == G.spec.z_dim + dcgan.LABEL_FEATURES
    w = G.mapping(torch.randn(1, G.spec.z_dim).repeat(2, 1), torch.eye(3)[:2])
    weaker = torch.cat([w[:, : G.spec.z_dim], 0.3 * w[:, G.spec.z_dim :]], dim=1)
    a, b = G.synthesis(w[:, None]), G.synthesis(weaker[:, None])
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    assert (a[0] - a[1]).abs().max() > 0.05


@UPSAMPLING
@NORMS
@pytest.mark.parametrize("label_dim", [0, 2])
def test_the_spec_is_read_off_the_tensors(upsampling, norm, label_dim):
    options = {"upsampling": upsampling, "bn_G": norm, "label_dim": label_dim, "img_channels": 1, "resolution": 32}
    spec = networks.tiny_generator("dcgan", **options).spec
    assert dcgan.infer_spec(networks.tiny_generator("dcgan", **options).state_dict()) == spec


def test_foreign_tensors_are_refused():
    for arch in ("stylegan2", "progan"):
        with pytest.raises(CheckpointError, match="no DCGAN"):
            dcgan.infer_spec(networks.tiny_generator(arch).state_dict())
    for damage in ("synthesis.b8.conv.weight", "synthesis.project.weight"):
        tensors = networks.tiny_generator("dcgan").state_dict()
        del tensors[damage]
        with pytest.raises(CheckpointError, match="no DCGAN"):
            dcgan.infer_spec(tensors)


@pytest.mark.parametrize("options", [{"resolution": 8}, {"resolution": 48}, {"ngf": 0}, {"upsampling": "bicubic"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(InputError):
        dcgan.make_spec(**{"resolution": 32, **options})


@pytest.mark.parametrize(
    "change", [{"resolution": 48}, {"resolution": 4}, {"w_dim": 20}, {"w_dim": 3}, {"num_ws": 2}, {"params": {}}]
)
def test_a_hostile_spec_ends_in_a_clear_error(change):
    values = {**networks.ARCHITECTURES["dcgan"].tiny().to_dict(), **change}
    with pytest.raises(CheckpointError):
        networks.build_generator(GeneratorSpec.from_dict(values))


# ---- The way to a picture -------------------------------------------------------------------------------------------


@UPSAMPLING
@pytest.mark.parametrize("label_dim", [0, 3])
def test_saved_loaded_and_rendered_is_the_same_picture(tmp_path, upsampling, label_dim):
    G = trained_like(upsampling=upsampling, label_dim=label_dim)
    D = networks.build_discriminator(G.spec)
    path = tmp_path / "dcgan.safetensors"
    checkpoints.save_snapshot(path, G_ema=G, D=D)
    recipes = [Recipe.of_seed(s, psi=0.7, label=s % 3 if label_dim else None) for s in range(5)]
    before, after = Renderer(G).render(recipes), Renderer.open(path, device="cpu").render(recipes)
    assert np.array_equal(before, after)
    assert np.abs(before[0].astype(int) - before[1]).max() > 5
    loaded = checkpoints.load_generator(path).state_dict()
    assert loaded["synthesis.norm.num_batches_tracked"].item() == 7
    img, label = torch.randn(2, 3, 16, 16), torch.eye(3)[:2]
    assert torch.equal(checkpoints.load_discriminator(path)(img, label), D(img, label))


def test_a_picture_is_the_same_in_any_batch():
    renderer = Renderer(trained_like())
    recipes = [Recipe.of_seed(s, psi=0.7) for s in range(5)]
    alone = np.concatenate([renderer.render([r]) for r in recipes])
    assert np.abs(renderer.render(recipes, batch=5).astype(int) - alone).max() <= 1


@pytest.mark.parametrize("curve", ["linear", "slerp", "cubic"])
def test_films_pass_their_keyframes(curve):
    renderer = Renderer(trained_like())
    recipes = [Recipe.of_seed(s, psi=0.7) for s in (1, 2, 3)]
    path = LatentPath(tuple(Keyframe(r, 0.5) for r in recipes), curve=curve)
    frames = renderer.synthesize(path.frame_w_plus(renderer, 8), noise_mode="none")
    assert frames.shape == (12, 16, 16, 3)
    assert np.abs(frames[::4].astype(int) - renderer.render(recipes)).max() <= 1
