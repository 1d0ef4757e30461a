"""The energy distance between generated and real pictures, and D's second look at the pictures of G's step."""

import torch
import torch.nn.functional as F

from ganlib.training.losses import energy_distance


def maps(count, *, seed, spread=1.0):
    return [spread * torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))]


def test_pictures_of_the_same_kind_are_at_distance_zero_on_average():
    distances = [energy_distance(maps(16, seed=2 * i), maps(16, seed=2 * i + 1), None, None) for i in range(40)]
    assert abs(float(torch.stack(distances).mean())) < 0.01
    assert float(energy_distance([maps(16, seed=1)[0] + 1], maps(16, seed=2), None, None)) > 0.2


def test_pictures_that_are_all_alike_cost_though_each_is_a_good_one():
    one = maps(16, seed=1)[0][:1].expand(16, -1, -1, -1)
    assert float(energy_distance([one], maps(16, seed=2), None, None)) > 0.8


def test_gradients_drive_equal_pictures_apart_and_few_tensors_are_finite():
    x = (0.01 * maps(8, seed=1)[0]).requires_grad_(True)
    energy_distance([x], maps(8, seed=2), None, None).backward()
    moved = x.detach() - x.grad
    assert torch.pdist(moved.flatten(1)).mean() > torch.pdist(x.detach().flatten(1)).mean()
    same = torch.zeros(4, 3, 4, 4, requires_grad=True)
    energy_distance([same], maps(4, seed=2), None, None).backward()
    assert torch.isfinite(same.grad).all()


def test_only_pictures_of_one_class_are_compared():
    label = F.one_hot(torch.arange(16) % 2, 2).float()
    offset = 50 * label[:, :1, None, None]
    fake, real = maps(16, seed=1)[0] + offset, maps(16, seed=2)[0] + offset
    apart = float(energy_distance([fake], [real], label, label))
    assert abs(apart) < 0.1 < float(energy_distance([fake], [real.flip(0)], label, label))


def test_a_class_with_one_picture_counts_for_nothing():
    label = torch.eye(4)
    x = maps(4, seed=1)[0].requires_grad_(True)
    distance = energy_distance([x], maps(4, seed=2), label, label)
    distance.backward()
    assert torch.isfinite(distance) and torch.isfinite(x.grad).all()
