"""Work on several items at once in threads, with the results in the order of the items.

Reading, compressing, compiled loops and GEOS let other threads run, so that threads suffice; they share what is
loaded, and none can be lost as a process can.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 5.0
"""A thread that overheard that it shall stop is told again after this time."""
MEMORY_SHARE = 0.5
"""Share of the free memory that scenes which are worked on at once may take."""


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


@contextlib.contextmanager
def abreast(
    work: Callable[[str], T], items: Sequence[str], workers: int
) -> Iterator[Iterator[tuple[str, Callable[[], T]]]]:
    """Yield each item, in order, with a function that waits for what `work` makes of it, result or exception.

    When the block is left by an exception, what was not begun is not begun any more, and what is under way is stopped
    as Ctrl-C would stop it.

    Args:
        work: What to do with an item; with one worker it is done in the caller's thread, when it is waited for.
        items: In order.
        workers: Threads.
    """
    if workers == 1 or len(items) < 2:
        yield ((item, lambda item=item: work(item)) for item in items)  # type: ignore[misc]
        return
    threads: set[int] = set()
    lock = threading.Lock()
    # Made before anything begins: what an interruption between two of them left out could not be stopped.
    futures: list[Future[T]] = [Future() for _ in items]

    def settle(item: str, future: Future[T]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            with lock:
                threads.add(threading.get_ident())
            try:
                result = work(item)
            finally:
                with lock:
                    threads.discard(threading.get_ident())
        except BaseException as error:  # noqa: BLE001  # raised where the result is asked for
            future.set_exception(error)
        else:
            future.set_result(result)

    pool = ThreadPoolExecutor(workers, "abreast")
    try:
        for item, future in zip(items, futures, strict=True):
            pool.submit(settle, item, future)
        yield ((item, future.result) for item, future in zip(items, futures, strict=True))
    except BaseException:
        for future in futures:
            future.cancel()
        while busy := [future for future in futures if not future.done()]:
            with lock:
                for thread in threads:
                    _interrupt(thread)
            wait(busy, timeout=PATIENCE_S)
        raise
    finally:
        pool.shutdown()


def _interrupt(thread: int) -> None:
    """Raise KeyboardInterrupt in a thread, between two of its bytecodes, as Python does in the main one."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
