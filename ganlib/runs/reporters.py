"""What long work talks to while it runs."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

PROGRESS_SECONDS = 0.2  # progress is written at most this often
ETA_CALM_SECONDS = 20.0  # what is shown nears a new estimate in about this time; in the first steps much sooner
ETA_MEMORY_SECONDS = 60.0  # the estimate follows the speed of about the last minute


class Reporter(Protocol):
    """What long work talks to. `done` and `total` are in the work's own unit (frames, kimg, files)."""

    def progress(self, done: float, total: float, message: str = "") -> None: ...

    def stats(self, record: Mapping[str, Any]) -> None: ...

    def log(self, text: str) -> None: ...

    def artefact(self, path: Path) -> None: ...

    def should_stop(self) -> bool: ...


class SilentReporter:
    """A reporter that keeps nothing and never stops the work."""

    def progress(self, done: float, total: float, message: str = "") -> None:
        pass

    def stats(self, record: Mapping[str, Any]) -> None:
        pass

    def log(self, text: str) -> None:
        pass

    def artefact(self, path: Path) -> None:
        pass

    def should_stop(self) -> bool:
        return False


class OnlyStops(SilentReporter):
    """Passes requests to stop on and nothing else: the progress of a part says little of the whole."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def should_stop(self) -> bool:
        return self._reporter.should_stop()


class Estimate:
    """Time left, from the speed of about the last minute of this process."""

    def __init__(self) -> None:
        self._last: tuple[float, float, float] | None = None  # time, done, total
        self._done = self._seconds = 0.0
        self._began, self._end = 0.0, math.nan  # of the evidence, and of the work as it was told last

    def update(self, done: float, total: float, now: float | None = None) -> float | None:
        """Return the seconds left after a progress report, or None while the speed is unknown."""
        now = time.monotonic() if now is None else now
        if self._last is None or done < self._last[1] or total != self._last[2]:
            self._done = self._seconds = 0.0
            self._began, self._end = now, math.nan
        else:
            elapsed = now - self._last[0]
            keep = math.exp(-elapsed / ETA_MEMORY_SECONDS)
            self._done = self._done * keep + done - self._last[1]
            self._seconds = self._seconds * keep + elapsed
        self._last = (now, done, total)
        if self._done <= 0 or self._seconds <= 0:
            return None
        end = now + max(total - done, 0.0) * self._seconds / self._done
        if not math.isnan(self._end) and done < total:
            calm = max(min(ETA_CALM_SECONDS, (now - self._began) / 10), 1e-9)
            end = self._end + (end - self._end) * (1 - math.exp(-elapsed / calm))
        self._end = end
        return max(end - now, 0.0)


class TerminalReporter:
    """Progress as one line that is rewritten on a terminal, or as an occasional line elsewhere.

    A terminal that was closed, or a reader that went away, ends what it says and not the work.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """`stream` None means the standard error of the moment."""
        self._stream = stream if stream is not None else sys.stderr
        self._estimate = Estimate()
        self._shown_at = -math.inf
        self._line_open = False
        self._heard = True
        self.asked_by_signal = False

    def progress(self, done: float, total: float, message: str = "") -> None:
        eta = self._estimate.update(done, total)
        terminal = self._stream.isatty()
        now, finished = time.monotonic(), done >= total
        if not finished and now - self._shown_at < (PROGRESS_SECONDS if terminal else 10.0):
            return
        self._shown_at = now
        left = "" if eta is None or finished else f", {format_seconds(eta)} left"
        share = f"{fraction(done, total):.0%}{left}"
        # Amounts that are no counts, such as megapixels, say nothing beside their share.
        counted = f"{_count(done)}/{_count(total)} ({share})" if float(total).is_integer() else share
        line = f"{counted} {message}".rstrip()
        self._write(f"\r\x1b[K{line}" if terminal else f"{line}\n")
        self._line_open = terminal
        if terminal and finished:
            self._close_line()

    def stats(self, record: Mapping[str, Any]) -> None:
        pass

    def log(self, text: str) -> None:
        self._close_line()
        self._write(text.rstrip("\n") + "\n")

    def artefact(self, path: Path) -> None:
        self.log(str(path))

    def should_stop(self) -> bool:
        """Whether a signal has asked for it, inside `signals_ask`."""
        return self.asked_by_signal

    def _close_line(self) -> None:
        if self._line_open:
            self._write("\n")
            self._line_open = False

    def _write(self, text: str) -> None:
        if self._heard:
            try:
                self._stream.write(text)
                self._stream.flush()
            except OSError:
                self._heard = False


def _count(value: float) -> str:
    """A figure as it is read: bytes in groups of three digits."""
    return f"{value:,.0f}" if abs(value) >= 1e6 else f"{value:g}"


def format_seconds(seconds: float) -> str:
    """`75` → `1 min 15 s`: two units at most."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def fraction(done: Any, total: Any) -> float:
    done, total = finite(done), finite(total)
    if done is None or total is None or not total > 0:
        return 0.0
    return min(max(done / total, 0.0), 1.0)


def finite(value: Any) -> float | None:
    """`value` if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number beyond all floats
        return None
