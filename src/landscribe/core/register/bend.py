"""An affine correction, for the scenes where a translation is not enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from affine import Affine

from landscribe.core.arrays import FloatArray
from landscribe.core.register.refine import Fit, Level, measure

ROUNDS = 6
CLOSE_PX = 0.005
LEAST_TILES = 6
"""Sub-windows without which six numbers cannot be estimated."""
LEAST_GAIN = 1e-3
"""Share of the detail that the correction must explain beyond what the translation does."""


def fit_affine(levels: Sequence[Level], start: Fit, shape_hw: tuple[int, int]) -> tuple[Affine, Fit] | None:
    """Let the shift vary linearly over the scene.

    Args:
        levels: At the coarser sensor's own pixels.
        start: The best translation.
        shape_hw: Size of the coarser sensor's raster.

    Returns:
        The map from where content is to where it belongs, in coarse (col, row), and what it explains; None where it is
        not worth it.
    """
    if len(start.tiles_t5) < LEAST_TILES:
        return None
    centres_t2 = np.concatenate([_centres(level) for level in levels])
    middle, half = np.array([shape_hw[1], shape_hw[0]]) / 2, max(shape_hw) / 2
    there = Affine.translation(-start.shift[1], -start.shift[0])
    fit = start
    for _ in range(ROUNDS):
        wanted = _solve(fit.tiles_t5, (centres_t2 - middle) / half)
        if wanted is None:
            return None
        # Displacement of columns and rows: constant, per column and per row.
        (c0, cx, cy), (r0, rx, ry) = wanted.reshape(2, 3)
        about = Affine.translation(*middle) @ Affine(1 - cx / half, -cy / half, -c0, -rx / half, 1 - ry / half, -r0)
        there = there @ about @ Affine.translation(*-middle)
        fit = measure([_at(level, there) for level in levels], (0.0, 0.0))
        if np.abs(wanted).max() < CLOSE_PX:
            break
    gain = float(fit.share_b.mean() - start.share_b.mean())
    return (there, fit) if gain > LEAST_GAIN and math.isfinite(gain) else None


def _at(level: Level, there: Affine) -> Level:
    row, col = level.origin
    local = Affine.translation(-col, -row) @ there @ Affine.translation(col, row)
    return replace(level, to_fine=level.to_fine @ local)


def _centres(level: Level) -> FloatArray:
    """Return col and row of the middle of each sub-window, in the order of `step_sums`."""
    height, width = level.use_hw.shape
    rows = np.arange(math.ceil(height / level.tile)) * level.tile
    cols = np.arange(math.ceil(width / level.tile)) * level.tile
    row_mid = (rows + np.minimum(rows + level.tile, height)) / 2 + level.origin[0]
    col_mid = (cols + np.minimum(cols + level.tile, width)) / 2 + level.origin[1]
    return np.stack([np.tile(col_mid, len(rows)), np.repeat(row_mid, len(cols))], axis=1)


def _solve(tiles_t5: FloatArray, at_t2: FloatArray) -> FloatArray | None:
    hessian, pull = np.zeros((6, 6)), np.zeros(6)
    for (xx, xy, yy, x, y), (u, v) in zip(tiles_t5, at_t2, strict=True):
        base = np.array([1.0, u, v])
        jacobian = np.zeros((2, 6))
        jacobian[0, :3], jacobian[1, 3:] = base, base
        hessian += jacobian.T @ np.array([[xx, xy], [xy, yy]]) @ jacobian
        pull -= jacobian.T @ np.array([x, y])
    if not np.linalg.cond(hessian) < 1e6:
        return None
    return np.linalg.solve(hessian, pull)
