"""The command line in a process of its own that has its imports behind it.

Torch, GDAL and numba take three seconds of a processor to import, and a test of what a command says or leaves behind
needs them no newer than the last one did. So one process imports everything, opens nothing, and forks one process for
each command: with its own folder, environment, output, signals and exit, as `python -m landscribe` has them.
Where the beginning of a process is the point, tests start Python itself.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NoReturn

MOST_BYTES = 1 << 16
"""Of one request."""


class Command:
    """A command at work, with as much of `subprocess.Popen` as tests ask for."""

    def __init__(self, forks: Forks, arguments: list[str], cwd: Path, before: str, own: Mapping[str, str]) -> None:
        self.args = ["landscribe", *arguments]
        self.returncode: int | None = None
        self.said: list[str] = []
        self._files: list[IO[bytes]] = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 - read at the end
        self._end, far = os.pipe()
        request = {"arguments": self.args, "cwd": str(cwd), "before": before, "environment": {**os.environ, **own}}
        try:
            forks.request(json.dumps(request).encode(), [*(file.fileno() for file in self._files), far])
        finally:
            os.close(far)
        self._heard = os.fdopen(self._end, "rb")
        self.pid = int(self._heard.readline())

    def poll(self) -> int | None:
        """Return its exit code, or None while it works."""
        if self.returncode is None and select.select([self._heard], [], [], 0)[0]:
            self._finish()
        return self.returncode

    def wait(self, timeout: float = 300) -> int:
        """Wait for its end and return its exit code."""
        if self.returncode is None:
            if not select.select([self._heard], [], [], timeout)[0]:
                self.kill()
                raise subprocess.TimeoutExpired(self.args, timeout)
            self._finish()
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """Wait for its end and return what it wrote to stdout and to stderr."""
        self.wait(timeout)
        return self.said[0], self.said[1]

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still works."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _finish(self) -> None:
        with self._heard:
            self.returncode = int(self._heard.read())
        for file in self._files:
            with file:
                file.seek(0)
                self.said.append(file.read().decode())


def start(
    *arguments: str | Path, cwd: Path, before: str = "", forks: Forks | None = None, **environment: str
) -> Command:
    """Start a command in a folder.

    Args:
        *arguments: Of the command line.
        cwd: Where it works.
        before: Python that is run first, as another one's machine or hand.
        forks: Where it is forked; the one of this process, if not given.
        **environment: Variables beside those that are here.
    """
    return Command(forks or _ours(), [str(argument) for argument in arguments], cwd, before, environment)


def landscribe(
    *arguments: str | Path, cwd: Path, before: str = "", forks: Forks | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Do a command in a folder, as `start` does; return its exit code and what it said."""
    command = start(*arguments, cwd=cwd, before=before, forks=forks, **environment)
    out, err = command.communicate()
    assert command.returncode is not None
    return subprocess.CompletedProcess(command.args, command.returncode, out, err)


class Forks:
    """The process that commands are forked from, as a test sees it."""

    def __init__(self, **environment: str) -> None:
        self.owner = os.getpid()
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MOST_BYTES)
            program = [sys.executable, __file__, str(theirs.fileno())]
            self.process = subprocess.Popen(
                program, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={**os.environ, **environment}
            )
        atexit.register(self.close)

    def close(self) -> None:
        """Let it end, since nobody will ask."""
        if self.owner == os.getpid():
            self.line.close()
            self.process.wait(20)

    def request(self, text: bytes, files: list[int]) -> None:
        """Ask for a command, whose output goes to the first two files."""
        assert len(text) < MOST_BYTES
        socket.send_fds(self.line, [text], files)


_kept: list[Forks] = []


def _ours() -> Forks:
    if not _kept:
        _kept.append(Forks())
    return _kept[0]


def program(path: Path) -> list[int]:
    """Write a program `landscribe` for scripts of a shell; return the files that a shell needs to have inherited."""
    line = _ours().line.fileno()
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {__file__} {line} "$@"\n')
    path.chmod(0o755)
    return [line]


def ask(line: socket.socket, arguments: list[str]) -> int:
    """Be that program: let a command be forked that writes where this process does; return its exit code."""
    heard, far = os.pipe()
    request = {"arguments": ["landscribe", *arguments], "cwd": str(Path.cwd()), "before": ""}
    text = json.dumps({**request, "environment": dict(os.environ)}).encode()
    socket.send_fds(line, [text], [1, 2, far])
    os.close(far)
    with os.fdopen(heard, "rb") as file:
        return int(file.read().split()[1])


# What follows runs in the process that forks, and in those that are forked.


def import_all() -> None:
    """Import what commands import, and open nothing."""
    import pkgutil

    from landscribe.process import settle_process

    settle_process()

    import landscribe
    from landscribe.late import load

    load(("numba", "pandas", "geopandas", "pyarrow", "pyarrow.parquet"))
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("tensorboard.summary.writer.event_file_writer")
    for module in pkgutil.walk_packages(landscribe.__path__, "landscribe."):
        if not module.name.startswith("landscribe.qgis") and not module.name.endswith("__main__"):
            with contextlib.suppress(ModuleNotFoundError):  # triton and dask, where they are not
                __import__(module.name)
    gc.collect()
    gc.freeze()


def be_a_command(line: socket.socket) -> str | None:
    """Fork for each request; return what to do first in a process that is to do a command, None once nobody asks."""
    while True:
        text, files, _, _ = socket.recv_fds(line, MOST_BYTES, 3)
        if not text:
            return None
        if os.fork() == 0:
            break
        for file in files:
            os.close(file)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    line.close()
    *said, end = files
    pid = os.fork()
    if pid:  # this one tells how the other ends
        for file in said:
            os.close(file)
        os.write(end, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(end, b"%d" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    os.close(end)
    for file, number in zip(said, (1, 2), strict=True):
        os.dup2(file, number)
        os.close(file)
    request = json.loads(text)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    if "OMP_NUM_THREADS" in os.environ:
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    return str(request["before"])


def leave(code: int) -> NoReturn:
    """End as Python does, but for taking a thousand modules down one by one."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()  # type: ignore[attr-defined]
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__" and len(sys.argv) > 2:
    sys.exit(ask(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]))
if __name__ == "__main__":
    import_all()
    before = be_a_command(socket.socket(fileno=int(sys.argv[1])))
    if before is not None:
        from landscribe.cli import main

        exec(before, {})
        code: object = 1
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        except BaseException:  # noqa: BLE001 - as Python itself does
            traceback.print_exc()
        finally:
            leave(int(code) if isinstance(code, int) else 1)
