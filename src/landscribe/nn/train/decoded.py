"""Training scenes decoded once, strip by strip, into flat blocks that chips are cut from: in memory, or in files.

A block has all rasters of one sensor, pixel-interleaved, and behind the values a byte for each pixel, 1 where valid.
What a scene's arrays show are views of it; so nothing is held twice, and where a block lies makes no difference.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.core.grid import Window
from landscribe.core.pixel_source import PixelSource
from landscribe.nn.sample.pixels import NATIVE_TYPES, lay_pixels
from landscribe.nn.scene import SceneArrays

STRIP_PX, TILE = 1 << 22, 512
"""About so many pixels are decoded at a time, in whole tiles of prepared rasters."""

Store = Callable[[str, int, Callable[[ByteArray], None]], ByteArray]
"""Name and bytes of a block, and a function that fills it; returns it filled, uint8 (bytes,)."""


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


def decoded_bytes(scenes: Sequence[PixelSource], sensors: Sequence[str], classes: Sequence[int]) -> int:
    """Return how much the blocks of some scenes take; see `decode_scenes`."""
    if not scenes:
        return 0
    rasters = [[_sensor(scene, name) for scene in scenes] for name in sensors]
    return sum(_block_bytes(some) for some in [*rasters, [_labels(scene, classes) for scene in scenes]])


def decode_scenes(
    scenes: Sequence[PixelSource], sensors: Sequence[str], classes: Sequence[int], store: Store
) -> DecodedScenes:
    """Decode scenes.

    Args:
        scenes: At least one; all with these sensors.
        sensors: Those that are wanted.
        classes: Places of the classes that are wanted in the scenes' coverage.
        store: Where blocks go.
    """
    blocks = {name: _decode(name, [_sensor(scene, name) for scene in scenes], store) for name in sensors}
    labels = _decode("labels", [_labels(scene, classes) for scene in scenes], store)
    arrays = []
    for i, scene in enumerate(scenes):
        grids = {name: scene.grids[name] for name in sensors}
        views = {name: block.view(i, grids[name].shape_hw) for name, block in blocks.items()}
        images, valid = ({name: pair[k] for name, pair in views.items()} for k in (0, 1))
        described = {name: scene.sensors[name] for name in sensors}
        arrays.append(
            SceneArrays(
                scene.id, scene.grid, described, grids, images, valid, *labels.view(i, scene.grid.shape_hw),
                absent=scene.absent & set(sensors),
            )
        )  # fmt: skip
    return DecodedScenes(tuple(arrays), blocks, labels)


@dataclass(frozen=True)
class _Raster:
    """What has to be known of a raster before it is decoded."""

    read: Callable[[Window], tuple[AnyArray, BoolArray]]
    shape_hw: tuple[int, int]
    bands: int
    dtype: str


def _sensor(scene: PixelSource, name: str) -> _Raster:
    read = functools.partial(scene.read, name)
    return _Raster(read, scene.grids[name].shape_hw, len(scene.sensors[name].bands), scene.dtype(name))


def _labels(scene: PixelSource, classes: Sequence[int]) -> _Raster:
    def read(window: Window) -> tuple[AnyArray, BoolArray]:
        coverage_khw, labelled_hw = scene.read_coverage(window)
        return coverage_khw[list(classes)], labelled_hw

    return _Raster(read, scene.grid.shape_hw, len(classes), "uint8")


def _dtype_of(rasters: Sequence[_Raster]) -> np.dtype[np.generic]:
    names = {raster.dtype for raster in rasters}
    return np.dtype(names.pop() if len(names) == 1 and names <= NATIVE_TYPES else np.float32)


def _block_bytes(rasters: Sequence[_Raster]) -> int:
    pixels = sum(math.prod(raster.shape_hw) for raster in rasters)
    return pixels * (rasters[0].bands * _dtype_of(rasters).itemsize + 1)


def _decode(name: str, rasters: Sequence[_Raster], store: Store) -> Block:
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
