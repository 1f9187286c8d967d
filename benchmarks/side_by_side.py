"""Time several ways to the same result in turn, in one process, so that all of them meet the same machine.

Times are processor seconds of all threads together, so that what else runs on the machine does not count.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any


def time_in_turn(
    ways: Mapping[str, Callable[[], Any]],
    repeats: int,
    clock: Callable[[], float] = time.process_time,
    wall: dict[str, float] | None = None,
) -> dict[str, float]:
    """Run every way once to warm up, then all of them in turn; returns the median seconds of each by `clock`.

    Without repeats the only run counts. `wall` gets the median seconds on the wall.
    """
    for way in ways.values() if repeats else ():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    on_wall: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(max(repeats, 1)):
        for name, way in ways.items():
            begin, began = clock(), time.perf_counter()
            way()
            seconds[name].append(clock() - begin)
            on_wall[name].append(time.perf_counter() - began)
    if wall is not None:
        wall |= {name: statistics.median(values) for name, values in on_wall.items()}
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(
    title: str, seconds: Mapping[str, float], base: str, notes: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Print a table with the ratio to `base`, and return it as values."""
    print(f"\n{title}", file=sys.stderr)
    for name, value in seconds.items():
        note = (notes or {}).get(name, "")
        print(f"  {name:<58} {value:9.4f} s  {seconds[base] / value:6.2f} x  {note}", file=sys.stderr)
    return {
        "title": title,
        "seconds": dict(seconds),
        "times_faster_than_base": {name: seconds[base] / value for name, value in seconds.items()},
        "base": base,
    }


def finish(tables: list[dict[str, Any]], as_json: bool, save: Path | None = None) -> None:
    """Write the tables to stdout or a file, as one JSON object with the machine they are from, where asked for."""
    text = json.dumps({**machine(), "tables": tables}, indent=1)
    if as_json:
        print(text)
    if save is not None:
        save.write_text(text + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Return the command, the processor and the versions that figures belong to."""
    versions = {
        name: metadata.version(name) for name in ("numpy", "numba", "rasterio", "shapely", "opencv-python-headless")
    }
    return {
        "command": shlex.join(["python", Path(sys.argv[0]).as_posix(), *sys.argv[1:]]),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), **versions},
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
