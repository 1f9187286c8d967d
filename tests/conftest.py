"""Fixtures that several folders of tests share."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    # Workers share the processors, with all that they start: threads that wait for each other's processor cost more
    # than all else. Read when torch is first imported; whoever sets it has as many as that.
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))

import pytest

ROOT = Path(__file__).parent.parent
ONE, OTHER, SHORT = ("cli", "stages"), ("nn",), ("core", "io")
"""Folders: what the first half of the workers begins with, what the second does, and what all of them end with."""

MEMORY, ROOM = Path("/dev/shm"), 4 << 30


def pytest_configure() -> None:
    """Keep folders of tests in memory, where there is some.

    Whatever is written is flushed before it counts, and with small scenes that is a third of the time. All tests
    together take less than a gigabyte, which pytest removes once they passed.
    """
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with long tests and end with short ones.

    Workers begin with as many tests each, in this order, and who is done takes from the end of another's: so that
    nobody waits for a long test, no fixture of a folder of runs is made by two, and no loop is compiled by two, since
    one half begins with commands and the other with networks.
    """
    if "PYTEST_XDIST_WORKER_COUNT" not in os.environ:
        return
    one, other, rest, short = ([item for item in items if _turn(item) == turn] for turn in (ONE, OTHER, (), SHORT))
    room = max(0, len(items) // 2 - len(one))
    items[:] = [*one, *short[:room], *other, *rest, *short[room:]]


def _turn(item: pytest.Item) -> tuple[str, ...]:
    folder = item.path.relative_to(ROOT / "tests").parts[0]
    return next((turn for turn in (ONE, OTHER, SHORT) if folder in turn), ())


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over libraries and thousands of tests, which stay."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real imagery; the test is skipped where it is absent."""
    path = Path(os.environ.get("LANDSCRIBE_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real imagery is absent: no folder {path.name!r}; set LANDSCRIBE_DATA")
    return path
