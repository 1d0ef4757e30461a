"""Signals as requests to stop: of a worker, and of long work in the foreground."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

# What a person, a closing terminal and a shutdown send; Windows has no hang-up.
ASKING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Asked(Protocol):
    """Something that hears of a signal."""

    asked_by_signal: bool


@contextmanager
def signals_ask(reporter: Asked) -> Iterator[None]:
    """Within the block, the first interrupt, terminate or hang-up signal sets `reporter.asked_by_signal`.

    The second one raises KeyboardInterrupt. A signal that was ignored before (`nohup`) stays ignored, but for the
    interrupt, which shells ignore in the background. Without effect outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: object) -> None:
        if reporter.asked_by_signal:
            raise KeyboardInterrupt
        reporter.asked_by_signal = True

    heard = [n for n in ASKING if n == signal.SIGINT or signal.getsignal(n) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, ask) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
