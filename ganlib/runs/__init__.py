"""A job is a directory: made by whoever asks for the work, filled by one worker process, only read by everyone else.

    job.json      what to do; written once, by the submitter
    queued        empty; the submitter started a worker that has not reported yet
    lock          held (flock) by the worker while it lives: the proof of life
    status.json   replaced whole by the worker: state, progress, estimate, artefacts
    stats.jsonl   one JSON object per line, appended by the worker
    log.txt       what the worker says, and the traceback if it fails
    stop          empty; a request to stop
    .reserve      room that a full disk cannot take away from the last status

Nothing that can be derived is stored: `running` with a free lock means that the worker died, so the state is `lost`.
Resuming is running the same directory again. Jobs need a POSIX system (flock); reading and writing files does not.
"""

from ganlib.runs.directory import ACTIVE, RunDir, State, create_run, list_runs, remove, resume, stop, submit
from ganlib.runs.files import free_name, replacing, write_bytes, write_json
from ganlib.runs.reporters import OnlyStops, Reporter, SilentReporter, TerminalReporter, format_seconds
from ganlib.runs.signals import signals_ask
from ganlib.runs.worker import Stopped, work

__all__ = [
    "ACTIVE",
    "OnlyStops",
    "Reporter",
    "RunDir",
    "SilentReporter",
    "State",
    "Stopped",
    "TerminalReporter",
    "create_run",
    "format_seconds",
    "free_name",
    "list_runs",
    "remove",
    "replacing",
    "resume",
    "signals_ask",
    "stop",
    "submit",
    "work",
    "write_bytes",
    "write_json",
]
