"""Light: cast shadows, and what each band sees of a lit surface."""

from __future__ import annotations

import cv2
import numpy as np

from landscribe.core.arrays import FloatArray
from landscribe.late import compiled
from landscribe.worlds.ground.canvas import GSD_M, Canvas
from landscribe.worlds.ground.regions import Region
from landscribe.worlds.ground.spectra import SKYLIGHT


def sun_vector(region: Region) -> FloatArray:
    """Return the unit vector to the sun: x along columns, y along rows (down is south), z up."""
    flat = np.cos(region.sun_elevation)
    return np.array(
        [flat * np.sin(region.sun_azimuth), -flat * np.cos(region.sun_azimuth), np.sin(region.sun_elevation)]
    )


def cast_shadows(height_hw: FloatArray, sun_xyz: FloatArray) -> FloatArray:
    """Walk from each pixel towards the sun and see what stands in the way.

    Args:
        height_hw: Height above the ground in metres, float32 (H, W).
        sun_xyz: Unit vector to the sun.

    Returns:
        Share of direct sunlight that is blocked, float32 (H, W), 0..1.
    """
    flat = float(np.hypot(sun_xyz[0], sun_xyz[1]))
    rise = float(sun_xyz[2]) / flat * GSD_M
    steps = int(np.ceil(float(height_hw.max(initial=0.0)) / rise))
    blocked = _march(height_hw, float(sun_xyz[0]) / flat, float(sun_xyz[1]) / flat, rise, steps)
    soft: FloatArray = np.asarray(cv2.GaussianBlur(blocked, (0, 0), 0.55), np.float32)
    return soft


@compiled
def _march(height_hw: FloatArray, dx: float, dy: float, rise: float, steps: int) -> FloatArray:
    rows, cols = height_hw.shape
    blocked = np.zeros((rows, cols), dtype=np.float32)
    for i in range(rows):
        for j in range(cols):
            here = height_hw[i, j]
            worst = np.float32(0.0)
            for step in range(1, steps + 1):
                y, x = int(i + 0.5 + dy * step), int(j + 0.5 + dx * step)
                if y < 0 or x < 0 or y >= rows or x >= cols:
                    break
                over = height_hw[y, x] - here - rise * step
                # Half a metre between free and fully blocked softens the steps of a pixel-wise walk.
                if over > worst:
                    worst = over
                    if worst >= 0.5:
                        break
            blocked[i, j] = min(np.float32(1.0), worst * np.float32(2.0))
    return blocked


def lit_band(canvas: Canvas, blocked_hw: FloatArray, band: int) -> FloatArray:
    """Return what the band sees: reflectance times light relative to a sunlit level surface.

    Args:
        canvas: The finished painting.
        blocked_hw: Share of direct sunlight that is blocked.
        band: Index into the 16 bands.

    Returns:
        Apparent reflectance, float32 (H, W).
    """
    sky = SKYLIGHT[band]
    light = canvas.shade_hw * (1 - blocked_hw)
    light *= 1 - sky
    light += sky
    light *= canvas.reflectance_chw[band]
    return light
