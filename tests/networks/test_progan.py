"""ProGAN: the paper's shapes, growth without a jump, gradients; saved in the middle of a fade, rendered and filmed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ganlib import networks
from ganlib.base.errors import CheckpointError, InputError
from ganlib.latents import recipes as latents
from ganlib.latents.paths import Keyframe, LatentPath
from ganlib.latents.recipes import Recipe
from ganlib.models import checkpoints
from ganlib.networks import progan
from ganlib.networks.base import GeneratorSpec
from ganlib.networks.ops import EqualizedConv2d
from ganlib.render.renderer import Renderer

GROWTHS = [(0, 1.0), (1, 0.25), (1, 1.0), (2, 0.0), (2, 0.6), (2, 1.0)]
EACH_GROWTH = pytest.mark.parametrize("growth", GROWTHS, ids=str)


def pair(growth=(2, 1.0), *, seed=0, **options):
    """A tiny generator and its discriminator (16 px, stages 0 … 2), both grown alike."""
    G = networks.tiny_generator("progan", seed=seed, **options)
    torch.manual_seed(seed)
    D = networks.build_discriminator(G.spec)
    for net in (G, D):
        net.grow(*growth)
    return G, D


def pictures(G, count=3, seed=0):
    z = torch.randn(count, G.spec.z_dim, generator=torch.Generator().manual_seed(seed))
    return G.mapping(z)[:, None]


# ---- The paper ------------------------------------------------------------------------------------------------------


def test_table_2_has_these_feature_maps_and_parameters():
    spec = progan.make_spec(resolution=1024)
    with torch.device("meta"):
        G, D = networks.build_generator(spec), networks.build_discriminator(spec)
    assert [progan.channels_at(r, 16384, 512) for r in G.synthesis.resolutions] == [512] * 4 + [256, 128, 64, 32, 16]
    rgb = {"torgb", "fromrgb"}
    for net in (G, D):
        count = sum(p.numel() for name, p in net.named_parameters() if not rgb & set(name.split(".")))
        last = 16 * 3 + 3 if net is G else 3 * 16 + 16  # the 1×1 convolution at 1024 px, the only one in the table
        assert round((count + last) / 1e6, 1) == 23.1


def test_weights_are_normal_and_scaled_at_run_time():
    torch.manual_seed(0)
    layer = EqualizedConv2d(32, 16, 3, act="lrelu")
    assert layer.weight.std().item() == pytest.approx(1.0, rel=0.05)
    x = torch.randn(1, 32, 5, 5)
    expected = F.leaky_relu(F.conv2d(x, layer.weight * (2 / (32 * 9)) ** 0.5, padding=1), 0.2)  # He's constant
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


def test_features_are_normalised_at_every_pixel():
    G, _ = pair()
    x = pictures(G)[:, 0]
    for side in G.synthesis.resolutions:
        x = G.synthesis.get_submodule(f"b{side}")(x)
        torch.testing.assert_close(x.square().mean(dim=1), torch.ones(3, side, side), atol=1e-4, rtol=1e-4)


def test_scaling_pictures_undoes_itself():
    img = torch.randn(2, 3, 4, 4)
    assert torch.equal(progan.downscale(progan.upscale(img, 16), 16), progan.upscale(img, 16))
    torch.testing.assert_close(progan.downscale(progan.upscale(img, 16), 4), img)
    assert progan.upscale(torch.tensor([[[[1.0, 2.0]] * 2]]), 4)[0, 0, 0].tolist() == [1, 1, 2, 2]
    assert progan.downscale(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]), 1).item() == 3.0


# ---- Growth ---------------------------------------------------------------------------------------------------------


@EACH_GROWTH
def test_pictures_have_the_full_size_at_every_stage(growth):
    G, D = pair(growth)
    own = G.synthesis.at_own_side(pictures(G))
    full = G.synthesis(pictures(G))
    assert own.shape == (3, 3, 4 << growth[0], 4 << growth[0])
    assert full.shape == (3, 3, 16, 16)
    assert torch.equal(full, progan.upscale(own, 16))
    torch.testing.assert_close(D(full), D(own))
    assert D(full).shape == (3, 1)
    assert G.growth() == D.growth()
    assert G.growth() == (growth[0], pytest.approx(growth[1]))


def test_a_fade_is_the_weighted_sum_of_two_stages():
    G, _ = pair()
    w = pictures(G)
    shots = {}
    for growth in [(1, 1.0), (2, 0.0), (2, 0.25), (2, 1.0)]:
        G.grow(*growth)
        shots[growth] = G.synthesis(w)
    torch.testing.assert_close(shots[2, 0.0], shots[1, 1.0])
    torch.testing.assert_close(shots[2, 0.25], 0.75 * shots[1, 1.0] + 0.25 * shots[2, 1.0])
    assert (shots[2, 1.0] - shots[1, 1.0]).abs().max() > 0.1


@pytest.mark.parametrize("stage", [1, 2])
def test_the_discriminator_grows_without_a_jump(stage):
    _, D = pair()
    img = torch.randn(4, 3, 16, 16)
    D.grow(stage - 1)
    before = D(img)
    D.grow(stage, 0.0)
    torch.testing.assert_close(D(img), before)
    D.grow(stage, 1.0)
    assert (D(img) - before).abs().max() > 1e-3


def test_only_the_blocks_in_use_learn():
    G, D = pair((1, 0.5))
    D(G.synthesis(pictures(G))).sum().backward()
    idle = {n for net in (G, D) for n, p in net.named_parameters() if p.grad is None}
    assert {n.split(".")[-3] for n in idle} == {"b16"}
    assert len(idle) == 12


@pytest.mark.parametrize("label_dim", [0, 3])
def test_every_parameter_learns_in_a_fade_of_the_last_stage(label_dim):
    G, D = pair((2, 0.5), label_dim=label_dim)
    label = torch.eye(3) if label_dim else None
    img = G(torch.randn(3, G.spec.z_dim), label)
    (D(img, label).sum() + G.synthesis.b4.torgb(torch.ones(1, 16, 4, 4)).sum()).backward()
    idle = [n for net in (G, D) for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == ["b4.fromrgb.weight", "b4.fromrgb.bias"]  # done with since stage 1


def test_real_pictures_fade_as_generated_ones_do():
    _, D = pair((2, 0.25))
    img = torch.randn(2, 3, 16, 16)
    coarse = F.interpolate(F.avg_pool2d(img, 2), scale_factor=2)
    torch.testing.assert_close(D.match_real(img), 0.75 * coarse + 0.25 * img)
    D.grow(1)
    torch.testing.assert_close(D.match_real(img), F.avg_pool2d(img, 2))
    D.grow(0)
    torch.testing.assert_close(D.match_real(img), F.avg_pool2d(img, 4))


def test_a_new_network_is_fully_grown_and_impossible_stages_are_refused():
    G, D = (networks.tiny_generator("progan"), networks.build_discriminator(networks.ARCHITECTURES["progan"].tiny()))
    for net in (G, D):
        assert net.num_stages == 3
        assert net.growth() == (2, 1.0)
        for stage, alpha in [(3, 1.0), (-1, 1.0), (1, 1.5), (1, -0.1), (1, float("nan"))]:
            with pytest.raises(InputError, match="does not exist"):
                net.grow(stage, alpha)
        net.grow(0, 0.3)
        assert net.growth() == (0, 1.0)  # nothing to fade from


@pytest.mark.parametrize("damage", [{"stage": 99}, {"stage": -1}, {"alpha": float("nan")}, {"alpha": 7.0}])
def test_impossible_growth_in_a_file_is_named(damage):
    G, _ = pair()
    for name, value in damage.items():
        G.synthesis.get_buffer(name).fill_(value)
    with pytest.raises(CheckpointError, match="stage"):
        G.synthesis(pictures(G))


# ---- Gradients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("growth", [(0, 1.0), (1, 0.4), (1, 1.0)], ids=str)
def test_first_and_second_gradients(growth):
    """Against finite differences, the minibatch statistic included."""
    spec = progan.make_spec(resolution=8, img_channels=1, z_dim=3, channel_base=32, channel_max=4)
    torch.manual_seed(1)
    G, D = (build(spec).double() for build in (networks.build_generator, networks.build_discriminator))
    for net in (G, D):
        net.grow(*growth)
    w = torch.randn(2, 1, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(G.synthesis, (w,), fast_mode=True)
    assert torch.autograd.gradgradcheck(G.synthesis, (w,), fast_mode=True)
    img = torch.randn(4, 1, 8, 8, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(D, (img,), fast_mode=True)
    assert torch.autograd.gradgradcheck(D, (img,), fast_mode=True)


# ---- Latents, labels, spec ------------------------------------------------------------------------------------------


def test_w_lies_on_the_sphere_and_blends_return_to_it():
    G, _ = pair()
    w = G.mapping(torch.randn(2, G.spec.z_dim) * 5)
    torch.testing.assert_close(w.square().mean(dim=1), torch.ones(2))
    blend = w.mean(dim=0)[None, None]
    torch.testing.assert_close(G.synthesis(blend), G.synthesis(3 * blend), atol=1e-5, rtol=1e-5)
    assert torch.isfinite(G.synthesis(torch.zeros(1, 1, G.spec.w_dim))).all()
    assert not G.w_avg.any()
    assert not G.spec.truncatable


def test_a_class_is_half_of_w():
    G, _ = pair(label_dim=3)
    assert G.spec.w_dim == 2 * G.spec.z_dim
    w = G.mapping(torch.randn(2, G.spec.z_dim), torch.eye(3)[:2])
    torch.testing.assert_close(w[:, : G.spec.z_dim].square().mean(dim=1), torch.ones(2))
    torch.testing.assert_close(w[:, G.spec.z_dim :].square().mean(dim=1), torch.ones(2))


@pytest.mark.parametrize(
    "options",
    [{}, {"label_dim": 3, "img_channels": 1}, {"channel_base": 1000, "channel_max": 100, "resolution": 32},
     {"channel_max": 4}],
)  # fmt: skip
def test_the_spec_is_read_off_the_tensors(options):
    G = networks.tiny_generator("progan", **options)
    inferred = progan.infer_spec(G.state_dict())
    networks.build_generator(inferred).load_state_dict(G.state_dict())
    for name in ("resolution", "img_channels", "z_dim", "w_dim", "num_ws", "label_dim"):
        assert getattr(inferred, name) == getattr(G.spec, name)


def test_foreign_tensors_are_refused():
    for arch in ("stylegan2", "dcgan"):
        with pytest.raises(CheckpointError, match="no ProGAN"):
            progan.infer_spec(networks.tiny_generator(arch).state_dict())
    tensors = networks.tiny_generator("progan").state_dict()
    del tensors["synthesis.b8.conv1.weight"]
    with pytest.raises(CheckpointError, match="no ProGAN"):
        progan.infer_spec(tensors)


@pytest.mark.parametrize("options", [{"resolution": 4}, {"resolution": 48}, {"channel_base": 8}, {"channel_max": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(InputError):
        progan.make_spec(**{"resolution": 32, **options})


@pytest.mark.parametrize(
    "change", [{"resolution": 48}, {"resolution": 4}, {"w_dim": 20}, {"num_ws": 2}, {"label_dim": 2}, {"params": {}}]
)
def test_a_hostile_spec_ends_in_a_clear_error(change):
    values = {**networks.ARCHITECTURES["progan"].tiny().to_dict(), **change}
    with pytest.raises(CheckpointError):
        networks.build_generator(GeneratorSpec.from_dict(values))


# ---- The way to a picture -------------------------------------------------------------------------------------------


@EACH_GROWTH
def test_saved_loaded_and_rendered_is_the_same_picture(tmp_path, growth):
    G, D = pair(growth, seed=3)
    path = tmp_path / "progan.safetensors"
    checkpoints.save_snapshot(path, G_ema=G, D=D)
    recipes = [Recipe.of_seed(s, psi=0.7) for s in range(5)]
    before, opened = Renderer(G).render(recipes), Renderer.open(path, device="cpu")
    assert np.array_equal(before, opened.render(recipes))
    assert np.abs(before[0].astype(int) - before[1]).max() > 5
    assert opened.generator.growth() == G.growth()
    loaded, img = checkpoints.load_discriminator(path), torch.randn(4, 3, 16, 16)
    assert loaded.growth() == D.growth()
    assert torch.equal(loaded(img), D(img))


def test_half_precision_keeps_the_stage(tmp_path):
    G, _ = pair((2, 0.3))
    path = tmp_path / "half.safetensors"
    checkpoints.save_snapshot(path, G_ema=G, half=True)
    assert checkpoints.load_generator(path).growth() == (2, pytest.approx(0.3, abs=1e-3))


def test_a_picture_is_the_same_in_any_batch():
    renderer = Renderer(pair((2, 0.5))[0])
    recipes = [Recipe.of_seed(s) for s in range(5)]
    alone = np.concatenate([renderer.render([r]) for r in recipes])
    assert np.abs(renderer.render(recipes, batch=5).astype(int) - alone).max() <= 1


@pytest.mark.parametrize("curve", ["linear", "slerp", "cubic"])
def test_films_pass_their_keyframes(curve):
    renderer = Renderer(pair((2, 0.5))[0])
    recipes = [Recipe.of_seed(s, psi=0.7) for s in (1, 2, 3)]
    path = LatentPath(tuple(Keyframe(r, 0.5) for r in recipes), curve=curve)
    frames = renderer.synthesize(path.frame_w_plus(renderer, 8), noise_mode="none")
    assert frames.shape == (12, 16, 16, 3)
    assert np.abs(frames[::4].astype(int) - renderer.render(recipes)).max() <= 1


def test_seeds_are_the_studios_seeds():
    G, _ = pair()
    z = latents.seed_z(85, G.spec.z_dim)
    expected = torch.from_numpy(z / np.sqrt((z**2).mean())).float()
    torch.testing.assert_close(Renderer(G).w_plus([Recipe.of_seed(85)])[0], expected)
