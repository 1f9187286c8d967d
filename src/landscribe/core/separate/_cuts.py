"""Cuts: a polygon along the borders of basins, into pieces that share their vertices there."""

from __future__ import annotations

import numpy as np
import shapely

from landscribe.core.arrays import FloatArray, GeometryArray, Int32s, IntArray
from landscribe.core.grid import Window
from landscribe.core.polygons.quiet import is_valid
from landscribe.core.trace.partition import trace_partition
from landscribe.core.tracing import Tracing

SMOOTH = Tracing(mode="edge", min_area_px=0.0, simplify_px=1.5)
"""How coarse a cut is: steps of pixels become straight lines."""
SAME = 1e-6
"""The pieces have the area of the whole but for rounding, in parts of it."""


def cut(polygon: shapely.Geometry, basin_hw: Int32s, window: Window, least: float) -> GeometryArray | None:
    """Cut a polygon along the borders of basins; its own outline stays as it is.

    Args:
        polygon: In pixel coordinates.
        basin_hw: Basin of each pixel of the window, from 1.
        window: Where these lie in the scene.
        least: Area in square pixels below which a piece is joined with its neighbour.

    Returns:
        The pieces, in the order of their basins, valid Polygons that overlap nowhere; None where they would not be.
    """
    number = int(basin_hw.max())
    found = trace_partition(basin_hw.astype(np.int64), range(1, number + 1), [SMOOTH] * number)
    grounds: GeometryArray = np.concatenate([each.geometries for each in found])
    basin = np.repeat(np.arange(number), [len(each.geometries) for each in found])
    corner = np.array((window.col, window.row), np.float64)
    grounds = shapely.transform(grounds, lambda xy: xy + corner)
    # Nodes are made once for all lines, so that both sides of a cut have the same vertices to the last digit.
    lines = shapely.union_all([shapely.boundary(polygon), *shapely.boundary(grounds)])
    faces: GeometryArray = shapely.get_parts(shapely.polygonize([lines]))
    points = shapely.point_on_surface(faces)
    faces, points = (side[shapely.contains_properly(polygon, points)] for side in (faces, points))
    face, ground = shapely.STRtree(grounds).query(points, predicate="within")
    if len(np.unique(face)) != len(faces):
        return None
    own = np.full(len(faces), -1)
    own[face] = basin[ground]
    pieces = _join(faces, own, least)
    sound = is_valid(pieces).all() and (shapely.get_type_id(pieces) == shapely.GeometryType.POLYGON).all()
    whole = shapely.area(polygon)
    return pieces if sound and abs(shapely.area(pieces).sum() - whole) <= SAME * whole else None


def _join(faces: GeometryArray, basin: IntArray, least: float) -> GeometryArray:
    """Unite the faces of each basin that hang together; what is small goes to the neighbour of its longest border."""
    border = _borders(faces)
    area: FloatArray = shapely.area(faces)
    group = np.arange(len(faces))
    for one, other in zip(*np.nonzero(np.triu(border)), strict=True):
        if basin[one] == basin[other]:
            group[group == group[other]] = group[one]
    while True:
        names = np.unique(group)
        sizes = np.array([area[group == name].sum() for name in names])
        small = names[sizes < least]
        if not len(small) or len(names) < 2:
            break
        name = small[np.argmin(sizes[sizes < least])]
        reach = border[group == name].sum(axis=0)
        reach[group == name] = 0
        if not reach.any():
            break
        beside = np.array([reach[group == each].sum() for each in names])
        group[group == name] = names[np.argmax(beside)]
    order = sorted(np.unique(group), key=lambda name: (int(basin[group == name].min()), int(name)))
    pieces: GeometryArray = np.empty(len(order), dtype=object)
    for k, name in enumerate(order):
        pieces[k] = shapely.union_all(faces[group == name])
    return pieces


def _borders(faces: GeometryArray) -> FloatArray:
    """Return how long the border of each two faces is, float64 (F, F)."""
    one, other = shapely.STRtree(faces).query(faces, predicate="touches")
    shared = shapely.length(shapely.intersection(shapely.boundary(faces[one]), shapely.boundary(faces[other])))
    border = np.zeros((len(faces), len(faces)))
    border[one, other] = shared
    return border
