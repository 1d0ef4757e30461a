"""EfficientNet-lite0: what it makes of photographs, and its stages against a second formulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image

from ganlib.base.errors import CheckpointError
from ganlib.features import extractors
from ganlib.media import images
from ganlib.networks import efficientnet
from ganlib.networks.efficientnet import EPSILON, PYRAMID_CHANNELS, STAGES, network_of, weights_file

# ImageNet's classes by number.
PALACES = {442, 483, 497, 663, 698}  # bell cote, castle, church, monastery, palace
BLOSSOMS = {985, 309, 947, 986}  # daisy, bee, mushroom (the shape of the petals), lady's slipper
FRUIT = {948, 949, 950, 951, 952, 953, 954, 955, 956, 957}  # Granny Smith … pomegranate


@pytest.fixture(scope="module")
def tensors():
    return torch.load(weights_file(), map_location="cpu", weights_only=True)


@pytest.fixture(scope="module")
def network(tensors):
    return network_of(tensors)


def as_input(pixels: np.ndarray) -> torch.Tensor:
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    square = images.resize(pixels[top : top + side, left : left + side], 224, 224)
    return torch.from_numpy(square.copy()).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize(("name", "right"), [("china.jpg", PALACES), ("flower.jpg", BLOSSOMS)])
def test_photographs_are_what_they_show(network, name, right):
    best = network.logits(as_input(load_sample_image(name)))[0].topk(3).indices.tolist()
    assert best[0] in right
    assert len(set(best) & right) >= 2


def test_an_apple_and_a_person_are_told_apart(network, repository):
    person = images.decode((repository / "tests" / "data" / "astronaut.jpg").read_bytes())
    best = network.logits(as_input(person))[0].topk(5).indices.tolist()
    assert not set(best) & FRUIT


def test_stages_agree_with_the_plain_network(network, tensors):
    """Normalisation not folded, padding written out, block by block from the published file's names."""

    def convolve(x, name, norm, stride=1, groups=1):
        weight = tensors[f"{name}.weight"]
        kernel = weight.shape[2]
        if stride == 2:
            pads = []
            for size in (x.shape[3], x.shape[2]):
                total = max(((size + 1) // 2 - 1) * 2 + kernel - size, 0)
                pads += [total // 2, total - total // 2]
            x = F.pad(x, pads)
        y = F.conv2d(x, weight, stride=stride, padding=0 if stride == 2 else kernel // 2, groups=groups)
        statistics = [tensors[f"{norm}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(y, *statistics, eps=EPSILON)

    rgb = torch.rand(2, 3, 96, 80, generator=torch.Generator().manual_seed(0)) * 255
    x = F.relu6(convolve((rgb - 127) / 128, "_conv_stem", "_bn0", stride=2))
    number, found = 0, network.maps(rgb)
    for stage, ours in zip(STAGES, found, strict=True):
        for i in range(stage.repeats):
            block, stride, y = f"_blocks.{number}", stage.stride if i == 0 else 1, x
            if stage.expansion != 1:
                y = F.relu6(convolve(y, f"{block}._expand_conv", f"{block}._bn0"))
            y = F.relu6(convolve(y, f"{block}._depthwise_conv", f"{block}._bn1", stride, groups=y.shape[1]))
            y = convolve(y, f"{block}._project_conv", f"{block}._bn2")
            x = x + y if y.shape == x.shape and i > 0 else y
            number += 1
        assert torch.allclose(ours, x, atol=2e-4 * float(x.std()))
    assert [tuple(m.shape[1:]) for m in network.pyramid(rgb)] == [
        (channels, -(-96 // stride), -(-80 // stride))
        for channels, stride in zip(PYRAMID_CHANNELS, (4, 8, 16, 32), strict=True)
    ]


def test_odd_sides_are_padded_as_the_weights_were_trained(network):
    maps = network.maps(torch.zeros(1, 3, 65, 33))
    assert [tuple(m.shape[2:]) for m in maps] == [(33, 17), (17, 9), (9, 5), (5, 3), (5, 3), (3, 2), (3, 2)]


def test_it_is_an_extractor_like_the_others():
    extractor = extractors.open_extractor("efficientnet")
    assert (extractor.name, extractor.dim, extractor.side) == ("efficientnet", 1280, 224)
    pixels = images.resize(load_sample_image("flower.jpg"), 96, 64)[None].copy()
    found = extractor(pixels)
    assert found.shape == (1, 1280)
    assert 0.5 < float(np.sqrt((found**2).mean())) < 2


def test_another_files_tensors_are_refused_in_words(tensors):
    with pytest.raises(CheckpointError, match="not the tensors of EfficientNet-lite0"):
        network_of({name: value for name, value in tensors.items() if name != "_blocks.3._bn1.running_var"})
    with pytest.raises(CheckpointError, match="not the tensors of EfficientNet-lite0"):
        network_of(dict(tensors) | {"_fc.bias": torch.zeros(10)})


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    damaged = tmp_path / "weights.pth"
    damaged.write_bytes(Path(weights_file()).read_bytes()[:-1])
    monkeypatch.setattr(efficientnet, "weights_file", lambda: damaged)
    efficientnet.load_frozen.cache_clear()
    with pytest.raises(CheckpointError, match="not the known EfficientNet-lite0"):
        extractors.open_extractor("efficientnet")
