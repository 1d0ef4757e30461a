"""Doing a job in this process: the lock, the status, the log, signals and the queue for the accelerator."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ganlib.errors import GanlibError, RunError
from ganlib.runs.directory import RunDir, State
from ganlib.runs.files import append_text, locked, plain, write_json
from ganlib.runs.reporters import PROGRESS_SECONDS, Estimate, Reporter, TerminalReporter, fraction

LOCK_PATIENCE_SECONDS = 1.0  # readers hold a job's lock for microseconds when they probe it


class Stopped(RunError):
    """Raised by work that leaves early because `Reporter.should_stop()` said so."""

    def __init__(self, message: str = "stopped on request", hint: str = "Resume runs the same job again.") -> None:
        super().__init__(message, hint)


def work(
    run: RunDir,
    execute: Callable[[Mapping[str, Any], Path, Reporter], None],
    *,
    exclusive: bool | None = None,
    echo: Reporter | None = None,
) -> State:
    """Do a job in this process and return its final state: `done`, `stopped` or `failed`.

    `execute(config, run_dir, reporter)` does the work. It may return early or raise `Stopped` when
    `reporter.should_stop()`; a GanlibError becomes the state `failed` with its message and hint, any other exception
    `failed` with the traceback in log.txt. Interrupt and terminate signals are requests to stop; a second one is not.
    `exclusive` None means what the job says. `echo` None means a TerminalReporter, unless standard error already goes
    to this job's log.txt. Raises RunError when another worker holds the job.
    """
    job = run.job
    path = run.path
    if exclusive is None:
        exclusive = bool(job.get("exclusive"))
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path / "lock", patience_seconds=LOCK_PATIENCE_SECONDS))
        except RunError:
            hint = "Wait until it has ended, or stop it first."
            raise RunError(f"{path.name} is already being worked on", hint) from None
        if not (path / "queued").exists() and run.status:
            (path / "stop").unlink(missing_ok=True)  # run again by hand: the old request is answered
        if echo is None and not _is_standard_error(path / "log.txt"):
            echo = TerminalReporter()
        reporter = _JobReporter(run, echo)
        stack.enter_context(_signals_ask(reporter))
        reporter.begin("queued" if exclusive else "running")
        (path / "queued").unlink(missing_ok=True)
        try:
            if exclusive:
                stack.enter_context(_turn(path.parent / "gpu.lock", reporter))
                reporter.begin("running")
            if reporter.should_stop():
                raise Stopped
            execute(job["config"], path, reporter)
        except (Stopped, KeyboardInterrupt):
            return reporter.end("stopped", "stopped on request")
        except GanlibError as error:
            reporter.log(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))
            return reporter.end("failed", error.message, error.hint)
        except Exception as error:
            reporter.log(traceback.format_exc())
            text = str(error).strip().splitlines()
            message = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
            return reporter.end("failed", message, f"The traceback is in {path / 'log.txt'}.")
        return reporter.end("stopped" if reporter.left_early else "done")


class _JobReporter:
    """The worker's reporter: the only writer of status.json, stats.jsonl and (with the process itself) log.txt."""

    def __init__(self, run: RunDir, echo: Reporter | None) -> None:
        self._path = run.path
        self._echo = echo
        self._guard = threading.RLock()
        self._estimate = Estimate()
        self._progress_at = -math.inf
        self._stop_seen = False
        self.asked_by_signal = False
        before = run.status
        kept = before.get("artefacts", [])
        self._status: dict[str, Any] = {"state": "queued", "message": "", "hint": ""}
        self._status |= {key: before[key] for key in ("done", "total") if isinstance(before.get(key), int | float)}
        self._status |= {"artefacts": [str(name) for name in kept] if isinstance(kept, list) else []}
        self._status |= {"pid": os.getpid(), "host": socket.gethostname(), "eta_seconds": None}

    def begin(self, state: State) -> None:
        self._status |= {"state": state, "message": "", "started": time.time()}
        self._write()

    def say(self, message: str) -> None:
        if self._status["message"] != message:
            self._status["message"] = message
            self._write()

    def end(self, state: State, message: str | None = None, hint: str = "") -> State:
        with self._guard:
            self._status |= {"state": state, "hint": hint, "eta_seconds": None, "ended": time.time()}
            if message is not None:
                self._status["message"] = message
            self._write()
        return state

    def progress(self, done: float, total: float, message: str = "") -> None:
        with self._guard:
            eta = self._estimate.update(done, total)
            self._status |= {"done": done, "total": total, "message": message, "eta_seconds": eta}
            if time.monotonic() - self._progress_at >= PROGRESS_SECONDS:
                self._progress_at = time.monotonic()
                self._write()
        self._tell("progress", done, total, message)

    def stats(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(plain({**record, "timestamp": time.time()}), allow_nan=False) + "\n"
        with self._guard:
            append_text(self._path / "stats.jsonl", line)
        self._tell("stats", record)

    def log(self, text: str) -> None:
        with self._guard:
            append_text(self._path / "log.txt", text.rstrip("\n") + "\n")
        self._tell("log", text)

    def artefact(self, path: Path) -> None:
        path = Path(path).resolve()
        folder = self._path.resolve()
        name = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
        with self._guard:
            self._status["artefacts"] = [old for old in self._status["artefacts"] if old != name] + [name]
            self._write()
        self._tell("artefact", path)

    def _tell(self, verb: str, *words: Any) -> None:
        """Repeat to the terminal, as long as there is one: a closed terminal must not end the work."""
        try:
            if self._echo:
                getattr(self._echo, verb)(*words)
        except (OSError, ValueError):
            self._echo = None

    def should_stop(self) -> bool:
        if self.asked_by_signal or (self._path / "stop").exists():
            self._stop_seen = True
        return self._stop_seen

    @property
    def left_early(self) -> bool:
        """Whether the work was told to stop before it reported everything done."""
        return self._stop_seen and fraction(self._status.get("done"), self._status.get("total")) < 1

    def _write(self) -> None:
        self._status["updated"] = time.time()
        write_json(self._path / "status.json", plain(self._status), durable=False)


@contextmanager
def _signals_ask(reporter: _JobReporter) -> Iterator[None]:
    """The first interrupt or terminate signal asks the work to stop; the second interrupts it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: object) -> None:
        if reporter.asked_by_signal:
            raise KeyboardInterrupt
        reporter.asked_by_signal = True

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _turn(lock: Path, reporter: _JobReporter) -> Iterator[None]:
    """Wait for the one place that exclusive jobs share. Raises Stopped if asked to stop meanwhile."""
    while True:
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(lock))
            except RunError:
                if reporter.should_stop():
                    raise Stopped from None
            else:
                yield
                return
        reporter.say("waiting for another job to end")
        time.sleep(PROGRESS_SECONDS)


def _is_standard_error(path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(2), path.stat())
    except OSError:
        return False
