"""The fast operators equal their plain twins, forwards, backwards and twice backwards."""

import pytest
import torch

from ganlib.networks import bilinear, build_discriminator, build_generator, ops, stylegan2, tiny_generator
from ganlib.networks.stylegan2 import SynthesisLayer

F = ops.setup_filter([1, 3, 3, 1])


def rand(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_(True)


def assert_same_to_second_order(fast, plain, inputs):
    """Compare values, gradients, and gradients of the squared gradient."""
    results = []
    for function in (fast, plain):
        y = function(*inputs)
        first = torch.autograd.grad(y.sin().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), inputs, allow_unused=True)
        results.append([y, *first, *[s for s in second if s is not None]])
    assert len(results[0]) == len(results[1])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("demodulate", [True, False])
def test_modulated_convolution_equals_per_sample_weights(up, demodulate):
    inputs = [rand(3, 4, 5, 5), rand(6, 4, 3, 3, seed=1), rand(3, 4, seed=2)]
    options = {"up": up, "demodulate": demodulate}
    assert_same_to_second_order(
        lambda x, w, s: ops.modulated_conv2d(x, w, s, F.double(), **options),
        lambda x, w, s: ops.modulated_conv2d_grouped(x, w, s, F.double(), **options),
        inputs,
    )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_bilinear_convolutions_equal_those_of_pytorch(stride, layout):
    x, w = rand(2, 3, 9, 7), rand(5, 3, 3, 3, seed=1)
    x = x.detach().contiguous(memory_format=layout).requires_grad_(True)
    assert_same_to_second_order(
        lambda x, w, b: bilinear.conv2d(x, w, b, stride=stride, padding=1),
        lambda x, w, b: torch.nn.functional.conv2d(x, w, b, stride=stride, padding=1),
        [x, w, rand(5, seed=2)],
    )
    assert_same_to_second_order(
        lambda x, w: bilinear.conv_transpose2d(x, w.transpose(0, 1), stride=stride),
        lambda x, w: torch.nn.functional.conv_transpose2d(x, w.transpose(0, 1), stride=stride),
        [x, rand(4, 3, 3, 3, seed=3)],
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_bilinear_filters_equal_depthwise_convolutions(stride):
    x, f = rand(2, 3, 10, 8), rand(4, 2, seed=1).detach()
    kernel = f[None, None].expand(3, 1, 4, 2)
    options = {"stride": stride, "padding": 1}
    assert_same_to_second_order(
        lambda x, b: bilinear.filter2d(x, f, b, **options),
        lambda x, b: torch.nn.functional.conv2d(x, kernel, b, groups=3, **options),
        [x, rand(3, seed=2)],
    )
    assert_same_to_second_order(
        lambda x: bilinear.filter_transpose2d(x, f, **options),
        lambda x: torch.nn.functional.conv_transpose2d(x, kernel, groups=3, **options),
        [x],
    )


def test_third_derivatives_of_bilinear_convolutions_are_right():
    x, w, g = rand(1, 2, 5, 5), rand(2, 2, 3, 3, seed=1), rand(1, 2, 5, 5, seed=2).detach()

    def penalty_of_gradient(x, w):
        (first,) = torch.autograd.grad((bilinear.conv2d(x, w, padding=1).sin() * g).sum(), x, create_graph=True)
        return first.square().sum()

    assert torch.autograd.gradgradcheck(penalty_of_gradient, (x, w))


def test_one_by_one_convolutions_equal_those_of_pytorch_in_both_layouts():
    for layout in (torch.contiguous_format, torch.channels_last):
        x = rand(2, 3, 4, 5).detach().contiguous(memory_format=layout).requires_grad_(True)
        assert_same_to_second_order(
            ops.conv1x1, torch.nn.functional.conv2d, [x, rand(5, 3, 1, 1, seed=1), rand(5, seed=2)]
        )


# Lengths odd and even, one tap, filters that are not symmetric, and one of eight taps.
FILTERS = [(1, 3, 3, 1), (1, 2, 1), (1, 1), (1,), (1, 4, 6, 4, 1), (1, 2, 3, 5), (-1, 2, 6, 7, 3, 1), tuple(range(8))]


def resampled(x, taps, *, up=1, down=1, kernel=None, flip=False):
    """Zeros between the pixels, the filter, the kernel, every `down`-th pixel: as matrices, row by row.

    The filter's middle falls on the middle of the two pixels that one becomes, or that become one: of k taps
    (k - 2) // 2 lie behind it."""
    f = torch.tensor(taps, dtype=torch.float64) / sum(taps)
    n, side = len(f), x.shape[-1] * up
    after = (n - 2) // 2
    first = after if up > 1 else after + 1  # the tap that falls on the pixel itself
    rows = [[(f[i + first - j] if 0 <= i + first - j < n else 0.0) for j in range(side)] for i in range(-1, side + 1)]
    matrix = torch.tensor(rows, dtype=torch.float64) * up
    spread = x.new_zeros(*x.shape[:2], side, side)
    spread[:, :, ::up, ::up] = x
    y = torch.einsum("ih,nchw,jw->ncij", matrix, spread, matrix)  # one row of margin around it, for the kernel
    if kernel is None or kernel.shape[-1] == 1:
        y = y[:, :, 1:-1, 1:-1]
    if kernel is not None:
        size = kernel.shape[-1]
        patches = y.unfold(2, size, 1).unfold(3, size, 1)
        y = torch.einsum("ncijkl,ockl->noij", patches, kernel.flip([2, 3]) if flip else kernel)
    return y[:, :, ::down, ::down]


@pytest.mark.parametrize("taps", FILTERS, ids=str)
@pytest.mark.parametrize("k", [1, 3])
def test_fast_resampling_convolutions_equal_the_plain_form(k, taps):
    x, w, f = rand(2, 3, 8, 8), rand(5, 3, k, k, seed=1), ops.setup_filter(taps).double()
    up, down = {"up": 2, "padding": k // 2, "flip_weight": False}, {"down": 2, "padding": k // 2}
    assert_same_to_second_order(
        lambda x, w: ops.conv2d_up(x, w, f), lambda x, w: ops.conv2d_resample(x, w, f, **up), [x, w]
    )
    assert_same_to_second_order(
        lambda x, w: ops.conv2d_down(x, w, f), lambda x, w: ops.conv2d_resample(x, w, f, **down), [x, w]
    )
    close = {"rtol": 1e-5, "atol": 1e-5}  # the filter is rounded to float32
    torch.testing.assert_close(ops.conv2d_up(x, w, f), resampled(x, taps, up=2, kernel=w, flip=True), **close)
    torch.testing.assert_close(ops.conv2d_down(x, w, f), resampled(x, taps, down=2, kernel=w), **close)


@pytest.mark.parametrize("taps", FILTERS, ids=str)
def test_fast_resampling_of_pictures_equals_upfirdn2d(taps):
    x, f = rand(2, 3, 6, 6), ops.setup_filter(taps).double()
    after = (len(taps) - 2) // 2
    assert_same_to_second_order(
        lambda x: ops.upsample2d(x, f),
        lambda x: ops.upfirdn2d(x, f, up=2, padding=[len(taps) - after - 1, after] * 2, gain=4),
        [x],
    )
    assert_same_to_second_order(
        lambda x: ops.downsample2d(x, f),
        lambda x: ops.upfirdn2d(x, f, down=2, padding=[len(taps) - after - 2, after] * 2),
        [x],
    )
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(ops.upsample2d(x, f), resampled(x, taps, up=2), **close)
    torch.testing.assert_close(ops.downsample2d(x, f), resampled(x, taps, down=2), **close)


@pytest.mark.parametrize("taps", [(1, 2, 1), (1, 2, 3, 5), tuple(range(1, 9))], ids=str)
@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_networks_with_another_filter_resample_by_it_wherever_they_resample(architecture, taps, monkeypatch):
    torch.manual_seed(1)
    spec = stylegan2.make_spec(
        resolution=16, z_dim=8, w_dim=8, channel_base=64, channel_max=6, architecture=architecture,
        resample_filter=taps, D={"D_architecture": architecture},
    )  # fmt: skip
    G, D = build_generator(spec), build_discriminator(spec)
    w_plus, picture = torch.randn(2, spec.num_ws, 8), torch.randn(2, 3, 16, 16)

    def outputs():
        with torch.no_grad():
            return G.synthesis(w_plus), G.synthesis(w_plus[:1]), D(picture)

    fast = outputs()
    monkeypatch.setattr(ops, "upsample2d", lambda x, f: resampled(x.double(), taps, up=2).to(x.dtype))
    monkeypatch.setattr(ops, "downsample2d", lambda x, f: resampled(x.double(), taps, down=2).to(x.dtype))

    def convolved(up, down):
        def plain(x, w, f, bias=None):
            y = resampled(x.double(), taps, up=up, down=down, kernel=w.double(), flip=up > 1).to(x.dtype)
            return y if bias is None else y + bias[:, None, None]

        return plain

    monkeypatch.setattr(ops, "conv2d_up", convolved(2, 1))
    monkeypatch.setattr(ops, "conv2d_down", convolved(1, 2))
    for got, expected in zip(fast, outputs(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_upfirdn2d_convolves_and_does_not_correlate():
    x = torch.zeros(1, 1, 3, 3)
    x[0, 0, 1, 1] = 1.0
    f = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = ops.upfirdn2d(x, f, padding=[1, 0, 1, 0])
    torch.testing.assert_close(y[0, 0, 1:, 1:], f)
    flipped = ops.upfirdn2d(x, f, padding=[0, 1, 0, 1], flip_filter=True)
    torch.testing.assert_close(flipped[0, 0, :2, :2], f.flip([0, 1]))


def test_minibatch_std_works_for_any_batch():
    for n in (1, 2, 3, 5, 6, 7, 8):
        y = ops.minibatch_std(torch.randn(n, 4, 4, 4), 4)
        assert y.shape == (n, 5, 4, 4)
        assert torch.isfinite(y).all()
    same = torch.ones(4, 2, 4, 4)
    assert ops.minibatch_std(same, 4)[:, 2].max() < 1e-3


def test_bias_act_keeps_the_variance_and_clamps():
    x = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    y = ops.bias_act(x, None)
    assert abs(y.square().mean().item() - 1.04) < 0.03
    assert ops.bias_act(x, torch.full([128], 5.0), act="linear", clamp=1.5).max() == 1.5


def test_synthesis_is_the_same_with_and_without_gradients():
    G = tiny_generator(resolution=32, channel_base=512)
    with torch.no_grad():
        for name, p in G.named_parameters():
            if name.endswith("noise_strength"):
                p.fill_(0.3)
    w_plus = torch.randn(2, G.spec.num_ws, G.spec.w_dim, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        fast = G.synthesis(w_plus)
    torch.testing.assert_close(fast, G.synthesis(w_plus).detach())


def test_noise_modes_differ_and_a_seed_owns_its_noise():
    G = tiny_generator()
    with torch.no_grad():
        for name, p in G.named_parameters():
            if name.endswith("noise_strength"):
                p.fill_(0.5)
    w_plus = torch.randn(3, G.spec.num_ws, G.spec.w_dim, generator=torch.Generator().manual_seed(3))
    rng = lambda seeds: [torch.Generator().manual_seed(s) for s in seeds]  # noqa: E731
    with torch.no_grad():
        const, none = G.synthesis(w_plus, "const"), G.synthesis(w_plus, "none")
        batch = G.synthesis(w_plus, "random", rng([5, 6, 7]))
        alone = G.synthesis(w_plus[1:2], "random", rng([6]))
    assert (const - none).abs().max() > 0.01
    assert (batch - const).abs().max() > 0.01
    torch.testing.assert_close(batch[1:2], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_half_precision_survives_large_styles_and_weights(up, scale):
    """Without pre-scaling, weights and styles of this size overflow float16; demodulation undoes any scale."""
    torch.manual_seed(0)
    layer = SynthesisLayer(64, 32, 16, 16 * up, up=up, conv_clamp=256.0).requires_grad_(False)
    layer.weight.mul_(scale)
    layer.affine.weight.mul_(scale)
    layer.noise_strength.fill_(0.1)
    x, w = torch.randn(2, 64, 16, 16), torch.randn(2, 16)
    with torch.no_grad():
        full, half = layer(x, w, "const"), layer(x.half(), w, "const")
    assert half.dtype == torch.float16
    assert (half.float() - full).abs().max() < 0.02 * full.std()


def test_one_large_picture_equals_its_place_in_a_batch():
    """A single picture takes the path with its own weights, a batch the one with shared weights."""
    G = tiny_generator(resolution=64, channel_base=512, channel_max=16)
    w_plus = torch.randn(3, G.spec.num_ws, G.spec.w_dim, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for name, p in G.named_parameters():
            if name.endswith("noise_strength"):
                p.fill_(0.3)
        torch.testing.assert_close(G.synthesis(w_plus[1:2]), G.synthesis(w_plus)[1:2], atol=1e-5, rtol=1e-5)


def test_new_weights_are_used_after_a_change():
    """The layer keeps its weight in the convolution's layout; changing the weight must not leave the old one in use."""
    layer = SynthesisLayer(4, 4, 8, 8).requires_grad_(False)
    x, w = torch.randn(2, 4, 8, 8), torch.randn(2, 8)
    with torch.no_grad():
        before = layer(x, w, "none")
        layer.weight.copy_(torch.randn_like(layer.weight))
        after = layer(x, w, "none")
    assert (before - after).abs().max() > 0.1
    torch.testing.assert_close(after, layer(x, w.requires_grad_(True), "none").detach(), atol=1e-5, rtol=1e-5)


def replace(layer, weight):
    layer.weight = torch.nn.Parameter(weight, requires_grad=False)


def step_of_adam(layer, weight):
    layer.weight.requires_grad_(True).grad = weight
    torch.optim.Adam([layer.weight], lr=1.0).step()


@pytest.mark.parametrize("change", [
    lambda layer, new: layer.weight.data.copy_(new),
    lambda layer, new: layer.weight.data.mul_(-1.0),
    lambda layer, new: setattr(layer.weight, "data", new),
    lambda layer, new: layer.load_state_dict({**layer.state_dict(), "weight": new}),
    lambda layer, new: layer.load_state_dict({**layer.state_dict(), "weight": new}, assign=True),
    replace,
    step_of_adam,
])  # fmt: skip
@pytest.mark.parametrize("up", [1, 2])
def test_no_way_of_changing_the_weight_leaves_the_old_one_in_use(change, up):
    torch.manual_seed(0)
    layer = SynthesisLayer(16, 16, 8, 8 * up, up=up).requires_grad_(False)
    x, w = torch.randn(2, 16, 8, 8), torch.randn(2, 8)
    with torch.no_grad():
        before = layer(x, w, "none")
    change(layer, torch.randn_like(layer.weight))
    with torch.no_grad():
        after = layer(x, w, "none")
    assert (before - after).abs().max() > 0.1
    torch.testing.assert_close(after, layer(x, w.requires_grad_(True), "none").detach(), atol=1e-5, rtol=1e-5)


def test_one_number_edited_through_data_needs_the_weight_to_be_forgotten():
    layer = SynthesisLayer(16, 16, 8, 8).requires_grad_(False)
    x, w = torch.randn(1, 16, 8, 8), torch.randn(1, 8)
    with torch.no_grad():
        before = layer(x, w, "none")
        layer.weight.data[1, 2, 0, 1] += 100.0
        layer.forget()
        assert not torch.equal(before, layer(x, w, "none"))


def test_a_network_made_in_inference_mode_works():
    with torch.inference_mode():
        G = tiny_generator()
        w_plus = torch.randn(1, G.spec.num_ws, G.spec.w_dim)
        assert torch.equal(G.synthesis(w_plus), G.synthesis(w_plus))


def test_minibatch_std_of_two_groups_by_hand():
    """Samples 0 and 2 are one group, 1 and 3 the other; the mean over all places of the deviation of the pair."""
    x = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = ops.minibatch_std(x, 2)
    for i in range(4):
        pair = (x[i] - x[(i + 2) % 4]).abs() / 2  # the standard deviation of two numbers is half their distance
        torch.testing.assert_close(y[i, 3], pair.mean().expand(2, 2), atol=1e-6, rtol=1e-6)


def test_fixed_weights_are_kept_between_steps_and_give_the_same_gradients():
    """A search for a latent differentiates through weights that do not learn; what is kept of them is never stale."""
    from ganlib.networks.modulated import SynthesisLayer

    torch.manual_seed(3)
    for up in (1, 2):
        layer = SynthesisLayer(6, 10, 5, 8 * up, up=up).eval()
        x, w = torch.randn(2, 6, 8, 8), torch.randn(2, 5, requires_grad=True)

        def gradient(layer=layer, x=x, w=w):
            return torch.autograd.grad(layer(x, w, "const").square().sum(), w)[0]

        learning = gradient()
        layer.requires_grad_(False)
        assert torch.allclose(gradient(), learning, rtol=1e-4, atol=1e-5)
        assert torch.allclose(gradient(), learning, rtol=1e-4, atol=1e-5)  # from what was kept
        with torch.no_grad():
            layer(x, w, "const")  # as a look at the picture in between does
            layer.weight.mul_(torch.linspace(0.5, 2.0, 10)[:, None, None, None].sqrt())
            layer.weight[:, 0] += 1.0
        kept = gradient()
        layer.requires_grad_(True)
        assert torch.allclose(kept, gradient(), rtol=1e-4, atol=1e-5)


def test_noise_maps_may_be_each_pictures_own():
    from torch.func import functional_call

    from ganlib.networks.modulated import SynthesisLayer

    torch.manual_seed(4)
    layer = SynthesisLayer(3, 4, 5, 8).eval().requires_grad_(False)
    layer.noise_strength.fill_(0.7)
    x, w, noise = torch.randn(2, 3, 8, 8), torch.randn(2, 5), torch.randn(2, 8, 8)
    together = functional_call(layer, {"noise_const": noise}, (x, w, "const"))
    for i in range(2):
        alone = functional_call(layer, {"noise_const": noise[i]}, (x[i : i + 1], w[i : i + 1], "const"))
        assert torch.allclose(together[i : i + 1], alone, atol=1e-5)
