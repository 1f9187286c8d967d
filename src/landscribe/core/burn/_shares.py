"""Compiled loops behind exact shares: how much of each pixel a polygon covers.

Each edge adds, in every row it passes, the height it spans times what lies right of it; a running sum along the row
then is the covered share (the signed-area accumulation of scan converters such as FreeType's, in double precision).
Pixels on the border of two or more polygons are listed and left to `landscribe.core.burn._shared_pixels`.
"""

from __future__ import annotations

import math

import numpy as np

from landscribe.core.arrays import AnyArray, Floats, Ints
from landscribe.core.polygons.loops import doubled
from landscribe.core.polygons.rings import bounds, ring_area
from landscribe.late import compiled

STRIP_CELLS = 1 << 20
"""Cells of the running-sum buffer; polygons with more rows are done in strips."""
TINY = 1e-9
"""Shares closer to 0 or 1 than this are rounding of the running sum."""

SHARE, TOUCHED = 0, 1


@compiled
def _add_row_piece(sums: Floats, at: int, width: int, xa: float, xb: float, dy: float) -> None:
    """Add an edge piece inside one row; `at` is the row's first cell, `width` its pixels, `dy` the signed height."""
    low, high = min(xa, xb), max(xa, xb)
    if low >= width:
        return
    if high <= 0.0:
        sums[at] += dy
        return
    slope = dy / (high - low) if high > low else 0.0
    if low < 0.0:
        sums[at] += -low * slope
        dy -= -low * slope
        low = 0.0
    if high > width:
        dy -= (high - width) * slope
        high = float(width)
    first = int(low)
    if high <= first + 1:
        right_share = 0.5 * (low + high) - first
        sums[at + first] += dy * (1.0 - right_share)
        sums[at + first + 1] += dy * right_share
        return
    x = low
    while x < high:
        cell = int(x)
        stop = min(float(cell + 1), high)
        part = (stop - x) * slope
        right_share = 0.5 * (x + stop) - cell
        sums[at + cell] += part * (1.0 - right_share)
        sums[at + cell + 1] += part * right_share
        x = stop


@compiled
def _add_edge(
    sums: Floats, reach: Ints, x1: float, y1: float, x2: float, y2: float, sign: float, rows: int, width: int
) -> None:
    """Add one edge, in coordinates of the strip, to the sums; `reach` keeps the changed columns of each row."""
    if y1 == y2:
        return
    if y1 > y2:
        x1, y1, x2, y2, sign = x2, y2, x1, y1, -sign
    if y2 <= 0.0 or y1 >= rows:
        return
    dxdy = (x2 - x1) / (y2 - y1)
    if y1 < 0.0:
        x1, y1 = x1 - y1 * dxdy, 0.0
    if y2 > rows:
        x2, y2 = x1 + (rows - y1) * dxdy, float(rows)
    x, y = x1, y1
    r = int(y1)
    while y < y2:
        below = min(float(r + 1), y2)
        x_below = x2 if below == y2 else x1 + (below - y1) * dxdy
        _add_row_piece(sums, r * (width + 1), width, x, x_below, sign * (below - y))
        reach[2 * r] = min(reach[2 * r], max(0, math.floor(min(x, x_below))))
        reach[2 * r + 1] = max(reach[2 * r + 1], min(width, math.floor(max(x, x_below)) + 1))
        x, y = x_below, below
        r += 1


@compiled
def add_shares(
    out_hw: AnyArray,
    full: float,
    mode: int,
    xy: Floats,
    ring_start: Ints,
    polygon_start: Ints,
    row0: int,
    col0: int,
) -> Ints:
    """Write the covered share of every pixel.

    Args:
        out_hw: uint8 or float32 (H, W), zero at the start, changed in place.
        full: What a fully covered pixel gets: 255 for uint8 (rounded), 1 for float32.
        mode: SHARE, or TOUCHED to write 1 wherever a polygon covers any part of the pixel.
        xy: Vertices in pixels of the scene, float64 (N, 2).
        ring_start: First vertex of each ring and N.
        polygon_start: First ring of each polygon and their number.
        row0: Row of the scene at row 0 of `out_hw`.
        col0: Column of the scene at column 0 of `out_hw`.

    Returns:
        Flat indices, int64 (K,), of pixels partly covered by more than one polygon, or by less than `out_hw` can tell;
        an index may come more than once.
    """
    height, width = out_hw.shape
    top_value = out_hw.dtype.type(full)
    half = 0.5 if full > 1 else 0.0
    sums = np.zeros(1024, np.float64)
    reach = np.zeros(128, np.int64)
    shared = np.empty(64, np.int64)
    n_shared = 0
    for p in range(len(polygon_start) - 1):
        top, bottom, left, right = bounds(xy, ring_start[polygon_start[p]], ring_start[polygon_start[p] + 1])
        if bottom <= row0 or top >= row0 + height or right <= col0 or left >= col0 + width:
            continue
        r_first, r_last = max(math.floor(top) - row0, 0), min(math.ceil(bottom) - row0, height)
        c_first, c_last = max(math.floor(left) - col0, 0), min(math.ceil(right) - col0, width)
        w = c_last - c_first
        if w <= 0 or r_last <= r_first:
            continue
        strip = min(max(1, STRIP_CELLS // (w + 1)), r_last - r_first)
        if strip * (w + 1) + 1 > len(sums):
            sums = np.zeros(strip * (w + 1) + 1, np.float64)
        if 2 * strip > len(reach):
            reach = np.zeros(2 * strip, np.int64)
        dx = float(c_first + col0)
        for r_strip in range(r_first, r_last, strip):
            rows = min(strip, r_last - r_strip)
            dy = float(r_strip + row0)
            for r in range(rows):
                reach[2 * r], reach[2 * r + 1] = w, -1
            for k in range(polygon_start[p], polygon_start[p + 1]):
                sign = 1.0 if ring_area(xy, ring_start[k], ring_start[k + 1]) > 0 else -1.0
                if k > polygon_start[p]:
                    sign = -sign
                for i in range(ring_start[k] + 1, ring_start[k + 1]):
                    _add_edge(
                        sums, reach, xy[i - 1, 0] - dx, xy[i - 1, 1] - dy, xy[i, 0] - dx, xy[i, 1] - dy, sign, rows, w
                    )
            for r in range(rows):
                at = r * (w + 1)
                running = 0.0
                row = r_strip + r
                for c in range(reach[2 * r], w):
                    if c > reach[2 * r + 1] and abs(running) < TINY:
                        break
                    running += sums[at + c]
                    sums[at + c] = 0.0
                    share = min(abs(running), 1.0)
                    if share < TINY:
                        continue
                    old = out_hw[row, c + c_first]
                    if mode == TOUCHED:
                        out_hw[row, c + c_first] = 1
                    elif share > 1.0 - TINY:
                        out_hw[row, c + c_first] = top_value
                    elif old == top_value:
                        continue
                    else:
                        value = out_hw.dtype.type(full * share + half)
                        doubtful = old != 0 or value == 0
                        if value == 0:
                            value = out_hw.dtype.type(1)  # a mark: too little for the type, unless others add to it
                        out_hw[row, c + c_first] = max(old, value)
                        if doubtful:
                            if n_shared == len(shared):
                                shared = doubled(shared)
                            shared[n_shared] = np.int64(row) * width + c + c_first
                            n_shared += 1
                sums[at + w] = 0.0
    return shared[:n_shared]
