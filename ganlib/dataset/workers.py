"""The same work on every picture of a source, in several processes, with the results in order.

Few results are in memory at a time. Signals to the whole group are answered by this process for its workers: a pool
whose workers die while it is starting others waits for these for ever.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ganlib.base.errors import DataError
from ganlib.dataset.files import Files
from ganlib.runs import Stopped

CHUNK = 16  # pictures per task of a worker
PARALLEL_FROM = 200  # fewer pictures are done before worker processes have started

Item = TypeVar("Item")
Result = TypeVar("Result")

# Signals that reach every process of a group: a terminal's, a shutdown's. Not every system tells who sent one.
_TO_GROUP = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, "sigwaitinfo")}
_OPEN: dict[str, Files] = {}  # the source, open once in each worker process


def in_order(
    work: Callable[[Files, Item], Result],
    source: Path,
    items: Sequence[Item],
    *,
    workers: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Generator[Result, None, None]:
    """Yield `work(files, item)` for each item, in their order; close the generator to end the workers early.

    An item names a picture, or holds its name. Work and items must be picklable, such as a function of a module or a
    method of a dataclass. With one worker or few items everything happens in this process. Raises DataError when a
    worker process dies, Stopped if `should_stop()` is true then.
    """
    if workers == 1 or len(items) < PARALLEL_FROM:
        with Files(source) as files:
            for item in items:
                yield work(files, item)
        return
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    spawn = multiprocessing.get_context("spawn")  # forking a process that has run PyTorch's threads may hang
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start, initargs=(str(source),))
    waiting: deque[Future[list[Result]]] = deque()
    processes: set[Any] = set()
    try:
        for chunk in chunks:
            with _signals_held():  # submitting starts the workers, which inherit this
                waiting.append(pool.submit(_work_on, work, str(source), chunk))
            if len(processes) < workers:
                processes.update(multiprocessing.active_children())
            if len(waiting) > 4 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        pool.shutdown()
        if should_stop():
            raise Stopped from error
        raise _worker_died({process.exitcode for process in processes}) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _worker_died(codes: set[int | None]) -> DataError:
    """Why a worker ended, from all their exit codes: when one dies, the pool terminates the others."""
    died = sorted({code for code in codes if code is not None and code < 0 and code != -signal.SIGTERM})
    if -signal.SIGKILL in died:
        hint = "It may have run out of memory: use --workers 1, or make very large pictures smaller."
        return DataError("a worker process was killed before its work was done", hint)
    if died:
        words = signal.strsignal(-died[0]) or f"signal {-died[0]}"
        return DataError(f"a worker process crashed ({words})", "Use --workers 1 to see at which picture.")
    return DataError("a worker process was ended before its work was done", "Run it again.")


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals to the group wait until the end of the block, and for good in processes that are started within."""
    if not _TO_GROUP:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_GROUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(source: str) -> None:
    """Open the source; end when the parent says so or has died, and leave other signals to the parent."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if _TO_GROUP:
        threading.Thread(target=_end_when_told, args=(parent.pid,), daemon=True).start()
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _OPEN[source] = Files(Path(source))


def _end_when_told(parent: int | None) -> None:
    while signal.sigwaitinfo(_TO_GROUP).si_pid != parent:
        continue
    os._exit(1)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _work_on(work: Callable[[Files, Item], Result], source: str, items: Sequence[Item]) -> list[Result]:
    return [work(_OPEN[source], item) for item in items]
