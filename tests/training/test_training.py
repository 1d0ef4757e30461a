"""The loop: its files, stopping, exact resume, starting from a model, and clear words about bad input."""

import json

import numpy as np
import pytest
import torch

from ganlib import networks, runs
from ganlib.base.errors import CheckpointError, DataError, InputError, RunError
from ganlib.models import checkpoints
from ganlib.training import TrainConfig, losses, train
from ganlib.training.data_loader import Sampler
from ganlib.training.watch.statistics import Averages
from tests.training.conftest import TINY, Stopper, pictures, write_set


def config(data, **changes):
    return TrainConfig(data=str(data), **{**TINY, "mirror": True, **changes})


def weights(path):
    return {name: t for name, t in checkpoints.load_generator(path).state_dict().items()}


def test_a_run_writes_its_files(data, tmp_path):
    reporter = Stopper()
    last = train(config(data, title="Tiny", licence="CC0"), tmp_path / "run", reporter)
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names == {
        "training_options.json", "reals.png", "fakes_init.png", "fakes000000.png",
        "network-snapshot-000000.safetensors", "training-state-latest.pt",
    }  # fmt: skip
    card = checkpoints.read_card(last)
    assert (card.title, card.licence, card.kimg, card.has_discriminator) == ("Tiny", "CC0", 0.064, True)
    assert len(reporter.records) == 4
    record = reporter.records[0]
    assert {"Loss/G/loss", "Loss/D/loss", "Loss/r1_penalty", "Loss/pl_penalty", "Loss/scores/real"} <= set(record)
    assert record["Loss/scores/real"]["num"] == 16
    assert record["Progress/kimg"]["mean"] == pytest.approx(0.016)
    options = json.loads((tmp_path / "run" / "training_options.json").read_text())
    assert options["r1_gamma"] == pytest.approx(0.0002 * 16**2 / 8)


def test_weights_and_average_move(data, tmp_path):
    first = train(config(data, kimg=0.008), tmp_path / "a", Stopper())
    last = train(config(data), tmp_path / "b", Stopper())
    a, b = weights(first), weights(last)
    assert max((a[n] - b[n]).abs().max().item() for n in a) > 1e-3
    assert b["mapping.w_avg"].abs().max() > 0


def test_resume_equals_uninterrupted(data, tmp_path):
    whole = train(config(data), tmp_path / "whole", Stopper())
    train(config(data), tmp_path / "parts", Stopper(steps=3))
    state = tmp_path / "parts" / "training-state-latest.pt"
    assert torch.load(state, weights_only=True)["images_seen"] == 24
    again = train(config(data), tmp_path / "parts", Stopper())
    a, b = weights(whole), weights(again)
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert train(config(data), tmp_path / "parts", Stopper()) == again
    longer = train(config(data, kimg=0.072, resume=str(tmp_path / "parts")), tmp_path / "third", Stopper())
    assert checkpoints.read_card(longer).kimg == 0.072
    with pytest.raises(InputError, match="already has"):
        train(config(data, resume=str(tmp_path / "parts")), tmp_path / "fourth", Stopper())


def test_the_seed_decides_the_run(data, tmp_path):
    a, b, c = (
        weights(train(config(data, kimg=0.016, seed=s), tmp_path / str(i), Stopper())) for i, s in enumerate((1, 1, 2))
    )
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert not all(torch.equal(a[n], c[n]) for n in a)


def test_a_run_starts_from_a_model(data, tmp_path):
    first = train(config(data), tmp_path / "a", Stopper())
    reporter = Stopper(steps=1)
    second = train(config(data, kimg=1, resume=str(first)), tmp_path / "b", reporter)
    assert checkpoints.read_card(second).kimg == pytest.approx(0.072)
    assert any("started from the weights" in line for line in reporter.lines)
    with pytest.raises(CheckpointError) as error:
        train(config(data, cmax=16, resume=str(first)), tmp_path / "c", Stopper())
    assert "--cmax" in error.value.hint
    with pytest.raises(CheckpointError):
        train(config(data, cmax=16, resume=str(tmp_path / "a")), tmp_path / "d", Stopper())


