"""Masks as run lengths, the way COCO writes them: column after column, zeros first, as numbers or packed into text."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from landscribe.core.arrays import IntArray
from landscribe.core.trace import trace


class MalformedError(ValueError):
    """A shape that is none; whoever reads it counts it and leaves it out."""


def run_lengths(counts: Any) -> NDArray[np.int64]:
    """Return the run lengths of a mask, plain or packed.

    Args:
        counts: A list of whole numbers, or text of five bits per letter with differences to the run before last.

    Raises:
        MalformedError: If it is neither, or a run is negative or absurdly long.

    Source:
        rleFrString of the COCO API (Dollar & Lin), common/maskApi.c.
    """
    if isinstance(counts, str):
        runs = _unpack(counts)
    elif isinstance(counts, list) and all(type(run) is int for run in counts):
        runs = counts
    else:
        raise MalformedError("run lengths are neither numbers nor text")
    if any(not 0 <= run < 2**31 for run in runs):
        raise MalformedError("run lengths out of range")
    return np.array(runs, dtype=np.int64)


def _unpack(text: str) -> list[int]:
    runs: list[int] = []
    value = bits = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or bits > 40:
            raise MalformedError("packed run lengths hold other letters")
        value |= (code & 31) << bits
        bits += 5
        if not code & 32:
            if code & 16:
                value -= 1 << bits
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = bits = 0
    if bits:
        raise MalformedError("packed run lengths are cut short")
    return runs


def window_of(runs: IntArray, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the first row and column of a mask's ones, and rows and columns from there; no rows where there are none.

    Raises:
        MalformedError: If the runs are not those of a mask of that size.
    """
    if int(runs.sum()) != height * width or height < 1:
        raise MalformedError("run lengths do not fill the picture")
    stop = np.cumsum(runs)[1::2]
    start = stop - runs[1::2]
    start, stop = start[stop > start], stop[stop > start]
    if not len(start):
        return 0, 0, 0, 0
    left, right = int(start[0]) // height, (int(stop[-1]) - 1) // height + 1
    if (start // height != (stop - 1) // height).any():
        return 0, left, height, right - left
    top, bottom = int((start % height).min()), int(((stop - 1) % height).max()) + 1
    return top, left, bottom - top, right - left


def outline(runs: IntArray, height: int, width: int) -> shapely.Geometry:
    """Return the outline of a mask along its pixels, empty where it has no ones.

    Args:
        runs: Run lengths.
        height: Rows of the picture.
        width: Its columns.

    Raises:
        MalformedError: If the runs are not those of a mask of that size.
    """
    top, left, rows, cols = window_of(runs, height, width)
    if not rows:
        return shapely.Polygon()
    # Only the columns that hold something are unpacked.
    ends = np.clip(np.cumsum(runs) - left * height, 0, cols * height)
    lengths = np.diff(ends, prepend=0)
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    flat = np.concatenate([flat, np.zeros(cols * height - len(flat), dtype=np.bool_)])
    mask_hw = np.ascontiguousarray(flat.reshape(cols, height).T[top : top + rows])
    polygons = shapely.transform(trace(mask_hw, mode="edge").geometries, lambda xy: xy + np.array((left, top)))
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(list(polygons))
