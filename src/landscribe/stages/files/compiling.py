"""Loops of tracing on a machine where numba has compiled nothing yet: Python runs them, numba compiles beside."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np

from landscribe.core.trace import LOOPS, trace
from landscribe.core.tracing import TraceMode, Tracing
from landscribe.late import cache_folder, in_python, is_compiled
from landscribe.process import is_ours

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]

FEW_PIXELS, MORE_PIXELS = 1 << 16, 1 << 20
"""Python takes 3 seconds for a million pixels with some hundred objects, 40 for a million of noise; compiling takes 20,
and importing numba and what it has compiled half of one."""
LOCK = "landscribe-compiles"
CODE = "from landscribe.stages.files.compiling import compile_all; compile_all()"


@contextlib.contextmanager
def quickly(pixels: int, mode: TraceMode) -> Iterator[bool]:
    """Trace so many pixels by what answers sooner, in a process of our own: Python, or what numba compiles.

    Args:
        pixels: Of all classes together.
        mode: Of tracing.

    Yields:
        Whether a machine had nothing compiled: then it is compiled in the background, for the next time.
    """
    if not is_ours() or pixels > MORE_PIXELS:
        yield False
    elif pixels <= FEW_PIXELS:
        with in_python():
            yield False
    elif is_compiled(LOOPS[mode]):
        yield False
    else:
        with in_python():
            yield True
        compile_beside()


def compile_beside() -> subprocess.Popen[bytes]:
    """Start a process that compiles the loops of tracing and ends; it outlives this one."""
    return subprocess.Popen(  # noqa: S603  # our own code, and -P keeps the current folder out of it
        [sys.executable, "-P", "-c", CODE],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def compile_all() -> None:
    """Compile the loops of tracing into numba's cache, unless another process is at it."""
    if hasattr(os, "nice"):
        os.nice(19)
    with _alone() as alone:
        if not alone:
            return
        field = np.zeros((37, 41), np.float32)
        field[5:17, 7:23], field[9:12, 11:15] = 1, 0.4
        for mode in LOOPS:
            for values in (field, (field * 255).astype(np.uint8)):
                trace(values, Tracing(mode=mode))
        trace(field, Tracing(right_angles=True, smooth=1))


@contextlib.contextmanager
def _alone() -> Iterator[bool]:
    folder = cache_folder(LOOPS["contour"])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
