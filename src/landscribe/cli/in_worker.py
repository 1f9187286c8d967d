"""Commands on plain files do their work in a process of its own, which may die of a file and have its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from landscribe.apart import Limits, apart, start

T = TypeVar("T")

SECONDS = 120.0
"""One file is all that there is to do, so that it has more time than a scene of many."""
SecondsOption = Annotated[
    float,
    typer.Option(
        "--seconds", min=0.1, help="Longest time without a sign of life; each megabyte of the files adds a second."
    ),
]


def in_worker(paths: Sequence[Path], work: Callable[[], T], seconds: float) -> T:
    """Do work on some files.

    Args:
        paths: The files.
        work: A function of a module, or a part of one.
        seconds: Longest time without a sign of life.

    Raises:
        LandscribeError: What the work raises, or what its process died of, with the names of the files.
    """
    start()
    return apart(" and ".join(map(str, paths)), work, limits=Limits(seconds=seconds), paths=paths)
