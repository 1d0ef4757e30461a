"""The adaptive strength of augmentation: its arithmetic, its limits and its state."""

import math

import pytest
import torch

from ganlib.base.errors import InputError
from ganlib.training.augment.ada_control import AdaptiveStrength


def logits(positive, negative):
    return torch.cat([torch.full([positive], 2.5), torch.full([negative], -0.5)])


def run(control, steps, positive=15, negative=1, batch=16, **options):
    moved = []
    for _ in range(steps):
        control.observe(logits(positive, negative))
        moved.append(control.step(batch, **options))
    return moved


def test_p_moves_every_interval_by_the_pictures_shown():
    control = AdaptiveStrength(target=0.6, interval=4, ada_kimg=10)
    assert run(control, 3) == [False] * 3 and control.p == 0.0 and control.r_t is None
    assert run(control, 1) == [True]
    assert control.r_t == pytest.approx(14 / 16)
    assert control.p == pytest.approx(16 * 4 / 10_000)
    run(control, 4)
    assert control.p == pytest.approx(2 * 16 * 4 / 10_000)
    run(control, 4, positive=12, negative=4)  # r_t = 0.5
    assert control.p == pytest.approx(16 * 4 / 10_000)


def test_p_rests_on_the_target():
    control = AdaptiveStrength(target=0.5, interval=1, p=0.3)
    run(control, 2, positive=12, negative=4)
    assert (control.p, control.r_t) == (0.3, 0.5)


def test_p_goes_from_0_to_1_in_ada_kimg_and_stays_there():
    control = AdaptiveStrength(interval=4, ada_kimg=1)
    run(control, 48)
    assert control.p == pytest.approx(0.768) and not control.is_high
    run(control, 4)
    assert control.is_high and not control.is_at_limit
    run(control, 20)
    assert control.p == 1.0 and control.is_high and control.is_at_limit
    run(control, 200, positive=1, negative=15)
    assert control.p == 0.0 and not control.is_high


def test_resume_in_the_middle_of_an_interval_is_exact():
    def turns(control, count, start=0):
        for i in range(start, start + count):
            run(control, 1, positive=8 + (i * 5) % 9, negative=8 - (i * 5) % 9)

    whole, first, second = (AdaptiveStrength(interval=4, ada_kimg=1, p=0.5) for _ in range(3))
    turns(whole, 30)
    turns(first, 14)
    second.load_state_dict(first.state_dict())
    turns(first, 5)  # what follows does not reach into the saved state
    turns(second, 16, start=14)
    assert (second.p, second.r_t, second.num_steps) == (whole.p, whole.r_t, whole.num_steps)
    assert torch.equal(second.signs, whole.signs) and whole.signs[1] > 0


def test_state_survives_a_restricted_file(tmp_path):
    control = AdaptiveStrength(interval=4)
    run(control, 6)
    torch.save(control.state_dict(), tmp_path / "state.pt")
    restored = AdaptiveStrength(interval=4)
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert (restored.p, restored.r_t, restored.num_steps) == (control.p, control.r_t, 2)


def test_counts_of_other_processes_are_added():
    control = AdaptiveStrength(interval=2, ada_kimg=1)

    def other(counts):
        counts += torch.tensor([-32.0, 32.0])  # two steps of sixteen pictures, all taken for generated

    run(control, 2, positive=16, negative=0, batch=32, add_up=other)
    assert control.r_t == 0.0
    assert control.p == 0.0


def test_a_step_without_reals_leaves_p_alone():
    control = AdaptiveStrength(interval=1, p=0.4)
    assert control.step(16) and (control.p, control.r_t) == (0.4, None)


def test_impossible_options_are_refused():
    for options in ({"target": 0.0}, {"target": 1.0}, {"interval": 0}, {"ada_kimg": 0}, {"p": 1.5}, {"p": math.nan}):
        with pytest.raises(InputError):
            AdaptiveStrength(**options)
