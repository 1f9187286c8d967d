"""Outlines: the rings of traced parts shaped into polygons, and the polygons of all strips put together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import shapely

from landscribe.core.arrays import BoolArray, Floats, GeometryArray, Ints
from landscribe.core.polygons.components import components
from landscribe.core.polygons.quiet import is_valid
from landscribe.core.polygons.repair import repair
from landscribe.core.polygons.rings import gather_rings, ring_areas, to_polygons
from landscribe.core.polygons.simplify import CONTOUR, EDGES, relax, straighten, thin
from landscribe.core.trace._chains import Closed
from landscribe.core.trace.corners import restore_corners
from landscribe.core.trace.squaring import square_rings
from landscribe.core.tracing import Tracing
from landscribe.workers import stop_if_asked

SMALL, SMALL_HOLE = "polygon below minimum area", "hole below minimum area"
FLAT = "one pixel wide, no area between pixel centres"
NEARLY_SQUARE = 0.85
"""Jaccard that a polygon must keep with what it was when it gets right angles."""
SQUARED_PX = 2.5
"""Largest distance that its outline may move."""
INTERIORS_MEET = "T********"


@dataclass(frozen=True)
class Outlines:
    """Polygons of parts, and the sums of the field over them."""

    geometries: GeometryArray
    plain: GeometryArray
    """What to fall back on where another polygon is in the way: no vertex of these was moved over a pixel centre."""
    reshaped: BoolArray
    """Where the two differ."""
    pixels: Floats
    total: Floats
    low: Floats
    first: Ints
    """Flat index of the first pixel in scan order."""
    area: Floats
    dropped: Counter[str]


def shape_outlines(closed: Closed, shape_hw: tuple[int, int], tracing: Tracing) -> Outlines:
    """Leave out what is too small and build polygons of the rest.

    Args:
        closed: Rings of parts that have ended.
        shape_hw: Height and width of the scene.
        tracing: What to do with them.

    Returns:
        Polygons, one for each part that is left.
    """
    stop_if_asked()
    areas = -ring_areas(closed.xy, closed.ring_start)  # shells run against the clock on the screen
    is_hole = areas < 0
    small_hole = is_hole & (-areas < tracing.hole_px)
    net = np.bincount(closed.part, weights=np.where(small_hole, 0.0, areas), minlength=len(closed.stats))
    keep_part = net >= tracing.min_area_px
    order = np.lexsort((is_hole, closed.part))
    order = order[(keep_part[closed.part] & ~small_hole)[order]]
    polygon_start = np.append(np.flatnonzero(~is_hole[order]), len(order)).astype(np.int64)
    xy, block, ring_start = gather_rings(closed.xy, closed.block, closed.ring_start, order)
    height, width = shape_hw
    reshaped = np.zeros(len(polygon_start) - 1, dtype=np.bool_)
    plain_xy, plain_start = xy, ring_start
    corners = np.empty(0, dtype=np.bool_)
    if tracing.mode == "edge":
        if tracing.simplify_px > 0:
            plain_xy, plain_start = thin(xy, ring_start, block > 0, tracing.simplify_px, EDGES, height, width)
    else:
        if tracing.is_sharp:
            straighten(xy, block, ring_start, height, width)
        for _ in range(tracing.smooth):
            xy = relax(xy, ring_start, height, width)
        plain_xy, plain_start = thin(xy, ring_start, corners, tracing.simplify_px, CONTOUR, height, width)
        if tracing.is_sharp and not tracing.smooth and len(reshaped):
            xy, ring_start, corners, found = restore_corners(xy, block, ring_start, tracing.level)
            reshaped = np.add.reduceat(found, polygon_start[:-1]) > 0
    plain = to_polygons(plain_xy, plain_start, polygon_start)
    geometries = plain.copy()
    if reshaped.any():
        rings = np.flatnonzero(np.repeat(reshaped, np.diff(polygon_start)))
        some_xy, flags, some_start = gather_rings(xy, corners.astype(np.float32), ring_start, rings)
        thinned = thin(some_xy, some_start, flags > 0, tracing.simplify_px, CONTOUR, height, width)
        starts = np.concatenate(([0], np.cumsum(np.diff(polygon_start)[reshaped])))
        geometries[reshaped] = to_polygons(*thinned, starts)
    if tracing.right_angles:
        geometries, squared = _square(geometries, xy, ring_start, polygon_start)
        reshaped |= squared
    pixels, total, low = closed.stats[keep_part].T
    dropped = Counter(
        {
            SMALL: int(np.count_nonzero(~keep_part)),
            SMALL_HOLE: int(np.count_nonzero(small_hole & keep_part[closed.part])),
        }
    )
    area = shapely.area(geometries)
    return Outlines(geometries, plain, reshaped, pixels, total, low, closed.first[keep_part], area, dropped)


def _square(
    geometries: GeometryArray, xy: Floats, ring_start: Ints, polygon_start: Ints
) -> tuple[GeometryArray, BoolArray]:
    """Give right angles to polygons that stay nearly the same by it; also returns which ones."""
    xy, ring_start, changed = square_rings(xy, ring_start, polygon_start)
    squared = to_polygons(xy, ring_start, polygon_start)
    index = np.flatnonzero(changed)
    index = index[is_valid(squared[index])]
    old, new = geometries[index], squared[index]
    common = shapely.area(shapely.intersection(old, new))
    jaccard = common / (shapely.area(old) + shapely.area(new) - common)
    index = index[(jaccard >= NEARLY_SQUARE) & (shapely.hausdorff_distance(old, new) <= SQUARED_PX)]
    result, flags = geometries.copy(), np.zeros(len(geometries), dtype=np.bool_)
    result[index], flags[index] = squared[index], True
    return result, flags


def join(pieces: list[Outlines], *, by_corners: bool = False) -> Outlines:
    """Put the polygons of all strips together, in scan order of their first pixels.

    Args:
        pieces: Polygons of each strip.
        by_corners: Whether polygons that share a corner are one MultiPolygon.
    """
    first = np.concatenate([piece.first for piece in pieces])
    order = np.argsort(first, kind="stable")

    everything = Outlines(
        geometries=np.concatenate([piece.geometries for piece in pieces])[order],
        plain=np.concatenate([piece.plain for piece in pieces])[order],
        reshaped=np.concatenate([piece.reshaped for piece in pieces])[order],
        pixels=np.concatenate([piece.pixels for piece in pieces])[order],
        total=np.concatenate([piece.total for piece in pieces])[order],
        low=np.concatenate([piece.low for piece in pieces])[order],
        first=first[order],
        area=np.concatenate([piece.area for piece in pieces])[order],
        dropped=sum((piece.dropped for piece in pieces), Counter()),
    )
    settled = settle(everything) if everything.reshaped.any() else everything
    return _group(settled) if by_corners else settled


def count_from_centres(outlines: Outlines, min_area: float) -> Outlines:
    """Lay outlines that run beside pixel centres onto them, and count pixels as OpenCV does.

    What is one pixel wide has no area then; what hangs together by such a thing comes apart.

    Args:
        outlines: Polygons traced beside pixel centres.
        min_area: Those with a smaller area in pixels are left out.

    Returns:
        Valid Polygons and MultiPolygons with whole numbers: column and row of pixels.
    """
    geometries, _ = repair(shapely.transform(outlines.geometries, lambda xy: np.round(xy - 0.5)))
    geometries = shapely.remove_repeated_points(geometries)
    area = shapely.area(geometries)
    flat, keep = area == 0, (area > 0) & (area >= min_area)
    left_out = Counter({FLAT: int(flat.sum()), SMALL: int((~flat & ~keep).sum())})
    return Outlines(
        geometries=geometries[keep],
        plain=geometries[keep],
        reshaped=outlines.reshaped[keep],
        pixels=outlines.pixels[keep],
        total=outlines.total[keep],
        low=outlines.low[keep],
        first=outlines.first[keep],
        area=area[keep],
        dropped=outlines.dropped + left_out,
    )


def _group(outlines: Outlines) -> Outlines:
    """Make one MultiPolygon of the polygons that share a corner; their sums are added up."""
    xy, owner = shapely.get_coordinates(outlines.geometries, return_index=True)
    corner = np.unique(xy, axis=0, return_inverse=True)[1].ravel()
    order = np.argsort(corner, kind="stable")
    same = corner[order][1:] == corner[order][:-1]
    n = len(outlines.geometries)
    group = components(n, owner[order[:-1][same]], owner[order[1:][same]])
    members = np.bincount(group)
    lead = np.unique(group, return_index=True)[1]
    geometries = outlines.geometries[lead]
    for k in np.flatnonzero(members > 1):
        stop_if_asked()
        geometries[k] = shapely.MultiPolygon(list(outlines.geometries[group == k]))
    low = np.full(len(members), np.inf)
    np.minimum.at(low, group, outlines.low)
    return Outlines(
        geometries=geometries,
        plain=geometries,
        reshaped=np.zeros(len(members), dtype=np.bool_),
        pixels=np.bincount(group, weights=outlines.pixels).astype(np.float64),
        total=np.bincount(group, weights=outlines.total).astype(np.float64),
        low=low,
        first=outlines.first[lead],
        area=np.bincount(group, weights=outlines.area).astype(np.float64),
        dropped=outlines.dropped,
    )


def settle(outlines: Outlines) -> Outlines:
    """Take back reshaped polygons that are invalid or lie on another polygon."""
    geometries = outlines.geometries.copy()
    index = np.flatnonzero(outlines.reshaped)
    bad = index[~(is_valid(geometries[index]) & (shapely.area(geometries[index]) > 0))]
    reshaped = outlines.reshaped.copy()
    while True:
        stop_if_asked()
        geometries[bad] = outlines.plain[bad]
        reshaped[bad] = False
        index = np.flatnonzero(reshaped)
        mine, other = shapely.STRtree(geometries).query(geometries[index], predicate="intersects")
        mine = index[mine]
        mine, other = mine[mine != other], other[mine != other]
        meet = shapely.relate_pattern(geometries[mine], geometries[other], INTERIORS_MEET)
        bad = np.unique(np.concatenate((mine[meet], other[meet])))
        bad = bad[reshaped[bad]]
        if not len(bad):
            return replace(outlines, geometries=geometries, reshaped=reshaped, area=shapely.area(geometries))
