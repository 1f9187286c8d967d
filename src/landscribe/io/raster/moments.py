"""Sums, squares and ends of the valid pixels of bands, the same to the last bit however they are come by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray

EXACT = 2.0**53
"""Whole numbers below it are exact in float64, so that the order in which they are added is no matter."""


@dataclass(frozen=True)
class Moments:
    """What statistics of a part of a raster are made of, each float64 (C,) but the first."""

    n: int
    """Valid pixels."""
    total: FloatArray
    square: FloatArray
    """Sum of the squares."""
    low: FloatArray
    high: FloatArray


def moments_of(image_chw: AnyArray, valid_hw: BoolArray) -> Moments | None:
    """Return the moments of the valid pixels of each band; None where there is none.

    Args:
        image_chw: Pixels (C, H, W) of a type of numbers.
        valid_hw: (H, W).
    """
    n = int(np.count_nonzero(valid_hw))
    if n == 0:
        return None
    whole = n == valid_hw.size
    bands = (band_hw.ravel() if whole else band_hw[valid_hw] for band_hw in image_chw)
    return Moments(n, *np.array([_of_band(known, single=len(image_chw) == 1) for known in bands]).T)


def _of_band(known: AnyArray, *, single: bool) -> tuple[float, float, float, float]:
    values = known.astype(np.float64)
    # No product of BLAS: its threads would wait for the next one in a loop, on a processor each.
    total, square = float(values.sum()), float(np.square(values, out=values).sum())
    if not single and (known.dtype.kind == "f" or square >= EXACT):
        # One after the other: so numpy adds up bands that lie side by side, and so facts of old runs were made.
        square = float(np.cumsum(values, out=values)[-1])
        total = float(np.cumsum(known, dtype=np.float64, out=values)[-1])
    return total, square, float(known.min()), float(known.max())
