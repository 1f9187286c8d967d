"""Which ground each of several scenes owns: that in which it lies deeper than the others that have data there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import Floats

TOUCHING_PX = 0.01
"""Pieces nearer to each other than this touch."""


@dataclass(frozen=True)
class Sheet:
    """A scene on the map."""

    footprint: Polygon
    """Convex, in the CRS of all."""
    pixel: float
    """Length of a pixel in units of that CRS."""
    valid: BaseGeometry | None = None
    """Ground with data; None where all of it has."""
    rank: int = 0
    """Of two that show the same ground, the one of the smaller rank owns it, however deep the point lies."""


def overlapping(sheets: Sequence[Sheet]) -> frozenset[int]:
    """Return which scenes show ground that another one shows too, by their footprints."""
    return frozenset(k for pair in overlapping_pairs(sheets) for k in pair)


def overlapping_pairs(sheets: Sequence[Sheet]) -> list[tuple[int, int]]:
    """Return the scenes of which one shows ground of the other, each pair once."""
    return [(i, j) for i, j in neighbours(sheets) if _both(sheets[i], sheets[j]) is not None]


def _both(first: Sheet, second: Sheet) -> BaseGeometry | None:
    both = first.footprint.intersection(second.footprint)
    return both if both.area > (TOUCHING_PX * first.pixel) ** 2 else None


def neighbours(sheets: Sequence[Sheet]) -> list[tuple[int, int]]:
    """Return the scenes that overlap or meet, each pair once."""
    outlines = np.array([sheet.footprint for sheet in sheets], dtype=object)
    reach = [TOUCHING_PX * sheet.pixel for sheet in sheets]
    first, second = shapely.STRtree(outlines).query(outlines, predicate="dwithin", distance=reach)
    return sorted((int(i), int(j)) for i, j in zip(first, second, strict=True) if i < j)


def by_scene(pairs: Iterable[tuple[int, int]], count: int) -> list[list[int]]:
    """Return of each of `count` scenes those that overlap or meet it, in order."""
    beside: list[list[int]] = [[] for _ in range(count)]
    for i, j in pairs:
        beside[i].append(j)
        beside[j].append(i)
    return [sorted(others) for others in beside]


def lost_ground(sheets: Sequence[Sheet], k: int, beside: Iterable[int]) -> BaseGeometry | None:
    """Return the ground of a scene that others own; None where that is nothing.

    Args:
        sheets: All scenes. Where two of one rank lie equally deep, the first owns.
        k: The scene.
        beside: Those that overlap or meet it.
    """
    lost: list[BaseGeometry] = []
    for j in beside:
        own, other = sheets[k], sheets[j]
        both = _both(own, other)
        if both is None or own.rank < other.rank:
            continue
        theirs = both if other.rank < own.rank else _deeper(other.footprint, own.footprint, both, or_equal=j < k)
        lost.append(theirs if other.valid is None else theirs.intersection(other.valid))
    gone = shapely.union_all(lost) if lost else None
    return None if gone is None or gone.is_empty else gone


def _deeper(deep: Polygon, other: Polygon, both: BaseGeometry, *, or_equal: bool = False) -> BaseGeometry:
    """Return the part of an overlap that lies deeper in one convex polygon than in another.

    The depth in a convex polygon is the least of its distances from the lines of its edges. One is larger than another
    where, for some edge of the other, all of its own distances are larger than that one.
    """
    parts = []
    ours, theirs = _edges(deep), _edges(other)
    for edge in theirs:
        ring = shapely.get_coordinates(both)[:-1]
        for own in ours:
            ring = _half(ring, own - edge, or_equal=or_equal)
        if len(ring) >= 3:
            parts.append(Polygon(ring))
    return shapely.union_all(np.array([part if part.is_valid else part.buffer(0) for part in parts], dtype=object))


def _edges(polygon: Polygon) -> Floats:
    """Return a, b, c of each edge: a x + b y + c is the distance from its line, positive inside, (N, 3)."""
    xy = shapely.get_coordinates(shapely.orient_polygons(polygon).exterior)
    along = np.diff(xy, axis=0)
    along, start = along[(along != 0).any(axis=1)], xy[:-1][(along != 0).any(axis=1)]
    normal = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(*along.T)[:, None]
    return np.column_stack([normal, -(normal * start).sum(axis=1)])


def _half(ring: Floats, line: Floats, *, or_equal: bool) -> Floats:
    """Cut an open convex ring (N, 2) to where a x + b y + c > 0."""
    if not len(ring):
        return ring
    side = ring @ line[:2] + line[2]
    after, next_side = np.roll(ring, -1, axis=0), np.roll(side, -1)
    kept = []
    for point, following, here, there in zip(ring, after, side, next_side, strict=True):
        if here > 0 or (or_equal and here == 0):
            kept.append(point)
        if (here > 0) != (there > 0) and here != there:
            kept.append(point + here / (here - there) * (following - point))
    return np.array(kept).reshape(-1, 2)
