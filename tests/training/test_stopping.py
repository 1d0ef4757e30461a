"""A request to stop is heard within a step, and what was made of the step is kept: resume equals uninterrupted."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from ganlib import runs
from ganlib.models import checkpoints
from ganlib.training import TrainConfig, steps, train
from ganlib.training.state import STATE_NAME
from ganlib.training.watch import sheets
from tests.training.conftest import TINY_OF, Stopper, pictures, write_set

FAMILIES = {
    "stylegan2": {"aug": "ada", "ada_kimg": 0.1, "r1_interval": 2, "cond": True},
    "progan": {"fade_kimg": 0.008, "tune_kimg": 0.008, "phase_batches": (8, 4)},
    "fastgan": {},
    "dcgan": {"bn_G": True, "bn_D": True, "batch_gpu": 4},
}


class Caller(runs.SilentReporter):
    """Asks the run to stop from the nth look on; counts them."""

    def __init__(self, after: float = float("inf")) -> None:
        super().__init__()
        self.after, self.looks = after, 0

    def should_stop(self) -> bool:
        self.looks += 1
        return self.looks > self.after


@pytest.mark.parametrize("arch", FAMILIES)
def test_a_run_stopped_within_a_step_resumes_as_if_it_had_not_been(arch, data, tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "LOOK_SECONDS", -1.0)  # at every layer
    config = TrainConfig(data=str(data), **{**TINY_OF[arch], "kimg": 0.032, **FAMILIES[arch]})
    whole = checkpoints.load_generator(train(config, tmp_path / "whole", counter := Caller())).state_dict()
    D = checkpoints.load_discriminator(next((tmp_path / "whole").glob("network-snapshot-*"))).state_dict()
    left = []
    for number, share in enumerate((0.08, 0.3, 0.42, 0.55, 0.7, 0.83, 0.95)):
        run = tmp_path / str(number)
        train(config, run, Caller(int(counter.looks * share)))
        state = torch.load(run / STATE_NAME, weights_only=True)
        assert state["images_seen"] < 32
        left.append(None if state["unfinished"] is None else len(state["unfinished"]["updates"]))
        train(config, run, Caller(3))  # and stopped again, soon after
        again = checkpoints.load_generator(train(config, run, Caller())).state_dict()
        assert all(torch.equal(again[name], whole[name]) for name in whole), share
        judge = checkpoints.load_discriminator(next(run.glob("network-snapshot-*"))).state_dict()
        assert all(torch.equal(judge[name], D[name]) for name in D), share
    assert 0 in left and any(left), "some were left before any update of a step, some between two"


def test_a_run_asked_to_stop_before_its_first_step_makes_none(data, tmp_path):
    assert train(TrainConfig(data=str(data), **TINY_OF["progan"]), tmp_path / "run", Stopper(steps=0)) is None
    assert not list((tmp_path / "run").glob("network-snapshot-*"))
    assert train(TrainConfig(data=str(data), **TINY_OF["progan"]), tmp_path / "run", Stopper()).exists()


def test_a_stop_does_not_wait_for_slow_sheets(data, tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "PATIENCE_SECONDS", -1.0)
    run = tmp_path / "run"
    path = train(TrainConfig(data=str(data), **TINY_OF["progan"]), run, Stopper(steps=2))
    assert path.exists() and (run / "fakes_init.png").exists() and not (run / "fakes000000.png").exists()
    train(TrainConfig(data=str(data), **TINY_OF["progan"]), run, Stopper())
    assert (run / "fakes000000.png").exists()


def test_an_interrupt_while_the_state_is_written_is_no_full_disk(data, tmp_path, monkeypatch):
    """PyTorch ends its half-written archive with an error of its own."""
    config, run = TrainConfig(data=str(data), **TINY_OF["dcgan"]), tmp_path / "run"
    train(config, run, Stopper(steps=1))
    before, save = (run / STATE_NAME).read_bytes(), torch.save

    class Interrupted(io.BytesIO):
        def write(self, data):
            if self.tell() > 10_000:
                raise KeyboardInterrupt
            return super().write(data)

    monkeypatch.setattr(torch, "save", lambda value, file: save(value, Interrupted()))
    with pytest.raises(KeyboardInterrupt):
        train(config, run, Stopper(steps=1))
    assert (run / STATE_NAME).read_bytes() == before


@pytest.mark.parametrize("count", [1, 2])
def test_signals_end_a_slow_run_soon_and_its_files_are_whole(tmp_path, count):
    data = write_set(tmp_path / "set.zip", pictures(16, side=32))
    settings = {"arch": "progan", "data": str(data), "kimg": 50.0, "cbase": 4096, "cmax": 128, "snap": 0.032}
    settings |= {"fade_kimg": 0.001, "tune_kimg": 0.001, "tick": 0.016, "device": "cpu"}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "ganlib", "train", *flags, f"--outdir={tmp_path / 'runs'}"]
    with (tmp_path / "told").open("wb") as told:
        worker = subprocess.Popen(command, stderr=told, stdout=told)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/network-snapshot-*")):
        assert worker.poll() is None and time.monotonic() < deadline, (tmp_path / "told").read_text()
        time.sleep(0.05)
    for _ in range(count):
        worker.send_signal(signal.SIGINT)
        time.sleep(0.05)
    worker.wait(timeout=30)
    (run,) = (path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert json.loads((run / "status.json").read_text())["state"] == "stopped"
    for snapshot in run.glob("network-snapshot-*"):
        checkpoints.load_generator(snapshot)
    assert torch.load(run / STATE_NAME, weights_only=True)["step"] > 0
    assert np.isfinite(checkpoints.load_generator(snapshot).w_avg.numpy()).all()
    assert not list(run.glob(".*.pt")) and not list(run.glob(".*.safetensors"))
