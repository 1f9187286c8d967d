"""Training scenes decoded once, strip by strip, into flat blocks that chips are cut from: in memory, or in files.

A block has all rasters of one sensor, pixel-interleaved, and behind the values a byte for each pixel, 1 where valid.
What a scene's arrays show are views of it; so nothing is held twice, and where a block lies makes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.core.grid import Window
from landscribe.nn.sample.pixels import NATIVE_TYPES, lay_pixels
from landscribe.nn.scene import SceneArrays

STRIP_PX, TILE = 1 << 22, 512
"""About so many pixels are decoded at a time, in whole tiles of prepared rasters."""

Store = Callable[[str, int, Callable[[ByteArray], None]], ByteArray]
"""Name and bytes of a block, and a function that fills it; returns it filled, uint8 (bytes,)."""
Read = Callable[[Window], tuple[AnyArray, BoolArray]]
"""A window of a raster to its values (C, h, w) and validity (h, w)."""


@dataclass(frozen=True)
class StoredRaster:
    """A raster on disk."""

    read: Read
    shape_hw: tuple[int, int]
    bands: int
    dtype: str


@dataclass(frozen=True)
class StoredScene:
    """A scene with labels on disk."""

    scene: str
    sensors: dict[str, StoredRaster]
    maps: dict[str, Affine]
    """Reference (col, row) to that sensor's (col, row)."""
    labels: StoredRaster
    """Covered shares 0..255 of the classes on the reference grid, and where they are known."""


@dataclass(frozen=True)
class Block:
    """All rasters of one sensor, one behind the other."""

    values_nc: AnyArray
    """(pixels, C)."""
    valid_n: ByteArray
    """uint8 (pixels,)."""
    starts: tuple[int, ...]
    """First pixel of each raster, with one more at the end."""

    def view(self, number: int, shape_hw: tuple[int, int]) -> tuple[AnyArray, BoolArray]:
        """Return values (C, h, w) and validity (h, w) of a raster."""
        part = slice(self.starts[number], self.starts[number + 1])
        image_hwc = self.values_nc[part].reshape(*shape_hw, -1)
        return image_hwc.transpose(2, 0, 1), self.valid_n[part].reshape(shape_hw).view(np.bool_)


@dataclass(frozen=True)
class DecodedScenes:
    """Scenes whose arrays are views of blocks."""

    scenes: tuple[SceneArrays, ...]
    blocks: dict[str, Block]
    """Of each sensor."""
    labels: Block


def in_memory(_name: str, size: int, fill: Callable[[ByteArray], None]) -> ByteArray:
    """Store a block in memory."""
    flat = np.empty(size, np.uint8)
    fill(flat)
    return flat


def decoded_bytes(scenes: Sequence[StoredScene]) -> int:
    """Return how much the blocks of some scenes take."""
    if not scenes:
        return 0
    sensors = [[scene.sensors[name] for scene in scenes] for name in scenes[0].sensors]
    return sum(_block_bytes(rasters) for rasters in [*sensors, [scene.labels for scene in scenes]])


def decode_scenes(scenes: Sequence[StoredScene], store: Store) -> DecodedScenes:
    """Decode scenes, all with the same sensors.

    Args:
        scenes: At least one.
        store: Where blocks go.
    """
    blocks = {name: _decode(name, [scene.sensors[name] for scene in scenes], store) for name in scenes[0].sensors}
    labels = _decode("labels", [scene.labels for scene in scenes], store)
    arrays = []
    for i, scene in enumerate(scenes):
        views = {name: block.view(i, scene.sensors[name].shape_hw) for name, block in blocks.items()}
        coverage_khw, labelled_hw = labels.view(i, scene.labels.shape_hw)
        images, valid = ({name: pair[k] for name, pair in views.items()} for k in (0, 1))
        arrays.append(SceneArrays(scene.scene, images, valid, scene.maps, coverage_khw, labelled_hw))
    return DecodedScenes(tuple(arrays), blocks, labels)


def _dtype_of(rasters: Sequence[StoredRaster]) -> np.dtype[np.generic]:
    names = {raster.dtype for raster in rasters}
    return np.dtype(names.pop() if len(names) == 1 and names <= NATIVE_TYPES else np.float32)


def _block_bytes(rasters: Sequence[StoredRaster]) -> int:
    pixels = sum(math.prod(raster.shape_hw) for raster in rasters)
    return pixels * (rasters[0].bands * _dtype_of(rasters).itemsize + 1)


def _decode(name: str, rasters: Sequence[StoredRaster], store: Store) -> Block:
    dtype, bands = _dtype_of(rasters), rasters[0].bands
    starts = (0, *np.cumsum([math.prod(raster.shape_hw) for raster in rasters]).tolist())
    value_bytes = starts[-1] * bands * dtype.itemsize

    def parts(flat: ByteArray) -> tuple[AnyArray, ByteArray]:
        return flat[:value_bytes].view(dtype).reshape(-1, bands), flat[value_bytes:]

    def fill(flat: ByteArray) -> None:
        values_nc, valid_n = parts(flat)
        for raster, start in zip(rasters, starts, strict=False):
            height, width = raster.shape_hw
            rows = max(1, STRIP_PX // width // TILE) * TILE
            for row in range(0, height, rows):
                window = Window(row, 0, min(rows, height - row), width)
                pixels = slice(start + row * width, start + window.row_stop * width)
                lay_pixels(*raster.read(window), values_nc[pixels], valid_n[pixels])

    return Block(*parts(store(name, _block_bytes(rasters), fill)), starts)
