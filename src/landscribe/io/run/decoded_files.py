"""Blocks of decoded pixels in files, for what memory does not hold: written once, then looked at where they lie."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from landscribe.core.arrays import ByteArray
from landscribe.io.atomic import atomic_path, write_text
from landscribe.io.digests import file_digest
from landscribe.io.names import safe_name
from landscribe.workers import free_memory_bytes

GIB = 1 << 30


@dataclass(frozen=True)
class Room:
    """Whether something fits into memory."""

    need_bytes: int
    budget_bytes: int

    @property
    def fits(self) -> bool:
        """Whether it does."""
        return self.need_bytes <= self.budget_bytes

    def __str__(self) -> str:
        need, budget = self.need_bytes / GIB, self.budget_bytes / GIB
        verdict = "in memory" if self.fits else "in files"
        return f"scenes {verdict}: {need:.2f} GiB of {budget:.2f} GiB allowed by memory_share"


def memory_room(need_bytes: int, share: float) -> Room:
    """Compare a need with a share of the free memory, which processes of one `torchrun` on this machine divide."""
    return Room(need_bytes, int(share * free_memory_bytes()) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


@dataclass(frozen=True)
class BlockFiles:
    """Blocks in a folder. What is there of the same key is used again."""

    folder: Path
    prefix: str
    key: str
    """Digest of all that decides what is in the blocks."""

    def __call__(self, name: str, size: int, fill: Callable[[ByteArray], None]) -> ByteArray:
        """Return a block, uint8 (size,), mapped from its file; what is written into it does not reach the file.

        Args:
            name: Of the block.
            size: In bytes.
            fill: Fills it, if it is not there.

        Raises:
            OSError: If the disk is full.
        """
        path = self.folder / f"{self.prefix}-{safe_name(name)}.bin"
        marker = path.with_suffix(".json")
        known = _read(marker)
        facts = {"key": self.key, "bytes": size}
        if not (path.is_file() and known == facts | {"sha256": file_digest(path)}):
            with atomic_path(path) as temporary:
                _reserve(temporary, size)
                flat = np.memmap(temporary, np.uint8, "r+", shape=(size,))
                fill(np.asarray(flat))
                flat.flush()
                del flat
            write_text(marker, json.dumps(facts | {"sha256": file_digest(path)}))
        return np.asarray(np.memmap(path, np.uint8, "c", shape=(size,)))


def _read(marker: Path) -> object:
    try:
        return json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _reserve(path: Path, size: int) -> None:
    """Take the room on the disk now: a mapped page that finds no room later kills the process."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            for start in range(0, size, 1 << 24):
                file.write(bytes(min(1 << 24, size - start)))
