"""Three families in one loop: they train, resume exactly, transfer, augment, and share their work between processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ganlib import networks
from ganlib.base.errors import CheckpointError, InputError, RunError
from ganlib.models import checkpoints, foreign
from ganlib.training import PRESETS, TrainConfig, train
from ganlib.training.phases import Schedule
from ganlib.training.presets import with_preset
from ganlib.training.setup import plan
from ganlib.training.state import STATE_NAME
from ganlib.training.watch.folder import TrainingFolder
from ganlib.training.watch.statistics import variety
from tests.training.conftest import TINY, TINY_OF, Stopper, pictures, write_set

FAMILIES = sorted(name for name, row in networks.ARCHITECTURES.items() if row.trainable)


def config(data, arch="stylegan2", **changes):
    return TrainConfig(data=str(data), **{**TINY_OF[arch], **changes})


def weights(path):
    return {**checkpoints.load_generator(path).state_dict(), **{
        f"D.{k}": v for k, v in checkpoints.load_discriminator(path).state_dict().items()}}  # fmt: skip


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_every_family_has_settings():
    assert set(TINY_OF) == set(FAMILIES)


@pytest.mark.parametrize("arch", FAMILIES)
def test_every_family_trains_and_resumes_exactly(arch, data, tmp_path):
    reporter = Stopper()
    whole = train(config(data, arch, mirrory=True), tmp_path / "whole", reporter)
    assert checkpoints.read_card(whole).spec.arch == arch
    assert {"Loss/G/loss", "Loss/D/loss", "Loss/scores/real", "Timing/sec_per_kimg", "Samples/diversity"} <= set(
        reporter.records[0]
    )
    train(config(data, arch, mirrory=True), tmp_path / "parts", Stopper(steps=3))
    again = train(config(data, arch, mirrory=True), tmp_path / "parts", Stopper())
    assert equal(weights(whole), weights(again))


@pytest.mark.parametrize("arch", FAMILIES)
def test_the_relativistic_loss_suits_every_family(arch, data, tmp_path):
    reporter = Stopper()
    train(config(data, arch, loss="r3gan", kimg=0.016), tmp_path / "run", reporter)
    record = reporter.records[0]
    assert record["Loss/r2_penalty"]["num"] == record["Loss/r1_penalty"]["num"] == 16  # in every step
    assert record["Loss/r2_penalty"]["mean"] > 0


def test_lazy_penalties_act_on_both_kinds_of_picture_where_the_loss_is_relative(data, tmp_path):
    reporter = Stopper()
    train(config(data, loss="r3gan", r1_interval=2, kimg=0.016), tmp_path / "run", reporter)
    assert reporter.records[0]["Loss/r1_penalty"]["num"] == reporter.records[0]["Loss/r2_penalty"]["num"] == 8


def test_a_family_that_is_not_trained_here_is_refused_in_words(data):
    with pytest.raises(InputError, match="StyleGAN3 models are shown here, not trained") as caught:
        TrainConfig(data=str(data), arch="stylegan3").validate()
    assert "stylegan2" in caught.value.hint


def test_an_option_of_another_family_is_refused(data):
    with pytest.raises(InputError, match="no option cbase"):
        plan(config(data, "dcgan", cbase=128))
    with pytest.raises(InputError, match="no option ngf"):
        plan(config(data, ngf=8))


# ---- Growing -------------------------------------------------------------------------------------------------------


def test_a_schedule_fades_and_stabilises_in_turn():
    schedule = Schedule(3, 16, fade_images=1000, tune_images=2000, batches=(64, 32))
    moments = [schedule.at(n) for n in (0, 1999, 2000, 2500, 3000, 4999, 5000, 6000, 10**9)]
    assert [(m.stage, m.alpha, m.batch) for m in moments] == [
        (0, 1.0, 64), (0, 1.0, 64), (1, 0.0, 32), (1, 0.5, 32), (1, 1.0, 32), (1, 1.0, 32), (2, 0.0, 32), (2, 1.0, 32),
        (2, 1.0, 32),
    ]  # fmt: skip
    assert [m.name for m in moments[2:6:2]] == ["008x008-faded", "008x008-tuned"]
    assert moments[-1].end is None
    equal = Schedule.of(3, batch=8, kimg=10, fade_kimg=None, tune_kimg=None)
    assert (equal.fade_images, equal.tune_images) == (1500, 1500)
    assert Schedule.of(1, batch=8, kimg=10, fade_kimg=None, tune_kimg=None).at(5) == Schedule(1, 8).at(10**9)


def test_a_growing_run_names_its_sheets_and_resumes_in_its_phase(data, tmp_path):
    settings = {"fade_kimg": 0.016, "tune_kimg": 0.016, "kimg": 0.12, "snap": 0.04, "phase_batches": (16, 8)}
    reporter = Stopper()
    whole = train(config(data, "progan", **settings), tmp_path / "whole", reporter)
    names = [sheet.path.name for sheet in TrainingFolder(tmp_path / "whole").sheets()]
    assert {"fakes000000-008x008-faded.png", "fakes000000-016x016-tuned.png"} & set(names)
    assert [r["Progress/resolution"]["mean"] for r in reporter.records][-1] == 16
    assert checkpoints.load_generator(whole).growth() == (2, 1.0)
    train(config(data, "progan", **settings), tmp_path / "parts", Stopper(steps=4))
    half = checkpoints.load_generator(tmp_path / "parts" / "network-snapshot-000000.safetensors").growth()
    assert half[0] == 1 and half[1] > 0
    again = train(config(data, "progan", **settings), tmp_path / "parts", Stopper())
    assert equal(weights(whole), weights(again))


def test_a_longer_run_does_not_grow_anew(data, tmp_path):
    train(config(data, "progan"), tmp_path / "a", Stopper())
    longer = plan(config(data, "progan", kimg=10.0, resume=str(tmp_path / "a")))
    assert longer.schedule.at(64).stage == 2
    assert plan(config(data, "progan", kimg=10.0)).schedule.at(64).stage == 0


def test_a_run_that_ended_between_its_state_and_its_snapshot_writes_what_is_missing(data, tmp_path):
    done = train(config(data), tmp_path / "a", Stopper())
    before = weights(done)
    done.unlink()
    again = train(config(data), tmp_path / "a", Stopper())
    assert again == done and equal(weights(again), before)


def test_a_growing_network_is_not_augmented(data):
    with pytest.raises(InputError) as error:
        plan(config(data, "progan", aug="ada"))
    assert "noaug" in error.value.hint


# ---- Augmentation --------------------------------------------------------------------------------------------------


def test_ada_moves_p_and_keeps_it_over_a_resume(data, tmp_path):
    ada = {"aug": "ada", "ada_kimg": 0.2, "target": 0.01, "kimg": 0.128}
    reporter = Stopper()
    whole = train(config(data, **ada), tmp_path / "whole", reporter)
    moves = [record["Progress/augment"]["mean"] for record in reporter.records]
    assert max(moves) > 0
    assert checkpoints.read_card(whole).metrics["augment_p"] == pytest.approx(moves[-1])
    train(config(data, **ada), tmp_path / "parts", Stopper(steps=6))
    state = torch.load(tmp_path / "parts" / STATE_NAME, weights_only=True)
    assert state["networks"]["p"] == state["networks"]["control"]["p"]
    assert equal(weights(whole), weights(train(config(data, **ada), tmp_path / "parts", Stopper())))


def test_a_model_brings_its_p_along(data, tmp_path):
    first = train(config(data, aug="fixed", p=0.4, kimg=0.016), tmp_path / "a", Stopper())
    planned = plan(config(data, aug="ada", kimg=1.0, resume=str(first)))
    assert planned.config.p == pytest.approx(0.4)
    assert (planned.config.ada_kimg, planned.config.ema_rampup) == (100.0, None)
    assert plan(config(data, aug="ada", p=0.1, kimg=1.0, resume=str(first))).config.p == 0.1


def test_a_transfer_stopped_and_continued_equals_an_uninterrupted_one(data, tmp_path):
    first = train(config(data, kimg=0.016), tmp_path / "a", Stopper())
    given = config(data, aug="ada", target=0.01, kimg=0.064, resume=str(first), resume_kimg=0.0)
    whole = train(given, tmp_path / "whole", Stopper())
    train(given, tmp_path / "parts", Stopper(steps=4))
    planned = plan(given, tmp_path / "parts")
    assert (planned.config.ada_kimg, planned.config.ema_rampup) == (100.0, None)
    assert equal(weights(whole), weights(train(given, tmp_path / "parts", Stopper())))


def test_a_high_p_is_warned_of(data, tmp_path):
    reporter = Stopper()
    train(config(data, aug="fixed", p=0.9, kimg=0.016), tmp_path / "run", reporter)
    assert sum("warning" in line and "0.90" in line for line in reporter.lines) == 1


# ---- Resume --------------------------------------------------------------------------------------------------------


def test_resume_with_other_rates_uses_them_and_says_so(data, tmp_path):
    train(config(data, kimg=0.032), tmp_path / "a", Stopper())
    reporter = Stopper()
    train(config(data, glr=0.001, resume=str(tmp_path / "a")), tmp_path / "b", reporter)
    assert any("lr of G" in line and "0.0008" in line for line in reporter.lines)  # 0.001 · 4 / 5, path length is lazy
    state = torch.load(tmp_path / "b" / STATE_NAME, weights_only=True)
    assert state["networks"]["opt_G"]["param_groups"][0]["lr"] == pytest.approx(0.0008)


def test_a_run_without_its_state_is_not_begun_again(data, tmp_path):
    train(config(data, save_state=False), tmp_path / "a", Stopper())
    before = sorted(p.name for p in (tmp_path / "a").iterdir())
    with pytest.raises(RunError, match="no training-state") as error:
        train(config(data, save_state=False), tmp_path / "a", Stopper())
    assert "--resume" in error.value.hint
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == before


def test_transfer_to_a_larger_size_takes_over_the_shared_blocks(data, tmp_path):
    small = train(config(data, kimg=0.016), tmp_path / "a", Stopper())
    large = write_set(tmp_path / "large.zip", pictures(8, side=32))
    reporter = Stopper(steps=1)
    changes = {"cbase": None, "cmax": None, "z_dim": None, "w_dim": None, "kimg": 1.0}  # taken over from the model
    path = train(config(large, resume=str(small), **changes), tmp_path / "b", reporter)
    card = checkpoints.read_card(path)
    assert (card.spec.resolution, card.spec.z_dim, card.kimg) == (32, 16, 0.008)
    assert any("tensors taken over; fresh: " in line and "b32" in line for line in reporter.lines)
    a, b = (checkpoints.load_generator(p).state_dict()["synthesis.b8.conv1.weight"] for p in (small, path))
    assert (a - b).abs().max() < 0.02
    with pytest.raises(CheckpointError, match="snapshot"):
        try:
            train(config(large, resume=str(tmp_path / "a"), **changes), tmp_path / "c", Stopper())
        except CheckpointError as error:
            raise CheckpointError(error.hint) from error
    assert not (tmp_path / "c").exists()


def test_what_differs_is_named(data, tmp_path):
    first = train(config(data, kimg=0.016), tmp_path / "a", Stopper())
    with pytest.raises(CheckpointError, match="channel_max is 8 there and 16 here") as error:
        plan(config(data, cmax=16, resume=str(first), kimg=1.0))
    assert "--cmax" in error.value.hint
    with pytest.raises(CheckpointError, match="arch is stylegan2 there and dcgan here"):
        plan(config(data, "dcgan", resume=str(first), kimg=1.0))


def test_freezed_layers_stay(data, tmp_path):
    first = train(config(data, kimg=0.016), tmp_path / "a", Stopper())
    second = train(config(data, kimg=0.064, freezed=3, resume=str(first)), tmp_path / "b", Stopper())
    a, b = checkpoints.load_discriminator(first), checkpoints.load_discriminator(second)
    moved = [not torch.equal(x.weight, y.weight) for x, y in zip(a.layers(), b.layers(), strict=True)]
    assert moved == [False] * 3 + [True] * (len(moved) - 3)
    with pytest.raises(InputError, match="freezed"):
        plan(config(data, freezed=99, resume=str(first), kimg=1.0))
    with pytest.raises(InputError, match="freezed") as error:
        plan(config(data, freezed=3))
    assert "--resume" in error.value.hint


# ---- Rounds and processes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"loss": "wgan-gp", "gamma": 0.0}, {"cond": True}])
def test_rounds_do_not_change_what_is_computed(changes, data, tmp_path):
    shared = {"kimg": 0.016, "pl_weight": 0.0, **changes}
    whole = weights(train(config(data, **shared), tmp_path / "a", Stopper()))
    parts = weights(train(config(data, batch_gpu=4, **shared), tmp_path / "b", Stopper()))
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-3, atol=2e-4, msg=name)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_two_processes_reach_the_weights_of_one(data, tmp_path):
    shared = {"kimg": 0.032, "aug": "fixed", "p": 0.3}
    alone = train(config(data, **shared), tmp_path / "alone", Stopper())
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**TINY, **shared}.items()]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={free_port()}",
        "-m", "ganlib", "train", f"--data={data}", f"--outdir={tmp_path / 'runs'}", "--device=cpu", *flags,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = (p for p in (tmp_path / "runs").iterdir() if p.is_dir())  # only the first process wrote
    together, alone = weights(next(run.glob("network-snapshot-*"))), weights(alone)
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-3, atol=2e-4, msg=name)
    records = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    assert records[0]["Loss/scores/real"]["num"] == 16  # of both processes


def test_memory_that_does_not_suffice_leads_to_smaller_rounds(data, tmp_path, monkeypatch):
    """Memory runs out in the middle of D's update: the run ends where one does that kept to small rounds at first."""
    from ganlib.training.steps import Steps

    augmented = Steps._augmented
    calls = 0

    def scarce(self, image, part):
        nonlocal calls
        calls += 1
        if len(image) > 4 and calls > 2:  # G's update and half of D's went well
            raise torch.OutOfMemoryError("no memory")
        return augmented(self, image, part)

    settings = config(data, kimg=0.016, aug="ada", pl_weight=0.0)
    monkeypatch.setattr(Steps, "_augmented", scarce)
    reporter = Stopper()
    path = train(settings, tmp_path / "run", reporter)
    assert calls > 2 and [line for line in reporter.lines if "going on with 4" in line] != []
    monkeypatch.setattr(Steps, "_augmented", augmented)
    wanted = train(replace(settings, batch_gpu=4), tmp_path / "small", other := Stopper())
    for name, tensor in weights(wanted).items():
        torch.testing.assert_close(weights(path)[name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    for name in ("Loss/scores/real", "Loss/scores/fake", "Loss/G/loss", "Loss/D/loss"):
        assert reporter.records[-1][name]["num"] == other.records[-1][name]["num"]


# ---- Killed --------------------------------------------------------------------------------------------------------


def test_a_killed_run_loses_nothing_older_than_its_last_snapshot(data, tmp_path):
    settings = {**TINY, "kimg": 0.4, "snap": 0.016, "tick": 0.008, "data": str(data)}
    script = (
        "import json, sys; from pathlib import Path; from ganlib.training import TrainConfig, train; "
        "from ganlib.runs import SilentReporter; "
        "train(TrainConfig.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2]), SilentReporter())"
    )
    run = tmp_path / "run"
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(4):
        worker = subprocess.Popen([sys.executable, "-c", script, json.dumps(settings), str(run)])
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and images_in(run) <= seen and worker.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.3))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert images_in(run) > seen  # it went on from where the last one was killed
        seen = images_in(run)
        for snapshot in run.glob("network-snapshot-*.safetensors"):
            checkpoints.load_generator(snapshot)
    short = {**TINY, "kimg": (seen + 8) / 1000, "snap": 0.016, "tick": 0.008}
    resumed = train(TrainConfig(data=str(data), **short), run, Stopper())
    whole = train(TrainConfig(data=str(data), **short), tmp_path / "whole", Stopper())
    assert equal(weights(resumed), weights(whole))


