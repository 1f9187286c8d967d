"""Partition: one class per pixel to polygons whose shared borders stay shared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray, GeometryArray, IntArray
from landscribe.core.trace import Traced
from landscribe.core.trace._strips import KERNEL_ROWS, trace_edges
from landscribe.core.trace.outlines import SMALL, Outlines, Shaping, join, shape_outlines

VANISHED = "vanished in simplification"
LEAST = np.float32(1e-6)
"""A pixel of a class counts whatever its probability is, 0 included."""


def trace_partition(
    classes_hw: IntArray,
    wanted: Sequence[int],
    *,
    probability_hw: FloatArray | None = None,
    min_area_px: Sequence[float] | None = None,
    simplify_px: float = 0.0,
) -> list[Traced]:
    """Turn a raster of exclusive classes into polygons without gaps or overlaps between them.

    Pixels of a class that meet at a corner only are two polygons. Along a border both sides have the same vertices.

    Args:
        classes_hw: Class of each pixel, integers (H, W).
        wanted: Classes to return; all others are traced too, so that borders with them are borders.
        probability_hw: How probable the class of each pixel is there, float (H, W), 0..1; None for 1.
        min_area_px: Of each wanted class, the area in pixels below which polygons are left out; their ground stays
            empty. None keeps all.
        simplify_px: How coarse simplification may be, in pixels: a vertex goes where the triangle with its neighbours
            has less area than the square of this. Both sides of a border move together, the scene's border never.

    Returns:
        For each wanted class its polygons in pixel coordinates, in scan order, and what was left out, by reason.

    Source:
        Simplification: Visvalingam & Whyatt (1993), as `shapely.coverage_simplify`.
    """
    shape_hw = (classes_hw.shape[0], classes_hw.shape[1])
    nodes = _nodes(classes_hw)
    values = np.unique(classes_hw)
    shaping = Shaping(shape_hw, "edge", 0.0, 0.0, 0.0, sharp=False, smooth=0, right_angles=False)
    traced: list[Outlines] = []
    for value in values:
        field: AnyArray = classes_hw == value
        if probability_hw is not None:
            field = np.where(field, np.clip(probability_hw, LEAST, 1), np.float32(0)).astype(np.float32)
        level = 0.5 if probability_hw is None else float(LEAST)
        pieces = trace_edges(lambda w, f=field: f[w.slices], shape_hw, KERNEL_ROWS, level, nodes)  # type: ignore[misc]
        traced.append(join([shape_outlines(piece, shaping) for piece in pieces]))
    everything = np.concatenate([outlines.geometries for outlines in traced])
    if simplify_px > 0:
        everything = shapely.coverage_simplify(everything, simplify_px, simplify_boundary=False)
    ends = np.cumsum([len(outlines.geometries) for outlines in traced])
    parts = np.split(everything, ends[:-1])
    of_value = {int(value): (part, outlines) for value, part, outlines in zip(values, parts, traced, strict=True)}
    limits = [0.0] * len(wanted) if min_area_px is None else min_area_px
    return [
        _keep(*of_value[value], limit) if value in of_value else _nothing()
        for value, limit in zip(wanted, limits, strict=True)
    ]


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


def _nodes(classes_hw: IntArray) -> BoolArray:
    """Flag pixel corners, (H + 1, W + 1), at which three classes or more meet; outside of the scene is a class too."""
    outside = np.min(classes_hw).astype(np.int64) - 1
    padded = np.pad(classes_hw.astype(np.int64), 1, constant_values=outside)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    different = (a != b).astype(np.int8) + (a != c) + (a != d) + (b != c) + (b != d) + (c != d)
    nodes: BoolArray = different >= 5  # of six pairs, 3 or 4 differ where two classes meet
    return nodes
