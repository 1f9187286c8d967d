"""Write beside, flush, rename: a file is the old one or the new one, never half of either."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

PARTIAL_PREFIX = ".partial-"
"""Files of this name are leftovers of a killed process; nothing reads them and `sweep_partials` removes them."""


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` when the block ends well.

    The temporary name keeps the suffix, since drivers look at it. On an error the temporary file goes away and
    what stood at `path` stays untouched.

    Args:
        path: Where the file shall be; its folder is made.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{PARTIAL_PREFIX}{uuid.uuid4().hex}-{path.name[-80:]}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 text file atomically."""
    write_bytes(path, content.encode("utf-8"))


def sweep_partials(folder: Path) -> int:
    """Remove what killed processes left below `folder`; return how many files went."""
    leftovers = [p for p in folder.rglob(f"{PARTIAL_PREFIX}*") if p.is_file()]
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


def _flush_folder(folder: Path) -> None:
    # The rename itself must reach the disk; systems that cannot open a folder do without.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
