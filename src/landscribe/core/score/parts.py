"""Parts of a scene: how much agrees in each of them, for intervals where a class stands in one scene only."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import FloatArray, GeometryArray
from landscribe.core.polygons.flatten import flatten, subdivide
from landscribe.core.score.areas import Areas

PARTS = 4
"""Parts along each side of a scene."""


def part_areas(
    predicted: GeometryArray,
    truth: GeometryArray,
    frame: tuple[float, float, float, float],
    region: BaseGeometry | None = None,
) -> tuple[Areas, ...]:
    """Measure where two sets of polygons agree in each part of a frame; the parts add up to the whole.

    Args:
        predicted: Polygons and MultiPolygons.
        truth: The same, in the same coordinates.
        frame: Smallest x and y, largest x and y; what sticks out counts to the part that is nearest.
        region: Ground that counts; None counts everything.

    Returns:
        Areas of `PARTS` x `PARTS` parts, row by row.

    Raises:
        DataError: If a geometry is not polygonal.
    """
    ours, theirs = (subdivide(flatten(side, region)) for side in (predicted, truth))
    boxes = _boxes(frame)
    rows, cols = shapely.STRtree(theirs).query(ours, predicate="intersects")
    common = shapely.intersection(ours[rows], theirs[cols])
    tp, total_p, total_t = (_areas_in(side, boxes) for side in (common, ours, theirs))
    # Rounding may leave -1e-16 where one side covers the other.
    fp, fn = np.maximum(total_p - tp, 0.0), np.maximum(total_t - tp, 0.0)
    return tuple(Areas(*map(float, row)) for row in zip(tp, fp, fn, strict=True))


def _boxes(frame: tuple[float, float, float, float]) -> GeometryArray:
    left, bottom, right, top = frame
    x, y = np.linspace(left, right, PARTS + 1), np.linspace(bottom, top, PARTS + 1)
    far = 10.0 * max(right - left, top - bottom, 1.0)
    for cuts in (x, y):
        cuts[0] -= far
        cuts[-1] += far
    boxes: GeometryArray = shapely.box(x[None, :-1], y[:-1, None], x[None, 1:], y[1:, None]).ravel()
    return boxes


def _areas_in(polygons: GeometryArray, boxes: GeometryArray) -> FloatArray:
    at, which = shapely.STRtree(boxes).query(polygons, predicate="intersects")
    areas = shapely.area(shapely.intersection(polygons[at], boxes[which]))
    return np.bincount(which, areas, len(boxes)).astype(np.float64)
