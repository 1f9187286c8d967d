"""Pansharpened rasters of a prepared scene, written strip by strip, for looking at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from affine import Affine

from landscribe.core.grid import Grid, Window
from landscribe.core.recipe.data import SHARP
from landscribe.core.spectral.pansharpen import sharpen
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import sensor_raster

STRIP_ROWS = 512
AROUND = 6
"""Coarse pixels read beyond a strip, so that its edges are as they would be in one piece."""
COARSER = 1.5
"""A sensor whose pixels are so many times larger than the finest ones is sharpened."""


def write_sharpened(folder: Path, grids: Mapping[str, Grid], method: str) -> list[Path]:
    """Write a sharpened raster beside each prepared sensor that is coarser than the finest.

    Args:
        folder: Of the prepared scene; the sensors' rasters are in it.
        grids: Sensor -> its grid, moved.
        method: As `sharpen` takes it.

    Returns:
        The files.
    """
    reference = next(iter(grids.values()))

    def size(name: str) -> float:
        return math.sqrt(abs(grids[name].pixel_map(reference).determinant))

    # Of several finest sensors the one with the fewest bands is pan.
    finest = min(size(name) for name in grids)
    fine = [name for name in grids if size(name) <= 1.01 * finest]
    with_bands = {}
    for name in fine:
        with open_raster(sensor_raster(folder, name)) as raster:
            with_bands[name] = raster.info.count
    pan = min(fine, key=lambda name: with_bands[name])
    return [
        _write(folder, name, pan, grids, method)
        for name in grids
        if size(name) > COARSER * finest and min(grids[name].shape_hw) > 1
    ]


def _write(folder: Path, name: str, pan: str, grids: Mapping[str, Grid], method: str) -> Path:
    target, fine, coarse = sensor_raster(folder, name + SHARP), grids[pan], grids[name]
    to_coarse = fine.pixel_map(coarse)
    ratio = math.ceil(abs(to_coarse.determinant) ** -0.5)
    with open_raster(sensor_raster(folder, name)) as bands, open_raster(sensor_raster(folder, pan)) as sharp:
        count, names = bands.info.count, [text or "" for text in bands.info.descriptions]
        with write_raster(target, fine, count=count, dtype=bands.info.dtype, descriptions=names, mask=True) as writer:
            for window in fine.window.strips(STRIP_ROWS):
                wide = window.pad(AROUND * ratio).intersection(fine.window) or window
                there = _covering(to_coarse, wide, coarse)
                pan_chw, pan_valid_hw = sharp.read(wide)
                image_chw, valid_hw = bands.read(there)
                local = fine.crop(wide).pixel_map(coarse.crop(there))
                out_chw, seen_hw = sharpen(
                    image_chw.astype(np.float32), valid_hw, pan_chw.astype(np.float32).mean(axis=0), pan_valid_hw,
                    local, method,
                )  # fmt: skip
                part = Window(window.row - wide.row, window.col - wide.col, *window.shape_hw).slices
                cut_chw = out_chw[:, *part]
                if np.issubdtype(np.dtype(bands.info.dtype), np.integer):
                    cut_chw = np.clip(np.rint(cut_chw), 0, np.iinfo(bands.info.dtype).max)
                writer.write(window, cut_chw.astype(bands.info.dtype))
                writer.write_mask(window, seen_hw[part])
    return target


def _covering(to_coarse: Affine, wide: Window, coarse: Grid) -> Window:
    corners = [to_coarse @ (col, row) for row in (wide.row, wide.row_stop) for col in (wide.col, wide.col_stop)]
    (left, right), (top, bottom) = ((min(axis), max(axis)) for axis in zip(*corners, strict=True))
    row = min(max(math.floor(top) - 2, 0), coarse.height - 1)
    col = min(max(math.floor(left) - 2, 0), coarse.width - 1)
    row_stop, col_stop = min(math.ceil(bottom) + 2, coarse.height), min(math.ceil(right) + 2, coarse.width)
    return Window(row, col, max(1, row_stop - row), max(1, col_stop - col))
