"""A job is a directory whose state can always be told from its files."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest

from ganlib import runs
from ganlib.base.errors import GanlibError, InputError, RunError
from ganlib.runs import RunDir, SilentReporter, signals
from ganlib.runs.reporters import Estimate

QUIET = SilentReporter()
REPOSITORY = Path(runs.__file__).resolve().parents[2]


def age(path: Path, seconds: float = 100) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def wait_until(condition, seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def worker_process(run: RunDir, body: str, exclusive: str = "None") -> subprocess.Popen:
    """A worker in a process of its own, whose work is `body` with `config`, `path` and `reporter` at hand."""
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom ganlib import runs\n"
        f"def execute(config, path, reporter):\n    {body}\n"
        f"runs.work(runs.RunDir(Path(sys.argv[1])), execute, exclusive={exclusive}, echo=runs.SilentReporter())\n"
    )
    return subprocess.Popen([sys.executable, "-c", script, str(run.path)], cwd=REPOSITORY)


# --- creating ---------------------------------------------------------------------------------------------------------


def test_numbers_are_unique_when_jobs_are_made_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: runs.create_run(tmp_path, "train", f"n{i % 3}", {}), range(24)))
    assert sorted(run.number for run in made) == list(range(24))
    assert [run.number for run in runs.list_runs(tmp_path)] == list(range(23, -1, -1))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b\\c\0d", "", "Früchte  & Beeren", "x" * 300, "日本"])
def test_names_never_become_paths(tmp_path, name):
    root = tmp_path / "runs"
    run = runs.create_run(root, "train", name, {"x": 1})
    assert run.path.parent == root and len(run.path.name) < 60
    assert list(tmp_path.iterdir()) == [root]
    assert run.job["name"] == name and run.job["config"] == {"x": 1}


def test_a_job_is_named_by_number_verb_and_name(tmp_path):
    runs.create_run(tmp_path, "train", "one", {})
    run = runs.create_run(tmp_path, "train", "Fruit", {})
    assert run.path.name == "00001-train-fruit" and run.name == "Fruit" and run.number == 1
    assert str(run.path) in run.job["command"]
    assert runs.create_run(tmp_path, "video", "", {}, command="python -m ganlib video").job["command"].endswith("video")


def test_settings_that_are_not_json_are_refused(tmp_path):
    with pytest.raises(InputError):
        runs.create_run(tmp_path, "train", "x", {"psi": float("nan")})
    assert runs.list_runs(tmp_path) == []


def test_listing_skips_damage_and_filters_by_verb(tmp_path):
    train = runs.create_run(tmp_path, "train", "a", {})
    video = runs.create_run(tmp_path, "video", "b", {})
    for name, text in {"00007-torn": '{"verb": "tr', "00008-list": "[]", "00009-half": '{"verb": "train"}'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "job.json").write_text(text)
    (tmp_path / "00010-empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    assert runs.list_runs(tmp_path) == [video, train]
    assert runs.list_runs(tmp_path, verb="train") == [train]
    assert runs.list_runs(tmp_path / "absent") == []
    with pytest.raises(RunError):
        RunDir.open(tmp_path / "00007-torn")


# --- states -----------------------------------------------------------------------------------------------------------


def test_a_job_that_never_started_is_queued_then_lost(tmp_path):
    run = runs.create_run(tmp_path, "train", "a", {})
    assert run.state == "queued" and run.progress == 0 and run.eta_seconds is None and run.artefacts == []
    age(run.path / "job.json")
    assert run.state == "lost"


def test_done_with_progress_artefacts_log_and_stats(tmp_path):
    run = runs.create_run(tmp_path, "train", "a", {"n": 3})
    seen = []

    def execute(config, path, reporter):
        for i in range(config["n"]):
            reporter.progress(i, config["n"], f"step {i}")
            reporter.stats({"i": i, "loss": float("nan")})
        seen.append((run.state, run.status["message"]))
        (path / "out.png").write_bytes(b"x")
        reporter.artefact(path / "out.png")
        reporter.artefact(path / "out.png")
        reporter.log("two\nlines")

    assert runs.work(run, execute, echo=QUIET) == "done"
    assert seen == [("running", "step 0")], "progress within 0.2 s is not written"
    assert run.state == "done" and run.progress == 1 and run.artefacts == [run.path / "out.png"]
    assert [record["i"] for record in run.stats()] == [0, 1, 2]
    assert run.stats()[0]["loss"] is None and run.stats()[0]["timestamp"] > 1e9
    assert run.log_tail() == "two\nlines" and run.log_tail(1) == "lines"
    assert "NaN" not in (run.path / "stats.jsonl").read_text()


def test_errors_become_failed_with_message_and_hint(tmp_path):
    run = runs.create_run(tmp_path, "train", "a", {})

    def known(config, path, reporter):
        raise GanlibError("no such model", "Try the Models page.")

    def unknown(config, path, reporter):
        raise ZeroDivisionError("by zero")

    assert runs.work(run, known, echo=QUIET) == "failed" == run.state
    assert (run.message, run.hint) == ("no such model", "Try the Models page.")
    assert "error: no such model\nhint: Try" in run.log_tail()
    assert runs.work(run, unknown, echo=QUIET) == "failed"
    assert run.message == "ZeroDivisionError: by zero" and "Traceback" in run.log_tail()


def test_a_dead_worker_leaves_a_lost_job_that_can_run_again(tmp_path):
    run = runs.create_run(tmp_path, "train", "a", {})
    process = worker_process(run, "reporter.stats({'k': 1}); reporter.progress(1, 4); time.sleep(30)")
    wait_until(lambda: run.state == "running" and run.stats())
    with pytest.raises(RunError, match="already being worked on"):
        runs.work(run, lambda *_: None, echo=QUIET)
    with pytest.raises(RunError, match="still at work"):
        runs.resume(run)
    assert run.state == "running", "the refused worker left no trace"
    process.kill()
    process.wait()
    assert run.state == "lost"
    with (run.path / "stats.jsonl").open("a") as file:
        file.write('{"k": 2, "lo')  # torn by the death
    assert [record["k"] for record in run.stats()] == [1]
    assert runs.work(run, lambda c, p, reporter: reporter.stats({"k": 3}), echo=QUIET) == "done"
    assert [record["k"] for record in run.stats()] == [1, 3]


def test_a_damaged_status_is_tolerated(tmp_path):
    run = runs.create_run(tmp_path, "train", "a", {})
    for text in ("", "[]", '{"state": 7, "artefacts": 3, "done": "x"}', '{"state": "runn'):
        (run.path / "status.json").write_text(text)
        assert run.state == "lost" and run.progress == 0 and run.artefacts == [] and run.eta_seconds is None
    assert runs.work(run, lambda *_: None, echo=QUIET) == "done"


# --- stopping and resuming --------------------------------------------------------------------------------------------


def test_stop_is_a_request_that_the_work_answers(tmp_path):
    run = runs.create_run(tmp_path, "train", "a", {})

    def execute(config, path, reporter):
        reporter.progress(1, 10)
        assert not reporter.should_stop()
        runs.stop(run)
        assert reporter.should_stop()

    assert runs.work(run, execute, echo=QUIET) == "stopped" == run.state
    assert run.progress == pytest.approx(0.1)
    assert runs.work(run, lambda c, p, r: r.progress(10, 10), echo=QUIET) == "done", "run again: the request is gone"
    runs.stop(run)
    assert not (run.path / "stop").exists(), "a job that has ended is not asked to stop"


def test_work_that_finished_before_it_noticed_the_request_is_done(tmp_path):
    run = runs.create_run(tmp_path, "train", "a", {})

    def execute(config, path, reporter):
        runs.stop(run)
        reporter.progress(10, 10)
        reporter.should_stop()

    assert runs.work(run, execute, echo=QUIET) == "done"


def test_stop_before_the_start_is_honoured(tmp_path):
    run = runs.create_run(tmp_path, "train", "a", {})
    runs.stop(run)
    assert runs.work(run, lambda *_: pytest.fail("ran"), echo=QUIET) == "stopped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_is_a_request_to_stop_and_a_second_one_interrupts(tmp_path, number):
    run = runs.create_run(tmp_path, "train", "a", {})

    def polite(config, path, reporter):
        os.kill(os.getpid(), number)
        assert reporter.should_stop()
        raise runs.Stopped

    def deaf(config, path, reporter):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        pytest.fail("not interrupted")

    before = signal.getsignal(number)
    assert runs.work(run, polite, echo=QUIET) == "stopped"
    assert runs.work(run, deaf, echo=QUIET) == "stopped" == run.state
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_a_process_that_is_in_one_long_operation(tmp_path):
    """Python's own handlers would wait for it: it takes minutes."""
    run = runs.create_run(tmp_path, "train", "a", {})
    long = "import hashlib; (path / 'began').touch(); hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2**31 - 1)"
    process = worker_process(run, long)
    wait_until((run.path / "began").exists)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None  # the first one is a request
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=8) == signals.INTERRUPTED
    assert run.state == "lost"  # as after any sudden end: it can be continued


