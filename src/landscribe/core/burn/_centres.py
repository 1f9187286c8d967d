"""Compiled loops behind the 0/1 masks: which pixel centres lie in a polygon, by GDAL's rule."""

from __future__ import annotations

import numpy as np

from landscribe.core.arrays import AnyArray, Floats, Ints
from landscribe.core.polygons.loops import sort_part
from landscribe.core.polygons.rings import bounds, ring_area
from landscribe.late import compiled


@compiled
def _floor(x: float) -> int:
    whole = int(x)
    return whole - 1 if x < whole else whole


@compiled
def _ceil(x: float) -> int:
    whole = int(x)
    return whole + 1 if x > whole else whole


@compiled
def fill_centres(
    out_hw: AnyArray, bit: int, xy: Floats, ring_start: Ints, polygon_start: Ints, row0: int, col0: int
) -> None:
    """Set `bit` in every pixel of `out_hw` whose centre lies in a polygon.

    A row of pixels is cut by the line through its centres. A crossing at x belongs to the first pixel whose centre is
    at x or right of it, an edge counts from its upper end (included) to its lower (excluded), and an edge along the
    line at the top of its own ring fills the pixels on it, also where that ring is a hole: these are GDAL's ties.

    Args:
        out_hw: Unsigned integers (H, W), changed in place.
        bit: Value to set by "or".
        xy: Vertices in pixels of the scene, float64 (N, 2).
        ring_start: First vertex of each ring and N.
        polygon_start: First ring of each polygon and their number.
        row0: Row of the scene at row 0 of `out_hw`.
        col0: Column of the scene at column 0 of `out_hw`.
    """
    height, width = out_hw.shape
    counts, rows_of = np.zeros(64, np.int64), np.empty(64, np.int64)
    crossings = np.empty(256, np.int64)
    value = out_hw.dtype.type(bit)
    for p in range(len(polygon_start) - 1):
        first, last = ring_start[polygon_start[p]], ring_start[polygon_start[p + 1]]
        top, bottom, left, right = bounds(xy, first, ring_start[polygon_start[p] + 1])
        if bottom < row0 or top > row0 + height or right < col0 or left > col0 + width:
            continue
        low = max(_ceil(top - 0.5), row0)
        rows = min(_floor(bottom) + 1, row0 + height) - low
        if rows <= 0:
            continue
        if rows + 1 > len(counts):
            counts = np.zeros(2 * (rows + 1), np.int64)
        if last - first > len(rows_of):
            rows_of = np.empty(2 * (last - first), np.int64)
        n = _count_crossings(xy, ring_start, polygon_start[p], polygon_start[p + 1], low, rows, rows_of, counts)
        if n > len(crossings):
            crossings = np.empty(2 * n, np.int64)
        for k in range(polygon_start[p], polygon_start[p + 1]):
            for i in range(ring_start[k] + 1, ring_start[k + 1]):
                x1, y1, x2, y2 = xy[i - 1, 0], xy[i - 1, 1], xy[i, 0], xy[i, 1]
                r1, r2 = rows_of[i - 1 - first], rows_of[i - first]
                if y1 == y2:
                    if y1 - _floor(y1) == 0.5 and 0 <= _floor(y1) - low < rows:
                        clockwise = ring_area(xy, ring_start[k], ring_start[k + 1]) > 0
                        if (x1 < x2) == clockwise:
                            begin, end = _floor(min(x1, x2) + 0.5), _floor(max(x1, x2) + 0.5)
                            for c in range(max(begin - col0, 0), min(end - col0, width)):
                                out_hw[_floor(y1) - row0, c] |= value
                    continue
                if y1 > y2:
                    x1, y1, x2, y2, r1, r2 = x2, y2, x1, y1, r2, r1
                for r in range(r1, r2):
                    # The order of operations is GDAL's: another one rounds differently and moves ties.
                    x = (r + low + 0.5 - y1) * (x2 - x1) / (y2 - y1) + x1
                    crossings[counts[r]] = _floor(x + 0.5) - col0
                    counts[r] += 1
        begin = 0
        for r in range(rows):
            sort_part(crossings, begin, counts[r])
            for i in range(begin, counts[r] - 1, 2):
                for c in range(max(crossings[i], 0), min(crossings[i + 1], width)):
                    out_hw[r + low - row0, c] |= value
            begin = counts[r]


@compiled
def _count_crossings(
    xy: Floats, ring_start: Ints, first_ring: int, last_ring: int, low: int, rows: int, rows_of: Ints, counts: Ints
) -> int:
    """Find out where the crossings of each row will be stored.

    Args:
        xy: Vertices.
        ring_start: First vertex of each ring and N.
        first_ring: First ring of the polygon.
        last_ring: First ring of the next polygon.
        low: First row of pixels.
        rows: Number of rows.
        rows_of: Gets, for each vertex, the first row whose line is at it or below it, from 0 to `rows`.
        counts: Gets the place of the first crossing of each row.

    Returns:
        How many crossings there are.
    """
    first = ring_start[first_ring]
    for r in range(rows + 1):
        counts[r] = 0
    for k in range(first_ring, last_ring):
        for i in range(ring_start[k], ring_start[k + 1]):
            row = min(max(_ceil(xy[i, 1] - 0.5) - low, 0), rows)
            rows_of[i - first] = row
            if i > ring_start[k]:
                before = rows_of[i - 1 - first]
                counts[min(before, row)] += 1
                counts[max(before, row)] -= 1
    edges = total = 0
    for r in range(rows):
        edges += counts[r]
        counts[r] = total
        total += edges
    return total
