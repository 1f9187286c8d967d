"""Exact union of several polygons inside single pixels.

Running sums cannot tell whether two polygons that each cover half a pixel cover the same half. For such pixels the
pieces of edges in their row are collected, and a line sweeps the pixel from top to bottom: between two events (ends of
pieces, crossings of pieces with each other and with the pixel's sides) the covered length is linear in y, so its value
halfway times the height is the exact area.
"""

from __future__ import annotations

import math

import numpy as np

from landscribe.core.arrays import AnyArray, Floats, Ints
from landscribe.core.polygons.loops import doubled, doubled_rows, sort_part
from landscribe.core.polygons.rings import Rings, bounds
from landscribe.late import compiled

MANY_PIECES = 96
"""Above this number of edge pieces in a pixel it is swept in EVEN_STEPS equal steps instead of exact ones."""
EVEN_STEPS = 256

ROW, POLYGON = 0, 1
X1, Y1, X2, Y2 = 0, 1, 2, 3


def resolve_shared(out_hw: AnyArray, full: float, rings: Rings, shared: Ints, row0: int, col0: int) -> None:
    """Write the exact union of all polygons into the pixels that several of them cover in part.

    Args:
        out_hw: Shares, uint8 or float32 (H, W), changed in place.
        full: What a fully covered pixel gets.
        rings: The polygons, in pixels of the scene.
        shared: Flat indices of the pixels, int64, in any order and with repetitions.
        row0: Row of the scene at row 0 of `out_hw`.
        col0: Column of the scene at column 0 of `out_hw`.
    """
    pixels = np.unique(shared)
    pixels = pixels[out_hw.ravel()[pixels] < full] if full <= 1 else pixels[out_hw.ravel()[pixels] < 255]
    if not len(pixels):
        return
    width = out_hw.shape[1]
    rows, cols = pixels // width, pixels % width
    row_start = np.searchsorted(rows, np.arange(out_hw.shape[0] + 1))
    where, ends = _collect_pieces(rings.xy, rings.ring_start, rings.polygon_start, row_start, cols, row0, col0)
    order = np.lexsort((np.maximum(ends[:, X1], ends[:, X2]), where[:, POLYGON], where[:, ROW]))
    where, ends = where[order], ends[order]
    change = np.flatnonzero((where[1:] != where[:-1]).any(axis=1)) + 1
    group_start = np.concatenate(([0], change, [len(where)])).astype(np.int64)
    if len(where):
        _sweep_rows(out_hw, full, rows, cols, where, ends, group_start)


@compiled
def _collect_pieces(
    xy: Floats, ring_start: Ints, polygon_start: Ints, row_start: Ints, cols: Ints, row0: int, col0: int
) -> tuple[Ints, Floats]:
    """Cut the edges of every polygon at row borders, for rows in which it reaches a shared pixel.

    Returns:
        Row and polygon of each piece, int64 (K, 2), and its ends x1, y1, x2, y2 with y in 0..1 of the row and y1 < y2.
    """
    height = len(row_start) - 1
    where = np.empty((256, 2), np.int64)
    ends = np.empty((256, 4), np.float64)
    n = 0
    wanted = np.zeros(height, np.bool_)
    for p in range(len(polygon_start) - 1):
        top, bottom, left, right = bounds(xy, ring_start[polygon_start[p]], ring_start[polygon_start[p] + 1])
        r_first, r_last = max(math.floor(top) - row0, 0), min(math.ceil(bottom) - row0, height)
        some = False
        for r in range(r_first, r_last):
            i = row_start[r] + np.searchsorted(cols[row_start[r] : row_start[r + 1]], math.floor(left) - col0)
            wanted[r] = i < row_start[r + 1] and cols[i] + col0 < right
            some = some or wanted[r]
        if not some:
            continue
        for k in range(polygon_start[p], polygon_start[p + 1]):
            for i in range(ring_start[k] + 1, ring_start[k + 1]):
                x1, y1, x2, y2 = xy[i - 1, 0] - col0, xy[i - 1, 1] - row0, xy[i, 0] - col0, xy[i, 1] - row0
                if y1 > y2:
                    x1, y1, x2, y2 = x2, y2, x1, y1
                if y1 == y2 or y2 <= 0 or y1 >= height:
                    continue
                dxdy = (x2 - x1) / (y2 - y1)
                for r in range(max(math.floor(y1), 0), min(math.ceil(y2), height)):
                    if not wanted[r]:
                        continue
                    if n == len(where):
                        where, ends = doubled_rows(where), doubled_rows(ends)
                    where[n, ROW], where[n, POLYGON] = r, p
                    ends[n, X1] = x1 if y1 >= r else x1 + (r - y1) * dxdy
                    ends[n, Y1] = max(y1 - r, 0.0)
                    ends[n, X2] = x2 if y2 <= r + 1 else x1 + (r + 1 - y1) * dxdy
                    ends[n, Y2] = min(y2 - r, 1.0)
                    n += 1
    return where[:n], ends[:n]


