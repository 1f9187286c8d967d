"""Work on several items at once in threads, with the results in the order of the items.

Reading, compressing, compiled loops and GEOS let other threads run, so that threads suffice; they share what is
loaded, and none can be lost as a process can.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

T = TypeVar("T")

LOOK_S = 0.25
"""A wait for threads looks up so often."""

MEMORY_SHARE = 0.5
"""Share of the free memory that scenes which are worked on at once may take."""

stopping = threading.Event()
"""Set by the command line once somebody asked to stop: every thread leaves off at its next `stop_if_asked`."""

reads: ContextVar[dict[str, str] | None] = ContextVar("reads", default=None)
"""What the item that is worked on has read, name -> digest; threads of a pool share it with the one that opened it."""

beat: Callable[[], None] | None = None
"""In a worker of `landscribe.apart`: tells the process that waits for it that it is alive."""


class _Event(Protocol):
    def is_set(self) -> bool: ...
    def set(self) -> None: ...


@dataclass(frozen=True)
class _Order:
    """Whether the threads of a pool are to stop, or those of the pool that opened it."""

    given: _Event
    above: _Order | None


_own = threading.local()


def usable_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory_bytes() -> int:
    """Return how much memory this process may still take: what the system has and what its control group allows."""
    available = _system_memory_bytes()
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    with contextlib.suppress(OSError, ValueError):  # no control group, or no limit in it
        available = min(available, int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")))
    return max(available, 0)


def _system_memory_bytes() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return 4 << 30


def scenes_at_once(count: int, need_bytes: int) -> tuple[int, int]:
    """Return how many scenes to work on at once, and how many threads each of them may have.

    Args:
        count: Number of scenes.
        need_bytes: Memory that the largest of them takes.
    """
    fit = int(MEMORY_SHARE * free_memory_bytes()) // max(need_bytes, 1)
    scenes = max(1, min(usable_processors(), count, fit))
    return scenes, max(1, usable_processors() // scenes)


def stop_if_asked() -> None:
    """Leave off, if somebody asked to stop or nobody waits for this thread's work any more.

    Loops call this once for each tile, strip, window or item, so that Ctrl-C ends them within moments.

    Raises:
        KeyboardInterrupt: As Ctrl-C does by itself in the main thread.
    """
    if beat is not None:
        beat()
    order: _Order | None = getattr(_own, "order", None)
    while order is not None:
        if order.given.is_set():
            raise KeyboardInterrupt
        order = order.above
    if stopping.is_set():
        raise KeyboardInterrupt


@contextlib.contextmanager
def thread_pool(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads that stop with the block.

    When the block is left by an exception, or the thread that opened it is to stop, what was not begun is not begun any
    more, and what is under way leaves off at its next `stop_if_asked`.

    Args:
        count: Threads.
        name: What they are called.
    """
    order = _Order(threading.Event(), getattr(_own, "order", None))
    pool = ThreadPoolExecutor(count, name, initializer=_obey, initargs=(order, reads.get()))
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        order.given.set()
        pool.shutdown(cancel_futures=True)
        raise


def result_of(future: Future[T]) -> T:
    """Wait for a result, looking up now and then.

    A signal that another thread gets, or that comes just as a wait begins, does not end it; Python heeds it as soon as
    the main thread is awake.
    """
    while True:
        try:
            return future.result(timeout=LOOK_S)
        except TimeoutError:  # of the wait, or of the work itself
            if future.done():
                return future.result()


@contextlib.contextmanager
def abreast(
    work: Callable[[str], T], items: Sequence[str], workers: int
) -> Iterator[Iterator[tuple[str, Callable[[], T]]]]:
    """Yield each item, in order, with a function that waits for what `work` makes of it, result or exception.

    When the block is left by an exception, the work on other items stops as that of `thread_pool` does.

    Args:
        work: What to do with an item; with one worker it is done in the caller's thread, when it is waited for.
        items: In order.
        workers: Threads.
    """

    def begin(item: str) -> T:
        stop_if_asked()
        return work(item)

    if workers == 1 or len(items) < 2:
        yield ((item, functools.partial(begin, item)) for item in items)
        return
    with thread_pool(workers, "abreast") as pool:
        futures = [pool.submit(begin, item) for item in items]
        yield ((item, functools.partial(result_of, future)) for item, future in zip(items, futures, strict=True))


def obey(event: _Event) -> None:
    """Make `stop_if_asked` raise in this thread once an event is set, which may come from another process."""
    _own.order = _Order(event, None)


def _obey(order: _Order, shared: dict[str, str] | None) -> None:
    _own.order = order
    reads.set(shared)
