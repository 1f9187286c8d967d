"""Tiles: a picture at several sizes, cut into squares of 256 pixels, written as WebP.

Level 0 shows the whole scene in one tile; at the top level a pixel of a tile is one of the scene's reference grid.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from landscribe.core.arrays import BoolArray, ByteArray
from landscribe.errors import LandscribeError, problem

TILE = 256
EVERY = 2
"""Levels from one that is kept to the next: a browser shrinks what lies between."""
QUALITIES = (82, 68)
"""Of WebP; the second is tried before the picture is made smaller."""
COARSER = 1.09
"""All levels together to the finest one."""
HOPELESS = 1.8
"""So many times too large, less quality is not tried."""

Tile: TypeAlias = tuple[int, int, int, bytes]
"""Level, column, row, WebP."""


@dataclass(frozen=True)
class Tiled:
    """A picture in tiles."""

    tiles: tuple[Tile, ...]
    top: int
    """Its finest level."""

    @property
    def bytes(self) -> int:
        """Of all tiles together."""
        return sum(len(content) for *_, content in self.tiles)

    def to_plain(self) -> list[list[int | str]]:
        """Return the tiles as data that a page holds."""
        begin = "data:image/webp;base64,"
        return [[z, x, y, begin + base64.b64encode(content).decode("ascii")] for z, x, y, content in self.tiles]


def top_level(shape_hw: tuple[int, int]) -> int:
    """Return the level at which a pixel of a tile is one of the scene."""
    return max(0, math.ceil(math.log2(max(shape_hw) / TILE)))


def factor_within(shape_hw: tuple[int, int], side: int) -> int:
    """Return how many pixels of a scene become one so that a picture is at most so long, a power of two."""
    factor, top = 1, top_level(shape_hw)
    while factor < 2**top and max(shape_hw) / factor > side:
        factor *= 2
    return factor


def tile_within(
    read: Callable[[int], tuple[ByteArray, BoolArray]], shape_hw: tuple[int, int], side: int, limit_bytes: int
) -> Tiled:
    """Cut a picture into tiles, smaller until they fit.

    Args:
        read: Takes how many pixels of the scene become one, a power of two; returns codes (h, w, C) and valid (h, w).
        shape_hw: Of the scene.
        side: Longest side of the picture at most.
        limit_bytes: Of all tiles together; the smallest picture is taken if none fits.
    """
    factor = factor_within(shape_hw, side)
    level = top_level(shape_hw) - int(math.log2(factor))
    image_hwc, valid_hw = read(factor)
    while True:
        for quality in QUALITIES:
            finest = _one_level(image_hwc, valid_hw, level, quality)
            over = sum(len(content) for *_, content in finest) * COARSER / limit_bytes
            if over <= 1 or (level == 0 and quality == QUALITIES[-1]):
                return _with_coarser(finest, image_hwc, valid_hw, level, quality)
            if over > HOPELESS and level > 0:
                break
        image_hwc, valid_hw = _half(image_hwc, valid_hw)
        level -= 1


def cut(image_hwc: ByteArray, valid_hw: BoolArray, level: int, quality: int = QUALITIES[0]) -> Tiled:
    """Cut a picture of one level into tiles, and every second level below it and the last."""
    return _with_coarser(_one_level(image_hwc, valid_hw, level, quality), image_hwc, valid_hw, level, quality)


def encode_tile(image_hwc: ByteArray, valid_hw: BoolArray, quality: int = QUALITIES[0]) -> bytes | None:
    """Write one tile, filled up to its full size; None where nothing of it is valid.

    Args:
        image_hwc: Uint8 (h, w, 1 or 3), red, green, blue, at most `TILE` a side.
        valid_hw: Bool (h, w); other pixels are transparent.
        quality: Of WebP.

    Raises:
        LandscribeError: If OpenCV was built without WebP.
    """
    if not valid_hw.any():
        return None
    height, width = valid_hw.shape
    missing = 0, TILE - height, 0, TILE - width
    bgr_hwc = image_hwc[..., ::-1] if image_hwc.shape[2] == 3 else np.repeat(image_hwc, 3, axis=2)
    if not valid_hw.all():
        bgr_hwc = np.dstack((np.where(valid_hw[..., None], bgr_hwc, 0), np.where(valid_hw, np.uint8(255), np.uint8(0))))
    whole_hwc = cv2.copyMakeBorder(np.ascontiguousarray(bgr_hwc), *missing, cv2.BORDER_REPLICATE)
    fine, content = cv2.imencode(".webp", whole_hwc, (cv2.IMWRITE_WEBP_QUALITY, quality))
    if not fine:
        raise LandscribeError(problem("map", "OpenCV cannot write WebP", do="install opencv-python-headless"))
    return bytes(content.tobytes())


def _with_coarser(finest: list[Tile], image_hwc: ByteArray, valid_hw: BoolArray, level: int, quality: int) -> Tiled:
    tiles = list(finest)
    for now in range(level - 1, -1, -1):
        image_hwc, valid_hw = _half(image_hwc, valid_hw)
        if (level - now) % EVERY == 0 or now == 0:
            tiles += _one_level(image_hwc, valid_hw, now, quality)
    return Tiled(tuple(sorted(tiles, key=lambda tile: tile[:3])), level)


def _one_level(image_hwc: ByteArray, valid_hw: BoolArray, level: int, quality: int) -> list[Tile]:
    tiles = []
    for y in range(-(-image_hwc.shape[0] // TILE)):
        for x in range(-(-image_hwc.shape[1] // TILE)):
            part = slice(y * TILE, (y + 1) * TILE), slice(x * TILE, (x + 1) * TILE)
            content = encode_tile(image_hwc[part], valid_hw[part], quality)
            if content is not None:
                tiles.append((level, x, y, content))
    return tiles


def _half(image_hwc: ByteArray, valid_hw: BoolArray) -> tuple[ByteArray, BoolArray]:
    # Made even first, so that pixels of all levels begin in the same corner and two of them are exactly one.
    odd = 0, valid_hw.shape[0] % 2, 0, valid_hw.shape[1] % 2
    even_hwc = cv2.copyMakeBorder(image_hwc, *odd, cv2.BORDER_REPLICATE).reshape(
        valid_hw.shape[0] + odd[1], valid_hw.shape[1] + odd[3], -1
    )
    even_hw = cv2.copyMakeBorder(valid_hw.astype(np.uint8), *odd, cv2.BORDER_REPLICATE)
    height, width = even_hw.shape
    weights = even_hw.astype(np.float32)[..., None]
    blocks = height // 2, 2, width // 2, 2, -1
    known = weights.reshape(blocks).sum(axis=(1, 3))
    sums = (even_hwc * weights).reshape(blocks).sum(axis=(1, 3))
    mean = np.divide(sums, known, out=np.zeros_like(sums), where=known > 0)
    return np.rint(mean).astype(np.uint8), known[..., 0] >= 2