def test_an_ignored_hang_up_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        run = runs.create_run(tmp_path, "train", "a", {})
        assert runs.work(run, lambda *_: os.kill(os.getpid(), signal.SIGHUP), echo=QUIET) == "done"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_resumed_job_is_queued_until_its_worker_reports_and_lost_if_it_never_does(tmp_path, monkeypatch):
    run = runs.create_run(tmp_path, "train", "a", {})
    runs.stop(run)
    runs.work(run, lambda *_: None, echo=QUIET)
    assert run.state == "stopped"
    popen = subprocess.Popen
    monkeypatch.setattr("subprocess.Popen", lambda command, **options: popen([sys.executable, "-c", ""], **options))
    runs.resume(run)
    assert run.state == "queued" and not (run.path / "stop").exists()
    with pytest.raises(RunError):
        runs.resume(run)  # a double click starts one worker
    age(run.path / "queued")
    assert run.state == "lost"


def test_submit_starts_a_worker_in_its_own_session_wherever_it_is_called(tmp_path, monkeypatch):
    """The worker is `python -m ganlib run DIR`; whatever that prints or fails with is in log.txt."""
    started = []
    popen = subprocess.Popen

    def fake(command, **options):
        started.append((command, options))
        code = "import ganlib.runs, os, sys; print(f'{os.getsid(0) == os.getpid()} {os.getcwd()}')"
        return popen([sys.executable, "-c", code, *command[1:]], **options)

    monkeypatch.setattr("subprocess.Popen", fake)
    monkeypatch.chdir(tmp_path)
    run = runs.submit(Path("runs"), "train", "a", {})
    wait_until(lambda: run.log_tail() != "")
    assert run.log_tail() == f"True {tmp_path}"
    assert started[0][0] == [sys.executable, "-m", "ganlib", "run", str(run.path.resolve())]
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("wait-")])  # no zombie


