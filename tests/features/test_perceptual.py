"""Distances between pictures: what they compare, their gradients, and figures beside naive formulations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ganlib.base import workspace
from ganlib.base.errors import CheckpointError, InputError
from ganlib.features import extractors
from ganlib.features.perceptual import (
    BACKBONES,
    DISTANCES,
    LEAST_SIDE,
    edges,
    lpips_of,
    open_distance,
    pixel_terms,
    psnr,
    ssim,
)

FRUIT = extractors.bundled_model()


def pictures(count: int, side: int = 64, seed: int = 0, channels: int = 3) -> torch.Tensor:
    """Smooth random images in [-1, 1]."""
    rng = torch.Generator().manual_seed(seed)
    small = torch.rand(count, channels, 8, 8, generator=rng) * 2 - 1
    return F.interpolate(small, size=side, mode="bicubic").clamp(-1, 1)


@pytest.mark.parametrize("name", ["embedded", "pixels"])
def test_a_distance_is_zero_for_the_picture_itself_and_grows_with_noise(name):
    distance = open_distance(name, FRUIT)
    image = pictures(2)
    distance.prepare(image)
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    found = torch.stack([distance(image + amount * noise) for amount in (0.0, 0.05, 0.2)])
    assert found[0].abs().max() < 1e-8
    assert (found[1] > found[0]).all() and (found[2] > found[1]).all()
    assert distance.name and distance.meaning.endswith(".")


def test_a_shift_by_one_pixel_is_nearer_than_another_picture():
    embedded = open_distance("embedded", FRUIT)
    assert embedded.name == "embedded (fruit-d)"
    image = pictures(1)
    embedded.prepare(image)
    assert embedded(image.roll(1, dims=3)) < embedded(pictures(1, seed=5))


def test_each_row_of_a_batch_is_measured_by_itself():
    distance = open_distance("embedded", FRUIT)
    targets, images = pictures(3), pictures(3, seed=4)
    distance.prepare(targets)
    together = distance(images)
    for i in range(3):
        distance.prepare(targets[i : i + 1])
        assert torch.allclose(distance(images[i : i + 1])[0], together[i], rtol=1e-4)


def test_gradients_lead_to_the_target():
    distance = open_distance("embedded", FRUIT)
    distance.prepare(pictures(1))
    image = pictures(1, seed=9).requires_grad_(True)
    before = distance(image)
    (gradient,) = torch.autograd.grad(before.sum(), image)
    assert distance(image - 0.05 * gradient / gradient.abs().max()) < before


def test_edges_are_the_slope_of_a_ramp():
    ramp = torch.arange(12.0)[None, None, None].expand(1, 1, 12, 12) * 0.1
    found = edges(ramp)[0, :, 2:-2, 2:-2]
    assert torch.allclose(found[0], torch.full_like(found[0], 0.1), atol=1e-6)
    assert found[1].abs().max() < 1e-6


def test_pixel_terms_stop_before_the_picture_has_no_pixels():
    assert len(pixel_terms(pictures(1, side=8))) == 2
    assert len(pixel_terms(pictures(1, side=64))) == 6


def test_grey_pictures_are_measured_too():
    distance = open_distance("embedded", FRUIT)
    distance.prepare(pictures(1, channels=1))
    assert torch.isfinite(distance(pictures(1, seed=2, channels=1))).all()


def test_squeezenet_is_named_for_what_it_is(repository, monkeypatch):
    weights = repository.parent / "shared" / "weights" / extractors.SQUEEZENET_FILE
    if not weights.is_file():
        pytest.skip("no SqueezeNet weights here")
    monkeypatch.setenv(extractors.WEIGHTS_VARIABLE, str(weights))
    distance = open_distance("squeezenet")
    assert distance.name == "SqueezeNet feature distance" and "LPIPS" not in distance.name
    distance.prepare(pictures(1))
    assert distance(pictures(1))[0] < 1e-8 < distance(pictures(1, seed=3))[0]
    large = pictures(1, side=256)
    distance.prepare(large)
    coarse, fine = distance.embed(large, coarse=True), distance.embed(large)
    assert coarse.shape[1] < 0.6 * fine.shape[1]
    assert distance(large, coarse=True)[0] < 1e-8 < distance(pictures(1, 256, seed=3), coarse=True)[0]


def test_lpips_is_the_published_formula():
    """Beside the formula written out, with random weights in the public files' names."""
    row = BACKBONES["lpips-alex"]
    layers = row.build()
    rng = torch.Generator().manual_seed(0)
    tensors = {f"features.{name}": torch.randn(t.shape, generator=rng) * 0.1 for name, t in layers.state_dict().items()}
    widths = (64, 192, 384, 256, 256)
    lin = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=rng) for i, c in enumerate(widths)}
    distance = lpips_of(row, tensors, lin)
    a, b = pictures(1), pictures(1, seed=7)
    distance.prepare(a)
    found = float(distance(b))

    layers.requires_grad_(False).load_state_dict({name.removeprefix("features."): t for name, t in tensors.items()})
    mean = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    deviation = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    x, y, expected, tap = (a - mean) / deviation, (b - mean) / deviation, 0.0, 0
    for layer in layers:
        x, y = layer(x), layer(y)
        if isinstance(layer, torch.nn.ReLU):
            apart = (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square()
            expected += float((apart * lin[f"lin{tap}.model.1.weight"]).sum(dim=1).mean())
            tap += 1
    assert found == pytest.approx(expected, rel=1e-3)
    assert distance.name == "LPIPS (AlexNet)"


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_taps_what_lpips_has_weights_for(name):
    channels = {"lpips-vgg": [64, 128, 256, 512, 512], "lpips-alex": [64, 192, 384, 256, 256]}
    channels["lpips-squeeze"] = [64, 128, 256, 384, 384, 512, 512]
    row, found = BACKBONES[name], []
    x = torch.zeros(1, 3, LEAST_SIDE, LEAST_SIDE)
    with torch.no_grad():
        for number, layer in enumerate(row.build()):
            x = layer(x)
            if number in row.taps:
                found.append(x.shape[1])
    assert found == channels[name]


def test_absent_and_wrong_weights_are_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv(workspace.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.delenv(extractors.WEIGHTS_VARIABLE, raising=False)
    with pytest.raises(InputError, match="SqueezeNet"):
        open_distance("squeezenet")
    with pytest.raises(InputError, match=r"alexnet-owt-7be5be79\.pth and lpips-alex\.pth"):
        open_distance("lpips-alex")
    for name in ("alexnet-owt-7be5be79.pth", "lpips-alex.pth"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="sha256"):
        open_distance("lpips-alex")
    with pytest.raises(InputError, match="no distance named 'fid'"):
        open_distance("fid")
    with pytest.raises(CheckpointError, match="do not fit"):
        lpips_of(BACKBONES["lpips-alex"], {}, {})
    assert "auto" in DISTANCES


def test_psnr_and_ssim_are_those_of_the_definitions():
    rng = np.random.RandomState(0)
    a = rng.randint(0, 256, (24, 24, 3), np.uint8)
    b = np.clip(a.astype(int) + 10, 0, 255).astype(np.uint8)
    mean = ((a.astype(float) - b) ** 2).mean()
    assert psnr(a, b) == pytest.approx(10 * np.log10(255**2 / mean), rel=1e-9)
    assert psnr(a, a) == 99.0
    assert ssim(a, a) == pytest.approx(1.0)

    grey_a, grey_b = (x.astype(float) @ [0.299, 0.587, 0.114] for x in (a, b))
    line = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    values = []
    for i in range(14):
        for j in range(14):
            x, y = grey_a[i : i + 11, j : j + 11], grey_b[i : i + 11, j : j + 11]
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * x * x).sum() - mx**2, (window * y * y).sum() - my**2
            cov = (window * x * y).sum() - mx * my
            c1, c2 = 2.55**2, 7.65**2
            values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    assert ssim(a, b) == pytest.approx(np.mean(values), rel=1e-6)
