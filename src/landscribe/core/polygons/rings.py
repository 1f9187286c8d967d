"""Rings: polygons as flat arrays that compiled loops can walk, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from landscribe.core.arrays import Floats, GeometryArray, Ints, Singles
from landscribe.errors import DataError, problem
from landscribe.late import compiled

POINT, LINE, RING, POLYGON = 0, 1, 2, 3
MULTIPOLYGON, COLLECTION = 6, 7
_NESTING_LIMIT = 64

COORDINATE_LIMIT = 1e12
"""Largest pixel coordinate: beyond it a double no longer tells a 1/4096 pixel, and row numbers overflow."""


@dataclass(frozen=True, slots=True)
class Rings:
    """Polygons as flat arrays. Every ring is closed: its first vertex is repeated at its end."""

    xy: Floats
    """Vertices, float64 (N, 2), x = col and y = row in pixels."""
    ring_start: Ints
    """First vertex of each ring and N at the end, int64 (R + 1,)."""
    polygon_start: Ints
    """First ring, the shell, of each polygon and R at the end, int64 (P + 1,)."""
    source: Ints
    """Index of the geometry that each polygon came from, int64 (P,)."""

    def __len__(self) -> int:
        return len(self.polygon_start) - 1


def polygon_parts(geometries: GeometryArray) -> tuple[GeometryArray, Ints]:
    """Take the polygons out of whatever geometries are given.

    Args:
        geometries: Any geometries or None; points and lines have no area and are left out.

    Returns:
        Polygons without empty ones, and for each the index of the geometry it came from, int64.

    Raises:
        DataError: If collections lie in each other deeper than 64 levels.
    """
    parts = np.asarray(geometries, dtype=object).ravel()
    source: Ints = np.arange(len(parts), dtype=np.int64)
    for _ in range(_NESTING_LIMIT):
        kinds = shapely.get_type_id(parts)
        if (kinds == POLYGON).all():
            break
        nested = (kinds == MULTIPOLYGON) | (kinds == COLLECTION)
        if not nested.any():
            break
        keep = nested | (kinds == POLYGON)
        parts, source = parts[keep], source[keep]
        parts, index = shapely.get_parts(parts, return_index=True)
        source = source[index]
    else:
        raise DataError(problem("geometry", "collections too deep", need=f"at most {_NESTING_LIMIT} levels"))
    keep = (shapely.get_type_id(parts) == POLYGON) & ~shapely.is_empty(parts)
    if not keep.all():
        parts, source = parts[keep], source[keep]
    return parts, source


def to_rings(geometries: GeometryArray) -> Rings:
    """Flatten geometries.

    Args:
        geometries: Polygons, MultiPolygons or collections of them in pixel coordinates, or None.

    Returns:
        Their polygons as rings.

    Raises:
        DataError: If a coordinate is not finite.
    """
    parts, source = polygon_parts(geometries)
    if not len(parts):
        none = np.zeros(1, dtype=np.int64)
        return Rings(np.empty((0, 2)), none, none, source)
    _, xy, (ring_start, polygon_start) = shapely.to_ragged_array(parts, include_z=False)
    if not (xy.min() >= -COORDINATE_LIMIT and xy.max() <= COORDINATE_LIMIT):  # also for NaN
        vertex = int(np.argmin(np.abs(xy).max(axis=1) <= COORDINATE_LIMIT))
        polygon = np.searchsorted(np.asarray(ring_start)[polygon_start], vertex, side="right") - 1
        raise DataError(
            problem(
                f"geometry {int(source[polygon])}",
                "coordinate out of range",
                got=tuple(map(float, xy[vertex])),
                need=f"finite and at most {COORDINATE_LIMIT:g} pixels",
                do="repair the geometries first",
            )
        )
    return Rings(
        np.ascontiguousarray(xy, dtype=np.float64),
        np.asarray(ring_start, dtype=np.int64),
        np.asarray(polygon_start, dtype=np.int64),
        source,
    )


def to_polygons(xy: Floats, ring_start: Ints, polygon_start: Ints) -> GeometryArray:
    """Build polygons from closed rings.

    Args:
        xy: Vertices, float64 (N, 2).
        ring_start: First vertex of each ring and N at the end.
        polygon_start: First ring, the shell, of each polygon and the number of rings at the end.

    Returns:
        Polygons, object (P,).
    """
    if len(polygon_start) < 2:
        return np.empty(0, dtype=object)
    built: GeometryArray = shapely.from_ragged_array(shapely.GeometryType.POLYGON, xy, (ring_start, polygon_start))
    return built


@compiled
def ring_area(xy: Floats, start: int, stop: int) -> float:
    """Signed area of the closed ring `xy[start:stop]`: positive where it runs clockwise on the screen (y down)."""
    total = 0.0
    x0, y0 = xy[start, 0], xy[start, 1]
    for i in range(start + 1, stop):
        total += (xy[i - 1, 0] - x0) * (xy[i, 1] - y0) - (xy[i, 0] - x0) * (xy[i - 1, 1] - y0)
    return 0.5 * total


@compiled
def bounds(xy: Floats, start: int, stop: int) -> tuple[float, float, float, float]:
    """Top, bottom, left and right of the vertices `xy[start:stop]`."""
    left, top = xy[start, 0], xy[start, 1]
    right, bottom = left, top
    for i in range(start + 1, stop):
        left, right = min(left, xy[i, 0]), max(right, xy[i, 0])
        top, bottom = min(top, xy[i, 1]), max(bottom, xy[i, 1])
    return top, bottom, left, right


@compiled
def ring_areas(xy: Floats, ring_start: Ints) -> Floats:
    """Signed area of every ring, float64 (R,); see `ring_area`."""
    areas = np.empty(len(ring_start) - 1, np.float64)
    for k in range(len(areas)):
        areas[k] = ring_area(xy, ring_start[k], ring_start[k + 1])
    return areas


@compiled
def gather_rings(xy: Floats, tags: Singles, ring_start: Ints, order: Ints) -> tuple[Floats, Singles, Ints]:
    """Copy some rings, in the order wanted.

    Args:
        xy: Vertices, float64 (N, 2).
        tags: A number for each vertex, float32 (N,).
        ring_start: First vertex of each ring and N.
        order: Numbers of the rings wanted.

    Returns:
        Their vertices, tags and starts.
    """
    starts = np.zeros(len(order) + 1, np.int64)
    for k in range(len(order)):
        starts[k + 1] = starts[k] + ring_start[order[k] + 1] - ring_start[order[k]]
    out, out_tags = np.empty((starts[-1], 2), np.float64), np.empty(starts[-1], np.float32)
    for k in range(len(order)):
        first = ring_start[order[k]]
        for i in range(starts[k + 1] - starts[k]):
            out[starts[k] + i, 0], out[starts[k] + i, 1] = xy[first + i, 0], xy[first + i, 1]
            out_tags[starts[k] + i] = tags[first + i]
    return out, out_tags, starts
