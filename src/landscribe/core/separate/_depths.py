"""Depths: how far inside of a polygon each pixel lies, averaged over levels of probability.

A valley of the probability, or a line where things are said to end, is shallow at the levels above it; a neck is
shallow at all of them. So one number knows both.
"""

from __future__ import annotations

import cv2
import numpy as np

from landscribe.core.arrays import BoolArray, FloatArray

LEVELS = 4
"""Levels from the threshold to 1."""
OUTSIDE = 1e6
"""Beyond any distance in a window: what lies outside is flooded last."""


def depths(sure_hw: FloatArray, inside_hw: BoolArray, threshold: float) -> FloatArray:
    """Return the surface to flood, from its largest value down.

    Args:
        sure_hw: Probability that a pixel belongs to one thing, float32 (H, W), 0..1.
        inside_hw: Pixels of the polygon.
        threshold: That of the polygon.

    Returns:
        float32 (H, W): above 0 the mean depth in pixels; at or below 0 inside of the polygon, and far below outside of
        it, less the distance to what is above.
    """
    depth_hw = np.zeros(sure_hw.shape, np.float32)
    for level in threshold + (1 - threshold) * np.arange(LEVELS) / LEVELS:
        depth_hw += np.maximum(_distance(inside_hw & (sure_hw >= np.float32(level))) - 0.5, 0)
    depth_hw /= LEVELS
    core_hw = depth_hw > 0
    if not core_hw.any():
        return np.where(inside_hw, np.float32(0), -_distance(~inside_hw) - OUTSIDE)
    rest_hw = -_distance(~core_hw)
    away_hw = -_distance(~inside_hw) - OUTSIDE
    return np.where(core_hw, depth_hw, np.where(inside_hw, rest_hw, away_hw)).astype(np.float32)


def _distance(there_hw: BoolArray) -> FloatArray:
    """Return the distance of each marked pixel to the nearest one that is not, in pixels; beyond the window none is."""
    framed_hw = np.pad(there_hw, 1).astype(np.uint8)
    found_hw = cv2.distanceTransform(framed_hw, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(found_hw[1:-1, 1:-1], np.float32)