def test_a_start_that_cannot_serve_is_refused_with_the_one_true_reason(data, tmp_path):
    def refused(arch, words, hint, **options):
        G = networks.tiny_generator(arch, **options)
        path = checkpoints.save_snapshot(tmp_path / "start.safetensors", G_ema=G).path
        with pytest.raises(CheckpointError) as error:
            train(config(data, resume=str(path)), tmp_path / "run", Stopper())
        assert words in error.value.message and hint in error.value.hint, (error.value.message, error.value.hint)
        assert ";" not in error.value.message, "one reason, and not all that follows from it"

    refused("stylegan3", "is a StyleGAN3 model, and those are shown here, not trained", "leave --resume out")
    refused("progan", "arch is progan there and stylegan2 here", "--arch progan")
    refused("stylegan2", "makes grey pictures, and the set holds RGB pictures", "turns grey into RGB", img_channels=1)
    train(config(data), tmp_path / "small", Stopper(steps=1))
    large = write_set(tmp_path / "large.zip", pictures(8, side=32))
    with pytest.raises(CheckpointError, match="makes pictures of 16 px, and the set has 32 px") as error:
        train(config(large, resume=str(tmp_path / "small")), tmp_path / "run", Stopper())
    assert "network-snapshot" in error.value.hint
    snapshot = next((tmp_path / "small").glob("network-snapshot-*.safetensors"))
    assert train(config(large, resume=str(snapshot)), tmp_path / "run", Stopper(steps=1)).exists()


def test_what_a_model_leaves_unsaid_is_no_difference(data, tmp_path):
    G = networks.tiny_generator(z_dim=16, w_dim=16, channel_base=128, channel_max=8, D={"D_architecture": "resnet"})
    path = checkpoints.save_snapshot(tmp_path / "start.safetensors", G_ema=G).path
    with pytest.raises(CheckpointError) as error:
        train(config(data, cmax=4, resume=str(path)), tmp_path / "run", Stopper())
    assert "channel_max is 8 there and 4 here" in error.value.message and "D_architecture" not in error.value.message


def test_a_resume_that_leads_nowhere_is_named(data, tmp_path):
    (tmp_path / "empty").mkdir()
    for resume in (tmp_path / "empty", tmp_path / "absent.pt", tmp_path / "absent", "absent"):
        with pytest.raises(CheckpointError) as error:
            train(config(data, resume=str(resume)), tmp_path / "run", Stopper())
        assert error.value.hint


def test_labels_are_trained_when_asked(data, tmp_path):
    command = f"python -m ganlib train --data {data} --cond"
    run = runs.create_run(tmp_path, "train", "run", {}, command=command)
    path = train(config(data, cond=True, kimg=0.016), run.path, Stopper())
    card = checkpoints.read_card(path)
    assert card.classes == ("0", "1", "2")
    assert card.training["command"] == "python -m ganlib train --data set.zip --cond", "nobody's folders are told"
    assert "threads" in card.training["hardware"] and card.training["seconds"] >= 0
    assert checkpoints.read_card(path).spec.label_dim == 3
    bare = write_set(tmp_path / "bare.zip", pictures(4))
    with pytest.raises(DataError, match="no class labels"):
        train(config(bare, cond=True), tmp_path / "bare", Stopper())


@pytest.mark.parametrize("count", [1, 3])
def test_a_tiny_set_still_trains(tmp_path, count):
    data = write_set(tmp_path / "small.zip", pictures(count))
    assert train(config(data, kimg=0.016, subset=1), tmp_path / "run", Stopper()).exists()


def test_a_broken_state_is_named(data, tmp_path):
    for i, junk in enumerate((b"", b"text", b"PK\x03\x04", b"\x80\x02cos\nsystem\n(S'true'\ntR.")):
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / "training-state-latest.pt").write_bytes(junk)
        with pytest.raises(CheckpointError, match="no training state"):
            train(config(data), folder, Stopper())


