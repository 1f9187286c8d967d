"""A library that lets one call of the C library go wrong in any process that is started with it."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SHIM = Path(__file__).with_name("system_faults.c")
CALLS = ("write", "flush", "sync", "rename", "open", "unlink", "mkdir", "truncate", "clock")
"""Kinds of calls, in the order in which they are counted."""
BEGIN = "import ctypes; ctypes.CDLL(None).begin_faults()"
"""Python for a process that had the library in it before its environment said what goes wrong."""


def build_shim(folder: Path) -> Path:
    """Build it in a folder; skips the test where there is no compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc, for the library that fails")
    library = folder / "faults.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(SHIM), "-ldl"], check=True)
    return library


def under_faults(library: Path, root: Path, counter: Path, call: str, kind: int, at: int) -> dict[str, str]:
    """Return the environment in which the call with that number, from 1, of those that touch `root` goes wrong."""
    counter.write_bytes(bytes(8 * len(CALLS)))
    fault = {"ROOT": root, "CALL": call, "KIND": kind, "AT": at, "COUNT": counter}
    return os.environ | {f"FAULT_{name}": str(value) for name, value in fault.items()} | {"LD_PRELOAD": str(library)}


def counts_in(counter: Path) -> dict[str, int]:
    """Return how many calls of each kind there were: of all kinds where `at` was 0, else of the one that went wrong."""
    numbers = struct.unpack(f"{len(CALLS)}q", counter.read_bytes())
    return dict(zip(CALLS, numbers, strict=True))
