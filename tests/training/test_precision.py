"""Wide convolutions in bfloat16, on processors that have instructions for it."""

import pytest
import torch
import torch.nn.functional as F

from ganlib import networks
from ganlib.compute import device
from ganlib.networks import bilinear
from ganlib.training import precision
from ganlib.training.config import TrainConfig
from ganlib.training.state import Networks
from tests.training.conftest import TINY_OF

CALLS = {
    "convolution": lambda x, w, bias: bilinear.conv2d(x, w, bias, padding=1),
    "halving": lambda x, w, bias: bilinear.conv2d(x, w, bias, stride=2, padding=1),
    "doubling": lambda x, w, bias: bilinear.conv_transpose2d(x, w, stride=2),
}


def tensors(channels=32, side=6):
    generator = torch.Generator().manual_seed(0)
    x, w, b = ([2, channels, side, side], [channels, channels, 3, 3], [channels])
    return [torch.randn(shape, generator=generator).requires_grad_(True) for shape in (x, w, b)]


def everything(call, values):
    """What comes out, its gradients, and the gradients of the squared gradient of the picture."""
    x, w, bias = values
    y = call(x, w, bias)
    used = [v for v in values if v is not bias or "transpose" not in str(y.grad_fn)]
    first = torch.autograd.grad(y.square().sum(), used, create_graph=True, allow_unused=True)
    second = torch.autograd.grad(first[0].square().sum(), [x, w])
    return [y, *(g for g in first if g is not None), *second]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_rounding_changes_results_and_both_derivatives_by_a_percent_at_most(call):
    plain = everything(call, tensors())
    with bilinear.bfloat16():
        rounded = everything(call, tensors())
        with torch.no_grad():
            quiet = call(*tensors())
    assert all(value.dtype == torch.float32 for value in rounded)
    assert not torch.equal(plain[0], rounded[0]) and torch.equal(quiet, rounded[0])
    for one, other in zip(plain, rounded, strict=True):
        assert float(((one - other).norm() / one.norm()).detach()) < 0.02


def test_narrow_convolutions_and_what_is_outside_the_block_stay_as_they_were():
    for channels, enabled in ((16, True), (32, False)):
        x, w, bias = tensors(channels)
        with bilinear.bfloat16(enabled):
            assert torch.equal(bilinear.conv2d(x, w, bias, padding=1), F.conv2d(x, w, bias, padding=1))
    assert not bilinear.is_rounding()


def small(**changes):
    spec = networks.ARCHITECTURES["stylegan2"].make_spec(resolution=16, channel_base=512, channel_max=32)
    config = TrainConfig(data="none", **TINY_OF["stylegan2"] | changes).resolve()
    return Networks(spec, config, torch.device("cpu"))


def test_it_is_chosen_where_the_processor_is_faster_and_never_elsewhere(monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)
    assert not small(precision="mixed").bfloat16 and not small(precision="auto").bfloat16
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    assert small(precision="mixed").bfloat16 and not small(precision="single").bfloat16
    for gain, chosen in ((0.9, False), (2.0, True)):
        monkeypatch.setattr(precision, "_gain", lambda shape, side, gain=gain: gain)
        assert small(precision="auto").bfloat16 is chosen


def test_a_resumed_run_goes_on_as_it_began(monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "_gain", lambda shape, side: 2.0)
    began = small()
    assert began.bfloat16
    monkeypatch.setattr(precision, "_gain", lambda shape, side: 0.5)  # this time the trial ends otherwise
    again = small()
    monkeypatch.setattr("ganlib.training.state.has_bfloat16", lambda: True)
    again.load_state_dict(began.state_dict())
    assert again.bfloat16
    asked = small(precision="single")
    assert "wide convolutions in float32" in asked.load_state_dict(began.state_dict()) and not asked.bfloat16


def test_what_the_processor_can_do_is_what_pytorch_says(monkeypatch):
    for found, expected in (({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx2": True}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: found)
        assert device.has_bfloat16() is expected
