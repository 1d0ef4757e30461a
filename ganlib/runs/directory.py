"""Reading a job's directory, and asking for work: everything but the work itself."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ganlib.base.errors import InputError, RunError
from ganlib.base.filesystem import open_regular
from ganlib.runs.files import is_locked, keep_reserve, lock, mtime, read_json, write_json
from ganlib.runs.records import read_records, thin
from ganlib.runs.reporters import finite, fraction

State = Literal["queued", "running", "stopped", "lost", "failed", "done"]
ACTIVE: tuple[State, ...] = ("queued", "running")
FINAL_STATES = ("stopped", "failed", "done")
RESERVE_NAME = ".reserve"  # room for the last status where the disk is full
START_SECONDS = 60.0  # a worker that has not taken its lock by then is lost
_STATUS_NUMBERS = ("done", "total", "eta_seconds", "updated", "started", "ended")
_STATUS_TEXTS = ("state", "message", "hint")
_NUMBERED = re.compile(r"(\d{5,})(?:-.*)?")


@dataclass(frozen=True)
class RunDir:
    """One job's directory, such as `runs/00042-train-fruit`. Every property reads the disk anew."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> RunDir:
        """Return the job in `path`. Raises RunError when `path` is not a job's directory."""
        run = cls(Path(path))
        _ = run.job
        return run

    @property
    def job(self) -> dict[str, Any]:
        """`verb`, `name`, `config`, `created` (Unix seconds), `command`, `exclusive`, `cwd`. Raises RunError.

        All are there, and of these types: what the file lacks or has wrong is empty. `config` holds what its verb makes
        of it.
        """
        try:
            job = read_json(self.path / "job.json")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise RunError(f"no readable job.json in {self.path}: {why}", "Give a directory below runs/.") from error
        if not isinstance(job, dict) or not isinstance(job.get("verb"), str) or not isinstance(job.get("config"), dict):
            raise RunError(f"job.json in {self.path} does not describe a job", "Remove this directory.")
        texts = {key: job[key] if isinstance(job.get(key), str) else "" for key in ("name", "command", "cwd")}
        return job | texts | {"created": finite(job.get("created")) or 0.0, "exclusive": job.get("exclusive") is True}

    @property
    def status(self) -> dict[str, Any]:
        """What the worker wrote last: `state`, `message`, `hint`, `done`, `total`, … Empty if nothing (readable).

        Numbers that are none, or not finite, and texts that are none are left out.
        """
        try:
            status = read_json(self.path / "status.json")
        except (OSError, ValueError):
            return {}
        if not isinstance(status, dict):
            return {}
        wrong = {key for key in _STATUS_NUMBERS if finite(status.get(key)) is None}
        wrong |= {key for key in _STATUS_TEXTS if not isinstance(status.get(key), str)}
        return {key: value for key, value in status.items() if key not in wrong}

    @property
    def state(self) -> State:
        """The derived state; see the module's docstring."""
        # The lock is looked at before the status: a worker writes its last status before it lets go. "Lost" is
        # checked again, because a worker may have started between the two looks.
        for _ in range(3):
            state = self._state_once()
            if state != "lost":
                break
        return state

    @property
    def is_active(self) -> bool:
        """Whether it is at work, or waits for its turn."""
        return self.state in ACTIVE

    def _state_once(self) -> State:
        is_alive = is_locked(self.path / "lock")
        waiting_since = mtime(self.path / "queued")
        state = self.status.get("state")
        if state in FINAL_STATES and waiting_since is None:
            return state
        if is_alive:
            return "running" if state == "running" else "queued"
        if waiting_since is None and not (self.path / "status.json").exists():
            waiting_since = mtime(self.path / "job.json")
        return "queued" if waiting_since is not None and time.time() - waiting_since < START_SECONDS else "lost"

    @property
    def progress(self) -> float:
        """Share of the work that is done, 0 to 1."""
        status = self.status
        if status.get("state") == "done":
            return 1.0
        return fraction(status.get("done"), status.get("total"))

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left by the worker's own estimate, counted down since it was made; None if unknown or not running."""
        status = self.status
        eta, updated = status.get("eta_seconds"), status.get("updated")
        if eta is None or updated is None or self.state != "running":
            return None
        return max(0.0, eta - (time.time() - updated))

    @property
    def message(self) -> str:
        """What the worker said last, or why it failed."""
        return str(self.status.get("message", ""))

    @property
    def hint(self) -> str:
        """What to do about a failure; empty if there is none."""
        return str(self.status.get("hint", ""))

    @property
    def artefacts(self) -> list[Path]:
        """Finished files, in the order in which they were reported, without those that are gone."""
        names = self.status.get("artefacts", [])
        paths = [self.path / name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        return [path for path in paths if mtime(path) is not None and (path.is_file() or path.is_dir())]

    def log_tail(self, lines: int = 50) -> str:
        """The last lines of log.txt; empty if there is none."""
        try:
            with open_regular(self.path / "log.txt") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 400 * lines))
                text = file.read().decode("utf-8", errors="replace")
        except (OSError, ValueError):
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def stats(self, *, limit: int | None = None) -> list[dict[str, Any]]:
        """The records of stats.jsonl, oldest first; do not change them, they are kept for the next call.

        Torn and damaged lines are skipped, numbers that are not finite are None. A run that was killed and resumed
        writes a stretch twice: a record is left out when a later line's `Progress/kimg` (a number, or the `mean` of
        one) is not greater than its own, so that this progress always rises and the later line counts. Records
        without it stay. Each call reads only what was appended since the last one. `limit` thins the list evenly to
        that many records, the last and the first among them; None means all.
        """
        records = read_records(self.path / "stats.jsonl")
        return records if limit is None else thin(records, limit)

    @property
    def number(self) -> int:
        """42 for `00042-train-fruit`; 0 for a directory without a number."""
        match = _NUMBERED.fullmatch(self.path.name)
        return int(match[1]) if match else 0

    @property
    def name(self) -> str:
        """The name the submitter gave, or the directory's."""
        return str(self.job["name"] or self.path.name)


