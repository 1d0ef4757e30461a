"""Signals as requests to stop: of a worker, and of long work in the foreground."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

# What a person, a closing terminal and a shutdown send; Windows has no hang-up.
INTERRUPTED = 130  # exit code
PATIENCE_SECONDS = 1.0  # for a second signal to be heard between two operations
ASKING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Asked(Protocol):
    """Something that hears of a signal."""

    asked_by_signal: bool


@contextmanager
def signals_ask(reporter: Asked) -> Iterator[None]:
    """Within the block, the first interrupt, terminate or hang-up signal sets `reporter.asked_by_signal`.

    The second one raises KeyboardInterrupt, and where a long operation does not let that through within a second, ends
    the process: files are written under another name first, so that whole ones stay whole. A signal that was ignored
    before (`nohup`) stays ignored, but for the interrupt, which shells ignore in the background. Without effect outside
    the main thread.
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
        with _ending_at_once(heard):
            yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _ending_at_once(heard: list[int]) -> Iterator[None]:
    """Within the block, the second of the signals ends the process unless the block ends soon after it.

    Python's own handlers wait for the operation that the main thread is in; a thread hears of the signal at once."""
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    is_over = threading.Event()

    def listen() -> None:
        count = 0
        while numbers := receiver.recv(64):
            count += sum(number in heard for number in numbers)
            if count > 1:
                if not is_over.wait(PATIENCE_SECONDS):
                    os._exit(INTERRUPTED)
                return

    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    listener = threading.Thread(target=listen, name="second-signal", daemon=True)
    listener.start()
    try:
        yield
    finally:
        is_over.set()
        signal.set_wakeup_fd(before)
        sender.close()
        listener.join()
        receiver.close()
