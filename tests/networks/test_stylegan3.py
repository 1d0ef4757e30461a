"""StyleGAN3: agreement with the reference vectors, fast beside plain, and pictures that move as they should."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ganlib import networks
from ganlib.base.errors import CheckpointError, InputError
from ganlib.latents import recipes
from ganlib.networks import alias_free, stylegan3
from ganlib.networks.base import GeneratorSpec

TOLERANCE = 1e-4  # max |error| over the output's standard deviation


def assert_close(got, expected, tolerance=TOLERANCE):
    expected = torch.as_tensor(expected)
    assert got.shape == expected.shape
    error = ((got.detach() - expected).abs().max() / expected.std()).item()
    assert error <= tolerance, f"{error:.2e} of the standard deviation"


def load(path):
    arrays = np.load(path, allow_pickle=False)
    state = {k[6:]: torch.from_numpy(arrays[k]) for k in arrays.files if k.startswith("state.")}
    G = networks.build_generator(stylegan3.infer_spec(state))
    designed = G.state_dict()
    G.load_state_dict(state)
    return arrays, G.requires_grad_(False), designed


@pytest.fixture(scope="module")
def turning(repository):
    """The reference generator of configuration r, a copy of which is kept beside the tests."""
    return load(repository / "tests" / "data" / "stylegan3_r_generator.npz")


def check_agreement(arrays, G, designed):
    config = json.loads(str(arrays["config"]))
    spec = G.spec
    assert (spec.resolution, spec.z_dim, spec.label_dim) == (32, config["z_dim"], config["c_dim"])
    assert (spec.params["num_layers"], spec.num_ws, spec.movable) == (config["num_layers"], 8, True)
    for name, tensor in designed.items():
        if name.endswith("_filter"):
            assert_close(tensor, arrays[f"state.{name}"], 1e-5)
    label = torch.from_numpy(arrays["c"]) if "c" in arrays.files else None
    w = G.w_avg + 0.7 * (G.mapping(torch.from_numpy(arrays["z"]), label) - G.w_avg)
    w_plus = w[:, None].repeat(1, spec.num_ws, 1)
    assert_close(w_plus, arrays["w_psi07"])
    assert_close(G.synthesis(w_plus), arrays["image"])
    transform = torch.from_numpy(arrays["user_transform"]).float()
    assert_close(G.synthesis(w_plus, transform=transform.expand(2, 3, 3)), arrays["image_transformed"])
    G.synthesis.input.transform.copy_(transform)
    assert_close(G.synthesis(w_plus), arrays["image_transformed"])
    G.synthesis.input.transform.copy_(torch.eye(3))


def test_configuration_r_agrees_with_the_reference(turning):
    check_agreement(*turning)


@pytest.mark.parity
def test_configuration_t_agrees_with_the_reference(reference):
    check_agreement(*load(reference / "stylegan3_t_generator.npz"))


# ---- Filters and the filtered nonlinearity -------------------------------------------------------------------------


@pytest.mark.parametrize(("num_taps", "cutoff", "width"), [(12, 2.0, 12.0), (24, 3.5, 9.0), (12, 16.0, 3.0)])
def test_filters_are_kaisers(num_taps, cutoff, width):
    from scipy import signal  # scikit-learn brings it

    expected = signal.firwin(num_taps, cutoff, width=width, fs=64.0)
    assert_close(alias_free.design_filter(num_taps, cutoff=cutoff, width=width, rate=64), expected, 1e-6)


def test_a_radial_filter_is_the_same_in_every_direction_and_a_few_separable_ones():
    f = alias_free.design_filter(12, cutoff=6, width=20, rate=64, radial=True)
    assert f.sum().item() == pytest.approx(1, abs=1e-6)
    assert torch.allclose(f, f.t(), atol=1e-8) and torch.allclose(f, f.flip(0), atol=1e-8)
    parts = alias_free.separable_parts(f)
    assert 2 <= len(parts) <= 4
    assert_close(sum(torch.outer(v, h) for v, h in parts), f, 1e-5)
    assert torch.isfinite(alias_free.design_filter(5, cutoff=6, width=20, rate=64, radial=True)).all()


@pytest.mark.parametrize("with_gradients", [False, True])
@pytest.mark.parametrize("band_bytes", [1, 8 << 20])
@pytest.mark.parametrize(
    ("up", "taps", "padding"), [(2, 12, (9, 8)), (4, 24, (-6, -9)), (2, 11, (3, -4)), (1, 1, (0, 2))]
)
@pytest.mark.parametrize("radial", [False, True])
def test_the_fast_filtered_lrelu_equals_the_plain_one(
    up, taps, padding, radial, band_bytes, with_gradients, monkeypatch
):
    torch.manual_seed(0)
    monkeypatch.setattr(alias_free, "BAND_BYTES", band_bytes)
    x = torch.randn(2, 3, 38, 34).contiguous(memory_format=torch.channels_last)
    down_filter = torch.randn(10, 10) if radial else torch.randn(10)
    options = {"up": up, "down": 2, "padding": padding, "gain": 1.3, "clamp": 2.5}
    with torch.set_grad_enabled(with_gradients):
        x.requires_grad_(with_gradients)
        pair = [
            form(x, torch.randn(taps, generator=torch.Generator().manual_seed(1)), down_filter, **options)
            for form in (alias_free.filtered_lrelu_plain, alias_free.filtered_lrelu)
        ]
        assert_close(pair[1], pair[0].detach(), 3e-5)  # measured: 1e-5, filters of random taps amplify rounding
        if with_gradients:
            plain, fast = (torch.autograd.grad(y.square().sum(), x)[0] for y in pair)
            assert_close(fast, plain, 1e-4)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_layer_equals_its_plain_formulation(turning, number):
    """Weights of every sample, the whole overlap of the convolution, and only then the crop."""
    _, G, _ = turning
    rows = stylegan3.bands(G.spec)
    layer = G.synthesis.get_submodule(G.synthesis.layer_names[number])
    torch.manual_seed(0)
    x, w = torch.randn(2, 16, rows[number - 1].size, rows[number - 1].size), torch.randn(2, 32)
    weight = layer.weight[None] * layer.affine(w)[:, None, :, None, None]
    weight = weight * weight.square().sum(dim=[2, 3, 4], keepdim=True).rsqrt() / layer.magnitude_ema.sqrt()
    overlap = layer.kernel_size - 1
    y = torch.cat([F.conv2d(one[None], kernel, padding=overlap) for one, kernel in zip(x, weight, strict=True)])
    padding = tuple(p - c * layer.up for p, c in zip(layer.padding, layer.crop, strict=True))
    expected = alias_free.filtered_lrelu_plain(
        y + layer.bias[:, None, None], layer.up_filter, layer.down_filter, up=layer.up, down=2, padding=padding,
        clamp=256.0,
    )  # fmt: skip
    assert expected.shape[-1] == rows[number].size
    assert_close(layer(x, w), expected, 2e-5)


def test_gradients_reach_w(turning):
    _, G, _ = turning
    w_plus = torch.randn(1, G.spec.num_ws, 32, requires_grad=True)
    image = G.synthesis(w_plus)
    (gradient,) = torch.autograd.grad(image.square().sum(), w_plus)
    assert torch.isfinite(gradient).all() and (gradient[:, 1:].abs().amax(dim=2) > 0).all()
    with torch.no_grad():
        assert_close(G.synthesis(w_plus), image.detach(), 1e-5)


# ---- Movement ------------------------------------------------------------------------------------------------------


def picture(G, translate=(0.0, 0.0), rotate=0.0):
    w = G.mapping(torch.ones(1, 32), torch.eye(3)[:1])[:, None].repeat(1, G.spec.num_ws, 1)
    return G.synthesis(w, transform=recipes.placement(translate, rotate)[None])


def test_translation_moves_right_and_down(turning):
    _, G, _ = turning
    still, moved = picture(G), picture(G, (4 / 32, 2 / 32))
    assert_close(moved[..., 10:-4, 10:-4], still[..., 8:-6, 6:-8], 0.02)  # measured: 0.004
    assert (moved - still).abs().max() > 0.3 * still.std()


def test_rotation_turns_counter_clockwise(turning):
    _, G, _ = turning
    still, turned = picture(G), picture(G, rotate=90)
    assert_close(turned[..., 6:-6, 6:-6], still.rot90(1, [2, 3])[..., 6:-6, 6:-6], 0.02)  # measured: 0.003


def test_a_placement_is_the_references_transform(turning):
    arrays, _, _ = turning
    inverse = np.linalg.inv(arrays["user_transform"])
    angle = math.degrees(math.atan2(inverse[0, 1], inverse[0, 0]))
    found = recipes.placement((inverse[0, 2], inverse[1, 2]), angle)
    np.testing.assert_allclose(found, arrays["user_transform"], atol=1e-6)
    assert (inverse[0, 2], angle) == pytest.approx((0.11, math.degrees(0.3)))


# ---- The spec ------------------------------------------------------------------------------------------------------


def test_the_published_configurations_have_their_layers():
    rows = stylegan3.bands(stylegan3.make_spec(resolution=1024))
    assert " ".join(f"{r.size}_{r.channels}" for r in rows) == (
        "36_512 36_512 52_512 52_512 84_512 148_512 148_512 276_323 276_203 532_128 1044_81 1044_51 1044_32 1024_32 "
        "1024_3"
    )
    rows = stylegan3.bands(stylegan3.make_spec(resolution=256, channel_base=65536, channel_max=1024, conv_kernel=1))
    assert [f"{r.size}_{r.channels}" for r in rows[-5:]] == ["276_512", "276_362", "276_256", "256_256", "256_3"]


def test_widths_that_no_formula_gives_are_kept():
    spec = stylegan3.make_spec(
        resolution=16, z_dim=4, w_dim=4, num_layers=4, layer_channels=[5, 4, 7, 3], channel_base=8, channel_max=8
    )
    inferred = stylegan3.infer_spec(networks.build_generator(spec).state_dict())
    assert inferred.params["layer_channels"] == [5, 4, 7, 3]
    assert GeneratorSpec.from_dict(json.loads(json.dumps(inferred.to_dict()))) == inferred


@pytest.mark.parametrize(
    "change",
    [{"num_layers": 0}, {"num_layers": 5}, {"num_critical": 4}, {"filter_size": 10**6}, {"first_cutoff": 0},
     {"margin_size": -1}, {"layer_channels": [5]}, {"layer_channels": [10**9] * 4}, {"last_stopband_rel": "x"}],
)  # fmt: skip
def test_a_hostile_spec_ends_in_a_clear_error(change):
    values = stylegan3.STYLEGAN3.tiny().to_dict()
    with pytest.raises(CheckpointError):
        spec = GeneratorSpec.from_dict({**values, "params": {**values["params"], **change}})
        networks.check_spec(spec)
        networks.build_generator(spec)


def test_only_families_that_can_move_say_so():
    for name, row in networks.ARCHITECTURES.items():
        spec = row.tiny()
        assert spec.movable == (name == "stylegan3")
        assert ("movable" in spec.to_dict()) == spec.movable  # digests of older models are made without it
        networks.check_spec(spec)
    lying = GeneratorSpec.from_dict({**networks.ARCHITECTURES["dcgan"].tiny().to_dict(), "movable": True})
    with pytest.raises(CheckpointError, match="can be moved"):
        networks.check_spec(lying)
    with pytest.raises(CheckpointError, match="moves"):
        GeneratorSpec.from_dict({**lying.to_dict(), "movable": 1})


@pytest.mark.parametrize("resolution", [0, 8, 48, -64])
def test_impossible_resolutions_are_refused(resolution):
    with pytest.raises(InputError):
        stylegan3.make_spec(resolution=resolution)


def test_tensors_of_other_networks_are_refused():
    tensors = networks.tiny_generator("stylegan2").state_dict()
    assert networks.family_of(tensors).name == "stylegan2"
    with pytest.raises(CheckpointError, match="no StyleGAN3 generator"):
        stylegan3.infer_spec(tensors)
    with pytest.raises(CheckpointError, match="no generator of"):
        networks.family_of({"b4.weight": torch.zeros(1)})
    wrong = {name.replace("_36_", "_40_"): t for name, t in networks.tiny_generator("stylegan3").state_dict().items()}
    with pytest.raises(CheckpointError, match="other sizes"):
        stylegan3.infer_spec(wrong)


def test_a_lone_identity_filter_does_nothing():
    x = torch.randn(1, 2, 9, 9)
    one = torch.ones(1)
    y = alias_free.filtered_lrelu(x, one, one, up=1, down=1, padding=(0, 0), slope=1.0, gain=1.0)
    assert torch.equal(y, x)


def test_a_traced_network_of_configuration_r_draws_the_same(turning):
    _, G, _ = turning
    w_plus = torch.randn(2, G.spec.num_ws, 32)
    with torch.no_grad():
        expected = G.synthesis(w_plus)
    program = torch.export.export(G.synthesis, (w_plus,)).module()
    assert_close(program(w_plus), expected, 1e-5)
