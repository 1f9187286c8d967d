"""Work for workers of a crew that goes wrong in known ways."""

from __future__ import annotations

import os
import signal
from typing import Any

from distributed import get_worker

from landscribe.scale.worker import Answer


def answer(_values: dict[str, Any], item: str) -> Answer:
    """Do nothing."""
    return get_worker().address, ("done", item)


def die(values: dict[str, Any], item: str) -> Answer:
    """End the process of the worker for one item, each time."""
    if item == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(values, item)


def refuse_on_the_first(values: dict[str, Any], item: str) -> Answer:
    """Have no room on the first of two workers."""
    if get_worker().name == 0:
        return get_worker().address, ("unfit", "the system refused: No space left on device")
    return answer(values, item)


def refuse(_values: dict[str, Any], _item: str) -> Answer:
    """Have no room anywhere."""
    return get_worker().address, ("unfit", "the system refused: No space left on device")


def threads_said() -> str | None:
    """Return how many threads the worker is told to compute with."""
    return os.environ.get("OMP_NUM_THREADS")
