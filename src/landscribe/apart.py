"""Work on files from outside in processes of their own, so that whatever a file does there is one line about it.

A decoder may abort, hang or take all memory, and raise what nobody thought of. In a process that is Landscribe's own,
on Linux, such work is handed to workers: forked from a nursery, which is itself forked before anything is read and has
one thread and no lock, and kept as long as they behave. One that dies or falls silent is ended, and the work is tried
once more in another. Elsewhere, and in somebody else's process, the work is done in place, with the same lines for
what is raised.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from landscribe import workers
from landscribe.errors import BAD_FILE, DataError, LandscribeError, LimitError, problem
from landscribe.late import load, once_numba_is_there
from landscribe.process import die_with, give_back_memory, hush, is_ours, limit_memory
from landscribe.workers import free_memory_bytes, stop_if_asked, usable_processors

T = TypeVar("T")

TRIES = 2
BEAT_S = 1.0
"""Signs of life are sent this often at most."""
LOOK_S, MOST_S = 0.25, 1.0
LEAVE_S = 2.0
"""Time for a worker to tidy up once it was asked to stop."""
FLOOR_BYTES = 1 << 30
"""Of memory for a worker, however little is free."""
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)
"""Errors of the system that are no file's fault: they stop everything."""
CACHE_MB = "16"
"""GDAL would keep a twentieth of the memory for blocks, in each worker; strips are read once and in whole blocks."""


@dataclass(frozen=True)
class Limits:
    """What work on one file may take."""

    seconds: float = 30.0
    """Without a sign of life: a window, strip or step. A second more for each megabyte of the files."""
    memory_share: float = 0.5
    """Of the memory that is free, for all workers together."""


@dataclass
class _Worker:
    pid: int
    line: Connection


@dataclass
class _Nursery:
    """The process that workers are forked from, as this one sees it."""

    pid: int
    line: socket.socket
    idle: list[_Worker] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fork(self, memory_bytes: int) -> _Worker:
        with self.lock:
            self.line.send(b"fork %d" % memory_bytes)
            message, handles, _, _ = socket.recv_fds(self.line, 64, 1)
        return _Worker(int(message), Connection(handles[0]))

    def load(self, libraries: Iterable[str]) -> None:
        """Let it import libraries before it forks again; nobody waits for that here."""
        with self.lock:
            for name in libraries:
                self.line.send(b"load " + name.encode())

    def end(self, worker: _Worker) -> int:
        """Kill a worker; return the number of the signal that ended it, or minus its exit status."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
        worker.line.close()
        with self.lock:
            self.line.send(b"wait %d" % worker.pid)
            status = int(self.line.recv(64))
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)


_home: list[_Nursery] = []
"""None or one; none in a worker."""
_given_up: dict[str, LandscribeError] = {}
"""What is not tried again by this process."""


def can_work_apart() -> bool:
    """Tell whether this system has what workers take: forks, limits of a process, and its end with its parent's."""
    return sys.platform == "linux" and hasattr(os, "fork")


def start(*libraries: str) -> bool:
    """Get ready to hand out work; to be called from the main thread before anything opens a file.

    Args:
        *libraries: What the work will need of `late`. The nursery imports it once, while this process goes on.

    Returns:
        Whether work is done in workers; else it is done in place.
    """
    if _home:
        _home[0].load(libraries)
        return True
    fits = is_ours() and can_work_apart() and threading.current_thread() is threading.main_thread()
    if not fits or _inside.is_set():
        return False
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _nurse(theirs, parent)
    theirs.close()
    _home.append(_Nursery(pid, ours))
    _home[0].load(libraries)
    return True


def at_once() -> int:
    """Return how many files to work on at once: one where it is done in place."""
    return usable_processors() if _home else 1


def apart(where: str, work: Callable[..., T], *args: Any, limits: Limits = Limits(), paths: Iterable[Path] = ()) -> T:
    """Do work on a file from outside; threads may call this.

    Args:
        where: The file, for errors.
        work: A function of a module; what it is given and what it returns can be pickled.
        *args: What it is given.
        limits: Of one worker.
        paths: Files that it reads; large ones have more time.

    Raises:
        LandscribeError: What the work raises.
        DataError: If it raised anything else, or its process died, twice.
        LimitError: If it fell silent, twice, or memory did not suffice.
        OSError: If the disk is full or cannot be written.
    """
    paths = tuple(paths)
    try:
        return _anywhere(where, work, args, limits, paths)
    except BAD_FILE as error:
        if any(name in str(error) for name in (where, *(path.name for path in paths))):
            raise
        raise type(error)(f"{where}: {error}") from error


