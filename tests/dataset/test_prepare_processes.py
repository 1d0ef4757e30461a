"""A preparation that is told to end, and one whose worker processes die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ganlib.base.errors import DataError
from ganlib.dataset import PrepareConfig, prepare, workers
from ganlib.media.images import encode
from ganlib.runs import SilentReporter

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 300.0


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    data = encode(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    for i in range(count):
        (folder / f"{i}.png").write_bytes(data)
    return folder


def test_a_signal_to_the_command_leaves_no_half_set(tmp_path):
    pictures(tmp_path / "in", 400)
    command = [sys.executable, "-m", "ganlib", "prepare", "--source", "in", "--dest", "out.zip", "--resolution", "16"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        deadline = time.monotonic() + PATIENCE
        while not list(tmp_path.glob(".out.*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGTERM)  # as a terminal and a shutdown do: to the worker processes as well
        _, words = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and "stopped" in words and "error:" not in words
    assert "the same command goes on" in words
    assert not (tmp_path / "out.zip").exists() and not (tmp_path / "out.report.jsonl").exists()


@pytest.mark.parametrize(("number", "words", "hint"), [("KILL", "killed", "memory"), ("TERM", "ended", "again")])
def test_a_worker_process_that_dies_is_told_apart(tmp_path, monkeypatch, number, words, hint):
    monkeypatch.setattr(workers, "PARALLEL_FROM", 1)
    source = pictures(tmp_path / "in", 400)

    class Killer(SilentReporter):
        def progress(self, done: float, total: float, message: str = "") -> None:
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, getattr(signal, f"SIG{number}"))

    with pytest.raises(DataError, match=words) as caught:
        prepare(PrepareConfig(str(source), str(tmp_path / "out.zip"), 16), reporter=Killer())
    assert hint in caught.value.hint
    assert not (tmp_path / "out.zip").exists()
