"""What a file calls a geometry -> valid polygons in the scene's CRS."""

from __future__ import annotations

from collections import Counter

import numpy as np
import shapely
from pyproj import CRS, Transformer

from landscribe.core.arrays import BoolArray, FloatArray, GeometryArray, IntArray
from landscribe.core.polygons.quiet import total_bounds
from landscribe.core.polygons.repair import REPAIRED, repair
from landscribe.core.polygons.rings import polygon_parts
from landscribe.errors import DataError, problem
from landscribe.io.vector.geojson import LONLAT
from landscribe.io.vector.layer import NO_POLYGON, Layer
from landscribe.late import geopandas as gpd

FARTHEST = 1e12
"""Coordinates beyond this are no place on Earth in any unit, and leave no digits for a shape."""
EMPTY = "empty geometry"
POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
MARKS = (
    shapely.GeometryType.POINT,
    shapely.GeometryType.MULTIPOINT,
    shapely.GeometryType.LINESTRING,
    shapely.GeometryType.MULTILINESTRING,
    shapely.GeometryType.LINEARRING,
)


def clean(
    content: Layer, crs: CRS | None, where: str, *, marks: bool = False
) -> tuple[GeometryArray, IntArray, Counter[str]]:
    """Return the valid polygons of a layer in another CRS.

    Args:
        content: What the file holds.
        crs: CRS wanted; None for pixel coordinates.
        where: File at fault, for messages.
        marks: Keep lines and points as they are, beside the polygons.

    Returns:
        Polygons and MultiPolygons, with `marks` lines and points too, the row each of them has in `content`, and what
        was left out or mended by reason.

    Raises:
        DataError: If the file has a CRS and none is wanted, or says longitude and latitude and holds something else.
    """
    counts = Counter(content.counts)
    kept = np.flatnonzero(~shapely.is_missing(content.geometries))
    geometries: GeometryArray = content.geometries[kept]
    counts["with heights, which were left out"] += int(shapely.has_z(geometries).sum())

    def keep(flags: object, reason: str) -> None:
        nonlocal geometries, kept
        flags = np.asarray(flags, dtype=np.bool_)
        counts[reason] += int((~flags).sum())
        geometries, kept = geometries[flags], kept[flags]

    keep(~shapely.is_empty(geometries), EMPTY)
    keep(_largest(geometries) <= FARTHEST, "coordinates not finite or beyond 1e12")
    keep(_has_polygon(geometries) | (is_mark(geometries) if marks else False), NO_POLYGON)
    _count_beside_polygons(geometries, counts)
    geometries = mend(geometries, counts)
    keep(~shapely.is_empty(geometries), "without area after repair")
    move = _transformer(content, geometries, crs, where)
    if move is not None:
        geometries = shapely.transform(geometries, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1])))
        keep(_largest(geometries) <= FARTHEST, "outside of where the scene's CRS is defined")
        geometries = mend(geometries, counts)
        keep(~shapely.is_empty(geometries), "without area after repair")
    return single(geometries), kept, counts


def mend(geometries: GeometryArray, counts: Counter[str]) -> GeometryArray:
    """Repair what is invalid; what collapses becomes an empty polygon. Lines and points stay as they are."""
    result, mark = geometries.copy(), is_mark(geometries)
    result[~mark], done = repair(geometries[~mark])
    result[mark] = shapely.force_2d(geometries[mark])
    counts["invalid, repaired"] += done[REPAIRED]
    return result


def is_mark(geometries: GeometryArray) -> BoolArray:
    """Say which geometries are lines or points."""
    return np.asarray(np.isin(shapely.get_type_id(geometries), MARKS), dtype=np.bool_)


def single(geometries: GeometryArray) -> GeometryArray:
    """Return MultiPolygons of one part as Polygons, the others as they are."""
    result = geometries.copy()
    one = np.flatnonzero(
        (shapely.get_type_id(result) == shapely.GeometryType.MULTIPOLYGON) & (shapely.get_num_geometries(result) == 1)
    )
    result[one] = shapely.get_geometry(result[one], 0)
    return result


def to_lonlat(frame: gpd.GeoDataFrame, where: str) -> gpd.GeoDataFrame:
    """Reproject features to longitude and latitude.

    Raises:
        DataError: If one crosses the 180th meridian, where longitudes jump.
    """
    moved = frame.to_crs(LONLAT)
    if len(moved):
        west, _, east, _ = moved.total_bounds
        bounds = moved.geometry.bounds
        if not np.isfinite([west, east]).all() or ((bounds["maxx"] - bounds["minx"]) > 180).any():
            raise DataError(problem(where, "polygons cross the 180th meridian", do="write .gpkg or .parquet instead"))
    return moved


def _largest(geometries: GeometryArray) -> FloatArray:
    """Return the largest absolute coordinate of each geometry; infinite where one is not a number."""
    points_xy, owner = shapely.get_coordinates(geometries, return_index=True)
    size = np.abs(points_xy).max(axis=1, initial=0.0)
    largest = np.zeros(len(geometries))
    np.maximum.at(largest, owner, np.where(np.isnan(size), np.inf, size))
    return largest


def _count_beside_polygons(geometries: GeometryArray, counts: Counter[str]) -> None:
    # A collection is as good as the polygons in it; a repair by other programs often leaves one with a stray line.
    parts, count = geometries, 0
    while (mixed := shapely.get_type_id(parts) == shapely.GeometryType.GEOMETRYCOLLECTION).any():
        parts = shapely.get_parts(parts[mixed])
        kinds = shapely.get_type_id(parts)
        count += int((~np.isin(kinds, (*POLYGONAL, shapely.GeometryType.GEOMETRYCOLLECTION))).sum())
    counts["lines and points beside polygons"] += count


def _has_polygon(geometries: GeometryArray) -> BoolArray:
    has = np.zeros(len(geometries), dtype=np.bool_)
    has[np.unique(polygon_parts(geometries)[1])] = True
    return has


def _transformer(content: Layer, geometries: GeometryArray, crs: CRS | None, where: str) -> Transformer | None:
    if content.crs is None or (crs is None and not content.crs_is_stated):
        return None
    if crs is None:
        raise DataError(
            problem(
                where, "has a CRS and the image has none", got=content.crs.name, do="bring the polygons into pixels"
            )
        )
    if content.crs.is_geographic and len(geometries):
        west, south, east, north = total_bounds(geometries)
        if max(-west, east) > 540 or max(-south, north) > 90.001:
            got = f"x {west:.6g} to {east:.6g}, y {south:.6g} to {north:.6g}"
            says = "says" if content.crs_is_stated else "says nothing else, so it has to hold"
            raise DataError(
                problem(
                    where, f"{says} longitude and latitude and holds something else", got=got, do="name its CRS in it"
                )
            )
    return (
        None
        if content.crs.equals(crs, ignore_axis_order=True)
        else Transformer.from_crs(content.crs, crs, always_xy=True)
    )
