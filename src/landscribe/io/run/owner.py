"""One process at a time works in a run folder, or several that share a stage; those that only read never wait."""

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
    if key in _held:
        yield
        return
    with _locked(run, shared=False, what=""):
        _held.add(key)
        try:
            yield
        finally:
            _held.discard(key)


@contextlib.contextmanager
def beside_others_in(run: Run, what: str) -> Iterator[None]:
    """Work in a run folder beside other processes that share it, and keep out those that want it alone.

    Args:
        run: The run folder.
        what: What this process does there, for those who have to wait.

    Raises:
        LimitError: If another process has it alone.
    """
    with _locked(run, shared=True, what=what):
        yield


@contextlib.contextmanager
def _locked(run: Run, *, shared: bool, what: str) -> Iterator[None]:
    if not is_first_process() or fcntl is None:
        yield
        return
    with (run.root / OWNER).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            said = "another process is at work in this run folder"
            do = "wait for it or stop it; `report`, `map`, `view`, `review`, `score` and `runs` can be used meanwhile"
            raise LimitError(problem(str(run.root), said, got=file.read().strip() or None, do=do)) from None
        except OSError:
            pass  # a file system that knows no locks
        file.seek(0)
        file.truncate()
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}{what and f', {what}'}\n")
        file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # for good, though a process forked meanwhile has the file open too
                fcntl.flock(file, fcntl.LOCK_UN)
