"""What files do to those that read them; run as a program, all of it in workers, with what came of it as JSON."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from landscribe.apart import Limits, apart, at_once, start
from landscribe.errors import DataError
from landscribe.process import settle_process
from landscribe.workers import abreast, stop_if_asked


def double(number: int) -> int:
    """Work that is fine."""
    return 2 * number


def process_of(_number: int) -> int:
    """Tell which process it is."""
    return os.getpid()


def abort() -> None:
    """As a decoder does that finds itself in a state that cannot be."""
    os.abort()


def read_nowhere() -> None:
    """As a decoder does that trusts an offset."""
    ctypes.string_at(0)


def leave() -> None:
    """As a library does that calls exit."""
    os._exit(7)


def hang() -> None:
    """As a decoder does in a circle of offsets."""
    while True:
        time.sleep(1)


def eat() -> None:
    """As a decoder does that believes a size."""
    kept = []
    while True:
        kept.append(np.ones(1 << 25))


def surprise() -> None:
    """Raise what nobody thought of."""
    raise KeyError("nobody thought of this")


def vanish() -> None:
    """As a file does that is removed meanwhile."""
    Path("/no/such/file.tif").read_bytes()


def fill_the_disk() -> None:
    """As the system says it."""
    raise OSError(28, "No space left on device")


def slow(steps: int) -> str:
    """Take longer than the limit, with signs of life."""
    for _ in range(steps):
        time.sleep(0.25)
        stop_if_asked()
    return "done"


def shout() -> str:
    """Write to stderr past Python, as GDAL does."""
    os.write(2, b"ERROR 1: from a library\n")
    sys.stderr.write("from Python\n")
    return "done"


def object_to_the_field() -> None:
    """Raise an error that knows no file."""
    raise DataError("trace: field out of range, got 3")


def once(flag: Path) -> str:
    """Die the first time."""
    if not flag.exists():
        flag.touch()
        os.abort()
    return "done"


def nested() -> int:
    """Hand out work from within a worker."""
    return apart("inner", double, 21)


def main(folder: Path) -> None:
    """Try everything."""
    settle_process()
    begin = time.perf_counter()
    assert start()
    begun_s = time.perf_counter() - begin
    quick, patient = (Limits(seconds=seconds, memory_share=1e-9) for seconds in (1.5, 60.0))
    works = {
        name: partial(work, *given)
        for name, work, *given in (
            ("fine", double, 4), ("nested", nested), ("abort", abort), ("segv", read_nowhere), ("exit", leave),
            ("eat", eat), ("surprise", surprise), ("vanish", vanish), ("disk", fill_the_disk), ("slow", slow, 10),
            ("hang", hang), ("hang again", hang), ("shout", shout), ("nameless", object_to_the_field),
        )
    }  # fmt: skip
    said = {}
    for name, work in works.items():
        try:
            said[name] = str(
                apart(
                    "hang.tif" if work.func is hang else f"{name}.tif",
                    work,
                    limits=quick if work.func in (hang, slow) else patient,
                )
            )
        except Exception as error:  # noqa: BLE001 - whatever comes is what the test compares
            said[name] = f"{type(error).__name__}: {error}"
    said["once"] = str(apart("once.tif", once, folder / "flag"))

    def one(item: str) -> int:
        return apart(item, abort) if item == "17" else apart(item, double, int(item))

    others, bad = [], []
    with abreast(one, [str(k) for k in range(48)], at_once()) as outcomes:
        for item, outcome in outcomes:
            try:
                others.append(outcome())
            except Exception:  # noqa: BLE001 - the test asks which items failed, not how
                bad.append(item)
    pids = {apart("p", process_of, k) for k in range(50)}
    facts = {"said": said, "others": others, "bad": bad, "begun_s": begun_s, "own": os.getpid(), "pids": list(pids)}
    sys.stdout.write(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
