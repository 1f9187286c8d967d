"""Flatten: polygons that cover the same ground once, cut to a region or into small pieces."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import BoolArray, GeometryArray
from landscribe.core.polygons.quiet import is_valid
from landscribe.core.polygons.repair import repair
from landscribe.errors import DataError, problem

MAX_VERTICES = 1024
"""Polygons with more vertices are cut into pieces before they meet the other side: each pair then costs little."""
_POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


def require_polygons(geometries: GeometryArray) -> tuple[GeometryArray, int]:
    """Return valid geometries, and how many were invalid.

    Args:
        geometries: Polygons and MultiPolygons; None stays None.

    Raises:
        DataError: If a geometry is not polygonal.
    """
    found = np.array(geometries, dtype=object)
    kinds = shapely.get_type_id(found)
    odd = ~(np.isin(kinds, _POLYGONAL) | shapely.is_empty(found) | shapely.is_missing(found))
    if odd.any():
        name = shapely.GeometryType(int(kinds[odd][0])).name
        raise DataError(problem("features", "not a polygon", got=f"{int(odd.sum())} of {name}", need="(MULTI)POLYGON"))
    broken = ~is_valid(found) & ~shapely.is_missing(found)
    if broken.any():
        found[broken], _ = repair(found[broken])
    return found, int(broken.sum())


def flatten(geometries: GeometryArray, region: BaseGeometry | None = None, *, checked: bool = False) -> GeometryArray:
    """Return polygons that cover the same ground and overlap nowhere, cut to `region`.

    Only polygons that share area with another one are united; the others stay as they are.

    Args:
        geometries: Polygons and MultiPolygons; None and empty ones vanish, invalid ones are repaired.
        region: Ground to keep, or None for everything.
        checked: The geometries come from `require_polygons`.

    Returns:
        Polygons of positive area.

    Raises:
        DataError: If a geometry is not polygonal.
    """
    parts = with_area(geometries if checked else require_polygons(geometries)[0])
    if region is not None:
        parts = with_area(cut_to(parts, region))
    twice = _sharing(parts)
    if twice.any():
        united = shapely.get_parts(shapely.disjoint_subset_union_all(parts[twice]))
        parts = with_area(np.concatenate((parts[~twice], united)))
    return parts


def subdivide(polygons: GeometryArray, max_vertices: int = MAX_VERTICES) -> GeometryArray:
    """Cut polygons of many vertices into pieces that cover the same ground.

    Args:
        polygons: Valid polygons.
        max_vertices: Pieces are halved along their longer side until they have at most this many.

    Returns:
        Polygons; small ones are the same objects as before.
    """
    small, large = [], polygons
    while True:
        few = shapely.get_num_coordinates(large) <= max_vertices
        small.append(large[few])
        large = large[~few]
        if not len(large):
            return np.concatenate(small)
        left, bottom, right, top = shapely.bounds(large).T
        wide = right - left > top - bottom
        x_cut, y_cut = np.where(wide, (left + right) / 2, right), np.where(wide, top, (bottom + top) / 2)
        x_next, y_next = np.where(wide, x_cut, left), np.where(wide, bottom, y_cut)
        first = shapely.intersection(large, shapely.box(left, bottom, x_cut, y_cut))
        second = shapely.intersection(large, shapely.box(x_next, y_next, right, top))
        large = with_area(np.concatenate((first, second)))


def with_area(geometries: GeometryArray) -> GeometryArray:
    """Return the parts of polygons that have area, also of those inside collections."""
    parts = shapely.get_parts(geometries[~shapely.is_missing(geometries)])
    if (shapely.get_type_id(parts) > shapely.GeometryType.MULTILINESTRING).any():
        parts = shapely.get_parts(parts)  # polygons inside collections
    # Clipping and repair leave points and lines where borders merely touch; their area is zero.
    return parts[shapely.area(parts) > 0]


def cut_to(geometries: GeometryArray, region: BaseGeometry) -> GeometryArray:
    """Return what of the geometries lies inside the region."""
    # A copy of its own: preparing changes a geometry, and other threads may be clipping to the same one.
    region = shapely.from_wkb(shapely.to_wkb(region))
    shapely.prepare(region)
    kept = geometries[shapely.intersects(region, geometries)]
    inside = shapely.contains_properly(region, kept)
    return np.concatenate((kept[inside], shapely.intersection(kept[~inside], region)))


def _sharing(parts: GeometryArray) -> BoolArray:
    """Mark the polygons that share area with another one; common borders do not count."""
    shared = np.zeros(len(parts), dtype=bool)
    rows, cols = shapely.STRtree(parts).query(parts)
    once = rows < cols  # before anything is looked at closely: not each with itself, and no pair twice
    rows, cols = rows[once], cols[once]
    meet = shapely.intersects(parts[rows], parts[cols])
    rows, cols = rows[meet], cols[meet]
    overlap = shapely.area(shapely.intersection(parts[rows], parts[cols])) > 0
    shared[rows[overlap]] = shared[cols[overlap]] = True
    return shared
