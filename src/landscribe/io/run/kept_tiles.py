"""Finished tiles of a scene that is being predicted, so that a killed run goes on inside the scene.

A tile is a file of a digest and raw bytes, written whole or not at all. Tiles of other settings or inputs go away.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from landscribe.core.arrays import ByteArray
from landscribe.core.grid import Window
from landscribe.io.atomic import write_bytes

PREFIX = ".tiles-"
DIGEST_BYTES = 32


@dataclass(frozen=True)
class KeptTiles:
    """Tiles of one raster in the making."""

    folder: Path

    def save(self, window: Window, stack_khw: ByteArray) -> None:
        """Keep a finished tile, uint8 (K, h, w)."""
        content = np.ascontiguousarray(stack_khw).tobytes()
        write_bytes(self.file(window), hashlib.sha256(content).digest() + content)

    def load(self, window: Window, bands: int) -> ByteArray | None:
        """Return a kept tile, uint8 (K, h, w), or None where there is no whole one."""
        file = self.file(window)
        if not file.is_file():
            return None
        content = file.read_bytes()
        digest, pixels = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        shape = (bands, *window.shape_hw)
        if len(pixels) != math.prod(shape) or hashlib.sha256(pixels).digest() != digest:
            return None
        return np.frombuffer(pixels, np.uint8).reshape(shape)

    def clear(self) -> None:
        """Remove all tiles of the raster."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def file(self, window: Window) -> Path:
        """Return where a tile is kept."""
        return self.folder / f"{window.row}-{window.col}-{window.height}-{window.width}"


def open_tiles(target: Path, key: str) -> KeptTiles:
    """Return the tiles kept for a raster that is to be made from exactly this; others of that raster are removed.

    Args:
        target: Where the raster shall be.
        key: Digest of everything it is made from.
    """
    home = target.parent / f"{PREFIX}{target.stem}"
    for other in home.glob("*"):
        if other.name != key:
            shutil.rmtree(other, ignore_errors=True)
    return KeptTiles(home / key)
