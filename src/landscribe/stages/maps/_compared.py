"""Where found polygons and labels agree, in the box that is looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from landscribe.core.arrays import BoolArray, GeometryArray
from landscribe.core.grid import Window
from landscribe.core.polygons.repair import polygonal
from landscribe.core.trace import trace
from landscribe.io.raster.rasters import open_raster
from landscribe.io.raster.reduced import read_reduced
from landscribe.io.run.prepared import COVERAGE, PreparedScene
from landscribe.stages.maps._polygons import Box, Table

SIDES = ("tp", "fp", "fn")
"""Found and labelled; found only; labelled only."""
MOST = 3_000
"""Polygons of a side that are compared at most: it takes a tenth of a second."""
GROUND_PX = 512


def compared(
    found: Table, truth: Table, scene: PreparedScene, box: Box, side: str, limit: int
) -> tuple[GeometryArray, dict[str, list[Any]], int]:
    """Return one side of the comparison of what lies in a box.

    Args:
        found: What a model found.
        truth: Labels.
        scene: For the labelled ground; beyond it nothing is right or wrong.
        box: In ground coordinates.
        side: One of `SIDES`.
        limit: Polygons at most.

    Returns:
        Polygons, what is told of each, and how many polygons of both tables were not compared.
    """
    most = min(limit, MOST)
    numbers = [table.inside(box) for table in (found, truth)]
    left_off = sum(max(0, len(own) - most) for own in numbers)
    shapes = [table.shapes(own[:most]) for table, own in zip((found, truth), numbers, strict=True)]
    classes = [table.class_id[own[:most]] for table, own in zip((found, truth), numbers, strict=True)]
    ground = _labelled(scene, box)
    kept: list[shapely.Geometry] = []
    kinds: list[int] = []
    for class_id in np.unique(np.concatenate(classes)).tolist():
        ours, theirs = (shapely.union_all(own[kind == class_id]) for own, kind in zip(shapes, classes, strict=True))
        pieces = {"tp": (ours, theirs, True), "fp": (ours, theirs, False), "fn": (theirs, ours, False)}[side]
        both = shapely.intersection if pieces[2] else shapely.difference
        part = polygonal(both(pieces[0], pieces[1]))
        part = part if ground is None else polygonal(shapely.intersection(part, ground))
        own_parts = [one for one in shapely.get_parts(part) if one.area > 0]
        kept += own_parts
        kinds += [class_id] * len(own_parts)
    result: GeometryArray = np.empty(len(kept), dtype=object)
    result[:] = kept
    areas = [float(f"{area:.3g}") for area in shapely.area(scene.grid.ground_to_pixels(result)) * scene.grid.pixel_area]
    return result, {"class": kinds, "score": [-1] * len(kept), "area": areas}, left_off


def _labelled(scene: PreparedScene, box: Box) -> shapely.Geometry | None:
    """Return the labelled ground of a box, to a `GROUND_PX`th of it; None where all of it is labelled."""
    corners = scene.grid.ground_to_pixels(np.array([shapely.box(*box)], dtype=object))[0].bounds
    left, top, right, bottom = (int(np.floor(v)) for v in corners)
    window = Window(top, left, bottom - top + 1, right - left + 1).intersection(scene.grid.window)
    if window is None:
        return shapely.Polygon()
    height, width = (min(GROUND_PX, side) for side in window.shape_hw)
    with open_raster(scene.folder / COVERAGE) as raster:
        _, valid_hw = read_reduced(raster, window, (height, width), [1])
    if valid_hw.all():
        return None
    return _outline(valid_hw, scene, window)


def _outline(valid_hw: BoolArray, scene: PreparedScene, window: Window) -> shapely.Geometry:
    scale = np.array([window.width / valid_hw.shape[1], window.height / valid_hw.shape[0]])
    pixels = trace(valid_hw, mode="edge").geometries
    pixels = shapely.transform(pixels, lambda xy: xy * scale + (window.col, window.row))
    return shapely.union_all(scene.grid.pixels_to_ground(pixels))
