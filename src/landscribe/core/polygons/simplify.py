"""Move and thin the vertices of traced rings without touching their topology.

Every piece of a traced ring passes between two neighbouring pixel centres, one inside and one outside. As long as the
changed ring passes between the same pairs in the same order, it keeps every pixel centre on its side, rings cannot
meet, and holes stay in their shells: nothing has to be checked or mended afterwards. Each function here keeps to that.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from landscribe.core.arrays import Floats, Ints, Singles
from landscribe.late import compiled

FREE, CONTOUR, EDGES = 0, 1, 2
"""What a ring must pass between: nothing, the centres on either side of each vertex, or of each pixel border."""

CLEARANCE = 1.0 / 512
"""Smallest distance of a vertex from a sample, as a share of the way to the next."""

EXACT_PX = 1e-9
"""Vertices nearer to a straight line than this are on it."""


@compiled
def _between_columns(x: float, y: float) -> bool:
    """Tell whether the vertex lies between two centres of one row (else between two of one column)."""
    return y - math.floor(y) == 0.5 and x - math.floor(x) != 0.5


@compiled
def _on_border(x: float, y: float, height: int, width: int) -> bool:
    return x == 0.0 or y == 0.0 or x == width or y == height


@compiled
def straighten(xy: Floats, block: Singles, ring_start: Ints, height: int, width: int) -> None:
    """Move vertices for which covered shares say nothing onto the line of their neighbours, in place.

    The sum of two neighbouring shares tells where an edge crosses the line between their centres only if the edge is
    nearer than 45 degrees to the normal of that line. An edge nearer to the horizontal is known from its crossings
    between rows; a crossing between columns lies where the line of the two next to it says.

    Args:
        xy: Vertices of closed contour rings, changed in place.
        block: Below 0 where the field is no share; see `landscribe.core.trace._chains.Chains.block`.
        ring_start: First vertex of each ring and their number.
        height: Rows of the scene.
        width: Columns of the scene.
    """
    for k in range(len(ring_start) - 1):
        start, stop = ring_start[k], ring_start[k + 1] - 1
        for i in range(start, stop):
            before = i - 1 if i > start else stop - 1
            after = i + 1 if i + 1 < stop else start
            x0, y0, x, y, x2, y2 = xy[before, 0], xy[before, 1], xy[i, 0], xy[i, 1], xy[after, 0], xy[after, 1]
            if not (block[before] >= 0.0 and block[after] >= 0.0):
                continue
            if (
                _on_border(x, y, height, width)
                or _on_border(x0, y0, height, width)
                or _on_border(x2, y2, height, width)
            ):
                continue
            across = _between_columns(x, y)
            if _between_columns(x0, y0) == across or _between_columns(x2, y2) == across:
                continue
            dx, dy = x2 - x0, y2 - y0
            if across and abs(dx) > abs(dy) > 0.0:
                xy[i, 0] = x0 + (y - y0) / dy * dx
            elif not across and abs(dy) > abs(dx) > 0.0:
                xy[i, 1] = y0 + (x - x0) / dx * dy
        xy[stop, 0], xy[stop, 1] = xy[start, 0], xy[start, 1]


@compiled
def relax(xy: Floats, ring_start: Ints, height: int, width: int) -> Floats:
    """Move every vertex halfway to the line of its neighbours, along the line between its two pixel centres.

    Args:
        xy: Vertices of closed contour rings, float64 (N, 2).
        ring_start: First vertex of each ring and their number.
        height: Rows of the scene.
        width: Columns of the scene.

    Returns:
        New vertices; those on the border of the scene stay.
    """
    out = xy.copy()
    for k in range(len(ring_start) - 1):
        start, stop = ring_start[k], ring_start[k + 1] - 1
        for i in range(start, stop):
            before = i - 1 if i > start else stop - 1
            after = i + 1 if i + 1 < stop else start
            x, y = xy[i, 0], xy[i, 1]
            if _on_border(x, y, height, width):
                continue
            along = 0 if _between_columns(x, y) else 1
            a, b = xy[before, 1 - along] - xy[i, 1 - along], xy[after, 1 - along] - xy[i, 1 - along]
            if a == b:
                continue
            part = min(max(a / (a - b), 0.0), 1.0)
            goal = xy[before, along] + part * (xy[after, along] - xy[before, along])
            low = math.floor(xy[i, along] - 0.5) + 0.5
            moved = 0.5 * (xy[i, along] + goal)
            out[i, along] = min(max(moved, low + CLEARANCE), low + 1.0 - CLEARANCE)
        out[stop, 0], out[stop, 1] = out[start, 0], out[start, 1]
    return out


@compiled
def _passes(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> bool:
    """Tell whether the line a-b passes between the two centres that the boundary point (x, y) lies between."""
    if _between_columns(x, y):
        if (ay - y) * (by - y) >= 0.0:
            return False
        part = ax + (y - ay) / (by - ay) * (bx - ax) - 0.5
        whole = math.floor(x - 0.5)
    else:
        if (ax - x) * (bx - x) >= 0.0:
            return False
        part = ay + (x - ax) / (bx - ax) * (by - ay) - 0.5
        whole = math.floor(y - 0.5)
    return whole + 0.5 * CLEARANCE <= part <= whole + 1 - 0.5 * CLEARANCE


@compiled
def _passes_edges(ax: float, ay: float, bx: float, by: float, x1: float, y1: float, x2: float, y2: float) -> bool:
    """Tell the same for every pixel border on the way from corner 1 to corner 2 of a pixel-edge ring."""
    steps = int(abs(x2 - x1) + abs(y2 - y1))
    dx, dy = (x2 - x1) / steps, (y2 - y1) / steps
    between = True
    for s in range(steps):
        between = between and _passes(ax, ay, bx, by, x1 + (s + 0.5) * dx, y1 + (s + 0.5) * dy)
    return between


@compiled
def _distance(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> float:
    """Distance of (x, y) from the segment a-b."""
    dx, dy = bx - ax, by - ay
    length2 = dx * dx + dy * dy
    part = 0.0
    if length2 > 0.0:
        part = min(max(((x - ax) * dx + (y - ay) * dy) / length2, 0.0), 1.0)
    return math.hypot(x - ax - part * dx, y - ay - part * dy)


@compiled
def _worst(xy: Floats, a: int, b: int, tolerance: float, kind: int) -> int:
    """Return the vertex between `a` and `b` at which their line must be broken, or -1 where it may stay."""
    ax, ay, bx, by = xy[a, 0], xy[a, 1], xy[b, 0], xy[b, 1]
    farthest, at = -1.0, -1
    for i in range(a + 1, b):
        far = _distance(ax, ay, bx, by, xy[i, 0], xy[i, 1])
        if far > farthest:
            farthest, at = far, i
    if farthest > tolerance:
        return at
    if kind == CONTOUR:
        for i in range(a + 1, b):
            if not _passes(ax, ay, bx, by, xy[i, 0], xy[i, 1]):
                return at
    elif kind == EDGES:
        for i in range(a, b):
            if not _passes_edges(ax, ay, bx, by, xy[i, 0], xy[i, 1], xy[i + 1, 0], xy[i + 1, 1]):
                return at
    return -1


@compiled
def divide(ring: Floats, n: int, tolerance: float, kind: int, keep: NDArray[np.bool_], stack: Ints) -> None:
    """Keep the vertices of an open ring at which the line between two kept ones must be broken.

    Args:
        ring: Vertices 0 to n, the last one like the first.
        n: Number of vertices.
        tolerance: Largest distance in pixels from a line.
        kind: FREE, CONTOUR or EDGES.
        keep: Vertices kept, the first one among them; changed in place.
        stack: Room for (n + 2, 2) numbers.
    """
    a = 0
    for b in range(1, n + 1):
        if b < n and not keep[b]:
            continue
        depth = 1
        stack[0, 0], stack[0, 1] = a, b
        while depth:
            depth -= 1
            low, high = stack[depth, 0], stack[depth, 1]
            if high - low < 2:
                continue
            at = _worst(ring, low, high, tolerance, kind)
            if at >= 0:
                keep[at] = True
                stack[depth, 0], stack[depth, 1] = low, at
                stack[depth + 1, 0], stack[depth + 1, 1] = at, high
                depth += 2
        a = b


@compiled
def extremes(ring: Floats, n: int) -> tuple[int, int]:
    """Return the vertex farthest to the upper left, and the one farthest from it."""
    lowest = 0
    for i in range(n):
        if ring[i, 0] + ring[i, 1] < ring[lowest, 0] + ring[lowest, 1]:
            lowest = i
    far, opposite = -1.0, lowest
    for i in range(n):
        distance2 = (ring[i, 0] - ring[lowest, 0]) ** 2 + (ring[i, 1] - ring[lowest, 1]) ** 2
        if distance2 > far:
            far, opposite = distance2, i
    return lowest, opposite


@compiled
def _along_border(xy: Floats, i: int, before: int, after: int, height: int, width: int) -> bool:
    """Tell whether vertex `i` and both neighbours lie on one side of the scene."""
    for axis in range(2):
        v, end = xy[i, axis], width if axis == 0 else height
        at_end = v == 0.0 or v == end  # noqa: PLR1714 - the compiler knows no mixed tuples
        if at_end and xy[before, axis] == v and xy[after, axis] == v:
            return True
    return False


@compiled
def _bare_ring(
    xy: Floats,
    start: int,
    stop: int,
    height: int,
    width: int,
    fixed: NDArray[np.bool_],
    straight: bool,
    ring: Floats,
    stays: NDArray[np.bool_],
) -> int:
    """Copy an open ring without vertices that mean nothing: repeated, along the border, or (`straight`) on a line.

    Returns:
        Its number of vertices; `stays` is set for those that must not go.
    """
    m = 0
    for i in range(start, stop):
        after = i + 1 if i + 1 < stop else start
        before = i - 1 if i > start else stop - 1
        x, y = xy[i, 0], xy[i, 1]
        border = _on_border(x, y, height, width)
        stay = border or (len(fixed) > 0 and fixed[i])
        if border:
            while before != i and xy[before, 0] == x and xy[before, 1] == y:  # at a corner of the scene
                before = before - 1 if before > start else stop - 1
            if (xy[after, 0] == x and xy[after, 1] == y) or _along_border(xy, i, before, after, height, width):
                continue
        elif straight and not stay and m > 0:
            ax, ay = ring[m - 1, 0], ring[m - 1, 1]
            if _distance(ax, ay, xy[after, 0], xy[after, 1], x, y) <= EXACT_PX:
                continue
        ring[m, 0], ring[m, 1] = x, y
        stays[m] = stay
        m += 1
    return m


@compiled
def thin(
    xy: Floats, ring_start: Ints, fixed: NDArray[np.bool_], tolerance: float, kind: int, height: int, width: int
) -> tuple[Floats, Ints]:
    """Leave out vertices as long as no boundary moves by more than a tolerance, or over a pixel centre.

    Douglas & Peucker's subdivision with one more reason to divide: a line that would pass on the wrong side of a pixel
    centre. Where a ring reaches the scene's border its vertices stay.

    Args:
        xy: Vertices of closed rings as traced, float64 (N, 2).
        ring_start: First vertex of each ring and N.
        fixed: Vertices that stay in any case, bool (N,), or (0,) for none.
        tolerance: Largest distance in pixels; 0 leaves out only what is on a line exactly.
        kind: CONTOUR or EDGES; FREE where the rings are not as traced any more.
        height: Rows of the scene.
        width: Columns of the scene.

    Returns:
        Vertices and starts of the thinned rings, as many as before.

    Source:
        Douglas & Peucker (1973), doi:10.3138/FM57-6770-U75U-7727.
    """
    out = np.empty_like(xy)
    starts = np.zeros(len(ring_start), np.int64)
    n = 0
    ring, turned = np.empty((64, 2), np.float64), np.empty((64, 2), np.float64)
    keep, stays = np.empty(64, np.bool_), np.empty(64, np.bool_)
    stack = np.empty((64, 2), np.int64)
    for k in range(len(ring_start) - 1):
        start, stop = ring_start[k], ring_start[k + 1] - 1
        if len(keep) < stop - start + 2:
            size = 2 * (stop - start + 2)
            ring, turned = np.empty((size, 2), np.float64), np.empty((size, 2), np.float64)
            keep, stays = np.empty(size, np.bool_), np.empty(size, np.bool_)
            stack = np.empty((size, 2), np.int64)
        # A vertex on a line still says which centres another line must pass between.
        straight = tolerance == 0.0 or kind != CONTOUR
        m = _bare_ring(xy, start, stop, height, width, fixed, straight, ring, stays)
        if tolerance > 0.0:
            lowest, opposite = extremes(ring, m)
            for i in range(m + 1):
                j = (lowest + i) % m
                turned[i, 0], turned[i, 1] = ring[j, 0], ring[j, 1]
                keep[i] = stays[j] or j in (lowest, opposite)
            divide(turned, m, tolerance, kind, keep, stack)
        else:
            for i in range(m):
                turned[i, 0], turned[i, 1], keep[i] = ring[i, 0], ring[i, 1], True
        first = n
        kept = 0
        for i in range(m):
            kept += keep[i]
        for i in range(m):
            if keep[i] or kept < 3:
                out[n, 0], out[n, 1] = turned[i, 0], turned[i, 1]
                n += 1
        out[n, 0], out[n, 1] = out[first, 0], out[first, 1]
        n += 1
        starts[k + 1] = n
    return out[:n], starts
