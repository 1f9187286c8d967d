"""Which pixels hold a measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray


def is_data(image_chw: AnyArray, nodata: Sequence[float | None], *, in_any: bool = False) -> BoolArray:
    """Return where a pixel is data: not nodata in every band at once, and finite in each.

    Args:
        image_chw: Pixels (C, H, W).
        nodata: Nodata value of each band, None where it has none.
        in_any: Take a pixel for nodata where any band has its value.

    Returns:
        True where the pixel is data, (H, W).
    """
    valid_hw = np.ones(image_chw.shape[1:], dtype=np.bool_)
    if np.issubdtype(image_chw.dtype, np.floating):
        for band_hw in image_chw:
            valid_hw &= np.isfinite(band_hw)
    if in_any:
        for band_hw, value in zip(image_chw, nodata, strict=True):
            valid_hw &= ~_equals(band_hw, value)
        return valid_hw
    if any(value is None for value in nodata):
        return valid_hw  # a band without nodata value has data everywhere
    empty_hw = np.ones_like(valid_hw)
    for band_hw, value in zip(image_chw, nodata, strict=True):
        empty_hw &= _equals(band_hw, value)
    return valid_hw & ~empty_hw


def _equals(band_hw: AnyArray, value: float | None) -> AnyArray:
    if value is None or math.isnan(value):
        return np.zeros(band_hw.shape, dtype=np.bool_)
    if np.issubdtype(band_hw.dtype, np.floating):
        # Files keep nodata as decimal text, which stands for the nearest value of the type.
        with np.errstate(over="ignore"):
            return band_hw == band_hw.dtype.type(value)
    limits = np.iinfo(band_hw.dtype)
    if not float(value).is_integer() or not limits.min <= value <= limits.max:
        return np.zeros(band_hw.shape, dtype=np.bool_)  # no pixel can have it
    return band_hw == int(value)
