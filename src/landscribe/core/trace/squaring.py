"""Right angles: outlines of buildings with sides in two directions, where they nearly have them already."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from landscribe.core.arrays import Floats, Ints
from landscribe.core.polygons.simplify import FREE, divide, extremes
from landscribe.late import compiled

ROUGH_PX = 0.75
"""Bends flatter than this are not sides."""
SHORTEST_PX = 1.0
"""Shorter sides go up in their neighbours."""
END_PX = 1.5
"""How far from its ends a side is rounded off."""
AGREEMENT = 0.8
"""How well sides must agree on a direction: 1 where all angles are right, 0 for a circle."""


@compiled
def _open_ring(xy: Floats, start: int, stop: int) -> tuple[Floats, Ints]:
    """Return a ring without its repeated end, and the vertices at which it bends by more than ROUGH_PX."""
    m = stop - 1 - start
    lowest, opposite = extremes(xy[start : stop - 1], m)
    ring = np.empty((m + 1, 2), np.float64)
    for i in range(m + 1):
        j = start + (lowest + i) % m
        ring[i, 0], ring[i, 1] = xy[j, 0], xy[j, 1]
    keep = np.zeros(m + 1, np.bool_)
    keep[0] = keep[(opposite - lowest) % m] = True
    divide(ring, m, ROUGH_PX, FREE, keep, np.empty((m + 2, 2), np.int64))
    return ring[:m], np.flatnonzero(keep[:m])


@compiled
def _direction(ring: Floats, bends: Ints) -> tuple[float, float]:
    """Direction that most of the sides have or are upright to, in radians, and how well they agree on it.

    Angles count four times, so that all four directions of a rectangle are one, and by squared length of the side.
    """
    c = s = total = 0.0
    for k in range(len(bends)):
        i, j = bends[k], bends[k + 1 if k + 1 < len(bends) else 0]
        dx, dy = ring[j, 0] - ring[i, 0], ring[j, 1] - ring[i, 1]
        weight = dx * dx + dy * dy
        angle = 4.0 * math.atan2(dy, dx)
        c += weight * math.cos(angle)
        s += weight * math.sin(angle)
        total += weight
    return math.atan2(s, c) / 4.0, math.hypot(c, s) / total if total > 0.0 else 0.0


@compiled
def _turn(ring: Floats, angle: float) -> Floats:
    """Return the ring in a frame whose x axis has the given angle."""
    c, s = math.cos(angle), math.sin(angle)
    turned = np.empty_like(ring)
    for i in range(len(ring)):
        turned[i, 0], turned[i, 1] = c * ring[i, 0] + s * ring[i, 1], c * ring[i, 1] - s * ring[i, 0]
    return turned


@compiled
def _sides(ring: Floats, bends: Ints) -> Ints:
    """Gather a turned ring into sides along x and along y in turn.

    Returns:
        First vertex of each side, the first one along x, int64 (S,) with S even; empty where there is one kind only.
    """
    n = len(bends)
    level = np.empty(n, np.bool_)
    for k in range(n):
        i, j = bends[k], bends[k + 1 if k + 1 < n else 0]
        level[k] = abs(ring[j, 0] - ring[i, 0]) >= abs(ring[j, 1] - ring[i, 1])
    first = -1
    for k in range(n):
        if level[k] and not level[k - 1]:
            first = k
            break
    begins = np.empty(n, np.int64)
    m = 0
    if first >= 0:
        for k in range(n):
            here = (first + k) % n
            if k == 0 or level[here] != level[here - 1]:
                begins[m] = bends[here]
                m += 1
    return _drop_short(ring, begins[:m])


@compiled
def _drop_short(ring: Floats, begins: Ints) -> Ints:
    """Let sides that are too short go up in their neighbours, the shortest first."""
    n = len(begins)
    while n > 4:
        shortest, k = SHORTEST_PX, -1
        for i in range(n):
            a, b = begins[i], begins[i + 1 if i + 1 < n else 0]
            axis = i % 2
            length = abs(ring[b, axis] - ring[a, axis])
            if length < shortest:
                shortest, k = length, i
        if k < 0:
            break
        # Sides k - 1, k and k + 1 become one, which begins where k - 1 does.
        left = np.empty(n - 2, np.int64)
        m = 0
        for i in range(n):
            if i not in (k, (k + 1) % n):
                left[m] = begins[i]
                m += 1
        n -= 2
        if k == n + 1:  # the last side went and the first with it, so the list begins with a side along y
            moved = left[n - 1]
            for i in range(n - 1, 0, -1):
                left[i] = left[i - 1]
            left[0] = moved
        begins = left
    return begins


@compiled
def _slope(ring: Floats, begins: Ints) -> float:
    """Angle by which all sides together are off their axes, by least squares over their length."""
    covariance = variance = 0.0
    n, m = len(begins), len(ring)
    for k in range(n):
        u = k % 2
        sign = 1.0 if u == 0 else -1.0
        begin = begins[k]
        steps = (begins[k + 1 if k + 1 < n else 0] - begin) % m
        for moments in range(2):
            if moments == 0:
                weight = mean_u = mean_v = 0.0
            for t in range(steps):
                i, j = (begin + t) % m, (begin + t + 1) % m
                du, dv = ring[j, u] - ring[i, u], ring[j, 1 - u] - ring[i, 1 - u]
                size = math.hypot(du, dv)
                if moments == 0:
                    weight += size
                    mean_u += size * 0.5 * (ring[i, u] + ring[j, u])
                    mean_v += size * 0.5 * (ring[i, 1 - u] + ring[j, 1 - u])
                else:
                    a = 0.5 * (ring[i, u] + ring[j, u]) - mean_u
                    b = 0.5 * (ring[i, 1 - u] + ring[j, 1 - u]) - mean_v
                    covariance += sign * size * (a * b + du * dv / 12.0)
                    variance += size * (a * a + du * du / 12.0)
            if moments == 0 and weight > 0.0:
                mean_u, mean_v = mean_u / weight, mean_v / weight
    return math.atan2(covariance, variance) if variance > 0.0 else 0.0


@compiled
def _level(ring: Floats, begin: int, end: int, u: int) -> float:
    """Mean position of a side across its direction, without its ends, where the corners are."""
    m = len(ring)
    low, high = min(ring[begin, u], ring[end, u]), max(ring[begin, u], ring[end, u])
    trim = min(END_PX, 0.25 * (high - low))
    low, high = low + trim, high - trim
    total = weight = 0.0
    for t in range((end - begin) % m):
        i, j = (begin + t) % m, (begin + t + 1) % m
        a, b = ring[i, u], ring[j, u]
        if a == b:
            continue
        ca, cb = min(max(a, low), high), min(max(b, low), high)
        slope = (ring[j, 1 - u] - ring[i, 1 - u]) / (b - a)
        total += (cb - ca) * (ring[i, 1 - u] + slope * (0.5 * (ca + cb) - a))
        weight += cb - ca
    return total / weight if weight != 0.0 else 0.5 * (ring[begin, 1 - u] + ring[end, 1 - u])


@compiled
def _square(ring: Floats, bends: Ints, angle: float) -> Floats:
    """Return an open ring with sides along `angle` and upright to it; empty where that makes no sense."""
    turned = _turn(ring, angle)
    begins = _sides(turned, bends)
    n = len(begins)
    if n < 4 or n % 2:
        return np.empty((0, 2), np.float64)
    levels = np.empty(n, np.float64)
    for k in range(n):
        levels[k] = _level(turned, begins[k], begins[k + 1 if k + 1 < n else 0], k % 2)
    out = np.empty((n, 2), np.float64)
    for k in range(n):  # sides k and k + 1 meet: one gives y, the other x
        after = k + 1 if k + 1 < n else 0
        out[k, 0], out[k, 1] = (levels[after], levels[k]) if k % 2 == 0 else (levels[k], levels[after])
    return _turn(out, -angle)


@compiled
def square_rings(xy: Floats, ring_start: Ints, polygon_start: Ints) -> tuple[Floats, Ints, NDArray[np.bool_]]:
    """Give polygons right angles.

    Args:
        xy: Vertices of closed rings, float64 (N, 2), as dense as they come.
        ring_start: First vertex of each ring and N.
        polygon_start: First ring, the shell, of each polygon and their number. Holes take the shell's direction.

    Returns:
        Vertices and starts of as many rings, and which polygons changed; the others are as they were.
    """
    out = np.empty((len(xy) + len(ring_start), 2), np.float64)
    starts = np.zeros(len(ring_start), np.int64)
    changed = np.zeros(len(polygon_start) - 1, np.bool_)
    n = 0
    for p in range(len(polygon_start) - 1):
        shell = polygon_start[p]
        ring, bends = _open_ring(xy, ring_start[shell], ring_start[shell + 1])
        angle, agreement = _direction(ring, bends)
        for k in range(shell, polygon_start[p + 1]):
            start, stop = ring_start[k], ring_start[k + 1]
            squared = np.empty((0, 2), np.float64)
            if agreement >= AGREEMENT and (k == shell or changed[p]):
                ring, bends = _open_ring(xy, start, stop)
                if k == shell:
                    begins = _sides(_turn(ring, angle), bends)
                    angle += _slope(_turn(ring, angle), begins) if len(begins) >= 4 else 0.0
                squared = _square(ring, bends, angle)
            if k == shell:
                changed[p] = len(squared) > 0
            m = len(squared)
            for i in range(m + 1 if m else stop - start):
                out[n, 0] = squared[i % m, 0] if m else xy[start + i, 0]
                out[n, 1] = squared[i % m, 1] if m else xy[start + i, 1]
                n += 1
            starts[k + 1] = n
    return out[:n], starts, changed