@compiled
def _sweep_rows(
    out_hw: AnyArray, full: float, rows: Ints, cols: Ints, where: Ints, ends: Floats, group_start: Ints
) -> None:
    """Give each shared pixel the pieces near it; `group_start` bounds the pieces of one polygon in one row."""
    pieces = np.empty((64, 4), np.float64)
    owner = np.empty(64, np.int64)
    first_group = 0
    n_groups = len(group_start) - 1
    for q in range(len(rows)):
        while first_group < n_groups and where[group_start[first_group], ROW] < rows[q]:
            first_group += 1
        n = 0
        local = 0
        g = first_group
        while g < n_groups and where[group_start[g], ROW] == rows[q]:
            begin, end = group_start[g], group_start[g + 1]
            g += 1
            if max(ends[end - 1, X1], ends[end - 1, X2]) <= cols[q]:
                continue  # sorted by right end: all of this polygon's pieces are left of the pixel
            before = n
            for i in range(begin, end):
                if min(ends[i, X1], ends[i, X2]) >= cols[q] + 1:
                    continue
                if n == len(owner):
                    pieces, owner = doubled_rows(pieces), doubled(owner)
                pieces[n, X1], pieces[n, X2] = ends[i, X1] - cols[q], ends[i, X2] - cols[q]
                pieces[n, Y1], pieces[n, Y2] = ends[i, Y1], ends[i, Y2]
                owner[n] = local
                n += 1
            n = _join_left(pieces, before, n)
            if n > before:
                local += 1
        if n:
            area = _union_area(pieces[:n], owner[:n], local)
            half = 0.5 if full > 1 else 0.0
            out_hw[rows[q], cols[q]] = out_hw.dtype.type(min(area, 1.0) * full + half)


@compiled
def _join_left(pieces: Floats, begin: int, n: int) -> int:
    """Replace pieces left of the pixel by upright ones at its side, with ends that meet cancelled out."""
    toggles = np.empty(2 * (n - begin), np.float64)
    n_toggles = 0
    kept = begin
    for i in range(begin, n):
        if max(pieces[i, X1], pieces[i, X2]) > 0.0:
            for axis in range(4):
                pieces[kept, axis] = pieces[i, axis]
            kept += 1
            continue
        for y in (pieces[i, Y1], pieces[i, Y2]):
            at = -1
            for j in range(n_toggles):
                if toggles[j] == y:
                    at = j
                    break
            if at >= 0:
                n_toggles -= 1
                toggles[at] = toggles[n_toggles]
            else:
                toggles[n_toggles] = y
                n_toggles += 1
    sort_part(toggles, 0, n_toggles)
    for j in range(0, n_toggles - 1, 2):
        pieces[kept, X1], pieces[kept, X2] = 0.0, 0.0
        pieces[kept, Y1], pieces[kept, Y2] = toggles[j], toggles[j + 1]
        kept += 1
    return kept


@compiled
def _union_area(pieces: Floats, owner: Ints, n_polygons: int) -> float:
    """Area of the unit pixel covered by at least one polygon."""
    n = len(pieces)
    events = np.linspace(0.0, 1.0, EVEN_STEPS + 1) if n > MANY_PIECES else _events(pieces, owner)
    xs = np.empty(n, np.float64)
    who = np.empty(n, np.int64)
    inside = np.zeros(n_polygons, np.bool_)
    area = 0.0
    for e in range(len(events) - 1):
        y = 0.5 * (events[e] + events[e + 1])
        step = events[e + 1] - events[e]
        if step <= 1e-15:
            continue
        m = 0
        for i in range(n):
            if pieces[i, Y1] <= y < pieces[i, Y2]:
                part = (y - pieces[i, Y1]) / (pieces[i, Y2] - pieces[i, Y1])
                x = pieces[i, X1] + part * (pieces[i, X2] - pieces[i, X1])
                j = m - 1
                while j >= 0 and xs[j] > x:
                    xs[j + 1], who[j + 1] = xs[j], who[j]
                    j -= 1
                xs[j + 1], who[j + 1] = x, owner[i]
                m += 1
        inside[:] = False
        depth = 0
        since = 0.0
        for j in range(m):
            x = min(max(xs[j], 0.0), 1.0)
            if depth > 0:
                area += step * (x - since)
            since = x
            inside[who[j]] = not inside[who[j]]
            depth += 1 if inside[who[j]] else -1
        if depth > 0:
            area += step * (1.0 - since)
    return area


@compiled
def _events(pieces: Floats, owner: Ints) -> Floats:
    """Heights at which the covered length stops being linear, sorted, with 0 and 1."""
    n = len(pieces)
    events = np.empty(2 + 4 * n + n * (n - 1) // 2, np.float64)
    events[0], events[1] = 0.0, 1.0
    m = 2
    for i in range(n):
        x1, y1, x2, y2 = pieces[i, X1], pieces[i, Y1], pieces[i, X2], pieces[i, Y2]
        events[m], events[m + 1] = y1, y2
        m += 2
        for side in (0.0, 1.0):
            if min(x1, x2) < side < max(x1, x2):
                events[m] = y1 + (side - x1) / (x2 - x1) * (y2 - y1)
                m += 1
        for j in range(i):
            low, high = max(y1, pieces[j, Y1]), min(y2, pieces[j, Y2])
            if owner[i] == owner[j] or low >= high:
                continue
            slope = (x2 - x1) / (y2 - y1)
            other = (pieces[j, X2] - pieces[j, X1]) / (pieces[j, Y2] - pieces[j, Y1])
            at_low = x1 + (low - y1) * slope - pieces[j, X1] - (low - pieces[j, Y1]) * other
            at_high = at_low + (high - low) * (slope - other)
            if at_low * at_high < 0.0:
                events[m] = low + (high - low) * at_low / (at_low - at_high)
                m += 1
    sort_part(events, 0, m)
    return events[:m]
