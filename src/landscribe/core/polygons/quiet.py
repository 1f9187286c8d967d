"""What shapely does inside of a change to the filters of warnings, done without one.

Filters belong to the whole process. `shapely.is_valid` and `shapely.total_bounds` switch warnings off and on again, and
two threads at it may leave them off for good.
"""

from __future__ import annotations

import numpy as np
import shapely

from landscribe.core.arrays import BoolArray, GeometryArray

VALID = "Valid Geometry"


def is_valid(geometries: GeometryArray) -> BoolArray:
    """Tell which geometries are valid; None is not."""
    with np.errstate(invalid="ignore"):  # GEOS compares numbers that are none
        valid: BoolArray = np.asarray(shapely.is_valid_reason(geometries) == VALID, dtype=np.bool_)
    return valid


def total_bounds(geometries: GeometryArray) -> tuple[float, float, float, float]:
    """Return the least x and y and the largest x and y; NaN where there is nothing that has bounds."""
    bounds = np.reshape(shapely.bounds(geometries), (-1, 4))
    known = bounds[~np.isnan(bounds).any(axis=1)]
    if not len(known):
        return np.nan, np.nan, np.nan, np.nan
    (left, bottom), (right, top) = known[:, :2].min(axis=0), known[:, 2:].max(axis=0)
    return float(left), float(bottom), float(right), float(top)
