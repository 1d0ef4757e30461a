"""The augmentations: the reference numbers, what each does to a picture and how often, and derivatives through them."""

import json
import math

import numpy as np
import pytest
import torch

from ganlib.base.errors import InputError
from ganlib.training.augment.ada import GROUPS, PIPES, Augmentations, AugmentPipe
from ganlib.training.augment.ada_warp import SYM6, Warp, band_filters, reflect

NAMES = [name for names in GROUPS.values() for name in names]
PINNED = [name for name in NAMES if name != "noise"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=4, channels=3, side=32, seed=0, dtype=torch.float32):
    return torch.rand(count, channels, side, side, generator=generator(seed), dtype=dtype) * 2 - 1


def one(p=1.0, **options):
    """A pipe of the named augmentations alone; a number without a suffix is the multiplier."""
    return AugmentPipe(Augmentations(**options), p=p)


def blob(count, *, side, width, height, x=0.0, y=0.0):
    """A smooth spot on a black ground, its centre (x, y) pixels from the picture's."""
    at = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    spot = torch.exp(-(((at - x) / width).square() + ((at[:, None] - y) / height).square()) / 2)
    return spot.expand(count, 1, side, side).clone()


def moments(image):
    """Centre (x, y) `[N]` in pixels from the picture's centre, and variances along x and y."""
    weight = image.clamp(min=1e-3)[:, 0] - 1e-3
    weight = weight / weight.sum(dim=(1, 2), keepdim=True)
    at = torch.arange(image.shape[-1], dtype=image.dtype) - (image.shape[-1] - 1) / 2
    x, y = (weight.sum(dim=1) * at).sum(dim=1), (weight.sum(dim=2) * at).sum(dim=1)
    xx, yy = (weight.sum(dim=1) * at**2).sum(dim=1), (weight.sum(dim=2) * at**2).sum(dim=1)
    return x, y, xx - x**2, yy - y**2


# ---- The reference numbers -----------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("percentile", [0.2, 0.5, 0.85])
@pytest.mark.parametrize("name", PINNED)
def test_augmentation_agrees_with_the_reference(reference, name, percentile):
    with np.load(reference / "ada_augment.npz", allow_pickle=False) as numbers:
        images, expected = (torch.from_numpy(numbers[key]) for key in ("images", f"{name}@{percentile}"))
    result = one(**{name: 1.0})(images, debug_percentile=percentile)
    assert (result - expected).abs().max() <= 1e-4 * expected.std()


@pytest.mark.parity
def test_every_reference_entry_is_compared(reference):
    with np.load(reference / "ada_augment.npz", allow_pickle=False) as numbers:
        entries = set(numbers.files) - {"config", "images"}
        groups = json.loads(str(numbers["config"]))["groups"]
    assert entries == {f"{name}@{p}" for name in PINNED for p in (0.2, 0.5, 0.85)}
    assert groups == [{group: list(names)} for group, names in GROUPS.items() if group != "noise"]


# ---- The pipe as a whole -------------------------------------------------------------------------------------------


