"""How much of a scene its labels speak of, and what they leave open."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely

from landscribe.core.arrays import BoolArray
from landscribe.core.burn import burn_share
from landscribe.core.features import of_class
from landscribe.core.grid import Grid, Window
from landscribe.core.ground import Ground
from landscribe.core.legend import Legend
from landscribe.core.polygons.quiet import total_bounds
from landscribe.io.labels.labels import Labels

EMPTY_SIDE = 1 / 3
"""A shared label file that leaves more than this part of a scene empty on one side was perhaps drawn for less."""
SIDES = ("left", "top", "right", "bottom")


def measure_ground(
    labels: Labels, legend: Legend, grid: Grid, valid: Iterable[tuple[Window, BoolArray]]
) -> dict[str, Ground]:
    """Measure the ground of each class in one scene, in pixels.

    Args:
        labels: The labels of the scene.
        legend: Classes.
        grid: The scene's reference grid.
        valid: Strips of the scene, and which of their pixels are imagery.
    """
    pixels = {name: grid.ground_to_pixels(of_class(labels.features, name)) for name in legend.names}
    rows = {name: shapely.bounds(own)[:, [1, 3]] for name, own in pixels.items()}
    positive = dict.fromkeys(legend.names, 0.0)
    labelled = unlabelled = 0
    for window, valid_hw in valid:
        labelled_hw = labels.labelled(grid, window) & valid_hw
        labelled += int(labelled_hw.sum())
        unlabelled += int(valid_hw.sum()) - int(labelled_hw.sum())
        for k, name in enumerate(legend.names):
            tops, bottoms = rows[name].T
            if labels.coverage_khw is None and not np.any((tops < window.row_stop) & (bottoms > window.row)):
                continue
            if labels.coverage_khw is not None:
                coverage_hw = labels.coverage_khw[(k, *window.slices)]
            else:
                coverage_hw = burn_share(pixels[name], grid.shape_hw, window=window)
            positive[name] += float(coverage_hw[labelled_hw].sum(dtype=np.int64)) / 255
    return {name: Ground(area, labelled - area, unlabelled) for name, area in positive.items()}


def empty_side(labels: Labels, grid: Grid) -> tuple[str, float]:
    """Return the side of a scene on which its labels leave most of it empty, and which part; all of it with none."""
    frame = shapely.box(0, 0, grid.width, grid.height)
    inside = shapely.intersection(grid.ground_to_pixels(labels.features.geometry.to_numpy()), frame)
    inside = inside[~shapely.is_empty(inside)]
    if not len(inside):
        return "any", 1.0
    left, top, right, bottom = total_bounds(inside)
    parts = (left / grid.width, top / grid.height, 1 - right / grid.width, 1 - bottom / grid.height)
    side = int(np.argmax(parts))
    return SIDES[side], float(parts[side])
