"""The canvas: reflectance, height and slope shading on the RGB grid with a margin, and the brushes that paint it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.random import Generator
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import FloatArray
from landscribe.core.burn import burn_share_float
from landscribe.core.grid import Window
from landscribe.late import compiled
from landscribe.worlds.ground.spectra import BANDS

GSD_M = 0.31
"""Side of an RGB pixel in metres."""


def px(metres: float) -> float:
    """Convert metres on the ground to RGB pixels."""
    return metres / GSD_M


@dataclass(frozen=True)
class Canvas:
    """Arrays of one scene while it is painted; scene pixel (0, 0) is canvas pixel (margin, margin)."""

    margin: int
    reflectance_chw: FloatArray
    """float32 (16, H, W), 0..1."""
    height_hw: FloatArray
    """float32 (H, W), metres above the ground."""
    shade_hw: FloatArray
    """float32 (H, W): sunlight received relative to level ground, 1 on level ground."""
    fine_hw: FloatArray
    """Texture of 1 to 4 pixels; float32 (H, W), mean 0, standard deviation 1; so are the next ones."""
    mid_hw: FloatArray
    """Texture of 6 to 30 pixels."""
    coarse_hw: FloatArray
    """Texture of 50 to 200 pixels."""

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width with the margin, in pixels."""
        rows, cols = self.height_hw.shape
        return rows, cols


@dataclass(frozen=True)
class Stamp:
    """Covered share of each pixel in a part of the canvas."""

    row: int
    col: int
    share_hw: FloatArray
    """float32 (h, w), 0..1."""

    @property
    def window(self) -> tuple[slice, slice]:
        """Where it lies on the canvas."""
        rows, cols = self.share_hw.shape
        return slice(self.row, self.row + rows), slice(self.col, self.col + cols)

    def times(self, factor_hw: FloatArray | float) -> Stamp:
        """Thin the stamp by a factor 0..1."""
        share = np.clip(self.share_hw * factor_hw, 0, 1).astype(np.float32, copy=False)
        return Stamp(self.row, self.col, share)


def fractal(rng: Generator, shape_hw: tuple[int, int], size_px: float, octaves: int, fall: float = 0.6) -> FloatArray:
    """Return smooth random texture whose largest spots are `size_px` wide.

    Args:
        rng: Source of randomness.
        shape_hw: Rows and columns.
        size_px: Distance between independent values of the first octave.
        octaves: Number of layers, each half as wide as the one before.
        fall: Amplitude of a layer relative to the one before.

    Returns:
        float32 (H, W), mean 0, standard deviation 1.
    """
    rows, cols = shape_hw
    total = np.zeros(shape_hw, dtype=np.float32)
    amplitude, size = 1.0, size_px
    for _ in range(octaves):
        # Blurred white noise has no direction; interpolating it from a third of the spot size keeps it cheap.
        cell = max(1.0, size / 3)
        coarse = rng.standard_normal((int(rows / cell) + 6, int(cols / cell) + 6), dtype=np.float32)
        spots = cv2.GaussianBlur(coarse, (0, 0), size / cell / 2.4)
        spots = spots / np.float32(max(float(spots.std()), 1e-6))
        width, height = int(np.ceil(spots.shape[1] * cell)), int(np.ceil(spots.shape[0] * cell))
        layer = spots if cell == 1 else cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC)
        top, left = (layer.shape[0] - rows) // 2, (layer.shape[1] - cols) // 2
        total += np.float32(amplitude) * layer[top : top + rows, left : left + cols]
        amplitude, size = amplitude * fall, size / 2
    total -= total.mean()
    total /= max(float(total.std()), 1e-6)
    return total


def blank_canvas(rng: Generator, shape_hw: tuple[int, int], margin: int) -> Canvas:
    """Return a black, level canvas with its textures, `margin` pixels larger on each side than the scene."""
    rows, cols = shape_hw[0] + 2 * margin, shape_hw[1] + 2 * margin
    size = (rows, cols)
    return Canvas(
        margin=margin,
        reflectance_chw=np.zeros((BANDS, rows, cols), dtype=np.float32),
        height_hw=np.zeros(size, dtype=np.float32),
        shade_hw=np.ones(size, dtype=np.float32),
        fine_hw=fractal(rng, size, 2.6, 2, 0.9),
        mid_hw=fractal(rng, size, 24.0, 3, 0.75),
        coarse_hw=fractal(rng, size, 150.0, 3, 0.6),
    )


def stamp(canvas: Canvas, geometry: BaseGeometry) -> Stamp | None:
    """Measure how much of each pixel a geometry covers, exactly.

    Args:
        canvas: Where it will be painted.
        geometry: Polygon or MultiPolygon in scene pixels (x = col, y = row).

    Returns:
        The stamp, cut at the canvas, or None where nothing of it lies on the canvas.
    """
    rows, cols = canvas.shape_hw
    margin = canvas.margin
    left, top, right, bottom = shapely.bounds(geometry)
    if not left < right:
        return None
    row, col = int(np.floor(top)), int(np.floor(left))
    around = Window(row, col, int(np.ceil(bottom)) - row, int(np.ceil(right)) - col)
    window = around.intersection(Window(-margin, -margin, rows, cols))
    if window is None:
        return None
    share = burn_share_float(np.array([geometry], dtype=object), (rows - 2 * margin, cols - 2 * margin), window=window)
    return Stamp(window.row + margin, window.col + margin, share)


def paint(
    canvas: Canvas,
    on: Stamp,
    reflectance: FloatArray,
    *,
    texture_hw: FloatArray | None = None,
) -> None:
    """Lay a material over what is there.

    Args:
        canvas: Painted in place.
        on: Covered share of each pixel.
        reflectance: Material, float32 (16,).
        texture_hw: Factor on the reflectance, float32 of the stamp's shape; None is 1 everywhere.
    """
    factor = np.ones((1, 1), dtype=np.float32) if texture_hw is None else texture_hw.astype(np.float32, copy=False)
    _mix(canvas.reflectance_chw, on.row, on.col, on.share_hw, reflectance, factor)


def raise_height(canvas: Canvas, on: Stamp, height_m: FloatArray | float, least_share: float = 0.5) -> None:
    """Put something of that height (metres) where the stamp covers at least `least_share` of a pixel."""
    view = canvas.height_hw[on.window]
    height = np.broadcast_to(np.asarray(height_m, dtype=np.float32), view.shape)
    np.copyto(view, height, where=on.share_hw >= least_share)


def set_shade(canvas: Canvas, on: Stamp, shade_hw: FloatArray | float) -> None:
    """Set the sunlight on a sloped surface relative to level ground."""
    view = canvas.shade_hw[on.window]
    view += on.share_hw * (np.asarray(shade_hw, dtype=np.float32) - view)


@compiled
def _mix(
    canvas_chw: FloatArray,
    row: int,
    col: int,
    share_hw: FloatArray,
    reflectance: FloatArray,
    factor_hw: FloatArray,
) -> None:
    rows, cols = share_hw.shape
    plain = factor_hw.shape[0] != rows or factor_hw.shape[1] != cols
    for band in range(canvas_chw.shape[0]):
        value = reflectance[band]
        for i in range(rows):
            for j in range(cols):
                share = share_hw[i, j]
                if share > 0:
                    new = value if plain else value * max(factor_hw[i, j], np.float32(0.05))
                    old = canvas_chw[band, row + i, col + j]
                    canvas_chw[band, row + i, col + j] = old + share * (new - old)
