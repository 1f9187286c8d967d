"""Sensors: from apparent reflectance on the RGB grid to the numbers of RGB, P, M and A."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from landscribe.core.arrays import AnyArray, FloatArray
from landscribe.late import compiled
from landscribe.worlds.ground.spectra import BITS_11, BITS_14


@dataclass(frozen=True)
class Sampling:
    """How one sensor samples the scene."""

    shape_hw: tuple[int, int]
    """Its rows and columns over the scene's footprint."""
    shift_px: tuple[float, float]
    """Rows and columns, in RGB pixels, by which its content lies further down and to the right."""
    blur: float
    """Standard deviation of its point spread, in its own pixels."""


def sample(plane_hw: FloatArray, scene_hw: tuple[int, int], margin: int, sampling: Sampling) -> FloatArray:
    """Blur a band by the sensor's point spread and average it over the sensor's pixels.

    Args:
        plane_hw: Apparent reflectance with the margin, float32 (H + 2 margin, W + 2 margin).
        scene_hw: Rows and columns of the scene in RGB pixels.
        margin: Frame around the scene in RGB pixels.
        sampling: The sensor.

    Returns:
        float32 of the sensor's shape.
    """
    step_row = scene_hw[0] / sampling.shape_hw[0]
    step_col = scene_hw[1] / sampling.shape_hw[1]
    sigma = sampling.blur * np.array([step_col, step_row])
    blurred = cv2.GaussianBlur(plane_hw, (0, 0), sigmaX=float(sigma[0]), sigmaY=float(sigma[1]))
    rows = _box(blurred, margin - sampling.shift_px[0], step_row, sampling.shape_hw[0])
    cols = _box(np.ascontiguousarray(rows.T), margin - sampling.shift_px[1], step_col, sampling.shape_hw[1])
    return np.ascontiguousarray(cols.T)


@compiled
def _box(plane_hw: AnyArray, start: float, step: float, count: int) -> FloatArray:
    rows, cols = plane_hw.shape
    out = np.zeros((count, cols), dtype=np.float32)
    for k in range(count):
        top, bottom = start + k * step, start + (k + 1) * step
        first, last = int(np.floor(top)), int(np.ceil(bottom))
        for i in range(first, last):
            weight = np.float32((min(bottom, i + 1.0) - max(top, float(i))) / step)
            source = min(max(i, 0), rows - 1)
            for j in range(cols):
                out[k, j] += weight * plane_hw[source, j]
    return out


def pansharpen(colour_hw: FloatArray, pan_hw: FloatArray, sigma_px: float) -> FloatArray:
    """Give a colour band the detail of the panchromatic one, as an image provider does.

    Colour comes from M's coarser pixels, so that it bleeds by about one of them; detail is high-pass pan.

    Args:
        colour_hw: Band at full resolution, float32 (H, W).
        pan_hw: Panchromatic band on the same grid.
        sigma_px: Blur of a colour pixel, in RGB pixels.

    Returns:
        float32 (H, W).

    Source:
        Smoothing-filter-based intensity modulation: Liu (2000), doi:10.1080/014311600750037499.
    """
    low = cv2.GaussianBlur(colour_hw, (0, 0), sigma_px)
    low_pan = cv2.GaussianBlur(pan_hw, (0, 0), sigma_px)
    low = low * (pan_hw / np.maximum(low_pan, np.float32(1e-4)))
    # Real products keep some of the band's own detail, since its M pixels were sampled more than once.
    mixed: FloatArray = np.float32(0.65) * low + np.float32(0.35) * colour_hw
    return mixed


def to_numbers(rng: Generator, value_hw: FloatArray, gain: float, offset: float, bits: int) -> AnyArray:
    """Turn apparent reflectance into the sensor's numbers, with noise that grows with the signal's square root.

    Args:
        rng: Source of the noise.
        value_hw: Apparent reflectance.
        gain: Numbers per unit of reflectance.
        offset: Numbers made by path radiance and dark current.
        bits: 11 or 14.

    Returns:
        uint16, never 0, so that 0 can mean nodata.
    """
    top = BITS_11 if bits == 11 else BITS_14
    numbers = value_hw * np.float32(gain) + np.float32(offset)
    electrons = 90.0 if bits == 11 else 45.0
    spread = np.sqrt(np.maximum(numbers, 1) * np.float32(top / 2047.0 / electrons) + np.float32(1.0))
    numbers += spread * rng.standard_normal(numbers.shape, dtype=np.float32)
    return np.clip(np.rint(numbers), 1, top).astype(np.uint16)
