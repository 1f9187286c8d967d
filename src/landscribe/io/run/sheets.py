"""Where predicted scenes lie on one map, and where they have data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from landscribe.core.grid import STRIP_ROWS, Grid
from landscribe.core.mosaic import Sheet, overlapping
from landscribe.core.trace import trace
from landscribe.io.raster.rasters import open_raster

MOST_MASK_PX = 2048
"""Pixels of the longer side, at most, by which it is looked where a scene has data."""


def sheets_of(rasters: Sequence[Path], crs: CRS, ranks: Sequence[int]) -> list[Sheet]:
    """Return where predicted scenes lie on the map of all, and where those that overlap have data.

    Args:
        rasters: Probabilities of scenes with a CRS, in the order in which they own ground that is equally deep in two.
        crs: Of the map.
        ranks: Of each; the smaller one owns.
    """
    sheets, grids = [], []
    for path, rank in zip(rasters, ranks, strict=True):
        with open_raster(path) as raster:
            grids.append(raster.info.grid)
        footprint = _to(grids[-1].footprint, grids[-1], crs)
        pixel = math.sqrt(footprint.area / (grids[-1].height * grids[-1].width))
        sheets.append(Sheet(footprint, pixel, rank=rank))
    for k in sorted(overlapping(sheets)):
        valid = _valid_ground(rasters[k])
        sheets[k] = replace(sheets[k], valid=None if valid is None else _to(valid, grids[k], crs))
    return sheets


def _to(ground: BaseGeometry, grid: Grid, crs: CRS) -> BaseGeometry:
    if grid.crs is None or grid.crs == crs:
        return ground
    move = Transformer.from_crs(grid.crs, crs, always_xy=True)
    return shapely.transform(ground, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1])))


def _valid_ground(path: Path) -> BaseGeometry | None:
    """Return the ground of a raster that has data, to a pixel or a `MOST_MASK_PX`th of it; None where all has."""
    with open_raster(path) as raster:
        grid = raster.info.grid
        step = math.ceil(max(grid.shape_hw) / MOST_MASK_PX)
        strips = grid.window.strips(max(STRIP_ROWS // step, 1) * step)
        parts = [raster.read_valid(window)[::step, ::step] for window in strips]
    valid_hw = np.concatenate(parts)
    if valid_hw.all():
        return None
    pixels = trace(valid_hw, mode="edge").geometries
    pixels = shapely.transform(pixels, lambda xy: np.minimum(xy * step, grid.shape_hw[::-1]))
    return shapely.union_all(grid.pixels_to_ground(pixels))
