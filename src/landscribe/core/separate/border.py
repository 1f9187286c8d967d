"""Border: the ground along the outlines of the things of a class, for a network to learn."""

from __future__ import annotations

import shapely

from landscribe.core.arrays import GeometryArray
from landscribe.core.polygons.flatten import require_polygons, with_area

QUARTER_SEGMENTS = 4


def border_ground(things: GeometryArray, reach: float) -> GeometryArray:
    """Return the ground that is no farther than `reach` from the outline of a thing, on either side of it.

    A wall that two houses share lies in the middle of such a strip, and so does the gap between two that nearly touch.

    Args:
        things: Polygons and MultiPolygons, one for each thing.
        reach: Distance in units of the coordinates, above 0.

    Returns:
        Polygons, which may overlap.

    Raises:
        DataError: If a geometry is not polygonal.
    """
    things = require_polygons(things)[0]
    outlines = shapely.boundary(things[shapely.area(things) > 0])
    return with_area(shapely.buffer(outlines, reach, quad_segs=QUARTER_SEGMENTS))
