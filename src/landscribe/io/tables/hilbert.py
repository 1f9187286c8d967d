"""The order of a Hilbert curve: what is near in it is near on the ground."""

from __future__ import annotations

import numpy as np

from landscribe.core.arrays import Floats, IntArray

ORDER = 16
"""Bits of each coordinate: 65,536 cells along either side of all boxes together."""


def along_hilbert(bounds: Floats) -> IntArray:
    """Return the order of boxes along a Hilbert curve over all of them, by their centres; equal ones keep theirs.

    Args:
        bounds: (N, 4), left, bottom, right, top.
    """
    if not len(bounds):
        return np.empty(0, np.int64)
    low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    side = float((high - low).max()) or 1.0
    cells = (1 << ORDER) - 1
    x, y = np.clip((((bounds[:, :2] + bounds[:, 2:]) / 2 - low) / side * cells), 0, cells).astype(np.int64).T
    place = np.zeros(len(bounds), np.int64)
    for bit in reversed(range(ORDER)):
        right, up = (x >> bit) & 1, (y >> bit) & 1
        place += ((3 * right) ^ up) << (2 * bit)
        # Quarters are turned so that the end of one lies beside the beginning of the next.
        mirrored = (up == 0) & (right == 1)
        x, y = np.where(mirrored, cells - x, x), np.where(mirrored, cells - y, y)
        x, y = np.where(up == 0, y, x), np.where(up == 0, x, y)
    return np.argsort(place, kind="stable")
