"""Quantiles of a scene's bands: what its colours are, in a few numbers.

A scene takes the colours of another one where a pixel at a quantile of its own band gets the number that the other
has there.
"""

from __future__ import annotations

import math

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray

LEVELS = (0.5, 1, 2, 3.5, *range(5, 96, 5), 96.5, 98, 99, 99.5)
"""In percent, rising. The ends are left out: a single pixel decides where they are."""
MOST_PX = 1 << 16
"""Pixels that are looked at; of more, every so many-th, so that nothing depends on chance."""


def quantiles_of(image_chw: AnyArray, valid_hw: BoolArray) -> FloatArray:
    """Return the quantiles of the valid pixels of each band, float32 (C, Q), NaN where there is none.

    Args:
        image_chw: Raw values (C, H, W); numbers that are not finite count as invalid.
        valid_hw: False where there are no data, (H, W).
    """
    places = np.flatnonzero(valid_hw)
    places = places[:: max(1, math.ceil(len(places) / MOST_PX))]
    values_cn = image_chw.reshape(len(image_chw), -1)[:, places]
    if values_cn.dtype.kind == "f":
        values_cn = values_cn[:, np.isfinite(values_cn).all(axis=0)]
    if not values_cn.shape[1]:
        return np.full((len(image_chw), len(LEVELS)), np.nan, np.float32)
    return np.percentile(values_cn, LEVELS, axis=1).T.astype(np.float32)
