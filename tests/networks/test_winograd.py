"""The convolution with fewer multiplications equals the direct sum, alone and inside a generator."""

import pytest
import torch

from ganlib.networks import tiny_generator, winograd


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (2, 5, 8, 12), (3, 2, 16, 4)])
def test_equals_the_direct_sum(shape, layout):
    x = torch.randn(*shape, dtype=torch.float64).contiguous(memory_format=layout)
    w = torch.randn(7, shape[1], 3, 3, dtype=torch.float64)
    y = winograd.conv3x3(x, winograd.transform_weight(w))
    torch.testing.assert_close(y, torch.nn.functional.conv2d(x, w, padding=1), rtol=1e-10, atol=1e-10)
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_work_in_chunks_gives_the_same(monkeypatch):
    x, w = torch.randn(2, 4, 24, 16, dtype=torch.float64), torch.randn(4, 4, 3, 3, dtype=torch.float64)
    whole = winograd.conv3x3(x, winograd.transform_weight(w))
    monkeypatch.setattr(winograd, "CHUNK_BYTES", 1)
    torch.testing.assert_close(winograd.conv3x3(x, winograd.transform_weight(w)), whole, rtol=1e-10, atol=1e-10)


def test_float32_is_nearly_as_exact_as_the_direct_sum():
    x, w = torch.randn(1, 128, 32, 32), torch.randn(128, 128, 3, 3)
    exact = torch.nn.functional.conv2d(x.double(), w.double(), padding=1)
    error = (winograd.conv3x3(x, winograd.transform_weight(w)) - exact).abs().max() / exact.std()
    assert error < 1e-4


@pytest.mark.parametrize("batch", [1, 3])
def test_a_generator_renders_what_it_trains_on(batch):
    """Rendering multiplies less, training takes the direct sum; the chosen layers are wide enough for it to pay."""
    G = tiny_generator(resolution=32, channel_base=4096, channel_max=128)
    layer = G.synthesis.b32.conv1
    assert winograd.pays(*layer.weight.shape[:2], 32)
    assert not winograd.pays(64, 128, 32)
    w_plus = torch.randn(batch, G.spec.num_ws, G.spec.w_dim)
    with torch.no_grad():
        for name, parameter in G.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.3)
        rendered = G.eval().synthesis(w_plus)
        direct = G.train().synthesis(w_plus)
        again = G.eval().synthesis(w_plus)
    assert not torch.equal(rendered, direct)
    assert torch.equal(rendered, again)
    torch.testing.assert_close(rendered, direct, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(rendered, G.synthesis(w_plus.requires_grad_(True)).detach(), rtol=1e-4, atol=1e-4)
