"""A label picture on the grid of its scene: as it is, or from the nearest pixel where the two grids differ."""

from __future__ import annotations

import numpy as np
from affine import Affine
from pyproj import Transformer

from landscribe.core.arrays import FloatArray, IntArray
from landscribe.core.grid import Grid
from landscribe.errors import DataError, problem
from landscribe.io.labels.pictures import Painted

SAME_GRID_PX = 0.5
"""Grids whose corners lie closer than this, in pixels of the image, are one grid."""
WARPED = "pixels from a label picture on another grid, each from the nearest of it"
BEYOND = "pixels outside of the label picture, unlabelled"


def lay_on(painted: Painted, grid: Grid, where: str) -> Painted:
    """Bring a label picture onto a scene's reference grid.

    Where both say where they lie, ground decides; else the picture shows the whole scene, at another resolution
    perhaps. Each pixel is that of the label picture in which its centre lies; outside of it nobody looked.

    Args:
        painted: The picture on its own grid.
        grid: The reference grid.
        where: Scene, for messages.

    Raises:
        DataError: If the picture has another shape than the image and does not say where it lies.
    """
    own = painted.grid
    if not _both_lie_somewhere(painted, grid):
        if own.shape_hw == grid.shape_hw:
            return painted
        # One pixel may have been cut off on either side.
        if abs(own.height * grid.width - own.width * grid.height) > max(grid.shape_hw) + max(own.shape_hw):
            do = "give the label picture a georeference, or the shape of the image"
            raise DataError(problem(where, "wrong size", got=own.shape_hw, need=f"{grid.shape_hw} as the image", do=do))
        to_own, transformer = Affine.scale(own.width / grid.width, own.height / grid.height), None
    elif own.crs == grid.crs:
        to_own, transformer = ~own.transform @ grid.transform, None
        if own.shape_hw == grid.shape_hw and _farthest(to_own, grid) < SAME_GRID_PX:
            return painted
    else:
        to_own, transformer = ~own.transform, Transformer.from_crs(grid.crs, own.crs, always_xy=True)
    coverage_khw = np.zeros((len(painted.coverage_khw), *grid.shape_hw), dtype=np.uint8)
    labelled_hw = np.zeros(grid.shape_hw, dtype=np.bool_)
    inside = 0
    for window in grid.window.strips():
        rows = window.slices[0]
        own_rows, own_cols = _places(rows, grid, to_own, transformer)
        known = (own_rows >= 0) & (own_rows < own.height) & (own_cols >= 0) & (own_cols < own.width)
        at = own_rows[known], own_cols[known]
        for k, band_hw in enumerate(painted.coverage_khw):
            coverage_khw[k, rows][known] = band_hw[at]
        labelled_hw[rows][known] = painted.labelled_hw[at]
        inside += int(known.sum())
    counts = {**painted.counts, WARPED: inside, BEYOND: labelled_hw.size - inside}
    counts = {reason: n for reason, n in counts.items() if n}
    return Painted(coverage_khw, labelled_hw, counts, grid, painted.georeferenced)


def _both_lie_somewhere(painted: Painted, grid: Grid) -> bool:
    if not painted.georeferenced or (grid.crs is None) != (painted.grid.crs is None):
        return False
    return grid.crs is not None or grid.transform != Affine.identity()


def _farthest(to_own: Affine, grid: Grid) -> float:
    corners = [(0, 0), (grid.width, 0), (0, grid.height), (grid.width, grid.height)]
    return max(float(np.hypot(*np.subtract(to_own @ corner, corner))) for corner in corners)


def _places(rows: slice, grid: Grid, to_own: Affine, transformer: Transformer | None) -> tuple[IntArray, IntArray]:
    """Return row and column of the label picture under the centre of each pixel of some rows."""
    row_hw, col_hw = np.meshgrid(np.arange(rows.start, rows.stop) + 0.5, np.arange(grid.width) + 0.5, indexing="ij")
    x_hw, y_hw = col_hw, row_hw
    if transformer is not None:
        x_hw, y_hw = transformer.transform(*_apply(grid.transform, col_hw, row_hw))
    own_col_hw, own_row_hw = _apply(to_own, x_hw, y_hw)
    # What the other CRS cannot say lies outside.
    lost = ~(np.isfinite(own_col_hw) & np.isfinite(own_row_hw))
    own_col_hw[lost] = own_row_hw[lost] = -1
    return np.floor(own_row_hw).astype(np.int64), np.floor(own_col_hw).astype(np.int64)


def _apply(transform: Affine, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    a, b, c, d, e, f = tuple(transform)[:6]
    return a * x + b * y + c, d * x + e * y + f
