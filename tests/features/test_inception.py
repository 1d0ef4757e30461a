"""Inception-v3 of 2015: its tensors, its blocks, its file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ganlib import metrics
from ganlib.base import workspace
from ganlib.base.errors import CheckpointError, HubError, InputError
from ganlib.features import extractors, inception
from ganlib.features.inception import Convolution, Inception, Mixed
from ganlib.models.hub import transfer

PARAMETERS = 23_850_960  # 21,785,568 of the blocks, which every description of the network has, and 1008 classes
TENSORS = 94 * 5 + 2  # convolutions with four numbers a channel, and the classes


@pytest.fixture(scope="module")
def network() -> Inception:
    """Random weights, and statistics that are not those of a new normalisation."""
    torch.manual_seed(0)
    network = Inception()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.05, 0.3)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return network.eval().requires_grad_(False)


@pytest.fixture
def weights(network, tmp_path, monkeypatch) -> Path:
    """A file as the usual one, with other numbers in it, in the place where it is looked for."""
    monkeypatch.setenv(workspace.CACHE_VARIABLE, str(tmp_path))
    path = extractors.inception_file()
    torch.save(network.state_dict(), path)
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_it_has_the_tensors_of_the_usual_file(network):
    tensors = {name: tuple(t.shape) for name, t in network.state_dict().items() if "num_batches" not in name}
    assert len(tensors) == TENSORS and sum(p.numel() for p in network.parameters()) == PARAMETERS
    for name, shape in {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5d.branch_pool.bn.running_var": (64,),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6c.branch7x7dbl_2.conv.weight": (160, 160, 7, 1),
        "Mixed_6e.branch7x7_2.conv.weight": (192, 192, 1, 7),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "fc.weight": (1008, 2048),
    }.items():
        assert tensors[name] == shape
    assert inception.FILE.rpartition("-")[2] == f"{inception.SHA256[:8]}.pth"


def test_the_sides_of_its_maps_are_the_papers(network):
    """Table 1 of the paper: 35, 17 and 8 places a side."""
    shapes = {}
    for name, block in network.named_children():
        block.register_forward_hook(lambda module, inputs, output, name=name: shapes.update({name: output.shape[1:]}))
    assert network(torch.full((1, 3, 299, 299), 128.0)).shape == (1, 2048)
    assert shapes["Conv2d_2b_3x3"] == (64, 147, 147) and shapes["Conv2d_4a_3x3"] == (192, 71, 71)
    assert shapes["Mixed_5b"] == (256, 35, 35) and shapes["Mixed_5d"] == (288, 35, 35)
    assert shapes["Mixed_6e"] == (768, 17, 17) and shapes["Mixed_7c"] == (2048, 8, 8)


def plain(layer: Convolution, x: torch.Tensor, *, stride: int = 1) -> torch.Tensor:
    """The same by its definition: zeros around, products, the normalisation written out."""
    kernel = layer.conv.weight
    high, wide = (kernel.shape[2] // 2, kernel.shape[3] // 2) if stride == 1 else (0, 0)
    padded = F.pad(x.double(), (wide, wide, high, high))
    patches = padded.unfold(2, kernel.shape[2], stride).unfold(3, kernel.shape[3], stride)
    y = torch.einsum("nchwij,ocij->nohw", patches, kernel.double())
    mean, variance, gain, bias = (
        value.double()[:, None, None]
        for value in (layer.bn.running_mean, layer.bn.running_var, layer.bn.weight, layer.bn.bias)
    )
    return ((y - mean) / (variance + 0.001).sqrt() * gain + bias).clamp(min=0)


def neighbourhoods(x: torch.Tensor, filler: float) -> torch.Tensor:
    return F.pad(x.double(), (1, 1, 1, 1), value=filler).unfold(2, 3, 1).unfold(3, 3, 1)


def mean_of_those_inside(x: torch.Tensor) -> torch.Tensor:
    return neighbourhoods(x, 0).sum(dim=(4, 5)) / neighbourhoods(torch.ones_like(x), 0).sum(dim=(4, 5))


def agree(block: Mixed, x: torch.Tensor, parts: list[torch.Tensor]) -> None:
    expected = torch.cat(parts, dim=1)
    error = (block(x) - expected).abs().max() / expected.std()
    assert error < 1e-4


def test_a_fine_block_is_the_sum_of_its_branches(network):
    block, x = network.Mixed_5c, torch.randn(2, 256, 5, 6)
    five = plain(block.branch5x5_2, plain(block.branch5x5_1, x))
    three = plain(block.branch3x3dbl_3, plain(block.branch3x3dbl_2, plain(block.branch3x3dbl_1, x)))
    pooled = plain(block.branch_pool, mean_of_those_inside(x))
    agree(block, x, [plain(block.branch1x1, x), five, three, pooled])


def test_a_middle_block_goes_wide_and_high_in_turn(network):
    block, x = network.Mixed_6c, torch.randn(1, 768, 4, 5)
    seven, double = x, x
    for number in (1, 2, 3):
        seven = plain(getattr(block, f"branch7x7_{number}"), seven)
    for number in (1, 2, 3, 4, 5):
        double = plain(getattr(block, f"branch7x7dbl_{number}"), double)
    pooled = plain(block.branch_pool, mean_of_those_inside(x))
    agree(block, x, [plain(block.branch1x1, x), seven, double, pooled])


@pytest.mark.parametrize("name", ["Mixed_7b", "Mixed_7c"])
def test_coarse_blocks_fork_and_the_last_takes_the_maximum(network, name):
    block, channels = getattr(network, name), {"Mixed_7b": 1280, "Mixed_7c": 2048}[name]
    x = torch.randn(1, channels, 3, 4)
    three = plain(block.branch3x3_1, x)
    double = plain(block.branch3x3dbl_2, plain(block.branch3x3dbl_1, x))
    forks = [plain(block.branch3x3_2a, three), plain(block.branch3x3_2b, three)]
    forks += [plain(block.branch3x3dbl_3a, double), plain(block.branch3x3dbl_3b, double)]
    largest = neighbourhoods(x, float("-inf")).amax(dim=(4, 5))
    pooled = largest if name == "Mixed_7c" else mean_of_those_inside(x)
    agree(block, x, [plain(block.branch1x1, x), *forks, plain(block.branch_pool, pooled)])


def test_smaller_maps_have_a_stride_and_no_border(network):
    block, x = network.Mixed_7a, torch.randn(1, 768, 7, 9)
    three = plain(block.branch3x3_2, plain(block.branch3x3_1, x), stride=2)
    seven = x
    for number in (1, 2, 3):
        seven = plain(getattr(block, f"branch7x7x3_{number}"), seven)
    seven = plain(block.branch7x7x3_4, seven, stride=2)
    largest = x.unfold(2, 3, 2).unfold(3, 3, 2).amax(dim=(4, 5)).double()
    agree(block, x, [three, seven, largest])


# --- the file ---------------------------------------------------------------------------------------------------------


def test_features_and_classes_come_from_the_file(weights, network):
    assert extractors.automatic() == "inception"
    opened = extractors.open_extractor("inception")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    found = opened(pixels)
    assert (opened.name, opened.dim, opened.side) == ("inception", 2048, 299) and found.shape == (2, 2048)
    assert np.array_equal(opened.classifier, network.fc.weight.numpy())
    rgb = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    rgb = F.interpolate(rgb, (299, 299), mode="bicubic", antialias=True).clamp(0, 255)
    np.testing.assert_allclose(found, network(rgb).numpy(), rtol=1e-3, atol=1e-3 * found.std())
    (metric,) = metrics.resolve([metrics.parse_metric("is50k")])
    assert str(metric) == "is50k_inception"


def test_another_file_is_refused(weights, monkeypatch):
    monkeypatch.setattr(inception, "SHA256", "0" * 64)
    with pytest.raises(CheckpointError, match="not the known Inception") as caught:
        extractors.open_extractor("inception")
    assert "0" * 64 in caught.value.hint


def test_tensors_are_held_against_the_network(network):
    tensors = dict(network.state_dict())
    without_counters = {name: value for name, value in tensors.items() if "num_batches" not in name}
    again = inception.network_of(without_counters)
    assert torch.equal(again.fc.weight, network.fc.weight) and not again.training
    for wrong, words in (
        ({"fc.weight": torch.zeros(1000, 2048)}, r"fc.weight is \[1000, 2048\], not \[1008, 2048\]"),
        ({"fc.bias": "text"}, "fc.bias is str"),
        ({"AuxLogits.fc.bias": torch.zeros(1)}, "AuxLogits.fc.bias is no part of it"),
    ):
        with pytest.raises(CheckpointError, match=words):
            inception.network_of(tensors | wrong)
    del tensors["Mixed_6a.branch3x3.bn.bias"]
    with pytest.raises(CheckpointError, match=r"Mixed_6a.branch3x3.bn.bias is missing"):
        inception.network_of(tensors)


def test_nothing_is_fetched_unasked(tmp_path, monkeypatch):
    monkeypatch.setenv(workspace.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(transfer, "fetch", lambda *arguments, **options: pytest.fail("it asked the network"))
    with pytest.raises(InputError) as caught:
        extractors.open_extractor("inception")
    assert "--fetch" in caught.value.hint and "96 MB" in caught.value.hint
    assert extractors.automatic() != "inception"


def test_on_request_it_is_fetched_once_and_offline_it_says_where_from(tmp_path, monkeypatch):
    asked = []

    def no_network(wanted, dest, *, reporter=None):
        asked.append(wanted)
        raise HubError("no network", "check it")

    monkeypatch.setattr(transfer, "fetch", no_network)
    with pytest.raises(HubError) as caught:
        inception.fetch_weights(tmp_path / inception.FILE)
    assert inception.ADDRESS in caught.value.hint and "embedded" in caught.value.hint
    assert (asked[0].sha256, asked[0].bytes, asked[0].address) == (inception.SHA256, 95_628_359, inception.ADDRESS)
    (tmp_path / inception.FILE).write_bytes(b"there")
    assert inception.fetch_weights(tmp_path / inception.FILE).is_file() and len(asked) == 1
