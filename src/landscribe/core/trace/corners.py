"""Corners: what a contour of covered shares cuts off, put back where the shares say that it is there.

A contour runs along straight edges exactly, but rounds corners: a perfect 14 x 6 px car loses more than one per cent of
its area at its four corners. Here two straight stretches that meet in a short bend are prolonged to the point where
they cross, and the point is taken if the shares of the four pixels around agree with a corner at that place. At another
threshold than one half the contour runs beside the edge of the shape; the shares are then compared with a corner of the
edge itself.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from landscribe.core.arrays import Floats, Ints, Singles
from landscribe.core.polygons.simplify import FREE, divide, extremes
from landscribe.late import compiled

STRAIGHT_PX = 0.05
"""Largest distance of a vertex from the stretch it belongs to."""
CLEAN_PX = 0.03
"""Largest distance from the fitted line of a vertex that the bend has not touched."""
STRETCH_PX = 1.5
"""Shortest stretch whose line is trusted."""
MIN_STRETCH_VERTICES = 2
"""Fewest vertices inside a stretch that give a line."""
BEND_PX = 2.5
"""Longest way around a corner between two stretches."""
TURN = math.sin(math.radians(12.0))
"""Smallest turn at a corner."""
SHARE_PX2 = 0.03
"""How far the shares of four pixels may be from those of a sharp corner."""


@compiled
def _fit(ring: Floats, first: int, last: int, line: Floats) -> bool:
    """Fit a line to the inner vertices of a stretch: point x, y and direction dx, dy; False where there are too few."""
    n = last - first - 1
    if n < MIN_STRETCH_VERTICES:
        return False
    cx, cy = 0.0, 0.0
    for i in range(first + 1, last):
        cx += ring[i, 0] / n
        cy += ring[i, 1] / n
    xx, xy, yy = 0.0, 0.0, 0.0
    for i in range(first + 1, last):
        dx, dy = ring[i, 0] - cx, ring[i, 1] - cy
        xx += dx * dx
        xy += dx * dy
        yy += dy * dy
    angle = 0.5 * math.atan2(2.0 * xy, xx - yy)
    dx, dy = math.cos(angle), math.sin(angle)
    if dx * (ring[last, 0] - ring[first, 0]) + dy * (ring[last, 1] - ring[first, 1]) < 0.0:
        dx, dy = -dx, -dy
    line[0], line[1], line[2], line[3] = cx, cy, dx, dy
    return True


@compiled
def _cut(points: Floats, n: int, x: float, y: float, dx: float, dy: float, out: Floats) -> int:
    """Keep the part of a convex polygon left of a line (on the screen); returns its number of vertices."""
    m = 0
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        a = dy * (points[i, 0] - x) - dx * (points[i, 1] - y)
        b = dy * (points[j, 0] - x) - dx * (points[j, 1] - y)
        if a >= 0.0:
            out[m, 0], out[m, 1] = points[i, 0], points[i, 1]
            m += 1
        if (a > 0.0 > b) or (a < 0.0 < b):
            part = a / (a - b)
            out[m, 0] = points[i, 0] + part * (points[j, 0] - points[i, 0])
            out[m, 1] = points[i, 1] + part * (points[j, 1] - points[i, 1])
            m += 1
    return m


@compiled
def _wedge_area(left: float, top: float, a: Floats, b: Floats, turn: float) -> float:
    """Area that a corner between lines `a` and `b` covers of the 2 x 2 px block whose upper left corner is given."""
    block, once, twice = np.empty((8, 2)), np.empty((8, 2)), np.empty((8, 2))
    for i in range(4):
        block[i, 0] = left + (2.0 if i in (1, 2) else 0.0)
        block[i, 1] = top + (2.0 if i > 1 else 0.0)
    sign = 1.0 if turn < 0.0 else -1.0  # a turn to the left on the screen is a corner that sticks out
    n = _cut(block, 4, a[0], a[1], sign * a[2], sign * a[3], once)
    n = _cut(once, n, b[0], b[1], sign * b[2], sign * b[3], twice)
    area = 0.0
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        area += 0.5 * (twice[i, 0] * twice[j, 1] - twice[j, 0] * twice[i, 1])
    return abs(area) if sign > 0.0 else 4.0 - abs(area)


@compiled
def _agrees(
    ring: Floats, block_share: Singles, first: int, last: int, x: float, y: float, a: Floats, b: Floats
) -> bool:
    """Tell whether the shares around the bend from vertex `first` to `last` fit a corner at (x, y)."""
    best, left, top, share = math.inf, 0.0, 0.0, 0.0
    for i in range(first, last):
        # Two neighbouring vertices lie on the sides of one cell between four pixel centres.
        col = math.floor(0.5 * (ring[i, 0] + ring[i + 1, 0]) - 0.5)
        row = math.floor(0.5 * (ring[i, 1] + ring[i + 1, 1]) - 0.5)
        far = max(abs(x - col - 1.0), abs(y - row - 1.0))
        if far < best:
            best, left, top, share = far, float(col), float(row), np.float64(block_share[i])
    if share < 0.0:
        share = -1.0 - share
    if best > 1.0 or not share >= 0.0:
        return False
    return abs(_wedge_area(left, top, a, b, a[2] * b[3] - a[3] * b[2]) - share) <= SHARE_PX2


@compiled
def _meet(a: Floats, b: Floats) -> tuple[float, float]:
    """Point where two lines cross that are not parallel."""
    along = ((b[0] - a[0]) * b[3] - (b[1] - a[1]) * b[2]) / (a[2] * b[3] - a[3] * b[2])
    return a[0] + along * a[2], a[1] + along * a[3]


@compiled
def _edge_of(line: Floats, level: float) -> Floats:
    """Move the line of a contour at a threshold to the edge of the shape, which is where the contour at 1/2 runs.

    It moves along the axis that the line crosses more steeply, as vertices did; the inside is on the left.
    """
    edge = line.copy()
    inwards = 0.5 - level
    if abs(line[3]) > abs(line[2]):
        edge[0] += inwards if line[3] > 0.0 else -inwards
    else:
        edge[1] -= inwards if line[2] > 0.0 else -inwards
    return edge


@compiled
def _corner(
    ring: Floats, block_share: Singles, end: int, begin: int, a: Floats, b: Floats, level: float, point: Floats
) -> bool:
    """Find the corner between a stretch that ends at vertex `end` and one that begins at `begin`."""
    turn = a[2] * b[3] - a[3] * b[2]
    if abs(turn) < TURN or begin - end > 8:
        return False
    way = 0.0
    for i in range(end, begin):
        way += math.hypot(ring[i + 1, 0] - ring[i, 0], ring[i + 1, 1] - ring[i, 1])
    if way > BEND_PX:
        return False
    x, y = _meet(a, b)
    ahead = (x - ring[end, 0]) * a[2] + (y - ring[end, 1]) * a[3]
    behind = (ring[begin, 0] - x) * b[2] + (ring[begin, 1] - y) * b[3]
    if not (-0.5 <= ahead <= 1.6 and -0.5 <= behind <= 1.6):
        return False
    point[0], point[1] = x, y
    edge_a, edge_b = _edge_of(a, level), _edge_of(b, level)
    x, y = _meet(edge_a, edge_b)
    return _agrees(ring, block_share, max(end - 1, 0), min(begin + 1, len(ring) - 1), x, y, edge_a, edge_b)


@compiled
def restore_corners(
    xy: Floats, block_share: Singles, ring_start: Ints, level: float
) -> tuple[Floats, Ints, NDArray[np.bool_], Ints]:
    """Put corners back into contours of covered shares.

    Args:
        xy: Vertices of closed contour rings, float64 (N, 2).
        block_share: Covered area of the 2 x 2 pixels around the cell between a vertex and the next one, float32 (N,);
            see `landscribe.core.trace._chains.Chains.block`.
        ring_start: First vertex of each ring and N.
        level: Threshold of the contour, 0..1.

    Returns:
        Vertices and starts of as many closed rings, which vertices are corners, and how many each ring got.
    """
    room = len(xy) + len(xy) // 2 + 1  # a corner stands between two stretches of at least three vertices each
    out = np.empty((room, 2), np.float64)
    is_corner = np.zeros(room, np.bool_)
    starts = np.zeros(len(ring_start), np.int64)
    found = np.zeros(len(ring_start) - 1, np.int64)
    n = 0
    for k in range(len(ring_start) - 1):
        start, stop = ring_start[k], ring_start[k + 1] - 1
        n, found[k] = _restore(xy[start:stop], block_share[start:stop], level, out, is_corner, n)
        starts[k + 1] = n
    return out[:n], starts, is_corner[:n], found


@compiled
def _restore(
    open_ring: Floats, shares: Singles, level: float, out: Floats, is_corner: NDArray[np.bool_], at: int
) -> tuple[int, int]:
    """Restore the corners of one ring and append it to `out`; returns the new end and the number of corners."""
    m = len(open_ring)
    n_sharp = 0
    for i in range(m):
        n_sharp += shares[i] >= 0.0
    if n_sharp < 2 * MIN_STRETCH_VERTICES:
        for i in range(m + 1):
            out[at + i, 0], out[at + i, 1] = open_ring[i % m, 0], open_ring[i % m, 1]
        return at + m + 1, 0
    twice = np.empty((2 * m + 1, 2))  # the ring and once more the ring, so that no bend lies across the ends
    share_twice = np.empty(2 * m + 1, np.float32)
    keep = np.zeros(m + 1, np.bool_)
    lowest, opposite = extremes(open_ring, m)
    for i in range(2 * m + 1):
        j = (lowest + i) % m
        twice[i, 0], twice[i, 1], share_twice[i] = open_ring[j, 0], open_ring[j, 1], shares[j]
    keep[0] = keep[(opposite - lowest) % m] = keep[m] = True
    divide(twice, m, STRAIGHT_PX, FREE, keep, np.empty((m + 2, 2), np.int64))
    lines, ends = np.empty((m, 4)), np.empty((m, 2), np.int64)
    n_lines = _stretches(twice, m, keep, lines, ends)
    gone = np.zeros(m, np.bool_)
    corner_at = np.full(m, -1, np.int64)
    points = np.empty((n_lines + 1, 2))
    count = 0
    for k in range(n_lines):
        after = k + 1 if k + 1 < n_lines else 0
        a, b = lines[k], lines[after]
        shift = m if after == 0 else 0
        end, begin = ends[k, 1], ends[after, 0] + shift
        if not _corner(twice, share_twice, end, begin, a, b, level, points[count]):
            continue
        x, y = points[count, 0], points[count, 1]
        while end > ends[k, 0] + 1 and not _clean(twice, end, a, x, y, 1.0):
            end -= 1
        while begin < ends[after, 1] + shift - 1 and not _clean(twice, begin, b, x, y, -1.0):
            begin += 1
        for i in range(end + 1, begin):
            gone[i % m] = True
        corner_at[end % m] = count
        count += 1
    first = at
    for i in range(m):
        if not gone[i]:
            out[at, 0], out[at, 1] = twice[i, 0], twice[i, 1]
            at += 1
        if corner_at[i] >= 0:
            out[at, 0], out[at, 1] = points[corner_at[i], 0], points[corner_at[i], 1]
            is_corner[at] = True
            at += 1
    out[at, 0], out[at, 1] = out[first, 0], out[first, 1]
    return at + 1, count


@compiled
def _stretches(ring: Floats, m: int, keep: NDArray[np.bool_], lines: Floats, ends: Ints) -> int:
    """Fit lines to the straight stretches between kept vertices; returns how many there are."""
    n = 0
    last = 0
    for i in range(1, m + 1):
        if keep[i]:
            length = math.hypot(ring[i, 0] - ring[last, 0], ring[i, 1] - ring[last, 1])
            if length >= STRETCH_PX and _fit(ring, last, i, lines[n]):
                ends[n, 0], ends[n, 1] = last, i
                n += 1
            last = i
    return n


@compiled
def _clean(ring: Floats, i: int, line: Floats, x: float, y: float, way: float) -> bool:
    """Tell whether a vertex is on the fitted line, on the right side of the corner at (x, y)."""
    off = abs((ring[i, 0] - line[0]) * line[3] - (ring[i, 1] - line[1]) * line[2])
    ahead = ((x - ring[i, 0]) * line[2] + (y - ring[i, 1]) * line[3]) * way
    return off <= CLEAN_PX and ahead > 0.05
