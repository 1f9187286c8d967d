"""Polygons as SVG paths on a picture: outlines of both sides, and ground found, invented and missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import FloatArray, GeometryArray, IntArray
from landscribe.core.polygons.flatten import flatten
from landscribe.report.data import ClassLayer

STEPS_PER_PX = 4
"""Path coordinates are whole numbers of quarters of a picture pixel."""
FIRST_TOLERANCE_PX = 0.3
"""Lines move by less than can be seen; more only where a scene would not fit into its bytes."""
ROUNDS = 7
BYTES_PER_VERTEX = 6


@dataclass(frozen=True)
class ClassGround:
    """Both sides of one class in one scene, in ground coordinates."""

    predicted: GeometryArray
    truth: GeometryArray | None
    """None where nobody labelled the scene."""


def draw_layers(
    classes: Mapping[str, ClassGround],
    to_picture: Affine,
    shape_hw: tuple[int, int],
    limit_bytes: int,
    region: BaseGeometry | None = None,
) -> tuple[tuple[ClassLayer, ...], float]:
    """Draw the classes of one scene within a number of bytes.

    Args:
        classes: Class name -> polygons in ground coordinates.
        to_picture: Ground (x, y) -> picture (col, row), in picture pixels.
        shape_hw: Height and width of the picture.
        limit_bytes: Lines get coarser until the paths are expected to fit.
        region: Ground that is scored, in picture coordinates; elsewhere both sides are only outlined.

    Returns:
        Layers in the order of `classes`, and the largest move of a line in picture pixels.
    """
    frame = shapely.box(0, 0, shape_hw[1], shape_hw[0])
    scored = frame if region is None else shapely.intersection(frame, region)
    sides = {
        name: [flatten(_move(s, to_picture), frame) for s in (ground.predicted, ground.truth) if s is not None]
        for name, ground in classes.items()
    }
    tolerance = FIRST_TOLERANCE_PX
    for _ in range(ROUNDS):
        coarse = {name: tuple(_coarse(side, tolerance) for side in pair) for name, pair in sides.items()}
        vertices = sum(int(shapely.get_num_coordinates(s).sum()) for pair in coarse.values() for s in pair)
        # Each line is drawn as an outline and again as the edge of a filled ground.
        if vertices * BYTES_PER_VERTEX * 2 <= limit_bytes:
            break
        tolerance *= 2
    return tuple(_layer(name, pair, scored) for name, pair in coarse.items()), tolerance


def path_data(polygons: GeometryArray) -> str:
    """Write polygons as SVG path data, relative, in whole quarters of a pixel; rings without area at that scale vanish.

    Args:
        polygons: Polygons and MultiPolygons in picture coordinates (x = col, y = row).
    """
    # The fill rule is even-odd, so holes need no telling apart.
    rings = shapely.get_rings(shapely.get_parts(polygons))
    if not len(rings):
        return ""
    xy, ring_of = shapely.get_coordinates(rings, return_index=True)
    steps: IntArray = np.rint(xy * STEPS_PER_PX).astype(np.int64)
    moves = np.diff(steps, axis=0)
    same = ring_of[1:] == ring_of[:-1]
    closing = np.append(~same[1:], True)[: len(same)]
    kept = np.flatnonzero(same & ~closing & moves.any(axis=1))
    numbers = list(map(str, moves[kept].ravel().tolist()))
    begins = np.flatnonzero(np.diff(ring_of, prepend=-1))
    ends = 2 * np.searchsorted(kept, np.append(begins[1:], len(xy)))
    starts = 2 * np.searchsorted(kept, begins)
    return "".join(
        f"M{x} {y}l{' '.join(numbers[start:end]).replace(' -', '-')}z"
        for (x, y), start, end in zip(steps[begins].tolist(), starts.tolist(), ends.tolist(), strict=True)
        if end - start >= 4
    )


def _layer(name: str, sides: tuple[GeometryArray, ...], scored: BaseGeometry) -> ClassLayer:
    if len(sides) == 1:
        return ClassLayer(name, path_data(sides[0]))
    found, invented, missed = split_ground(*(flatten(side, scored) for side in sides))
    return ClassLayer(name, *map(path_data, (*sides, found, invented, missed)))


def split_ground(ours: GeometryArray, theirs: GeometryArray) -> tuple[GeometryArray, GeometryArray, GeometryArray]:
    """Return the ground in both, only in `ours`, and only in `theirs`; neither side overlaps itself."""
    rows, cols = shapely.STRtree(theirs).query(ours, predicate="intersects")
    common = shapely.intersection(ours[rows], theirs[cols])
    return _with_area(common), _rest(ours, rows, theirs[cols]), _rest(theirs, cols, ours[rows])


def _rest(side: GeometryArray, which: IntArray, others: GeometryArray) -> GeometryArray:
    left = side.copy()
    partners = np.bincount(which, minlength=len(side))
    single = partners[which] == 1
    left[which[single]] = shapely.difference(left[which[single]], others[single])
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(partners)
    for polygon in np.flatnonzero(partners > 1):
        mine = order[ends[polygon] - partners[polygon] : ends[polygon]]
        left[polygon] = left[polygon].difference(shapely.union_all(others[mine]))
    return _with_area(left)


def _coarse(polygons: GeometryArray, tolerance: float) -> GeometryArray:
    # What is smaller than the tolerance squared would be a speck of no visible shape.
    large = polygons[shapely.area(polygons) >= tolerance**2]
    return _with_area(shapely.simplify(large, tolerance, preserve_topology=True))


def _with_area(polygons: GeometryArray) -> GeometryArray:
    parts = shapely.get_parts(polygons)
    return parts[shapely.area(parts) > 0]


def _move(geometries: GeometryArray, transform: Affine) -> GeometryArray:
    a, b, c, d, e, f = tuple(transform)[:6]

    def move(xy: FloatArray) -> FloatArray:
        x, y = xy[:, 0], xy[:, 1]
        return np.column_stack((a * x + b * y + c, d * x + e * y + f))

    return shapely.transform(shapely.force_2d(np.asarray(geometries, dtype=object)), move)
