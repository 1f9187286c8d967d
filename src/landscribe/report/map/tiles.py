"""Tiles: a picture at several sizes, cut into squares of 256 pixels, written as WebP.

Level 0 shows the whole scene in one tile; at the top level a pixel of a tile is one of the scene's reference grid.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from landscribe.core.arrays import BoolArray, ByteArray
from landscribe.errors import LandscribeError, problem
from landscribe.workers import stop_if_asked

TILE = 256
EVERY = 2
"""Levels from one that is kept to the next: a browser shrinks what lies between."""
QUALITIES = (82, 68)
"""Of WebP; the second is tried before the picture is made smaller."""
COARSER = 1.09
"""All levels together to the finest one."""
HOPELESS = 1.8
"""So many times too large, less quality is not tried."""
TRIED_EVERY, TRIED_FROM, PLAINLY = 7, 40, 1.3
"""Of levels with so many tiles, one in seven is written first: where they say that all will be so many times too large,
the others are not."""

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
    read: Callable[[int], tuple[ByteArray, BoolArray]],
    shape_hw: tuple[int, int],
    side: int,
    limit_bytes: int,
    pool: ThreadPoolExecutor,
) -> Tiled:
    """Cut a picture into tiles, smaller until they fit.

    Args:
        read: Takes how many pixels of the scene become one, a power of two; returns codes (h, w, C) and valid (h, w).
        shape_hw: Of the scene.
        side: Longest side of the picture at most.
        limit_bytes: Of all tiles together; the smallest picture is taken if none fits.
        pool: Threads that write tiles; how many makes no difference to what is returned.
    """
    factor = factor_within(shape_hw, side)
    level = top_level(shape_hw) - int(math.log2(factor))
    image_hwc, valid_hw = read(factor)
    while True:
        for quality in QUALITIES:
            last = level == 0 and quality == QUALITIES[-1]
            most = math.inf if last else PLAINLY * limit_bytes / COARSER
            finest, all_bytes = _one_level(image_hwc, valid_hw, level, quality, pool, most)
            over = all_bytes * COARSER / limit_bytes
            if over <= 1 or last:
                return _with_coarser(finest, image_hwc, valid_hw, level, quality, pool)
            if over > HOPELESS and level > 0:
                break
        image_hwc, valid_hw = _half(image_hwc, valid_hw)
        level -= 1


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
    # OpenCV turns colours around quicker than numpy, and lets other threads run meanwhile.
    turned = cv2.COLOR_RGB2BGR if image_hwc.shape[2] == 3 else cv2.COLOR_GRAY2BGR
    whole_hwc = cv2.cvtColor(image_hwc, turned)
    if not valid_hw.all():
        alpha_hw = np.where(valid_hw, np.uint8(255), np.uint8(0))
        whole_hwc = cv2.merge((cv2.bitwise_and(whole_hwc, whole_hwc, mask=alpha_hw), alpha_hw))
    if (height, width) != (TILE, TILE):
        whole_hwc = cv2.copyMakeBorder(whole_hwc, 0, TILE - height, 0, TILE - width, cv2.BORDER_REPLICATE)
    fine, content = cv2.imencode(".webp", whole_hwc, (cv2.IMWRITE_WEBP_QUALITY, quality))
    if not fine:
        raise LandscribeError(problem("map", "OpenCV cannot write WebP", do="install opencv-python-headless"))
    return bytes(content.tobytes())


def _with_coarser(
    finest: list[Tile],
    image_hwc: ByteArray,
    valid_hw: BoolArray,
    level: int,
    quality: int,
    pool: ThreadPoolExecutor,
) -> Tiled:
    tiles = list(finest)
    for now in range(level - 1, -1, -1):
        image_hwc, valid_hw = _half(image_hwc, valid_hw)
        if (level - now) % EVERY == 0 or now == 0:
            tiles += _one_level(image_hwc, valid_hw, now, quality, pool)[0]
    return Tiled(tuple(sorted(tiles, key=lambda tile: tile[:3])), level)


def _one_level(
    image_hwc: ByteArray,
    valid_hw: BoolArray,
    level: int,
    quality: int,
    pool: ThreadPoolExecutor,
    most_bytes: float = math.inf,
) -> tuple[list[Tile], float]:
    """Return the tiles of one level in order, and their bytes.

    Some of the tiles and a guess come back where the first of them say that all would have more than `most_bytes`.
    """
    rows, cols = (-(-side // TILE) for side in valid_hw.shape)
    places = [(x, y) for y in range(rows) for x in range(cols)]

    def write(place: tuple[int, int]) -> bytes | None:
        stop_if_asked()
        x, y = place
        part = slice(y * TILE, (y + 1) * TILE), slice(x * TILE, (x + 1) * TILE)
        return encode_tile(image_hwc[part], valid_hw[part], quality)

    written: dict[tuple[int, int], bytes | None] = {}
    first = places[::TRIED_EVERY] if len(places) >= TRIED_FROM and most_bytes < math.inf else []
    for some in (first, [place for place in places if place not in first]):
        written |= zip(some, pool.map(write, some), strict=True)
        guess = sum(map(len, filter(None, written.values()))) * len(places) / max(len(written), 1)
        if guess > most_bytes:
            break
    return [(level, *place, own) for place in places if (own := written.get(place)) is not None], guess


def _half(image_hwc: ByteArray, valid_hw: BoolArray) -> tuple[ByteArray, BoolArray]:
    """Make one pixel of each four, the mean of those that are valid; valid where two of them are."""
    # Made even first, so that pixels of all levels begin in the same corner and two of them are exactly one.
    odd = 0, valid_hw.shape[0] % 2, 0, valid_hw.shape[1] % 2
    known_hw = valid_hw.view(np.uint8)
    if any(odd):
        image_hwc = np.asarray(cv2.copyMakeBorder(image_hwc, *odd, cv2.BORDER_REPLICATE), np.uint8)
        known_hw = np.asarray(cv2.copyMakeBorder(known_hw, *odd, cv2.BORDER_REPLICATE), np.uint8)
    height, width = known_hw.shape[0] // 2, known_hw.shape[1] // 2
    image_hwc = image_hwc.reshape(2 * height, 2 * width, -1)
    mean = cv2.resize(image_hwc, (width, height), interpolation=cv2.INTER_AREA)
    mean_hwc: ByteArray = np.asarray(mean, np.uint8).reshape(height, width, -1)
    corners = [(slice(row, None, 2), slice(col, None, 2)) for row in (0, 1) for col in (0, 1)]
    count_hw = np.add.reduce([known_hw[corner] for corner in corners], dtype=np.uint8)
    part_hw = (count_hw > 0) & (count_hw < len(corners))
    if part_hw.any():
        n = count_hw[part_hw][:, None]
        known = [image_hwc[c][part_hw] * known_hw[c][part_hw][:, None].astype(np.uint16) for c in corners]
        mean_hwc[part_hw] = (np.add.reduce(known) + n // 2) // n
    mean_hwc[count_hw == 0] = 0
    return mean_hwc, count_hw >= 2
