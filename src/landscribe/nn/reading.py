"""What a network sees of a scene: its sensors on one grid, mirrored at the edges, read only where it is looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from affine import Affine
from torch import Tensor, nn

from landscribe.core.arrays import AnyArray, BoolArray, IntArray
from landscribe.core.grid import Window
from landscribe.nn.bundle import SegmentationNet
from landscribe.nn.device import Engine
from landscribe.nn.int8 import ByteUNet
from landscribe.nn.sample import Raster, RasterBank, copy_pixels, pack_rasters, sample

Reader = Callable[[str, Window], tuple[AnyArray, BoolArray]]
"""Sensor name and a window inside its raster to raw values (C, h, w) and validity (h, w)."""
STEM_ROWS = 32
"""Rows of a tile that are normalised at a time."""


@dataclass(frozen=True)
class TileInput:
    """What one model sees of one tile, or of several of the same size."""

    images: dict[str, Tensor]
    valid: dict[str, Tensor]
    keep: Window
    """The tile within that."""


@dataclass(frozen=True)
class SceneReader:
    """Reads what a model sees of a tile."""

    read: Reader
    shape_hw: tuple[int, int]
    maps: Mapping[str, Affine]
    sensor_shapes: Mapping[str, tuple[int, int]]
    device: torch.device

    def load(self, net: SegmentationNet, tile: Window) -> TileInput:
        """Return what a network must see to predict a tile."""
        window = input_window(net, tile, self.shape_hw)
        images, valid = {}, {}
        for name, step in net.sensor_steps.items():
            images[name], valid[name] = self._sample(name, step, window, name in net.cubic_sensors)
        keep = Window(tile.row - window.row, tile.col - window.col, tile.height, tile.width)
        return TileInput(images, valid, keep)

    def load_many(self, net: SegmentationNet, windows: Sequence[Window]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return images and validity of square windows of one row, from left to right; sensors are read once."""
        images, valid = {}, {}
        size = windows[0].height
        last = windows[-1]
        whole = Window(windows[0].row, windows[0].col, size, last.col_stop - windows[0].col)
        places = np.array([tuple(Affine.translation(w.col, w.row))[:6] for w in windows])
        for name, step in net.sensor_steps.items():
            bank = self._bank(name, whole, name in net.cubic_sensors)
            shape = (size // step, size // step)
            images[name], valid[name] = sample(bank, np.zeros(len(windows), np.int64), places, shape, step=step)
        return images, valid

    def _sample(self, name: str, step: int, window: Window, cubic: bool) -> tuple[Tensor, Tensor]:
        if step == 1 and self.maps[name] == Affine.identity() and self.sensor_shapes[name] == self.shape_hw:
            return self._copy(name, window)
        bank = self._bank(name, window, cubic)
        place = np.array([tuple(Affine.translation(window.col, window.row))[:6]])
        return sample(bank, np.zeros(1, np.int64), place, (window.height // step, window.width // step), step=step)

    def _bank(self, name: str, window: Window, cubic: bool) -> RasterBank:
        there = self._sensor_window(name, window)
        image_chw, valid_hw = self.read(name, there)
        from_reference = Affine.translation(-there.col, -there.row) @ self.maps[name]
        raster = Raster(image_chw, valid_hw, from_reference, self.shape_hw)
        return pack_rasters([raster], None if self.device.type == "cpu" else self.device, cubic=cubic)

    def _copy(self, name: str, window: Window) -> tuple[Tensor, Tensor]:
        """Read a sensor that lies pixel on pixel on the reference grid: what `sample` would give, without its sums."""
        rows, cols = (
            _mirrored_pixels(start, stop, size)
            for start, stop, size in zip(
                (window.row, window.col), (window.row_stop, window.col_stop), self.shape_hw, strict=True
            )
        )
        (top, bottom), (left, right) = ((int(i.min()), int(i.max()) + 1) for i in (rows, cols))
        image_chw, valid_hw = self.read(name, Window(top, left, bottom - top, right - left))
        image, valid = copy_pixels(image_chw, valid_hw, rows - top, cols - left)
        return image.to(self.device), valid.to(self.device)

    def _sensor_window(self, name: str, window: Window) -> Window:
        """Return the part of a sensor's raster that a window of the mirrored reference grid is sampled from."""
        height, width = self.sensor_shapes[name]
        rows = _mirrored_span(window.row, window.row_stop, self.shape_hw[0])
        cols = _mirrored_span(window.col, window.col_stop, self.shape_hw[1])
        corners = [self.maps[name] @ (col, row) for row in rows for col in cols]
        (left, right), (top, bottom) = ((min(values), max(values)) for values in zip(*corners, strict=True))
        # Two pixels more on each side, for a bicubic. A tile off the raster reads the nearest pixel and ignores it.
        row, row_stop = _clip_span(top - 2, bottom + 2, height)
        col, col_stop = _clip_span(left - 2, right + 2, width)
        return Window(row, col, row_stop - row, col_stop - col)


def normalise(
    net: SegmentationNet, images: Mapping[str, Tensor], valid: Mapping[str, Tensor], engine: Engine
) -> dict[int, Tensor]:
    """Return what the stem makes of a tile, in the type of the engine.

    The stem looks at each pixel alone, so a processor takes a few rows at a time, which stay in its cache.
    """
    height = min(len(images[name][0, 0]) * step for name, step in net.sensor_steps.items())
    rows = round_up(STEM_ROWS, net.divisor) if engine.device.type == "cpu" else height
    whole: dict[int, Tensor] = {}
    unet: nn.Module = net.unet
    for top in range(0, height, rows):

        def strip(maps: Mapping[str, Tensor], top: int = top) -> dict[str, Tensor]:
            steps = net.sensor_steps
            return {name: maps[name][:, :, top // steps[name] : (top + rows) // steps[name]] for name in steps}

        for step, floats in net.stem(strip(images), strip(valid)).items():
            stack = unet.to_bytes(step, floats) if isinstance(unet, ByteUNet) else floats
            if step not in whole:
                shape = (stack.shape[0], height // step, stack.shape[3], stack.shape[1])
                whole[step] = stack.new_empty(shape, dtype=engine.dtype).permute(0, 3, 1, 2)
            whole[step][:, :, top // step : top // step + stack.shape[2]] = stack
    return whole


def input_window(net: SegmentationNet, tile: Window, shape_hw: tuple[int, int]) -> Window:
    """Return what a network must see to predict a tile: all that reaches it, up to the mirrored frame of the scene."""
    (row, row_stop), (col, col_stop) = (
        _input_span(net, start, stop, size)
        for start, stop, size in (
            (tile.row, tile.row_stop, shape_hw[0]),
            (tile.col, tile.col_stop, shape_hw[1]),
        )
    )
    return Window(row, col, row_stop - row, col_stop - col)


def _input_span(net: SegmentationNet, start: int, stop: int, size: int) -> tuple[int, int]:
    frame, reach = round_up(net.spec.context, net.divisor), net.receptive_radius
    first, last = -frame, round_up(size + frame, net.divisor)
    return max(first, start - round_up(reach, net.divisor)), min(last, round_up(stop + reach, net.divisor))


def round_up(value: int, divisor: int) -> int:
    """Return the next multiple of `divisor`."""
    return math.ceil(value / divisor) * divisor


def _mirrored_span(start: int, stop: int, size: int) -> tuple[int, int]:
    """Return the smallest and largest coordinate that start..stop has after mirroring at 0 and `size`."""
    folded = np.abs((np.arange(start, stop + 1) + size) % (2 * size) - size)
    return int(folded.min()), int(folded.max())


def _mirrored_pixels(start: int, stop: int, size: int) -> IntArray:
    """Return which pixel each of start..stop is after mirroring at 0 and `size`."""
    folded = np.arange(start, stop) % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def _clip_span(start: float, stop: float, size: int) -> tuple[int, int]:
    first = min(max(math.floor(start), 0), size - 1)
    return first, max(first + 1, min(math.ceil(stop), size))