def _anywhere(where: str, work: Callable[..., T], args: tuple[Any, ...], limits: Limits, paths: tuple[Path, ...]) -> T:
    if not _home:
        return _guarded(where, work, args)
    if where in _given_up:
        raise _given_up[where]
    seconds = limits.seconds + sum(_size(path) for path in paths) / 1e6
    memory_bytes = max(FLOOR_BYTES, int(limits.memory_share * free_memory_bytes()) // at_once())
    task = (where, work, args)
    for number in itertools.count(1):
        try:
            return _hand_out(_home[0], task, seconds, memory_bytes)
        except _LostError as lost:
            if number == TRIES:
                _given_up[where] = lost.told(where)
                raise _given_up[where] from None
    raise AssertionError


class _LostError(Exception):
    """A worker died or was ended."""

    def __init__(self, number: int, silent_s: float | None) -> None:
        super().__init__(number, silent_s)
        self.number, self.silent_s = number, silent_s

    def told(self, where: str) -> LandscribeError:
        if self.silent_s is not None:
            do = "raise limits.seconds if the file is good and only slow"
            return LimitError(problem(where, f"no progress in {self.silent_s:.0f} s, tried twice", do=do))
        got = f"exit status {-self.number}" if self.number <= 0 else _signal_name(self.number)
        return DataError(problem(where, "the process that read it died, twice", got=got))


def _hand_out(home: _Nursery, task: tuple[Any, ...], seconds: float, memory_bytes: int) -> Any:
    with home.lock:
        worker = home.idle.pop() if home.idle else None
    worker = worker or home.fork(memory_bytes)
    fine = False
    try:
        kind, value = _answer(home, worker, task, seconds)
        fine = kind != "memory"
    finally:
        if fine:
            with home.lock:
                home.idle.append(worker)
        else:
            _dismiss(home, worker)
    if kind == "done":
        return value
    raise value


def _answer(home: _Nursery, worker: _Worker, task: tuple[Any, ...], seconds: float) -> tuple[str, Any]:
    # Counted in looks, so that a process that was stopped for a while does not take its worker for silent.
    silent_s, looked, busy = 0.0, time.monotonic(), False
    try:
        worker.line.send(task)
        while True:
            stop_if_asked()
            if worker.line.poll(LOOK_S):
                kind, value = worker.line.recv()
                silent_s = 0.0
                if kind not in ("alive", "busy"):
                    return kind, value
                busy = value if kind == "busy" else busy
            now = time.monotonic()
            silent_s, looked = silent_s + min(now - looked, MOST_S), now
            if not busy and silent_s > seconds:
                raise _LostError(home.end(worker), seconds)
    except (EOFError, ConnectionError):
        raise _LostError(home.end(worker), None) from None


def _dismiss(home: _Nursery, worker: _Worker) -> None:
    """End a worker that is not to be used again, with time to remove what it has half written."""
    if worker.line.closed:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.pid, signal.SIGTERM)
    until = time.monotonic() + LEAVE_S
    with contextlib.suppress(EOFError, OSError):
        while time.monotonic() < until:
            if worker.line.poll(LOOK_S):
                worker.line.recv_bytes()
    home.end(worker)


# What follows runs in the nursery and in the workers.

_inside = threading.Event()


def _nurse(line: socket.socket, parent: int) -> NoReturn:
    """Fork workers on demand and tell how they ended, until the other end is closed."""
    _home.clear()
    _inside.set()
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    me = os.getpid()
    while request := line.recv(64):
        word, number = request.split()
        if word == b"load":
            with contextlib.suppress(ImportError):  # whoever needs it says so
                load((number.decode(),))
            continue
        if word == b"wait":
            line.send(b"%d" % os.waitpid(int(number), 0)[1])
            continue
        near, far = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            line.close()
            near.close()
            _work(Connection(far.detach()), me, int(number))
        far.close()
        socket.send_fds(line, [b"%d" % pid], [near.fileno()])
        near.close()
    os._exit(0)


def _work(line: Connection, parent: int, memory_bytes: int) -> NoReturn:
    die_with(parent)
    limit_memory(memory_bytes)
    give_back_memory()
    os.environ.setdefault("GDAL_CACHEMAX", CACHE_MB)
    signal.signal(signal.SIGTERM, _leave)
    lock, last = threading.Lock(), [0.0]

    def send(kind: str, value: Any) -> None:
        with lock:
            line.send((kind, value))

    def beat() -> None:
        now = time.monotonic()
        if now - last[0] > BEAT_S:
            last[0] = now
            send("alive", None)

    workers.beat = beat
    once_numba_is_there(partial(_tell_of_compiling, send))
    hush()
    try:
        while True:
            where, work, args = line.recv()
            try:
                answer = "done", _guarded(where, work, args)
            except LimitError as error:
                answer = "memory" if isinstance(error.__cause__, MemoryError) else "error", _bare(error)
            except (LandscribeError, OSError) as error:
                answer = "error", _bare(error)
            send(*answer)
    except (EOFError, OSError, KeyboardInterrupt):
        os._exit(0)
    finally:
        os._exit(1)


def of_the_system(where: str, error: OSError) -> LandscribeError:
    """Return what the system refused as an error of ours: a limit that stops everything, or one file that is bad."""
    what = f"the system refused: {error.strerror or error}"
    if error.errno is None or error.errno in OF_THE_DISK:
        return LimitError(problem(where, what, do="free space, then run again"))
    return DataError(problem(where, what))


def _guarded(where: str, work: Callable[..., T], args: tuple[Any, ...]) -> T:
    try:
        return work(*args)
    except LandscribeError:
        raise
    except MemoryError as error:
        raise LimitError(problem(where, "out of memory", got=str(error) or None)) from error
    except OSError as error:
        if error.errno is None or error.errno in OF_THE_DISK:
            raise
        named = error.filename if isinstance(error.filename, str) else where
        raise DataError(problem(named, error.strerror or type(error).__name__)) from error
    except Exception as error:  # whatever a file makes a decoder raise is about that file
        got = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(problem(where, "holds something that cannot be read", got=got)) from error


def _bare(error: BaseException) -> BaseException:
    error.__cause__ = error.__context__ = error.__traceback__ = None
    return error


def _leave(_number: int, _frame: Any) -> None:
    workers.stopping.set()
    raise KeyboardInterrupt


def _tell_of_compiling(send: Callable[[str, Any], None]) -> None:
    """Numba compiles a kernel once in a while, for as long as a minute, and that is no fault of the file's."""
    from numba.core import event

    class Compiling(event.Listener):
        def on_start(self, _event: Any) -> None:
            send("busy", True)

        def on_end(self, _event: Any) -> None:
            send("busy", False)

    event.register("numba:compile", Compiling())  # type: ignore[no-untyped-call]


def _signal_name(number: int) -> str:
    return f"signal {number}, {signal.Signals(number).name}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
