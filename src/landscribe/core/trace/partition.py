"""Partition: one class per pixel to polygons whose shared borders stay shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray, Floats, GeometryArray, IntArray
from landscribe.core.trace import Traced
from landscribe.core.trace._strips import KERNEL_ROWS, trace_edges
from landscribe.core.trace.outlines import INTERIORS_MEET, SMALL, SMALL_HOLE, Outlines, join, shape_outlines
from landscribe.core.tracing import PIXEL_EDGES, Tracing

VANISHED = "vanished in simplification"
LEAST = np.float32(1e-6)
"""A pixel of a class counts whatever its probability is, 0 included."""


def trace_partition(
    classes_hw: IntArray,
    wanted: Sequence[int],
    tracings: Sequence[Tracing],
    *,
    probability_hw: FloatArray | None = None,
) -> list[Traced]:
    """Turn a raster of exclusive classes into polygons without gaps or overlaps between them.

    Pixels of a class that meet at a corner only are two polygons. Along a border both sides have the same vertices.

    Args:
        classes_hw: Class of each pixel, integers (H, W).
        wanted: Classes to return; all others are traced too, so that borders with them are borders.
        tracings: Of each wanted class, for these of their settings: polygons below `min_area_px` are left out, and
            their ground stays empty; `simplify_px` says how coarse simplification may be: a vertex goes where the
            triangle with its neighbours has less area than the square of this. On the border of two classes the
            smaller one of theirs holds, on the border of a class and what is not wanted that of the class. Both sides
            of a border move together, the scene's border never. Holes smaller than `min_hole_px` in which no other
            polygon lies are filled; None fills none.
        probability_hw: How probable the class of each pixel is there, float (H, W), 0..1; None for 1.

    Returns:
        For each wanted class its polygons in pixel coordinates, in scan order, and what was left out, by reason.

    Source:
        Simplification: Visvalingam & Whyatt (1993), as `shapely.coverage_simplify`.
    """
    shape_hw = (classes_hw.shape[0], classes_hw.shape[1])
    nodes = _nodes(classes_hw)
    values = np.unique(classes_hw)
    traced: list[Outlines] = []
    for value in values:
        field: AnyArray = classes_hw == value
        if probability_hw is not None:
            field = np.where(field, np.clip(probability_hw, LEAST, 1), np.float32(0)).astype(np.float32)
        level = 0.5 if probability_hw is None else float(LEAST)
        pieces = trace_edges(lambda w, f=field: f[w.slices], shape_hw, KERNEL_ROWS, level, nodes)  # type: ignore[misc]
        traced.append(join([shape_outlines(piece, shape_hw, PIXEL_EDGES) for piece in pieces]))
    tolerance_of = {value: tracing.simplify_px for value, tracing in zip(wanted, tracings, strict=True)}
    coarsest = max(tolerance_of.values(), default=0.0)
    counts = [len(outlines.geometries) for outlines in traced]
    everything = _simplify(
        np.concatenate([outlines.geometries for outlines in traced]),
        np.repeat([tolerance_of.get(int(value), coarsest) for value in values], counts),
    )
    parts = np.split(everything, np.cumsum(counts)[:-1])
    of_value = {int(value): (part, outlines) for value, part, outlines in zip(values, parts, traced, strict=True)}
    kept = [
        _keep(*of_value[value], tracing.min_area_px) if value in of_value else _nothing()
        for value, tracing in zip(wanted, tracings, strict=True)
    ]
    limits = [tracing.min_hole_px for tracing in tracings]
    return kept if not any(limits) else _fill_holes(kept, [limit or 0.0 for limit in limits])


def _simplify(geometries: GeometryArray, tolerance: Floats) -> GeometryArray:
    """Simplify polygons that meet without gaps, each border by the smaller tolerance of its two sides.

    From the finest tolerance to the coarsest, those polygons are simplified together that allow as much; a border with
    one that does not is the border of their ground then, and stays.
    """
    geometries = geometries.copy()
    for step in np.unique(tolerance[tolerance > 0]):
        members = np.flatnonzero(tolerance >= step)
        geometries[members] = shapely.coverage_simplify(geometries[members], step, simplify_boundary=False)
    return geometries


def _keep(geometries: GeometryArray, outlines: Outlines, min_area_px: float) -> Traced:
    area = shapely.area(geometries)
    solid, large = area > 0, area >= min_area_px
    keep = solid & large
    dropped = {VANISHED: int(np.count_nonzero(~solid)), SMALL: int(np.count_nonzero(solid & ~large))}
    score = (outlines.total / outlines.pixels)[keep]
    return Traced(geometries[keep], score, outlines.low[keep], area[keep], dropped)


def _nothing() -> Traced:
    none = np.empty(0)
    return Traced(np.empty(0, dtype=object), none, none, none, {VANISHED: 0, SMALL: 0})


def _fill_holes(kept: list[Traced], limits: list[float]) -> list[Traced]:
    """Fill holes below a limit of each class where no polygon that was kept lies inside."""
    tree = shapely.STRtree(np.concatenate([traced.geometries for traced in kept]))
    filled = []
    for traced, limit in zip(kept, limits, strict=True):
        rings, owner = shapely.get_rings(traced.geometries, return_index=True)
        grounds = shapely.polygons(rings)
        is_hole = np.append(False, owner[1:] == owner[:-1])
        small = np.flatnonzero(is_hole & (shapely.area(grounds) < limit))
        hole, other = tree.query(grounds[small], predicate="intersects")
        taken = shapely.relate_pattern(grounds[small][hole], tree.geometries[other], INTERIORS_MEET)
        fill = np.delete(small, np.unique(hole[taken]))
        geometries = shapely.polygons(np.delete(rings, fill), indices=np.delete(owner, fill))
        dropped = traced.dropped | {SMALL_HOLE: len(fill)}
        filled.append(replace(traced, geometries=geometries, area_px=shapely.area(geometries), dropped=dropped))
    return filled


def _nodes(classes_hw: IntArray) -> BoolArray:
    """Flag pixel corners, (H + 1, W + 1), at which three classes or more meet; outside of the scene is a class too."""
    outside = np.min(classes_hw).astype(np.int64) - 1
    padded = np.pad(classes_hw.astype(np.int64), 1, constant_values=outside)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    different = (a != b).astype(np.int8) + (a != c) + (a != d) + (b != c) + (b != d) + (c != d)
    nodes: BoolArray = different >= 5  # of six pairs, 3 or 4 differ where two classes meet
    return nodes
