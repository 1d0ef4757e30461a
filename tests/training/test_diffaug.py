"""DiffAug: bounded, differentiable, the same for the same numbers, and a picture's own."""

import pytest
import torch

from ganlib.training.augment.diffaug import CUTOUT, TRANSLATION, DiffAugment, cut_out, recolour, translate


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_a_picture_is_augmented_the_same_in_any_batch():
    img = torch.rand(3, 3, 32, 32) * 2 - 1
    together = DiffAugment()(img, rng=generators(5, 6, 7))
    alone = DiffAugment()(img[1:2], rng=generators(6))
    assert torch.equal(together[1:2], alone)
    assert not torch.equal(together, DiffAugment()(img, rng=generators(5, 6, 8)))


def test_shifts_are_whole_pixels_within_an_eighth_and_bring_in_grey():
    img = torch.arange(1.0, 1 + 16 * 16).reshape(1, 1, 16, 16)
    assert torch.equal(translate(img, torch.tensor([[0.5, 0.5]])), img)
    low, high = translate(img, torch.tensor([[0.0, 0.0]])), translate(img, torch.tensor([[0.999, 0.999]]))
    shift = round(16 * TRANSLATION)
    assert torch.equal(low[..., shift:, shift:], img[..., :-shift, :-shift]) and low[..., :shift, :].abs().sum() == 0
    assert torch.equal(high[..., :-shift, :-shift], img[..., shift:, shift:]) and high[..., -shift:, :].abs().sum() == 0


@pytest.mark.parametrize("place", [(0.5, 0.5), (0.3, 0.8)])
def test_the_hidden_square_has_a_fifth_of_the_side(place):
    hidden = cut_out(torch.ones(1, 3, 100, 100), torch.tensor([place])) == 0
    assert int(hidden[0, 0].any(dim=0).sum()) == int(hidden[0, 0].any(dim=1).sum()) == round(100 * CUTOUT)


def test_colours_change_by_the_papers_amounts():
    img = torch.rand(1, 3, 8, 8) * 2 - 1
    middle = torch.tensor([[0.5, 0.5, 0.5]])
    torch.testing.assert_close(recolour(img, middle), img)
    brighter = recolour(img, torch.tensor([[1.0, 0.5, 0.5]]))
    torch.testing.assert_close(brighter, img + 0.5)
    grey = recolour(img, torch.tensor([[0.5, 0.0, 0.5]]))
    torch.testing.assert_close(grey, img.mean(dim=1, keepdim=True).expand_as(img))
    stronger = recolour(img, torch.tensor([[0.5, 0.5, 1.0]]))
    torch.testing.assert_close(stronger.std(), img.std() * 1.5)


def test_gradients_reach_the_picture():
    img = (torch.rand(2, 3, 16, 16) * 2 - 1).requires_grad_()
    DiffAugment()(img, rng=generators(1, 2)).sum().backward()
    assert img.grad is not None and float((img.grad != 0).float().mean()) > 0.5
