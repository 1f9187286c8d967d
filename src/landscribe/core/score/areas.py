"""How much of two sets of polygons, or of two masks, agrees: TP, FP and FN areas, matched objects, boundaries.

Polygons are compared exactly, without a raster between. Ground that one side covers twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import BoolArray, FloatArray, GeometryArray
from landscribe.core.polygons.flatten import cut_to, flatten, require_polygons, subdivide, with_area
from landscribe.core.score._shape import ROW
from landscribe.errors import DataError, problem

ARC_SEGMENTS = 4
"""Corners of an arc per quarter turn where outlines are moved inwards: off by 2 % of the distance at most."""


@dataclass(frozen=True, slots=True)
class Areas:
    """True positive, false positive and false negative area, in one unit.

    Convention for emptiness: a ratio whose denominator is zero is NaN, so nobody mistakes "nothing to find, nothing
    found" for a perfect or a failed result. A class predicted where there is no truth has Jaccard 0.
    """

    __pydantic_config__ = ROW

    tp: float
    fp: float
    fn: float

    def __add__(self, other: Areas) -> Areas:
        return Areas(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    def scale(self, factor: float) -> Areas:
        """Return the same areas in another unit."""
        return Areas(self.tp * factor, self.fp * factor, self.fn * factor)

    @property
    def jaccard(self) -> float:
        """TP / (TP + FP + FN), NaN where neither side has area."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """TP / (TP + FP), NaN where nothing is predicted."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN), NaN where there is no truth."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), NaN where neither side has area."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


