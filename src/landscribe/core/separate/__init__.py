"""Separate: polygons of things that touch are cut into one polygon for each thing.

A polygon is looked at by itself, whatever else the scene shows, so the result depends on no tile, window or order. What
the field says inside of it becomes a surface of depths (`_depths`), whose basins are found by flooding (`_flood`), and
the polygon is cut along their borders (`_cuts`). Ground is neither taken nor given: all pieces are what it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import shapely

from landscribe.core.arrays import AnyArray, FloatArray, GeometryArray, IntArray
from landscribe.core.burn import burn_mask
from landscribe.core.grid import Window
from landscribe.core.separate._cuts import cut
from landscribe.core.separate._depths import depths
from landscribe.core.separate._flood import basins
from landscribe.core.trace import Traced, to_unit
from landscribe.core.tracing import Tracing
from landscribe.workers import stop_if_asked

FieldReader: TypeAlias = Callable[[Window], AnyArray]
"""Gives the field of one class in any window inside the scene, (h, w), in the types of `trace`; 0 where invalid."""

CUT, TOO_LARGE, NOT_CUT = "cut into several", "too large to be cut", "left whole, since no clean cut was found"
MOST_PX = 1 << 24
"""Pixels around a polygon that are looked at at once; a larger one is left whole, and counted."""
LEAST_PX = 9.0
"""Smallest area of a piece, where nothing says a larger one."""


@dataclass(frozen=True)
class _Pieces:
    """What a polygon becomes."""

    geometries: GeometryArray
    score: FloatArray
    minimum: FloatArray


def separate(
    traced: Traced,
    field: FieldReader,
    shape_hw: tuple[int, int],
    tracing: Tracing,
    neck: float,
    border: FieldReader | None = None,
) -> tuple[Traced, dict[str, int]]:
    """Cut polygons where they hold several things.

    Args:
        traced: Polygons of one class in pixel coordinates.
        field: What they were traced from.
        shape_hw: Height and width of the scene.
        tracing: How they were traced: its threshold, and the smallest area that a piece may have.
        neck: How narrow the way between two things is at most, as a part of the width of the narrower of them.
        border: Probability that a thing ends there, where a network has learned it.

    Returns:
        The pieces in place of each polygon that was cut, all others unchanged, and how many were cut or could not be.
    """
    least = max(tracing.min_area_px, LEAST_PX)
    kept: list[_Pieces] = []
    counts: Counter[str] = Counter()
    for number, polygon in enumerate(traced.geometries):
        stop_if_asked()
        pieces = None
        if traced.area_px[number] >= 2 * least:
            pieces = _separate_one(polygon, field, shape_hw, tracing.threshold, neck, least, border, counts)
        one = slice(number, number + 1)
        kept.append(pieces or _Pieces(traced.geometries[one], traced.score[one], traced.minimum[one]))
    if not counts[CUT]:
        return traced, dict(counts)
    geometries: GeometryArray = np.concatenate([each.geometries for each in kept])
    return replace(
        traced,
        geometries=geometries,
        score=np.concatenate([each.score for each in kept]),
        minimum=np.concatenate([each.minimum for each in kept]),
        area_px=shapely.area(geometries),
    ), dict(counts)


def _separate_one(
    polygon: shapely.Geometry,
    field: FieldReader,
    shape_hw: tuple[int, int],
    threshold: float,
    neck: float,
    least: float,
    border: FieldReader | None,
    counts: Counter[str],
) -> _Pieces | None:
    """Return the pieces of a polygon; None where it is one thing."""
    window = _around(polygon)
    if window.height * window.width > MOST_PX:
        counts[TOO_LARGE] += 1
        return None
    inside_hw = burn_mask(np.array([polygon], dtype=object), shape_hw, window=window) > 0
    p_hw = _read(field, window, shape_hw)
    sure_hw = p_hw if border is None else p_hw * (1 - _read(border, window, shape_hw))
    depth_hw = depths(sure_hw, inside_hw, threshold)
    basin_hw = basins(depth_hw, neck, least)
    if basin_hw.max(initial=0) < 2:
        return None
    geometries = cut(polygon, basin_hw, window, least)
    if geometries is None:
        counts[NOT_CUT] += 1
        return None
    if len(geometries) < 2:
        return None
    counts[CUT] += 1
    return _Pieces(geometries, *_values(geometries, p_hw, shape_hw, window))


def _around(polygon: shapely.Geometry) -> Window:
    """Return the pixels of a polygon with one more on each side, be they in the scene or not."""
    left, top, right, bottom = shapely.bounds(polygon)
    row, col = int(np.floor(top)) - 1, int(np.floor(left)) - 1
    return Window(row, col, int(np.ceil(bottom)) + 1 - row, int(np.ceil(right)) + 1 - col)


def _read(field: FieldReader, window: Window, shape_hw: tuple[int, int]) -> FloatArray:
    """Read a field as float32 0..1, 0 beyond the scene."""
    unit_hw = np.zeros(window.shape_hw, np.float32)
    there = window.intersection(Window(0, 0, *shape_hw))
    if there is not None:
        part = Window(there.row - window.row, there.col - window.col, *there.shape_hw)
        unit_hw[part.slices] = to_unit(field(there))
    return unit_hw


def _values(
    geometries: GeometryArray, p_hw: FloatArray, shape_hw: tuple[int, int], window: Window
) -> tuple[FloatArray, FloatArray]:
    """Return mean and smallest probability of the pixels of each piece."""
    number_hw: IntArray = np.zeros(p_hw.shape, np.int64)
    for number, piece in enumerate(geometries, start=1):
        number_hw[burn_mask(np.array([piece], dtype=object), shape_hw, window=window) > 0] = number
    inside = number_hw > 0
    numbers, values = number_hw[inside] - 1, p_hw[inside].astype(np.float64)
    count = np.bincount(numbers, minlength=len(geometries))
    total = np.bincount(numbers, weights=values, minlength=len(geometries))
    low = np.full(len(geometries), np.inf)
    np.minimum.at(low, numbers, values)
    return total / np.maximum(count, 1), np.where(count > 0, low, 0.0)
