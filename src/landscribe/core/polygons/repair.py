"""Repair: whatever a file holds to valid polygons, and rounding that keeps them valid."""

from __future__ import annotations

import numpy as np
import shapely

from landscribe.core.arrays import GeometryArray
from landscribe.core.polygons.quiet import is_valid
from landscribe.core.polygons.rings import polygon_parts
from landscribe.workers import stop_if_asked

REPAIRED, NOT_FINITE, NO_AREA, COLLAPSED = "repaired", "coordinate not finite", "not a polygon", "no area after repair"


def repair(geometries: GeometryArray) -> tuple[GeometryArray, dict[str, int]]:
    """Make every geometry a valid Polygon or MultiPolygon, or an empty one.

    Args:
        geometries: Any geometries or None; heights are left out. How deep collections may nest is for the reader to
            limit, before GEOS sees them.

    Returns:
        As many geometries, those that cannot be kept as empty Polygons, and counts by reason: repaired, coordinate
        not finite, not a polygon (points, lines, None, empty), no area after repair.

    Source:
        GEOS MakeValid, method "structure": rings as areas, holes as holes.
    """
    found = np.asarray(geometries, dtype=object).ravel()
    result = np.full(len(found), shapely.Polygon(), dtype=object)
    counts = dict.fromkeys((REPAIRED, NOT_FINITE, NO_AREA, COLLAPSED), 0)
    finite = _is_finite(found)
    counts[NOT_FINITE] = int(np.count_nonzero(~finite))
    usable = found.copy()
    usable[~finite] = None
    parts, source = polygon_parts(usable)
    parts = shapely.force_2d(parts)
    counts[NO_AREA] = len(found) - len(np.unique(source)) - counts[NOT_FINITE]
    members = np.bincount(source, minlength=len(found))
    alone = members[source] == 1
    result[source[alone]] = parts[alone]
    several = np.flatnonzero(members > 1)
    if len(several):
        grouped = shapely.multipolygons(parts[~alone], indices=np.searchsorted(several, source[~alone]))
        result[several] = grouped
    bad = np.flatnonzero(~is_valid(result))
    for k in bad:
        stop_if_asked()
        result[k] = _make_valid(result[k])
    flat = (members > 0) & ~(shapely.area(result) > 0)
    result[flat] = shapely.Polygon()
    counts[COLLAPSED] = int(np.count_nonzero(flat))
    counts[REPAIRED] = int(np.count_nonzero(~flat[bad]))
    return result, counts


def round_valid(geometries: GeometryArray, decimals: int) -> tuple[GeometryArray, int]:
    """Round coordinates to decimals and keep polygons valid.

    Args:
        geometries: Valid Polygons or MultiPolygons.
        decimals: Digits after the point; negative ones round before it.

    Returns:
        As many geometries, valid ones with rounded coordinates, empty where nothing is left; and how many became empty.
    """
    rounded: GeometryArray = shapely.transform(
        np.asarray(geometries, dtype=object), lambda xy: np.round(xy, decimals) + 0.0
    )
    bad = np.flatnonzero(~is_valid(rounded) | ~(shapely.area(rounded) > 0))
    for k in bad:
        stop_if_asked()
        with np.errstate(all="ignore"):  # as above
            snapped = polygonal(_snap(geometries[k], rounded[k], 10.0**-decimals))
        # The grid of GEOS is a multiple of a power of ten in binary; a last rounding gives the shortest decimals.
        again = shapely.transform(shapely.set_precision(snapped, 0), lambda xy: np.round(xy, decimals) + 0.0)
        rounded[k] = again if again.is_valid and again.area > 0 else shapely.Polygon()
    lost = shapely.is_empty(rounded[bad]) & ~shapely.is_empty(np.asarray(geometries, dtype=object)[bad])
    return rounded, int(np.count_nonzero(lost))


def _snap(geometry: shapely.Geometry, rounded: shapely.Geometry, step: float) -> shapely.Geometry:
    try:
        return shapely.set_precision(geometry, step, mode="valid_output")
    except shapely.errors.GEOSException:  # its snapping fails on some rings that nearly touch, where repair does not
        return shapely.set_precision(_make_valid(rounded), step, mode="valid_output")


def polygonal(geometry: shapely.Geometry) -> shapely.Geometry:
    """Return the polygons in a geometry, as one Polygon or MultiPolygon; an empty Polygon where there are none."""
    parts, _ = polygon_parts(np.array([geometry], dtype=object))
    if not len(parts):
        return shapely.Polygon()
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(list(parts))


def _make_valid(geometry: shapely.Geometry) -> shapely.Geometry:
    # Near-collinear edges can come out of GEOS's structure method crossing again; a second pass sees fewer of them.
    for _ in range(3):
        geometry = polygonal(shapely.make_valid(geometry, method="structure", keep_collapsed=False))
        if geometry.is_valid:
            return geometry
    return polygonal(shapely.make_valid(geometry, method="linework"))


def _is_finite(geometries: GeometryArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    xy, owner = shapely.get_coordinates(geometries, return_index=True)
    finite = np.ones(len(geometries), dtype=np.bool_)
    finite[owner[~np.isfinite(xy).all(axis=1)]] = False
    return finite
