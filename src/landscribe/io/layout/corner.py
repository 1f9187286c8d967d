"""Which corner of the only image validates: one with something of every class in it and beside it."""

from __future__ import annotations

from typing import get_args

import numpy as np
import shapely

from landscribe.core.arrays import FloatArray
from landscribe.core.features import of_class
from landscribe.core.recipe.splits import Corner
from landscribe.io.labels.labels import read_labels
from landscribe.io.project import Project
from landscribe.io.source.scenes import sensor_grids

SIDES = (0.5, 0.4, 0.6, 0.3, 0.7)
"""Sides of the square in the shorter side of the image, the one that is wanted first."""
WANTED = 0.25
"""Share of a class that should validate."""


def choose_corner(project: Project) -> tuple[Corner, int, float]:
    """Choose the corner of the only scene that validates.

    Args:
        project: A recipe with one labelled scene.

    Returns:
        The corner, its side in pixels of the reference, and the smallest share of a class that stands on the side
        that has less of it, 0 where a class is on one side only.

    Raises:
        DataError: If the scene or its labels cannot be read.
    """
    (scene,) = project.scenes.scenes
    grid = sensor_grids(scene)[scene.reference.name]
    height, width = grid.shape_hw
    features = read_labels(scene, project.legend, grid).features
    parts = [shapely.make_valid(grid.ground_to_pixels(of_class(features, name))) for name in project.legend.names]
    whole = [_area_in(part, shapely.box(0, 0, width, height)) for part in parts]
    best: tuple[float, float, Corner, int] = (-1.0, 0.0, "top-left", max(1, min(height, width) // 2))
    corners: tuple[Corner, ...] = get_args(Corner)
    for share in SIDES:
        side = max(1, round(share * min(height, width)))
        for corner in corners:
            left = 0 if corner.endswith("left") else width - side
            top = 0 if corner.startswith("top") else height - side
            square = shapely.box(left, top, left + side, top + side)
            shares = _shares([_area_in(part, square) for part in parts], whole)
            worst = float(np.minimum(shares, 1 - shares).min()) if len(shares) else 0.0
            far = float(np.abs(shares - WANTED).mean()) if len(shares) else 1.0
            # Something of every class on both sides first, then a quarter of each.
            rank = (min(worst, 0.1), -far)
            if rank > best[:2]:
                best = (*rank, corner, side)
    return best[2], best[3], best[0]


def _area_in(geometries: FloatArray, square: shapely.Geometry) -> float:
    return float(shapely.area(shapely.intersection(geometries, square)).sum()) if len(geometries) else 0.0


def _shares(inside: list[float], whole: list[float]) -> FloatArray:
    return np.array([a / b for a, b in zip(inside, whole, strict=True) if b > 0])
