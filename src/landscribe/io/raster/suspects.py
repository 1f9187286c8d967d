"""Numbers that nobody declared and that look like "no data": far from all others, or filling blocks and borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Grid, Window

SIDE_PX = 1024
"""Rasters are looked at on at most so many rows and columns, taken from them as they are."""
LEAST_SHARE = 0.001
"""Share of the pixels below which a far number is no matter."""
SOLID = 0.5
"""Share of a number's pixels that have it to the right and below as well: what was left out is solid, noise is not."""
FILLED_SHARE = 0.01
"""Share of the pixels that a number must fill at the edge, or in one rectangle, to be suspected for that alone."""
RECTANGLE = 0.95
"""Share of the box around a patch that it must fill to be taken for a block."""
TAKEN_FOR_DATA = "that look like no data, taken for data"
"""How counts of such pixels end."""


@dataclass(frozen=True)
class Suspect:
    """A number that looks like "no data"."""

    value: float
    share: float
    """Of the valid pixels."""
    why: Literal["far", "edge", "block"]
    in_all_bands: bool
    """True where all bands have it at once."""


def thin(image_chw: AnyArray, valid_hw: BoolArray, window: Window, grid: Grid) -> tuple[AnyArray, BoolArray]:
    """Return every k-th row and column of a strip of a raster, the same ones whichever strips it is read in."""
    step = max(1, -(-max(grid.shape_hw) // SIDE_PX))
    rows = slice((-window.row) % step, None, step)
    cols = slice((-window.col) % step, None, step)
    return image_chw[:, rows, cols].copy(), valid_hw[rows, cols].copy()  # not views that keep whole strips


def find_suspects(image_chw: AnyArray, valid_hw: BoolArray) -> list[Suspect]:
    """Return the numbers that look like "no data", the commonest first.

    A number is suspected where it is solid, the smallest or largest of a band, and farther from the others than these
    are spread, or below 0 where no other is; or where all bands are 0, or all are the largest number of the type, on
    a patch that touches the edge or is a rectangle.

    Args:
        image_chw: Pixels (C, H, W), perhaps thinned.
        valid_hw: False where it is known that there are no data, (H, W).
    """
    n = int(valid_hw.sum())
    if n < 2 or min(valid_hw.shape) < 2:
        return []
    found: dict[float, Suspect] = {}
    for band_hw in image_chw:
        values = band_hw[valid_hw]
        for extreme in {values.min(), values.max()}:
            here_hw = (band_hw == extreme) & valid_hw
            share = int(here_hw.sum()) / n
            if share < LEAST_SHARE or share > 1 - LEAST_SHARE or not _is_far(float(extreme), values[values != extreme]):
                continue
            if _solidity(here_hw) >= SOLID:
                everywhere = float((image_chw[:, here_hw] == extreme).all(axis=0).mean()) > 0.9
                old = found.get(float(extreme))
                share = max(share, old.share if old else 0.0)
                found[float(extreme)] = Suspect(
                    float(extreme), share, "far", everywhere and (not old or old.in_all_bands)
                )
    for value in _ends(image_chw.dtype):
        if float(value) not in found:
            here_hw = (image_chw == value).all(axis=0) & valid_hw
            why = _fills(here_hw)
            if why is not None and not here_hw[valid_hw].all():
                found[float(value)] = Suspect(float(value), int(here_hw.sum()) / n, why, in_all_bands=True)
    return sorted(found.values(), key=lambda suspect: -suspect.share)


def _is_far(value: float, others: AnyArray) -> bool:
    low, high = (float(v) for v in np.percentile(others, (0.5, 99.5)))
    if value < 0 <= low and value < float(others.min()):
        return True
    gap = low - value if value < low else value - high
    return gap > max(high - low, 1e-12 * abs(value))


def _solidity(here_hw: BoolArray) -> float:
    corner = here_hw[:-1, :-1]
    return float((corner & here_hw[1:, :-1] & here_hw[:-1, 1:]).sum() / max(here_hw.sum(), 1))


def _ends(dtype: np.dtype[Any]) -> tuple[int, ...]:
    return (0, int(np.iinfo(dtype).max)) if dtype.kind in "iu" else (0,)


def _fills(here_hw: BoolArray) -> Literal["edge", "block"] | None:
    """Tell whether pixels fill a part of the edge, or a rectangle."""
    least = FILLED_SHARE * here_hw.size
    if here_hw.sum() < least:
        return None
    _, labels_hw, boxes, _ = cv2.connectedComponentsWithStats(here_hw.astype(np.uint8), connectivity=4)
    at_edge = np.unique(np.concatenate([labels_hw[0], labels_hw[-1], labels_hw[:, 0], labels_hw[:, -1]]))
    at_edge = at_edge[at_edge > 0]
    areas = boxes[:, cv2.CC_STAT_AREA]
    if areas[at_edge].sum() >= least and areas[at_edge].max() >= least / 4:
        return "edge"
    around = boxes[:, cv2.CC_STAT_WIDTH] * boxes[:, cv2.CC_STAT_HEIGHT]
    blocks = (areas >= least) & (areas >= RECTANGLE * around)
    return "block" if blocks[1:].any() else None
