"""Files of this studio as a page reads them: a run's folder may have been made by somebody else."""

from pathlib import Path

from ganlib.base.filesystem import read_regular

MOST_BYTES = 8 * 2**30  # of what the browser is given


def file_bytes(path: Path | str) -> bytes:
    """Return what is in a file. Raises OSError, also for a device, a pipe, and what is far too large."""
    return read_regular(path, max_bytes=MOST_BYTES)
