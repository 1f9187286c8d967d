"""Windows that could be labelled: squares side by side on each scene, and what keeps one from being suggested."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from landscribe.core.grid import Grid, Window
from landscribe.errors import RecipeError, problem

Unit: TypeAlias = Literal["m", "px", ""]
REST = 0.25
"""What is left over at an edge gets a window of its own where it is more than this share of a side; a window that
shares more than this with a chosen one is not chosen."""
LEAST_KNOWN = 0.5
"""Share of a window that has to have data, and share of that which nobody has labelled yet."""
HELD_OUT, LABELLED, NO_DATA = "held out for scoring", "labelled already", "without data"
NOT_PREDICTED, TOO_SMALL = "not predicted", "scenes smaller than a window"
"""Why windows are left out; of the last, scenes are counted."""


@dataclass(frozen=True)
class Size:
    """Side of a window."""

    length: float = 256.0
    unit: Unit = "px"
    """Metres or pixels; empty for metres where a scene has a CRS and pixels where it has none."""

    def pixels(self, grid: Grid, scene_id: str) -> int:
        """Return the side in whole pixels of a scene's reference grid.

        Raises:
            RecipeError: If it is in metres and the scene has no CRS, or shorter than a pixel.
        """
        unit = self.unit or grid.unit
        if unit == "m" and grid.crs is None:
            do = "give it in pixels, as in --size 256px"
            raise RecipeError(problem(f"scene {scene_id!r}", "no CRS, so no metres", got=f"size {self}", do=do))
        side = round(self.length / (grid.pixel_length if unit == "m" else 1.0))
        if side < 1:
            got, need = f"size {self}", f"more, pixels are {grid.pixel_length:.3g} m"
            raise RecipeError(problem(f"scene {scene_id!r}", "a window of no pixel", got=got, need=need))
        return side

    def __str__(self) -> str:
        return f"{self.length:g}" + (f" {self.unit}" if self.unit else "")


DEFAULT_SIZE = Size()


def size_of(text: str) -> Size:
    """Read `256px`, `75m` or `75` (metres where a scene has a CRS, else pixels).

    Raises:
        RecipeError: If it is none of them, or not above 0.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(px|m|)\s*", text)
    if found is None or not 0 < float(found[1]) < 1e9:
        raise RecipeError(problem("size", "not a length", got=repr(text), need="such as 256px, 75m or 75"))
    unit: Unit = "m" if found[2] == "m" else "px" if found[2] == "px" else ""
    return Size(float(found[1]), unit)


def windows_on(shape_hw: tuple[int, int], side: int) -> list[Window]:
    """Return the windows of a scene, row by row from its upper left corner; none where the scene is smaller than one.

    Args:
        shape_hw: Rows and columns of the reference grid.
        side: Of a window, in pixels.
    """
    rows, cols = (_starts(length, side) for length in shape_hw)
    return [Window(row, col, side, side) for row in rows for col in cols]


def _starts(length: int, side: int) -> list[int]:
    """Return where windows begin along one axis; the last one is moved inwards so that it ends with the scene."""
    if length < side:
        return []
    starts = list(range(0, length - side + 1, side))
    if length - side - starts[-1] > REST * side:
        starts.append(length - side)
    return starts


def shared(one: Window, other: Window) -> float:
    """Return which share of the smaller window the other one covers, 0..1."""
    both = one.intersection(other)
    smaller = min(one.height * one.width, other.height * other.width)
    return 0.0 if both is None else both.height * both.width / smaller


def why_not(valid: int, labelled: int, pixels: int) -> str:
    """Return why a window cannot be suggested, empty where it can.

    Args:
        valid: Pixels with data.
        labelled: Those of them that are labelled.
        pixels: All pixels of the window.
    """
    if valid < LEAST_KNOWN * pixels:
        return NO_DATA
    return LABELLED if valid - labelled < LEAST_KNOWN * valid else ""


def said(left_out: Iterable[tuple[str, int]]) -> str:
    """Return what was left out as words."""
    return ", ".join(f"{n:,} {reason}" for reason, n in left_out if n)
