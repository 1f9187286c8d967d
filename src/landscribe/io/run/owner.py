"""One process at a time works in a run folder; those that only read never wait."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from landscribe.errors import LimitError, problem
from landscribe.io.run.runs import Run, is_first_process

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]

KNOWS_LOCKS = fcntl is not None
OWNER = ".owner"
"""Who works in the run folder; the file is there afterwards too, the lock on it is not."""
_held: set[Path] = set()


@contextlib.contextmanager
def alone_in(run: Run) -> Iterator[None]:
    """Keep other processes from working in a run folder at the same time; those that only read need not ask.

    The system gives the folder free when this process ends, however it ends. A process that is in it already may come
    in again.

    Raises:
        LimitError: If another process is at work there, with which and since when.
    """
    key = run.root.resolve()
    if key in _held or not is_first_process() or fcntl is None:
        yield
        return
    with (run.root / OWNER).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            what = "another process is at work in this run folder"
            do = "wait for it or stop it; `report`, `score` and `runs` can be used meanwhile"
            raise LimitError(problem(str(run.root), what, got=file.read().strip() or None, do=do)) from None
        except OSError:
            pass  # a file system that knows no locks
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        file.flush()
        _held.add(key)
        try:
            yield
        finally:
            _held.discard(key)
            with contextlib.suppress(OSError):  # for good, though a process forked meanwhile has the file open too
                fcntl.flock(file, fcntl.LOCK_UN)