def images_in(run: Path) -> int:
    path = run / STATE_NAME
    return int(torch.load(path, weights_only=True)["images_seen"]) if path.exists() else 0


# ---- Presets and small things --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_possible(name):
    resolved = with_preset(name, {"data": "x.zip"}).resolve()
    assert resolved.batch and resolved.glr and resolved.loss


def test_held_out_pictures_are_kept_apart(data, tmp_path):
    reporter = Stopper()
    train(config(data, holdout=5, kimg=0.016), tmp_path / "run", reporter)
    assert reporter.records[0]["Loss/scores/validation"]["num"] == 5
    with pytest.raises(InputError, match="holdout"):
        plan(config(data, holdout=24))


def test_variety_is_the_mean_distance_of_two_pictures():
    same = np.full([4, 32, 32, 3], 90, np.uint8)
    assert variety(same) == 0.0
    two = np.stack([np.zeros([32, 32, 3], np.uint8), np.full([32, 32, 3], 10, np.uint8)])
    assert variety(two) == pytest.approx(10.0)
    assert variety(two[:1]) == 0.0


def test_a_snapshot_of_nvidias_tools_is_continued_with_its_p(reference, tmp_path):
    snapshot = tmp_path / "network-snapshot-000200.pkl"
    snapshot.write_bytes((reference / "nvidia_snapshot.pkl").read_bytes())
    model = foreign.open_foreign(snapshot)
    side = model.spec.resolution
    data = write_set(tmp_path / "set.zip", pictures(8, side=side), labels=np.arange(8) % max(model.spec.label_dim, 1))
    given = TrainConfig(
        data=str(data), resume=str(snapshot), kimg=200.008, batch=8, tick=0.008, aug="ada",
        cond=model.spec.label_dim > 0, workers=0,
    )  # fmt: skip
    planned = plan(given)
    assert (planned.images_seen, planned.config.p) == (200_000, pytest.approx(model.augment_p))
    reporter = Stopper(steps=1)
    path = train(given, tmp_path / "run", reporter)
    assert checkpoints.read_card(path).kimg == 200.008
    assert any("started from the weights of" in line for line in reporter.lines)
    before, after = model.G_ema.state_dict(), checkpoints.load_generator(path).state_dict()
    assert before.keys() == after.keys()
    assert all((before[name] - after[name]).abs().max() < 0.1 for name in before if "weight" in name)


@pytest.mark.parametrize("arch", networks.TRAINABLE)
def test_a_preset_leaves_the_sizes_and_rates_of_another_family_alone(arch, data):
    """`--preset cpu --arch dcgan` ended in a complaint about an option that nobody had given."""
    for name in ("cpu", "dcgan", "progan"):
        own = PRESETS[name].changes.get("arch", "stylegan2")
        config = with_preset(name, {"data": str(data), "arch": arch})
        assert plan(config).spec.arch == arch
        if arch != own:
            assert config.resolve().glr == TrainConfig(data="none", arch=arch).resolve().glr
