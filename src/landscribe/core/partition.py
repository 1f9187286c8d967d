"""Partition: one class per pixel to polygons whose shared borders stay shared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import shapely

from landscribe.core.arrays import BoolArray, GeometryArray, IntArray
from landscribe.core.outlines import Shaping, join, shape_outlines
from landscribe.core.strips import KERNEL_ROWS, trace_edges


def trace_partition(
    classes_hw: IntArray, wanted: Sequence[int], *, simplify_px: float = 0.0
) -> tuple[dict[int, GeometryArray], dict[str, int]]:
    """Turn a raster of exclusive classes into polygons without gaps or overlaps between them.

    Pixels of a class that meet at a corner only are two polygons. Along a border both sides have the same vertices.

    Args:
        classes_hw: Class of each pixel, integers (H, W).
        wanted: Classes to return; all others are traced too, so that borders with them are borders.
        simplify_px: How coarse simplification may be, in pixels: a vertex goes where the triangle with its neighbours
            has less area than the square of this. Both sides of a border move together, the scene's border never.

    Returns:
        Polygons of each wanted class in pixel coordinates, in scan order; and what was left out, by reason.

    Source:
        Simplification: Visvalingam & Whyatt (1993), as `shapely.coverage_simplify`.
    """
    shape_hw = (classes_hw.shape[0], classes_hw.shape[1])
    nodes = _nodes(classes_hw)
    values = np.unique(classes_hw)
    shaping = Shaping(shape_hw, "edge", 0.0, 0.0, 0.0, sharp=False, smooth=0, right_angles=False)
    traced: list[GeometryArray] = []
    for value in values:
        mask = classes_hw == value
        pieces = trace_edges(lambda w, m=mask: m[w.slices], shape_hw, KERNEL_ROWS, 0.5, nodes)  # type: ignore[misc]
        traced.append(join([shape_outlines(piece, shaping) for piece in pieces]).geometries)
    everything = np.concatenate(traced)
    if simplify_px > 0:
        everything = shapely.coverage_simplify(everything, simplify_px, simplify_boundary=False)
    ends = np.cumsum([len(part) for part in traced])
    of_value = dict(zip(values.tolist(), np.split(everything, ends[:-1]), strict=True))
    dropped: Counter[str] = Counter()
    none = np.empty(0, dtype=object)
    result = {}
    for value in wanted:
        polygons = of_value.get(value, none)
        solid = shapely.area(polygons) > 0
        dropped["vanished in simplification"] += int(np.count_nonzero(~solid))
        result[value] = polygons[solid]
    return result, dict(dropped)


def _nodes(classes_hw: IntArray) -> BoolArray:
    """Flag pixel corners, (H + 1, W + 1), at which three classes or more meet; outside of the scene is a class too."""
    outside = np.min(classes_hw).astype(np.int64) - 1
    padded = np.pad(classes_hw.astype(np.int64), 1, constant_values=outside)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    different = (a != b).astype(np.int8) + (a != c) + (a != d) + (b != c) + (b != d) + (c != d)
    nodes: BoolArray = different >= 5  # of six pairs, 3 or 4 differ where two classes meet
    return nodes