@dataclass(frozen=True, slots=True)
class Matches:
    """Numbers of objects found, invented and missed."""

    __pydantic_config__ = ROW

    tp: int
    fp: int
    fn: int
    merged: int = 0
    """Predicted objects that hold two true ones or more, each by half of its area at least."""
    fragmented: int = 0
    """True objects that hold two predicted ones or more, each by half of its area at least."""

    def __add__(self, other: Matches) -> Matches:
        return Matches(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def sum_areas(parts: Iterable[Areas]) -> Areas:
    """Add areas; none give zero."""
    return sum(parts, Areas(0.0, 0.0, 0.0))


def polygon_areas(
    predicted: GeometryArray, truth: GeometryArray, region: BaseGeometry | None = None, *, checked: bool = False
) -> Areas:
    """Measure exactly where two sets of polygons agree.

    The areas common to both come from the pairs that a spatial index finds; those of one side only by subtraction.

    Args:
        predicted: Polygons and MultiPolygons, any order, overlaps allowed; None and empty ones are no area; invalid
            ones are repaired by `repair`.
        truth: The same, in the same coordinates.
        region: Ground that counts; both sides are clipped to it. None counts everything.
        checked: The geometries come from `repair`, so that they need not be looked at again.

    Returns:
        Areas in squared units of the coordinates.

    Raises:
        DataError: If a geometry is not polygonal.
    """
    ours, theirs = (flatten(side, region, checked=checked) for side in (predicted, truth))
    total_p, total_t = float(shapely.area(ours).sum()), float(shapely.area(theirs).sum())
    tp = common_area(ours, theirs)
    # Rounding may leave -1e-16 where one side covers the other.
    return Areas(tp, max(total_p - tp, 0.0), max(total_t - tp, 0.0))


def mask_areas(predicted_hw: BoolArray, truth_hw: BoolArray, valid_hw: BoolArray | None = None) -> Areas:
    """Count pixels of two masks.

    Args:
        predicted_hw: Bool (H, W).
        truth_hw: Bool (H, W).
        valid_hw: Bool (H, W), pixels that count; None counts all.

    Returns:
        Areas in pixels.

    Raises:
        DataError: If shapes differ.
    """
    shapes = {array.shape for array in (predicted_hw, truth_hw, valid_hw) if array is not None}
    if len(shapes) > 1:
        raise DataError(problem("masks", "shapes differ", got=sorted(shapes), need="one shape"))
    ours, theirs = predicted_hw.astype(bool, copy=False), truth_hw.astype(bool, copy=False)
    if valid_hw is not None:
        ours, theirs = ours & valid_hw, theirs & valid_hw
    tp = int(np.count_nonzero(ours & theirs))
    return Areas(float(tp), float(np.count_nonzero(ours) - tp), float(np.count_nonzero(theirs) - tp))


def match_objects(
    predicted: GeometryArray,
    truth: GeometryArray,
    iou: float = 0.5,
    region: BaseGeometry | None = None,
    *,
    checked: bool = False,
) -> Matches:
    """Pair objects one to one where their intersection over union reaches `iou`, best pairs first.

    Args:
        predicted: One geometry per object; a MultiPolygon is one object.
        truth: The same, in the same coordinates.
        iou: Least intersection over union, in (0, 1].
        region: Ground that counts; objects without area in it are left out, others are cut to it.
        checked: The geometries come from `repair`.

    Raises:
        DataError: If a geometry is not polygonal or `iou` is out of range.

    Source:
        Everingham et al. (2010), doi:10.1007/s11263-009-0275-4, section 4.2: overlap of 0.5, each object once.
    """
    if not 0 < iou <= 1:
        raise DataError(problem("match_objects", "iou out of range", got=iou, need="above 0, at most 1"))
    ours, theirs = (_objects(side, region, checked=checked) for side in (predicted, truth))
    rows, cols = _pairs(ours, theirs)
    common = shapely.area(shapely.intersection(ours[rows], theirs[cols]))
    union = shapely.area(ours)[rows] + shapely.area(theirs)[cols] - common
    # A tolerance of rounding, so that two halves of a square reach 0.5 in any coordinates.
    enough = np.flatnonzero(common >= iou * union * (1 - 1e-12))
    best_first = enough[np.argsort(-common[enough] / union[enough], kind="stable")]
    used_p, used_t = np.zeros(len(ours), bool), np.zeros(len(theirs), bool)
    for pair in best_first:
        if not (used_p[rows[pair]] or used_t[cols[pair]]):
            used_p[rows[pair]] = used_t[cols[pair]] = True
    tp = int(used_p.sum())
    merged = _holding(rows, common, shapely.area(theirs)[cols])
    fragmented = _holding(cols, common, shapely.area(ours)[rows])
    return Matches(tp, len(ours) - tp, len(theirs) - tp, merged, fragmented)


def boundary_areas(
    predicted: GeometryArray, truth: GeometryArray, distance: float, region: BaseGeometry | None = None
) -> Areas:
    """Compare only the strips of `distance` inside the outlines of both sides, so that large objects hide nothing.

    Args:
        predicted: Polygons and MultiPolygons.
        truth: The same, in the same coordinates.
        distance: Width of the strip in units of the coordinates, above 0.
        region: Ground that counts; its border is not an outline.

    Raises:
        DataError: If a geometry is not polygonal or `distance` is not above 0.

    Source:
        Cheng et al. (2021), "Boundary IoU", doi:10.1109/CVPR46437.2021.01508, equation 2.
    """
    if not distance > 0:
        raise DataError(problem("boundary_areas", "strip without width", got=distance, need="above 0"))
    ours, ours_inner = _eroded(predicted, distance, region)
    theirs, theirs_inner = _eroded(truth, distance, region)
    # A strip is a side less its inner part, so areas of strips follow from areas of whole and inner parts, and no
    # ring with twice the vertices has to be built.
    tp = common_area(ours, theirs) - common_area(ours_inner, theirs) - common_area(ours, theirs_inner)
    tp = max(tp + common_area(ours_inner, theirs_inner), 0.0)
    strip_p, strip_t = (
        float(shapely.area(whole).sum() - shapely.area(inner).sum())
        for whole, inner in ((ours, ours_inner), (theirs, theirs_inner))
    )
    return Areas(tp, max(strip_p - tp, 0.0), max(strip_t - tp, 0.0))


def common_area(ours: GeometryArray, theirs: GeometryArray) -> float:
    """Return the area of the intersection of two sides, each of which overlaps itself nowhere (see `flatten`)."""
    ours, theirs = subdivide(ours), subdivide(theirs)
    rows, cols = _pairs(ours, theirs)
    return float(shapely.area(shapely.intersection(ours[rows], theirs[cols])).sum())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def _pairs(ours: GeometryArray, theirs: GeometryArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows, cols = shapely.STRtree(theirs).query(ours, predicate="intersects")
    return rows, cols


def _holding(holder: NDArray[np.intp], common: FloatArray, whole: FloatArray) -> int:
    """Count the holders of two things or more, given what of a thing lies in its holder and how large all of it is."""
    held = holder[common >= 0.5 * whole * (1 - 1e-12)]
    return int(np.count_nonzero(np.bincount(held) > 1))


def _objects(geometries: GeometryArray, region: BaseGeometry | None, *, checked: bool) -> GeometryArray:
    found = geometries if checked else require_polygons(geometries)[0]
    found = found[~shapely.is_missing(found)]
    if region is not None:
        found = cut_to(found, region)
    return found[shapely.area(found) > 0]


def _eroded(
    geometries: GeometryArray, distance: float, region: BaseGeometry | None
) -> tuple[GeometryArray, GeometryArray]:
    """Return one side and what of it lies deeper than `distance`, both cut to the region."""
    # Seams between touching pieces are no outline: unite first.
    whole = shapely.get_parts(shapely.disjoint_subset_union_all(require_polygons(geometries)[0]))
    inner = shapely.buffer(whole, -distance, quad_segs=ARC_SEGMENTS)
    if region is not None:
        whole, inner = cut_to(whole, region), cut_to(inner, region)
    return with_area(whole), with_area(inner)