def list_runs(root: Path, *, verb: str | None = None) -> list[RunDir]:
    """Return the jobs below `root`, newest first; `verb` None means all. Unreadable directories are skipped."""
    root = Path(root)
    runs = []
    for path in root.iterdir() if root.is_dir() else ():
        if not _NUMBERED.fullmatch(path.name):
            continue
        try:
            job = RunDir(path).job
        except RunError:
            continue
        if verb is None or job["verb"] == verb:
            runs.append(RunDir(path))
    return sorted(runs, key=lambda run: run.number, reverse=True)


def create_run(
    root: Path, verb: str, name: str, config: Mapping[str, Any], *, command: str = "", exclusive: bool = False
) -> RunDir:
    """Make the next numbered directory below `root` and write its job.json; nothing is started.

    `name` may be any text; the directory's name is made from its letters and digits. `command` is the command line a
    person could have typed; empty means `python -m ganlib run DIR`. An `exclusive` job waits in the worker until no
    other exclusive job of the same `root` is running. Raises InputError if `config` is not JSON with finite numbers,
    RunError where it cannot be written.
    """
    root = Path(root)
    slug = "-".join(part for part in (_slug(verb), _slug(name)) if part)
    job = {"verb": verb, "name": name, "config": dict(config), "created": time.time(), "command": command}
    job |= {"exclusive": exclusive, "cwd": str(Path.cwd())}
    try:
        json.dumps(job, allow_nan=False)
    except ValueError as error:
        raise InputError(f"the job's settings cannot be written: {error}", "Use finite numbers.") from error
    try:
        return RunDir(_write_job(root, slug, job))
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"the job cannot be written: {reason}", f"Free some disk space, or look at {root}.") from error


def _write_job(root: Path, slug: str, job: dict[str, Any]) -> Path:
    """Make the next numbered directory below `root`, with job.json in it."""
    root.mkdir(parents=True, exist_ok=True)
    with lock(root / ".numbers", patience_seconds=30.0):
        taken = [int(match[1]) for path in root.iterdir() if (match := _NUMBERED.fullmatch(path.name))]
        path = root / f"{max(taken, default=-1) + 1:05d}-{slug}"
        job["command"] = job["command"] or f"python -m ganlib run {path}"
        # job.json goes in before the directory gets its name: a numbered directory is a whole job.
        temporary = root / f".{path.name}-{secrets.token_hex(4)}"
        temporary.mkdir()
        write_json(temporary / "job.json", job)
        keep_reserve(temporary / RESERVE_NAME)
        temporary.rename(path)
    return path


def submit(
    root: Path, verb: str, name: str, config: Mapping[str, Any], *, command: str = "", exclusive: bool = False
) -> RunDir:
    """`create_run`, then start a worker process that outlives this one. Relative paths in `config` stay valid: the
    worker runs in the current directory. Raises as `create_run`; RunError too where no worker can be started."""
    run = create_run(root, verb, name, config, command=command, exclusive=exclusive)
    try:
        _launch(run)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"the job cannot be started: {reason}", f"It is kept in {run.path}.") from error
    return run


def resume(run: RunDir) -> None:
    """Start a worker on the same directory again. Raises RunError if one is at work or about to be."""
    since = mtime(run.path / "queued")
    if is_locked(run.path / "lock") or (since is not None and time.time() - since < START_SECONDS):
        raise RunError(f"{run.path.name} is still at work", "Stop it first, or wait until it has ended.")
    _launch(run)


def stop(run: RunDir) -> None:
    """Ask the worker to stop; it does so at its next safe point. Does nothing for a job that has ended."""
    if run.is_active:
        (run.path / "stop").touch()


def remove(run: RunDir) -> None:
    """Delete a job's directory and all that it made. Raises RunError if a worker is at it or about to be."""
    if run.is_active:
        raise RunError(f"{run.path.name} is still at work", "Stop it first, or wait until it has ended.")
    shutil.rmtree(run.path)


def _launch(run: RunDir) -> None:
    job = run.job
    path = run.path.resolve()
    (path / "stop").unlink(missing_ok=True)
    (path / "queued").touch()
    package_parent = str(Path(__file__).resolve().parents[2])
    python_path = os.pathsep.join(filter(None, (package_parent, os.environ.get("PYTHONPATH", ""))))
    cwd = job["cwd"]
    with (path / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ganlib", "run", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=cwd if cwd and Path(cwd).is_dir() else None,
            env=os.environ | {"PYTHONPATH": python_path, "PYTHONUNBUFFERED": "1"},
        )
    # Someone has to wait for the worker, or it stays a zombie for as long as this process lives.
    threading.Thread(target=process.wait, name=f"wait-{path.name}", daemon=True).start()


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].rstrip("-")
