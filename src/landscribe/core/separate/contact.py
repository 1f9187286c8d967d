"""Contact: the ground where two things of a class meet or nearly do, for a network to learn."""

from __future__ import annotations

import numpy as np
import shapely

from landscribe.core.arrays import GeometryArray
from landscribe.core.polygons.flatten import require_polygons, with_area

QUARTER_SEGMENTS = 4
TWICE = 0.5
"""Two things of which one is covered by so much of the other are the same one, drawn twice."""


def contact_ground(things: GeometryArray, reach: float) -> GeometryArray:
    """Return the ground that is no farther than `reach` from two things at once.

    Along a wall that two houses share this is a strip twice as wide; a gap is filled up to twice the reach.

    Args:
        things: Polygons and MultiPolygons, one for each thing.
        reach: Distance in units of the coordinates, above 0.

    Returns:
        Polygons and MultiPolygons, which may overlap.

    Raises:
        DataError: If a geometry is not polygonal.
    """
    things = require_polygons(things)[0]
    things = things[shapely.area(things) > 0]
    one, other = shapely.STRtree(things).query(things, predicate="dwithin", distance=2 * reach)
    one, other = one[one < other], other[one < other]
    common = shapely.area(shapely.intersection(things[one], things[other]))
    smaller = np.minimum(shapely.area(things[one]), shapely.area(things[other]))
    apart = common < TWICE * smaller
    wide = shapely.buffer(things, reach, quad_segs=QUARTER_SEGMENTS)
    return with_area(shapely.intersection(wide[one[apart]], wide[other[apart]]))