# --- the queue --------------------------------------------------------------------------------------------------------


def test_exclusive_jobs_wait_for_their_turn(tmp_path):
    first, second = (runs.create_run(tmp_path, "train", name, {}, exclusive=True) for name in "ab")
    body = "reporter.progress(0, 1)\n    while not (path / 'go').exists(): time.sleep(0.02)"
    processes = [worker_process(first, body)]
    wait_until(lambda: first.state == "running")
    processes.append(worker_process(second, body))
    wait_until(lambda: "waiting" in second.message)
    assert second.state == "queued"
    (first.path / "go").touch()
    wait_until(lambda: second.state == "running")
    assert first.state == "done"
    third = runs.create_run(tmp_path, "train", "c", {}, exclusive=True)
    runs.stop(third)
    assert runs.work(third, lambda *_: pytest.fail("ran"), echo=QUIET) == "stopped", "a waiting job can be stopped"
    (second.path / "go").touch()
    assert [process.wait(5) for process in processes] == [0, 0]
    assert second.state == "done"


# --- small things -----------------------------------------------------------------------------------------------------


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "a.json"
    runs.write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError), runs.replacing(path) as temporary:
        assert temporary.suffix == ".json" and temporary.parent == tmp_path
        temporary.write_text("half")
        raise ZeroDivisionError
    assert json.loads(path.read_text()) == {"a": 1} and list(tmp_path.iterdir()) == [path]


