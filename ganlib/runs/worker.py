"""Doing a job in this process: the lock, the status, the log, signals and the queue for the accelerator."""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ganlib.base.errors import GanlibError, RunError
from ganlib.runs.directory import RESERVE_NAME, RunDir, State
from ganlib.runs.files import append_text, is_disk_full, keep_reserve, lock, plain, write_json_on_full_disk_too
from ganlib.runs.reporters import PROGRESS_SECONDS, Estimate, Reporter, TerminalReporter, fraction
from ganlib.runs.signals import signals_ask

FULL_DISK_HINT = "Free space on the disk, then resume."
_MOST_UNWRITTEN = 10_000  # characters of the log that wait for room on the disk
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
    `failed` with the traceback in log.txt. The last status is written on a full disk too. Interrupt, terminate and
    hang-up signals are requests to stop; a second one is not.
    `exclusive` None means what the job says. `echo` None means a TerminalReporter, unless standard error already goes
    to this job's log.txt. Raises RunError when another worker holds the job.
    """
    job = run.job
    path = run.path
    if exclusive is None:
        exclusive = bool(job["exclusive"])
    with ExitStack() as stack:
        try:
            stack.enter_context(lock(path / "lock", patience_seconds=LOCK_PATIENCE_SECONDS))
        except RunError:
            hint = "Wait until it has ended, or stop it first."
            raise RunError(f"{path.name} is already being worked on", hint) from None
        if not (path / "queued").exists() and run.status:
            (path / "stop").unlink(missing_ok=True)  # run again by hand: the old request is answered
        if echo is None and not _is_standard_error(path / "log.txt"):
            echo = TerminalReporter()
        reporter = _JobReporter(run, echo)
        stack.enter_context(signals_ask(reporter))
        try:
            reporter.begin("queued" if exclusive else "running")
            (path / "queued").unlink(missing_ok=True)
            if exclusive:
                stack.enter_context(_turn(path.parent / "gpu.lock", reporter))
                reporter.begin("running")
            if reporter.should_stop():
                raise Stopped
            execute(job["config"], path, reporter)
        except (Stopped, KeyboardInterrupt):
            return reporter.end("stopped", "stopped on request")
        except GanlibError as error:
            return reporter.fail(error.message, error.hint, error)
        except Exception as error:
            text = str(error).strip().splitlines()
            message = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
            return reporter.fail(message, f"The traceback is in {path / 'log.txt'}.", error)
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
        self._ending = False
        self._unwritten = ""
        self._asked = False
        before = run.status
        kept = before.get("artefacts", [])
        self._status: dict[str, Any] = {"state": "queued", "message": "", "hint": ""}
        self._status |= {key: before[key] for key in ("done", "total") if isinstance(before.get(key), int | float)}
        self._status |= {"artefacts": [str(name) for name in kept] if isinstance(kept, list) else []}
        self._status |= {"pid": os.getpid(), "host": socket.gethostname(), "eta_seconds": None}

    @property
    def asked_by_signal(self) -> bool:
        return self._asked and not self._ending  # nothing interrupts the last status

    @asked_by_signal.setter
    def asked_by_signal(self, asked: bool) -> None:
        self._asked = asked

    def begin(self, state: State) -> None:
        keep_reserve(self._path / RESERVE_NAME)
        self._status |= {"state": state, "message": "", "started": time.time()}
        self._write()

    def say(self, message: str) -> None:
        if self._status["message"] != message:
            self._status["message"] = message
            self._write()

    def end(self, state: State, message: str | None = None, hint: str = "") -> State:
        self._ending = True
        with self._guard:
            self._status |= {"state": state, "hint": hint, "eta_seconds": None, "ended": time.time()}
            if message is not None:
                self._status["message"] = message
            (self._path / "queued").unlink(missing_ok=True)  # still there if the job failed at its very beginning
            self._write()
            (self._path / RESERVE_NAME).unlink(missing_ok=True)
        return state

    def fail(self, message: str, hint: str, error: Exception) -> State:
        """End as failed, with the words for a full disk where that was the reason, and the details in the log."""
        self._ending = True
        is_expected = isinstance(error, GanlibError)
        details = "" if is_expected else "".join(traceback.format_exception(error))
        if is_disk_full(error):
            message, hint = f"the disk is full: {message}", FULL_DISK_HINT
        # The log comes first, so that whoever sees the job fail finds the reason there; it cannot fail itself.
        self.log(details if not is_expected else f"error: {message}" + (f"\nhint: {hint}" if hint else ""))
        return self.end("failed", message, hint)

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
            lines = self._unwritten + text.rstrip("\n") + "\n"
            try:
                append_text(self._path / "log.txt", lines)
                self._unwritten = ""
            except OSError:  # a full disk, as a rule; what the work has to say must not end it
                self._unwritten = lines[-_MOST_UNWRITTEN:]
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
        write_json_on_full_disk_too(self._path / "status.json", plain(self._status), self._path / RESERVE_NAME)


@contextmanager
def _turn(path: Path, reporter: _JobReporter) -> Iterator[None]:
    """Wait for the one place that exclusive jobs share. Raises Stopped if asked to stop meanwhile."""
    while True:
        with ExitStack() as stack:
            try:
                stack.enter_context(lock(path))
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
