"""What a run says of itself: the tick's line, its times, and TensorBoard's events where that is installed."""

import importlib.util
import sys
import types

import pytest

from ganlib.training.watch import statistics
from ganlib.training.watch.statistics import Clock, Events, one, tick_line


def test_the_line_of_a_tick_has_its_numbers_in_order():
    record = {
        "Progress/tick": one(3), "Progress/kimg": one(12.5), "Timing/total_sec": one(75), "Timing/sec_per_tick": one(8),
        "Timing/sec_per_kimg": one(2.5), "Progress/augment": one(0.25), "Loss/G/loss": one(1.5),
        "Loss/D/loss": one(0.75), "Loss/signs/real": one(0.6),
    }  # fmt: skip
    words = " ".join(tick_line(record).split())
    assert words.startswith("tick 3 kimg 12.5 time 1 min 15 s sec/tick 8.0 sec/kimg 2.50 maintenance 0.0")
    assert words.endswith("augment 0.250 G 1.500 D 0.750 r_t 0.600")
    grown = tick_line({**record, "Progress/resolution": one(16), "Progress/alpha": one(0.5)})
    assert grown.endswith("side 16 alpha 0.50")


def test_a_clock_tells_training_from_the_rest(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(statistics.time, "perf_counter", lambda: now[0])
    clock = Clock(seconds_before=50.0)
    now[0] += 10
    clock.maintenance, clock.waiting = 4.0, 1.0
    record = clock.tick(2000)
    assert {name: value["mean"] for name, value in record.items()} == pytest.approx({
        "Timing/sec_per_tick": 6, "Timing/sec_per_kimg": 3, "Timing/data_wait_sec": 1, "Timing/maintenance_sec": 4,
        "Timing/total_sec": 60, "Progress/tick": 0,
    })  # fmt: skip
    now[0] += 3
    assert clock.tick(1000)["Timing/sec_per_tick"]["mean"] == pytest.approx(3)


def test_events_are_written_where_tensorboard_is_installed(monkeypatch, tmp_path):
    written = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, global_step):
            written.append((name, value, global_step))

        def flush(self):
            written.append("flushed")

        def close(self):
            written.append("closed")

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: object() if name == "tensorboard" else found(name, *rest)
    )
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    events = Events(tmp_path)
    events.add({"Loss/G/loss": one(2.0)}, kimg=1.5)
    events.close()
    assert written == [("Loss/G/loss", 2.0, 1500), "flushed", "closed"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    Events(tmp_path).add({"Loss/G/loss": one(2.0)}, kimg=1.5)
    assert len(written) == 3