def test_there_are_eighteen_augmentations():
    bands = len(Augmentations().imgfilter_bands)
    assert len(NAMES) - 1 + bands == 18
    assert set(PIPES) == {"b", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc", *GROUPS}
    assert [PIPES["bgcfnc"].any_of(group) for group in GROUPS] == [True] * 6
    assert [PIPES["bgc"].any_of(group) for group in GROUPS] == [True] * 3 + [False] * 3


def test_strength_zero_is_the_identity_and_draws_nothing():
    rng, images = generator(), pictures()
    before = rng.get_state()
    assert AugmentPipe(PIPES["bgcfnc"], p=0.0)(images, rng=rng) is images
    assert torch.equal(rng.get_state(), before)


@pytest.mark.parametrize("side", [16, 32, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_resolution_and_channel_count(side, channels):
    images = pictures(2, channels, side)
    result = AugmentPipe(PIPES["bgcfnc"], p=0.9)(images, rng=generator())
    assert result.shape == images.shape and result.dtype == images.dtype
    assert result.isfinite().all() and not torch.equal(result, images)


def test_draws_follow_the_generator():
    images, pipe = pictures(), AugmentPipe(PIPES["bgcfnc"], p=0.7)
    first, second, other = (pipe(images, rng=generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_picture_with_its_own_generator_does_not_depend_on_its_batch():
    images, pipe = pictures(3), AugmentPipe(PIPES["bgcfnc"], p=0.7)
    together = pipe(images, rng=[generator(seed) for seed in (1, 2, 3)])
    alone = pipe(images[1:2], rng=[generator(2)])
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-4)  # the canvas is another


def test_percentiles_leave_nothing_to_chance():
    images, pipe = pictures(), AugmentPipe(PIPES["bgcfnc"], p=1.0)
    assert torch.equal(pipe(images, debug_percentile=0.7), pipe(images, debug_percentile=0.7))


def test_only_the_strength_is_state_and_it_stays_on_the_cpu():
    pipe = one(p=0.25, xflip=1.0)
    assert {name: float(value) for name, value in pipe.state_dict().items()} == {"p": 0.25}
    pipe.load_state_dict({"p": torch.tensor(0.5)})
    assert float(pipe.p) == 0.5
    assert pipe.to("meta").p.device.type == "cpu" and float(pipe.p) == 0.5


def test_impossible_options_are_refused():
    for options in ({"xflip": -0.1}, {"scale_std": math.nan}, {"imgfilter_bands": (1.0, 1.0)}):
        with pytest.raises(InputError):
            one(**options)
    with pytest.raises(InputError, match="2 channels"):
        one(hue=1.0)(pictures(channels=2), rng=generator())


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu():
    images, pipe = pictures(8, side=64), AugmentPipe(PIPES["bgcfnc"], p=0.8)
    expected = pipe(images, rng=generator())
    result = pipe.cuda()(images.cuda(), rng=generator()).cpu()
    # TF32 in the filters, where it is allowed, keeps ten bits.
    assert (result - expected).abs().max() < 5e-3 * expected.std()


# ---- Derivatives ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", list(GROUPS))
def test_derivatives_of_first_and_second_order(group):
    """A pipe with fixed draws is affine, A x + b; v ↦ Aᵀv and the derivative of ‖Aᵀv‖²/2, which is A Aᵀv, are known."""
    pipe = AugmentPipe(PIPES[group], p=0.9)
    x, v = (pictures(3, 3, 16, seed, torch.float64).requires_grad_() for seed in (1, 2))

    def augmented(images):
        return pipe(images, rng=generator(3))

    (transposed,) = torch.autograd.grad(augmented(x), x, v, create_graph=True)
    linear_x = augmented(x) - augmented(torch.zeros_like(x))
    torch.testing.assert_close((linear_x * v).sum(), (x * transposed).sum())
    (second,) = torch.autograd.grad(transposed.square().sum() / 2, v)
    expected = augmented(transposed) - augmented(torch.zeros_like(x))
    torch.testing.assert_close(second, expected.detach(), rtol=1e-4, atol=1e-5)  # the filters are kept in float32


def test_r1_through_the_whole_pipe_is_finite():
    weight = torch.randn(1, 3, 32, 32, generator=generator()).requires_grad_()
    images = pictures().requires_grad_()
    logits = (AugmentPipe(PIPES["bgcfnc"], p=1.0)(images, rng=generator()) * weight).sum(dim=(1, 2, 3)).tanh()
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    gradient.square().sum().backward()
    assert weight.grad is not None and weight.grad.isfinite().all() and weight.grad.abs().sum() > 0


# ---- Blit and geometry ---------------------------------------------------------------------------------------------


def test_blits_move_pixels_to_where_they_belong():
    spot = blob(64, side=32, x=7, y=3, width=2, height=2)
    x, y, _, _ = moments(one(xflip=1.0)(spot, rng=generator()))
    assert {round(v) for v in x.tolist()} == {7, -7} and {round(v) for v in y.tolist()} == {3}
    x, y, _, _ = moments(one(rotate90=1.0)(spot, rng=generator()))
    places = {(round(a), round(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)}
    assert places == {(7, 3), (-3, 7), (-7, -3), (3, -7)}


def test_whole_shifts_are_exact_and_uniform():
    spot = blob(300, side=32, width=2, height=2)
    result = one(p=0.5, xint=1.0)(spot, rng=generator())
    x, y, _, _ = moments(result)
    assert x.abs().max() < 4.1 and y.abs().max() < 4.1
    # |round(U(-4, 4))| has the mean 2, and half of the pictures are shifted.
    assert x.abs().mean().item() == pytest.approx(1.0, abs=0.15)
    assert y.abs().mean().item() == pytest.approx(1.0, abs=0.15)
    shifts = [(round(b), round(a)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    moved = torch.stack([torch.roll(image, shift, (1, 2)) for image, shift in zip(spot, shifts, strict=True)])
    torch.testing.assert_close(result[..., 6:-6, 6:-6], moved[..., 6:-6, 6:-6], rtol=0, atol=1e-5)


def test_fractional_shifts_are_normal():
    spot = blob(200, side=32, width=2, height=2)
    x, y, _, _ = moments(one(xfrac=1.0, xfrac_std=0.05)(spot, rng=generator()))
    for shift in (x, y):
        assert shift.std().item() == pytest.approx(0.05 * 32, rel=0.15) and abs(shift.mean().item()) < 0.35


def test_zoom_and_stretch_are_log_normal():
    spot = blob(200, side=32, width=2, height=2)
    _, _, xx, yy = moments(one(scale=1.0)(spot, rng=generator()))
    zoom = (xx / 4).log2() / 2
    assert zoom.std().item() == pytest.approx(0.2, rel=0.15) and abs(zoom.mean().item()) < 0.06
    assert (xx / yy).log2().abs().quantile(0.95) < 0.02
    _, _, xx, yy = moments(one(aniso=1.0)(spot, rng=generator()))
    stretch = (xx / yy).log2() / 4
    assert stretch.std().item() == pytest.approx(0.2, rel=0.15) and abs(stretch.mean().item()) < 0.05
    assert (xx * yy / 16).log2().abs().quantile(0.95) < 0.15


def test_turns_are_uniform_and_happen_with_probability_p():
    spot = blob(300, side=32, x=4, width=1.5, height=1.5)
    x, y, _, _ = moments(one(p=0.5, rotate=1.0)(spot, rng=generator()))
    torch.testing.assert_close(torch.hypot(x, y), torch.full_like(x, 4.0), rtol=0, atol=0.2)
    angle = torch.atan2(y, x)
    turned = angle.abs() > 1e-3
    assert turned.double().mean().item() == pytest.approx(0.5, abs=0.08)
    assert angle[turned].abs().mean().item() == pytest.approx(math.pi / 2, abs=0.25)


def test_the_edge_is_a_mirror_however_far_the_warp_looks():
    assert reflect(torch.tensor([-9, -1, 0, 4, 5, 9]), 5).tolist() == [1, 1, 0, 4, 3, 1]
    ground = torch.full((16, 3, 32, 32), 0.5)
    torch.testing.assert_close(AugmentPipe(PIPES["bg"], p=1.0)(ground, rng=generator()), ground, rtol=0, atol=1e-5)
    far = one(scale=1.0, scale_std=4.0)(ground, rng=generator())
    assert far.isfinite().all()  # beyond three pictures' length it is black


def test_the_warp_filter_is_the_least_asymmetric_wavelet():
    h = torch.tensor(SYM6, dtype=torch.float64)
    n = torch.arange(12, dtype=torch.float64)
    for shift in range(6):
        assert (h[2 * shift :] * h[: 12 - 2 * shift]).sum().item() == pytest.approx(float(shift == 0), abs=1e-14)
        assert (h * (-1) ** n * n**shift).sum().item() == pytest.approx(0, abs=1e-9)
    images = pictures(2, 3, 48)
    identity = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1)
    torch.testing.assert_close(Warp()(images, identity), images, rtol=0, atol=1e-5)


# ---- Colour, filter, noise, cutout ---------------------------------------------------------------------------------


def test_brightness_and_contrast_have_their_spread():
    images = pictures(500, 3, 16)[:, :, :2, :2].clone()
    shift = one(p=0.5, brightness=1.0)(images, rng=generator()) - images
    assert shift.std(dim=(1, 2, 3)).max() < 1e-6
    assert shift.mean(dim=(1, 2, 3)).std().item() == pytest.approx(0.2 * math.sqrt(0.5), rel=0.12)
    gain = one(contrast=1.0)(images, rng=generator())[:, 0, 0, 0] / images[:, 0, 0, 0]
    assert gain.log2().std().item() == pytest.approx(0.5, rel=0.12)


def test_lumaflip_hue_and_saturation_keep_what_they_should():
    images = pictures(64, 3, 16)
    luma = images.mean(dim=1, keepdim=True)
    chroma = (images - luma).square().sum(dim=1).sqrt()
    flipped = one(lumaflip=1.0)(images, rng=generator())
    share = torch.isclose(flipped.mean(dim=1, keepdim=True), -luma, atol=1e-5).all(dim=(1, 2, 3))
    assert 0.3 < share.double().mean().item() < 0.7
    torch.testing.assert_close(flipped - flipped.mean(dim=1, keepdim=True), images - luma)
    turned = one(hue=1.0)(images, rng=generator())
    torch.testing.assert_close(turned.mean(dim=1, keepdim=True), luma)
    torch.testing.assert_close((turned - luma).square().sum(dim=1).sqrt(), chroma, rtol=1e-3, atol=1e-5)
    strong = one(saturation=1.0)(images, rng=generator())
    torch.testing.assert_close(strong.mean(dim=1, keepdim=True), luma, rtol=1e-4, atol=1e-5)
    gain = (strong - luma).square().sum(dim=(1, 2, 3)).sqrt() / (images - luma).square().sum(dim=(1, 2, 3)).sqrt()
    assert gain.log2().std().item() == pytest.approx(1.0, rel=0.3)


def test_grey_pictures_are_coloured_as_grey_rgb():
    """Hue and saturation leave grey alone, so the pictures of one channel draw nothing for them."""
    grey = pictures(8, 1, 16)
    pipe = one(brightness=1.0, contrast=1.0, lumaflip=1.0)
    torch.testing.assert_close(
        pipe(grey, rng=generator()).repeat(1, 3, 1, 1), pipe(grey.repeat(1, 3, 1, 1), rng=generator())
    )
    assert torch.equal(one(hue=1.0, saturation=1.0)(grey, rng=generator()), grey)


def test_bands_are_octaves_and_add_up_to_the_picture():
    bands = band_filters()
    identity = torch.zeros(43, dtype=torch.float64)
    identity[21] = 1
    torch.testing.assert_close(bands.sum(dim=0), identity)
    torch.testing.assert_close(bands, bands.flip(1))
    at = torch.arange(43, dtype=torch.float64) - 21
    for band, frequency in enumerate((0.05, 3 / 16, 3 / 8, 7 / 8)):
        response = (bands * torch.cos(math.pi * frequency * at)).sum(dim=1)
        assert int(response.argmax()) == band and response[band] > 0.6, (band, response)


def test_filters_keep_the_expected_power():
    """The highest octave's gain t is drawn, then all gains are divided by √((12 + t²) / 13): natural power is kept."""
    pipe = one(imgfilter=1.0, imgfilter_bands=(0.0, 0.0, 0.0, 1.0))
    flat = torch.ones(400, 1, 16, 16, dtype=torch.float64)
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(8)
    low = pipe(flat, rng=generator())[:, 0, 0, 0]
    high = (pipe(flat * sign.outer(sign), rng=generator()) * sign.outer(sign))[:, 0, 0, 0]
    torch.testing.assert_close(12 * low + high, torch.full_like(low, 13.0))
    assert ((high / low).log2() / 2).std().item() == pytest.approx(1.0, rel=0.12)


def test_noise_is_half_normal_in_its_strength():
    ground = torch.zeros(400, 1, 16, 16)
    sigma = one(p=0.5, noise=1.0)(ground, rng=generator()).std(dim=(1, 2, 3))
    assert (sigma > 0).double().mean().item() == pytest.approx(0.5, abs=0.08)
    assert sigma[sigma > 0].mean().item() == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.12)


def test_cutout_blanks_a_square_half_as_wide_as_the_picture():
    result = one(p=0.5, cutout=1.0)(torch.ones(400, 1, 32, 32), rng=generator())
    blank = result[:, 0] == 0
    assert blank.any(dim=(1, 2)).double().mean().item() == pytest.approx(0.5, abs=0.08)
    columns, rows = blank.any(dim=1).sum(dim=1), blank.any(dim=2).sum(dim=1)
    assert torch.equal(blank.sum(dim=(1, 2)), columns * rows)
    # The centre is anywhere in the picture, so that a side is between a quarter and a half of it.
    assert columns.max() == rows.max() == 16 and columns[columns > 0].min() >= 8
    assert columns[columns > 0].double().mean().item() == pytest.approx(14, abs=0.5)