def test_files_of_processes_killed_long_ago_are_removed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    stale = tmp_path / f".a.{process.pid}-0123abcd.zip"
    fresh = tmp_path / f".b.{process.pid}-0123abcd.zip"
    living = tmp_path / f".c.{os.getpid()}-0123abcd.zip"
    strange = tmp_path / ".config.zip"
    for path in (stale, fresh, living, strange):
        path.write_bytes(b"x")
    for path in (stale, living, strange):
        age(path, 2 * 3600)
    runs.write_bytes(tmp_path / "new.zip", b"x")
    assert sorted(tmp_path.iterdir()) == sorted([fresh, living, strange, tmp_path / "new.zip"])


def test_the_estimate_follows_the_recent_speed_of_this_process():
    estimate = Estimate()
    assert estimate.update(50, 100, now=0.0) is None, "work done before this process is no evidence"
    assert estimate.update(51, 100, now=1.0) == pytest.approx(49)
    for i in range(1, 40):
        left = estimate.update(51 + i / 10, 100, now=1.0 + 10 * i)
    assert left == pytest.approx((100 - 54.9) * 100, rel=0.05), "a hundred times slower for six minutes"
    assert estimate.update(0, 7, now=500.0) is None, "another total is other work"


def test_what_is_left_is_told_calmly_and_corrected_at_once_in_the_first_steps():
    estimate, rng = Estimate(), random.Random(1)
    estimate.update(0, 500, now=0.0)
    assert estimate.update(1, 500, now=10.0) == pytest.approx(4990), "the first step is slow"
    now = 10.0
    for done in range(2, 12):
        left = estimate.update(done, 500, now=(now := now + 1))
    assert 489 < left < 1000, "ten quick ones later most of that is corrected"
    ends = []
    for done in range(12, 400):  # a busy machine: steps of 0.1 to 1.9 s
        left = estimate.update(done, 500, now=(now := now + 0.1 + 1.8 * rng.random()))
        ends.append(now + left)
    steps = [abs(b - a) for a, b in pairwise(ends[60:])]
    assert max(steps) < 5 and left == pytest.approx(101, rel=0.2)


def test_the_terminal_shows_one_line_at_a_time():
    stream = StringIO()
    reporter = runs.TerminalReporter(stream)
    for i in range(100):
        reporter.progress(i, 100, "frames")
    reporter.log("hello")
    reporter.progress(100, 100, "frames")
    assert stream.getvalue() == "0/100 (0%) frames\nhello\n100/100 (100%) frames\n"
    assert [runs.format_seconds(s) for s in (3, 75, 7265)] == ["3 s", "1 min 15 s", "2 h 1 min"]


def test_numbers_of_other_libraries_are_written_as_numbers(tmp_path):
    import numpy as np

    run = runs.create_run(tmp_path, "train", "a", {})
    record = {"a": np.float32(1.5), "b": np.array([1, 2]), "c": np.float64("inf"), "d": Path("x")}
    runs.work(run, lambda c, p, reporter: reporter.stats(record), echo=QUIET)
    got = run.stats()[0]
    assert {key: got[key] for key in record} == {"a": 1.5, "b": [1, 2], "c": None, "d": "x"}


def test_a_job_that_has_ended_is_removed_whole_and_one_at_work_is_not(tmp_path):
    run = runs.create_run(tmp_path, "video", "film", {})
    with pytest.raises(RunError, match="still at work"):
        runs.remove(run)
    runs.write_json(run.path / "status.json", {"state": "stopped"})
    runs.remove(run)
    assert not run.path.exists() and runs.list_runs(tmp_path) == []


def test_a_job_that_cannot_be_written_says_so_and_where(tmp_path):
    root = tmp_path / "runs"
    root.write_text("a file is in the way")
    with pytest.raises(RunError, match="the job cannot be written") as told:
        runs.create_run(root, "train", "fruit", {})
    assert str(root) in told.value.hint


def test_a_job_that_cannot_be_started_is_kept(tmp_path, monkeypatch):
    def refuse(*args: object, **options: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(RunError, match="cannot be started: Cannot allocate memory") as told:
        runs.submit(tmp_path, "train", "fruit", {})
    assert (tmp_path / "00000-train-fruit" / "job.json").exists() and "00000-train-fruit" in told.value.hint
