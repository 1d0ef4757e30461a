"""Agreement with the reference vectors of StyleGAN2: images, gradients, the R1 penalty and the resampling operators."""

import json

import numpy as np
import pytest
import torch

from ganlib.networks import build_discriminator, build_generator, ops, stylegan2
from ganlib.networks.base import GeneratorSpec

pytestmark = pytest.mark.parity
TOLERANCE = 1e-4  # max |error| over the output's standard deviation


def load(reference, name):
    arrays = np.load(reference / name, allow_pickle=False)
    state = {k[6:]: torch.from_numpy(arrays[k]) for k in arrays.files if k.startswith("state.")}
    return arrays, json.loads(str(arrays["config"])), state


def assert_close(got, expected, tolerance=TOLERANCE):
    expected = torch.as_tensor(expected)
    scale = expected.std().item() if expected.numel() > 1 else expected.abs().item()
    error = (got.detach() - expected).abs().max().item()
    assert error <= tolerance * scale, f"{error / scale:.2e} of the standard deviation"


def load_state(module, state):
    missing, unexpected = module.load_state_dict(state, strict=False)
    assert not missing
    assert all(k.endswith("resample_filter") for k in unexpected)
    return module.eval()


def truncated(w, w_avg, psi, cutoff):
    out = w.clone()
    out[:, :cutoff] = w_avg + psi * (w[:, :cutoff] - w_avg)
    return out


@pytest.mark.parametrize("name", ["uncond", "cond", "resnet_clamp"])
def test_generator_agrees(reference, name):
    arrays, config, state = load(reference, f"stylegan2_generator_{name}.npz")
    syn = config["synthesis_kwargs"]
    spec = stylegan2.make_spec(
        resolution=config["img_resolution"], img_channels=config["img_channels"], label_dim=config["c_dim"],
        z_dim=config["z_dim"], w_dim=config["w_dim"], mapping_layers=config["mapping_kwargs"]["num_layers"],
        channel_base=syn["channel_base"], channel_max=syn["channel_max"],
        architecture=syn.get("architecture", "skip"), conv_clamp=syn.get("conv_clamp"),
    )  # fmt: skip
    G = load_state(build_generator(spec), state)
    inferred = stylegan2.infer_spec(state)
    for field in ("resolution", "img_channels", "label_dim", "z_dim", "w_dim", "num_ws"):
        assert getattr(inferred, field) == getattr(spec, field)
    assert inferred.params["architecture"] == spec.params["architecture"]
    label = torch.from_numpy(arrays["c"]) if "c" in arrays.files else None
    z = torch.from_numpy(arrays["z"])
    np.testing.assert_array_equal(arrays["z"][0], np.random.RandomState(arrays["seeds"][0]).randn(config["z_dim"]))
    with torch.no_grad():
        w = G.mapping(z, label)[:, None].repeat(1, spec.num_ws, 1)
        assert_close(w, arrays["w"])
        psi07 = truncated(w, G.w_avg, 0.7, None)
        assert_close(psi07, arrays["w_psi07"])
        assert_close(truncated(w, G.w_avg, 0.5, 4), arrays["w_psi05_cutoff4"])
        images = {m: [G.synthesis(v, noise_mode=m) for v in (w, psi07)] for m in ("const", "none")}
        for mode in ("const", "none"):
            errors = [(i - torch.from_numpy(arrays[f"image_{mode}"])).abs().max().item() for i in images[mode]]
            assert min(errors) <= TOLERANCE * arrays[f"image_{mode}"].std(), errors
        w_plus = torch.from_numpy(arrays["w_plus"])
        assert_close(G.synthesis(w_plus, noise_mode="const"), arrays["image_w_plus_const"])


@pytest.mark.parametrize("name", ["uncond", "cond_skip"])
def test_discriminator_agrees_with_gradient_and_r1(reference, name):
    arrays, config, state = load(reference, f"stylegan2_discriminator_{name}.npz")
    spec = stylegan2.make_spec(
        resolution=config["img_resolution"], img_channels=config["img_channels"], label_dim=config["c_dim"],
        channel_base=config["channel_base"], channel_max=config["channel_max"], conv_clamp=config.get("conv_clamp"),
        D={"D_architecture": config.get("architecture", "resnet"), **config["epilogue_kwargs"]},
    )  # fmt: skip
    D = load_state(build_discriminator(spec), state)
    images = torch.from_numpy(arrays["images"]).requires_grad_(True)
    label = torch.from_numpy(arrays["c"]) if "c" in arrays.files else None
    logits = D(images, label)
    assert_close(logits, arrays["logits"])
    (grad,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    assert_close(grad, arrays["grad_images"])
    penalty = grad.square().sum(dim=[1, 2, 3])
    assert_close(penalty, arrays["r1_penalty"])
    penalty.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in D.parameters())


def test_upfirdn2d_agrees(reference):
    arrays, cases, _ = load(reference, "upfirdn2d.npz")
    for i, case in enumerate(cases):
        x, f = torch.from_numpy(arrays[f"{i}.x"]), torch.from_numpy(arrays[f"{i}.filter"])
        assert_close(ops.upfirdn2d(x, f, **case), arrays[f"{i}.y"])


def test_conv2d_resample_agrees_plain_and_fast(reference):
    arrays, cases, _ = load(reference, "conv2d_resample.npz")
    f = ops.setup_filter([1, 3, 3, 1])
    for i, case in enumerate(cases):
        x, w = torch.from_numpy(arrays[f"{i}.x"]), torch.from_numpy(arrays[f"{i}.w"])
        y = arrays[f"{i}.y"]
        options = {k: case[k] for k in ("up", "down", "padding", "flip_weight")}
        assert_close(ops.conv2d_resample(x, w, f, **options), y)
        if case["up"] == 2:
            assert not case["flip_weight"]
            assert_close(ops.conv2d_up(x, w, f), y)
        elif case["down"] == 2:
            assert_close(ops.conv2d_down(x, w, f), y)


def test_spec_round_trip():
    spec = stylegan2.STYLEGAN2.tiny()
    assert GeneratorSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == GeneratorSpec.from_dict(spec.to_dict())
