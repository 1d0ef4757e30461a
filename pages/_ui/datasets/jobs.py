"""The jobs that work on a source."""

from pathlib import Path

from ganlib import runs
from ganlib.base import workspace
from ganlib.runs import RunDir


def newest(verb: str, source: str) -> RunDir | None:
    """The newest job of a kind that works on a source; one that is at work comes first."""
    wanted = str(Path(source).resolve())
    found = [
        run
        for run in runs.list_runs(workspace.runs_root(), verb=verb)
        if str(Path(str(run.job["config"].get("source", ""))).resolve()) == wanted
    ]
    return next((run for run in found if run.is_active), found[0] if found else None)