def test_divergence_stops_the_run_and_says_so(data, tmp_path, monkeypatch):
    broken = losses.Loss(lambda fake, real: fake * float("nan"), lambda fake, real: fake - real)
    monkeypatch.setitem(losses.LOSSES, "logistic", broken)
    with pytest.raises(RunError, match="no longer finite") as error:
        train(config(data), tmp_path / "run", Stopper())
    assert "--glr" in error.value.hint and "network-snapshot" not in error.value.hint
    assert not list((tmp_path / "run").glob("network-snapshot*"))


@pytest.mark.parametrize(
    "change",
    [{"kimg": 0}, {"kimg": float("nan")}, {"batch": 0}, {"gamma": -1.0}, {"gamma": float("inf")}, {"cbase": 8},
     {"style_mix": 2.0}, {"seed": -1}, {"subset": 0}, {"data": ""}, {"snap": 0}, {"glr": -1.0}, {"arch": "stylegan9"},
     {"aug": "fixed"}, {"aug": "noaug", "p": 0.5}, {"p": 1.5, "aug": "fixed"}, {"target": 1.0}, {"betas": (0.5,)},
     {"phase_batches": (0,)}, {"loss": "lsgan"}, {"kimg": 0.001, "batch": 8}, {"mirror": "no"}, {"batch": True}],
)  # fmt: skip
def test_impossible_options_are_refused(change):
    with pytest.raises(InputError) as error:
        TrainConfig(**{"data": "x.zip", **change}).validate()
    assert error.value.hint


def test_config_survives_json_and_refuses_unknown_options():
    c = TrainConfig(data="x.zip", gamma=0.5)
    assert TrainConfig.from_dict(json.loads(json.dumps(c.to_dict()))) == c
    with pytest.raises(InputError, match="colour"):
        TrainConfig.from_dict({"data": "x", "colour": 1})
    with pytest.raises(InputError):
        TrainConfig.from_dict({"data": "x", "kimg": "many"})


def test_the_sampler_shows_every_picture_once_plain_and_once_mirrored():
    sampler = Sampler(5, mirror=True, seed=0)
    idx, mirrored, flipped = sampler.take(0, 10)
    assert not flipped.any()
    assert sorted(zip(idx.tolist(), mirrored.tolist(), strict=True)) == sorted((i, m) for i in range(5) for m in (0, 1))
    later = Sampler(5, mirror=True, seed=0)
    np.testing.assert_array_equal(later.take(7, 6)[0], sampler.take(7, 6)[0])
    assert sampler.take(10, 10)[0].tolist() != idx.tolist()


def test_r1_is_the_squared_gradient_for_a_linear_discriminator():
    x = torch.randn(3, 1, 2, 2, requires_grad=True)
    a = torch.arange(1.0, 5.0).reshape(1, 1, 2, 2).requires_grad_(True)
    penalty = losses.squared_gradient((x * a).sum(dim=[1, 2, 3])[:, None], x)
    torch.testing.assert_close(penalty, torch.full([3], 30.0))
    (grad,) = torch.autograd.grad(penalty.mean(), a)
    torch.testing.assert_close(grad, 2 * a.detach())


def test_path_length_of_a_linear_generator_is_its_norm():
    w = torch.randn(4, 2, 1, requires_grad=True)
    y = torch.ones(4, 1, 2, 2)
    image = w.sum(dim=[1, 2])[:, None, None, None] * torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2)
    # Σ noise·a / √(H·W) = 10 / 2 with respect to each of two style inputs; squared, averaged, rooted.
    torch.testing.assert_close(losses.path_lengths(image, w, y), torch.full([4], 5.0))


def test_losses_have_the_papers_signs():
    high, low = torch.tensor([5.0]), torch.tensor([-5.0])
    assert losses.g_logistic(high) < losses.g_logistic(low)
    assert losses.d_logistic_fake(low) < losses.d_logistic_fake(high)
    assert losses.d_logistic_real(high) < losses.d_logistic_real(low)


def test_averages_pool_batches():
    avg = Averages()
    avg.add("x", torch.tensor([1.0, 2.0]))
    avg.add("x", torch.tensor([6.0]))
    assert avg.flush()["x"] == pytest.approx({"num": 3, "mean": 3.0, "std": np.std([1, 2, 6])})
    assert avg.flush() == {}
