"""Lines and points of labels become polygons of the width that the recipe gives them."""

from __future__ import annotations

import numpy as np
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import BoolArray, FloatArray, GeometryArray
from landscribe.core.grid import Grid
from landscribe.core.recipe import LabelTable
from landscribe.core.score.measure import metres_per_unit
from landscribe.errors import DataError, problem
from landscribe.io.vector.clean import is_mark
from landscribe.io.vector.vectors import WIDTH
from landscribe.late import geopandas as gpd

ROUND = 16
"""Straight pieces of a quarter of a circle."""
WIDENED = "lines and points, made polygons of the width that the recipe gives"
NO_WIDTH = "lines and points without a width"
LEFT_OUT = "lines and points, left out for want of labels.buffer_m or labels.width_field"


def widen(
    features: gpd.GeoDataFrame, table: LabelTable, grid: Grid, where: str
) -> tuple[gpd.GeoDataFrame, dict[str, int]]:
    """Make polygons of the lines and points among features.

    Args:
        features: Of a label file, in ground coordinates of the grid, with a column `width` where the recipe names one.
        table: What the recipe says of the file.
        grid: The scene's reference grid; metres are those at its centre.
        where: File at fault, for messages.

    Returns:
        Polygons only, in the same order, and what became of lines and points.

    Raises:
        DataError: If there is nothing but lines and points, and no width for them; or a width in metres and no CRS.
    """
    mark = is_mark(features.geometry.to_numpy())
    if not mark.any():
        return features.drop(columns=WIDTH, errors="ignore"), {}
    if not table.widens:
        if mark.all():
            unit = "buffer_m" if grid.crs is not None else "buffer_px"
            do = f"set labels.{unit}, how far they reach to each side, or labels.width_field, a column with their width"
            raise DataError(problem(where, f"{mark.sum()} lines or points and no polygon", do=do))
        return features[~mark].reset_index(drop=True), {LEFT_OUT: int(mark.sum())}
    if table.buffer_m is not None and grid.crs is None:
        do = "set labels.buffer_px instead"
        raise DataError(problem("[data].labels.buffer_m", "the scene has no CRS, so nobody knows a metre", do=do))
    geometries = features.geometry.to_numpy().copy()
    plane = _plane(table, grid)
    marks, reach = _move(geometries[mark], plane), _reach(features, table)[mark]
    near = _is_near(marks, reach, _move(np.array([grid.footprint], dtype=object), plane)[0])
    wide = near & (reach > 0)
    geometries[np.flatnonzero(mark)[wide]] = _move(shapely.buffer(marks[wide], reach[wide], quad_segs=ROUND), ~plane)
    kept = features.set_geometry(geometries, crs=features.crs)[~is_mark(geometries)]
    counts = {WIDENED: int(wide.sum()), NO_WIDTH: int(near.sum() - wide.sum())}
    return kept.drop(columns=WIDTH, errors="ignore").reset_index(drop=True), counts


def _reach(features: gpd.GeoDataFrame, table: LabelTable) -> FloatArray:
    """Return how far each feature reaches to each side; 0 where nobody says."""
    default = table.buffer_m or table.buffer_px or 0.0
    if table.width_field is None:
        return np.full(len(features), default)
    width = features[WIDTH].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(width) & (width > 0), width / 2, default)


def _is_near(marks: GeometryArray, reach: FloatArray, frame: BaseGeometry) -> BoolArray:
    """Say which lines and points reach into a frame, or nearly so."""
    left, bottom, right, top = shapely.bounds(marks).T
    x0, y0, x1, y1 = frame.bounds
    near: BoolArray = (right + reach >= x0) & (left - reach <= x1) & (top + reach >= y0) & (bottom - reach <= y1)
    return near


def _plane(table: LabelTable, grid: Grid) -> Affine:
    """Return the map from ground coordinates to a plane of pixels, or of metres near the scene's centre."""
    if grid.crs is None or table.buffer_px is not None:
        return ~grid.transform
    middle = grid.footprint.centroid
    return Affine.scale(*metres_per_unit(grid.crs, middle.x, middle.y))


def _move(geometries: GeometryArray, plane: Affine) -> GeometryArray:
    a, b, c, d, e, f = tuple(plane)[:6]

    def move(xy: FloatArray) -> FloatArray:
        return np.column_stack((a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f))

    moved: GeometryArray = shapely.transform(geometries, move)
    return moved
