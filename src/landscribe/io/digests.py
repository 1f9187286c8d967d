"""What a file is told by: a digest of all of it, or its size and times."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(path: Path | str) -> tuple[int, ...]:
    """Return size in bytes, and times in ns of content and entry, of a regular file; nothing where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116  # a hundred thousand names need not become a Path each
    except FileNotFoundError:
        return ()
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns) if stat.S_ISREG(status.st_mode) else ()
