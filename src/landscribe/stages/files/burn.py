"""`burn` on plain files: polygons -> a raster on the grid of another one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import shapely

from landscribe.core.arrays import ByteArray, GeometryArray
from landscribe.core.burn import burn_mask, burn_share
from landscribe.core.features import of_class
from landscribe.core.grid import STRIP_ROWS, Grid, Window
from landscribe.errors import DataError, problem
from landscribe.io.atomic import sweep_beside
from landscribe.io.raster.geotiff import TILE, write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.safety import check_size, require_output
from landscribe.io.vector.layer import NO_POLYGON
from landscribe.io.vector.vectors import read_features

OUTSIDE = "beside the raster"
"""Polygons that lie wholly outside of it."""
UNNAMED = "feature"
"""Class of polygons that no column tells apart."""
STRIP_BYTES = 1 << 28
BurnMode = Literal["share", "gdal", "touched", "opencv"]


def burn_file(
    labels: Path, like: Path, out: Path, *, class_field: str | None = None, mode: BurnMode = "share"
) -> dict[str, int]:
    """Burn the polygons of a file on the grid of a raster.

    Args:
        labels: Polygons in any vector format, in any CRS.
        like: Raster whose grid the result has.
        out: GeoTIFF to write: uint8, a band per class, named after it.
        class_field: Column that names the class; None burns all polygons into one band.
        mode: `share` gives the covered share of each pixel, 0..255; the others 0/1 masks: `gdal` where the centre is
            inside, `touched` where any part is covered, `opencv` as OpenCV paints rounded vertices.

    Returns:
        Polygons burnt per class, and what was left out by reason: those beside the raster among it.

    Raises:
        DataError: If a file cannot be read, or the polygons have a CRS and the raster has none.
        RecipeError: If the result would stand in place of an input, or is no GeoTIFF by its name.
    """
    require_output(out, (labels, like), (".tif", ".tiff"))
    with open_raster(like, palette=True) as raster:
        grid = raster.info.grid
    name = None if class_field else UNNAMED
    features, counts = read_features(
        labels, legend=None, crs=grid.crs, scene=like.stem, class_name=name, class_field=class_field
    )
    if not len(features) and counts.get(NO_POLYGON):
        got, do = f"{counts[NO_POLYGON]} lines, points or empty shapes", "widen them to polygons first"
        raise DataError(problem(str(labels), "holds no polygon to burn", got=got, do=do))
    names = sorted(features["class_name"].unique()) or [UNNAMED]
    sweep_beside(out)
    check_size(str(out), min(grid.height, _rows(grid, len(names))) * grid.width * len(names))
    layers = [grid.ground_to_pixels(of_class(features, n)) for n in names]
    scale = 1 / 255 if mode == "share" else None
    with write_raster(out, grid, count=len(names), dtype="uint8", descriptions=names, scale=scale) as writer:
        for window in grid.window.strips(_rows(grid, len(names))):
            writer.write(window, np.stack([_burn(layer, grid, window, mode) for layer in layers]))
    outside = sum(_outside(layer, grid) for layer in layers)
    burnt = {n: len(layer) - _outside(layer, grid) for n, layer in zip(names, layers, strict=True)}
    return {**burnt, **counts, **({OUTSIDE: outside} if outside else {})}


def _outside(layer: GeometryArray, grid: Grid) -> int:
    """Return how many geometries, in pixels, lie beside the raster."""
    return int((~shapely.intersects(layer, shapely.box(0, 0, grid.width, grid.height))).sum())


def _rows(grid: Grid, classes: int) -> int:
    """Return how many rows of all classes to hold at a time, in whole tiles."""
    fit = STRIP_BYTES // (grid.width * classes)
    return STRIP_ROWS if fit >= STRIP_ROWS else max(TILE, fit // TILE * TILE)


def _burn(geometries: GeometryArray, grid: Grid, window: Window, mode: BurnMode) -> ByteArray:
    if mode == "share":
        return burn_share(geometries, grid.shape_hw, window=window)
    return burn_mask(geometries, grid.shape_hw, mode=mode, window=window)
