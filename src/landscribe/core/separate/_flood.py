"""Flood: a surface to its basins, of which only those stay apart that a narrow enough way joins.

Pixels are taken from the largest value down. Where two basins meet, they are one if the way between them is wide
against the narrower of them, or if one of them is still small; else their border is here (watershed by dynamics).
"""

from __future__ import annotations

import numpy as np

from landscribe.core.arrays import FloatArray, Int32s, IntArray
from landscribe.late import compiled

LEAST_DEPTH = 1.0
"""Mean depth in pixels of what counts as a thing."""


def basins(surface_hw: FloatArray, neck: float, least: float) -> Int32s:
    """Return the basin of each pixel, int32 (H, W), numbered from 1 in the order of their first pixels.

    Args:
        surface_hw: From `depths`.
        neck: Largest value on the way between two things, as a part of the lower of their largest values.
        least: Pixels that a basin must have when it meets another, to stay apart from it.

    Source:
        Grimaud (1992), "New measure of contrast: the dynamics", doi:10.1117/12.60650; here as a ratio, not as a
        difference, so that small things are told apart like large ones.
    """
    flat = np.ascontiguousarray(surface_hw, np.float32).ravel()
    # Of equals the first in scan order comes first, so the same surface gives the same basins.
    order = np.argsort(-flat, kind="stable")
    label_n = _flood(flat, order, surface_hw.shape[1], neck, least)
    _, first, number_n = np.unique(label_n, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(1, len(first) + 1, dtype=np.int32)
    return rank[number_n.reshape(surface_hw.shape)]


@compiled
def _root(parent: IntArray, basin: int) -> int:
    while parent[basin] != basin:
        parent[basin] = parent[parent[basin]]
        basin = parent[basin]
    return basin


@compiled
def _flood(surface_n: FloatArray, order: IntArray, width: int, neck: float, least: float) -> IntArray:
    n = len(surface_n)
    label_n = np.full(n, -1, np.int64)
    parent, size = np.arange(n), np.zeros(n, np.int64)
    peak, near = np.zeros(n, np.float32), np.empty(4, np.int64)
    for i in order:
        value, col = surface_n[i], i % width
        found, steepest = 0, -1
        for side in range(4):
            j = -1
            if side == 0:
                j = i - width
            elif side == 1 and col > 0:
                j = i - 1
            elif side == 2 and col < width - 1:
                j = i + 1
            elif side == 3 and i + width < n:
                j = i + width
            if j < 0 or label_n[j] < 0:
                continue
            if steepest < 0 or surface_n[j] > surface_n[steepest]:
                steepest = j
            near[found] = label_n[j]
            found += 1
        if steepest < 0:
            label_n[i], peak[i], size[i] = i, value, 1
            continue
        for a in range(found):
            for b in range(a):
                one, other = _root(parent, near[a]), _root(parent, near[b])
                high, low = (one, other) if peak[one] >= peak[other] else (other, one)
                apart = value <= neck * peak[low] and size[low] >= least and peak[low] >= LEAST_DEPTH
                if high != low and not apart:
                    parent[low] = high
                    size[high] += size[low]
        own = _root(parent, label_n[steepest])
        label_n[i] = own
        size[own] += 1
    for i in range(n):
        label_n[i] = _root(parent, label_n[i])
    return label_n
