"""Meaning: whether a raster is a map of classes, a mask, or holds probabilities, told by its values.

A class map has few whole numbers, a field of probabilities many. The rule, first match:

1. only 0 and 1, or only 0 and 255 (one of the two may be absent): a mask;
2. one band of whole numbers with a colour table or class names: a class map;
3. one band of at most `FEW` different whole numbers: a class map, unless it is bytes in which most pixels are 0 or
   255, some are above one half, and no other value fills a pixel and its four neighbours: those are covered shares;
4. nothing below 0 or above 1, and fractions: probabilities;
5. nothing below 0 or above 100: probabilities in percent;
6. bytes: probabilities or covered shares, 0..255 for 0..1;
7. anything else cannot be told and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.tracing import TraceMode, Tracing
from landscribe.errors import DataError, problem

Meaning: TypeAlias = Literal["classes", "mask", "probability", "percent"]

FEW = 32
"""Different whole numbers that a class map without colour table or names may have."""
MOST_VALUES = 255
"""Different values that are kept, and classes of a map."""
SLACK = 1e-4
"""Share of the range by which probabilities may reach over it: rounding of those that made them."""
SAMPLE = 4096
"""Values that are looked at first: where many of them differ, all of them need not be sorted."""
TOPS = (255, 1000, 10_000, 65_535)
"""What stands for 1 where whole numbers are probabilities."""
PLACEHOLDERS = (-9999.0, -32768.0, -32767.0, -999.0, -99.0, -1.0, 255.0, 9999.0, 32767.0, 65535.0)
"""Values that stand for "no data" in files that do not say so."""
NOTHING = (math.inf, -math.inf)
"""Range of no value at all."""


@dataclass(frozen=True)
class Numbers:
    """What the valid pixels of some bands hold."""

    pixels: int
    """Valid pixels, of all bands together."""
    invalid: int
    low: float
    """Smallest value; infinite where no pixel is valid."""
    high: float
    values: tuple[float, ...] | None
    """All different values in ascending order; None where there are more than `MOST_VALUES`."""
    whole: bool
    """Whether all are whole numbers."""
    ends: int
    """Pixels of 0 or 255."""
    patches: bool
    """Whether another value than 0 and 255 fills some pixel and its neighbours; looked for only where it matters."""
    range_without_placeholders: tuple[float, float]
    """Smallest and largest value that is none of `PLACEHOLDERS`, nor beyond 1e30."""


def numbers_of(image_chw: AnyArray, valid_hw: BoolArray) -> Numbers:
    """Look at the pixels of some bands.

    Args:
        image_chw: Pixels (C, H, W), integers or floats.
        valid_hw: Where they mean something, (H, W).
    """
    invalid = int(valid_hw.size - np.count_nonzero(valid_hw)) * len(image_chw)
    if image_chw.dtype == np.uint8:
        return _numbers_of_bytes(image_chw, valid_hw, invalid)
    held = image_chw.ravel() if not invalid else image_chw[:, valid_hw].ravel()
    if not held.size:
        return Numbers(0, invalid, *NOTHING, (), True, 0, False, NOTHING)
    values = _different(held)
    if values is None:
        whole = held.dtype.kind != "f" or bool((held == np.floor(held)).all())
    else:
        whole = all(value.is_integer() for value in values)
    low, high = float(held.min()), float(held.max())
    strange = low < 0 or high > 100
    normal = held[~np.isin(held, PLACEHOLDERS) & (np.abs(held.astype(np.float64)) < 1e30)] if strange else held
    return Numbers(
        pixels=held.size,
        invalid=invalid,
        low=low,
        high=high,
        values=values,
        whole=whole,
        ends=int(np.count_nonzero((held == 0) | (held == 255))),
        patches=values is not None and any(_has_patch(band_hw, valid_hw) for band_hw in image_chw),
        range_without_placeholders=(float(normal.min()), float(normal.max())) if normal.size else NOTHING,
    )


def _numbers_of_bytes(image_chw: AnyArray, valid_hw: BoolArray, invalid: int) -> Numbers:
    mask_hw = None if not invalid else valid_hw.view(np.uint8)
    bands = [np.ascontiguousarray(band_hw) for band_hw in image_chw]
    of_band = [cv2.calcHist([band_hw], [0], mask_hw, [256], [0, 256]).ravel().astype(np.int64) for band_hw in bands]
    counts = np.sum(of_band, axis=0)
    found = np.flatnonzero(counts)
    if not len(found):
        return Numbers(0, invalid, *NOTHING, (), True, 0, False, NOTHING)
    span = (float(found[0]), float(found[-1]))
    return Numbers(
        pixels=int(counts.sum()),
        invalid=invalid,
        low=span[0],
        high=span[1],
        values=None if len(found) > MOST_VALUES else tuple(float(value) for value in found),
        whole=True,
        ends=int(counts[0] + counts[255]),
        # Among many values they decide nothing.
        patches=len(found) <= FEW and any(_has_patch(band_hw, valid_hw) for band_hw in bands),
        range_without_placeholders=span,
    )


def join_numbers(parts: Sequence[Numbers]) -> Numbers:
    """Put together what was seen in several parts of a raster."""
    every = [part.values for part in parts]
    known = sorted(set().union(*(values for values in every if values is not None)))
    many = any(values is None for values in every) or len(known) > MOST_VALUES
    lows, highs = zip(*(part.range_without_placeholders for part in parts), strict=True)
    return Numbers(
        pixels=sum(part.pixels for part in parts),
        invalid=sum(part.invalid for part in parts),
        low=min(part.low for part in parts),
        high=max(part.high for part in parts),
        values=None if many else tuple(known),
        whole=all(part.whole for part in parts),
        ends=sum(part.ends for part in parts),
        patches=any(part.patches for part in parts),
        range_without_placeholders=(min(lows), max(highs)),
    )


def meaning_of(numbers: Numbers, where: str, *, bands: int, is_bytes: bool, named: bool = False) -> Meaning:
    """Tell what a raster is by the rule above.

    Args:
        numbers: What its valid pixels hold.
        where: The file, for the message.
        bands: Number of bands.
        is_bytes: Whether pixels are stored as uint8.
        named: Whether the file has a colour table or names for its values.

    Raises:
        DataError: If its values fit nothing, with what can be done.
    """
    values = numbers.values
    if values is not None and (set(values) <= {0, 1} or set(values) <= {0, 255}):
        return "mask"
    if bands == 1 and numbers.whole and values is not None:
        if named:
            return "classes"
        is_share = is_bytes and numbers.high > 127 and 2 * numbers.ends > numbers.pixels and not numbers.patches
        if len(values) <= FEW and not is_share:
            return "classes"
    if numbers.low >= -SLACK:
        if numbers.high <= 1 + SLACK:
            return "probability"
        if numbers.high <= 100 * (1 + SLACK):
            return "percent"
        if is_bytes:
            return "probability"
    got = f"{numbers.low:g} to {numbers.high:g}"
    need = f"0..1, 0..100, bytes, or one band of at most {FEW} different whole numbers"
    raise DataError(problem(where, "neither probabilities nor classes", got=got, need=need, do=_cure(numbers, bands)))


def default_mode(meaning: Meaning) -> TraceMode:
    """Return the mode where none is asked for: nothing lies between two classes, so they follow pixel borders."""
    return "edge" if meaning == "classes" else Tracing().mode


def _cure(numbers: Numbers, bands: int) -> str:
    low, high = numbers.range_without_placeholders
    if (low, high) != (numbers.low, numbers.high) and low >= 0 and high <= 255:
        odd = numbers.low if numbers.low < low else numbers.high
        return f"{odd:g} looks like a nodata value that the file does not state: --nodata {odd:g}"
    if numbers.low < 0 and not numbers.whole:
        return "if they are logits, write 1 / (1 + exp(-x)) of them"
    top = next((top for top in TOPS if top * (1 + SLACK) >= numbers.high), numbers.high)
    scaled = f"`gdal_translate -ot Float32 -scale {min(numbers.low, 0.0):g} {top:g} 0 1` brings them to 0..1"
    if numbers.whole and bands == 1:
        return f"--as classes makes a class of each value, --as mask one of all but 0, {scaled}"
    return scaled


def _different(held: AnyArray) -> tuple[float, ...] | None:
    if len(np.unique(held[:: max(1, held.size // SAMPLE)])) > MOST_VALUES:
        return None
    found = np.unique(held)
    return None if len(found) > MOST_VALUES else tuple(float(value) for value in found)


def _has_patch(band_hw: AnyArray, valid_hw: BoolArray) -> bool:
    inner = band_hw[1:-1, 1:-1]
    alike = valid_hw[1:-1, 1:-1] & (inner != 0) & (inner != 255)
    for other in (band_hw[:-2, 1:-1], band_hw[2:, 1:-1], band_hw[1:-1, :-2], band_hw[1:-1, 2:]):
        alike &= inner == other
    return bool(alike.any())
