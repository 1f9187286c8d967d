"""Tracing: how pixels become polygons. The one home of what can be set about it, of the units and of every default.

A noun of its own beside `core.trace`, so that the recipe and the command line know it without loading compiled loops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypedDict

from landscribe.errors import RecipeError, problem

TraceMode: TypeAlias = Literal["contour", "edge", "opencv"]
Connectivity: TypeAlias = Literal[4, 8, "mean"]

LEVEL_DECIMALS = 5
"""Decimals of the threshold by which lines are placed."""
MOST_ROUNDS = 20
"""Rounds of smoothing beyond which a contour hardly moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """How the field of one class becomes polygons. Lengths are in pixels, areas in square pixels.

    The defaults are those of a run and of `landscribe trace`; `EXACT` leaves nothing out.

    Raises:
        RecipeError: If a value is out of range, or two of them exclude each other.

    Examples:
        >>> import landscribe as ls
        >>> ls.Tracing(threshold=0.4).mode
        'contour'
        >>> ls.Tracing(threshold=40)
        Traceback (most recent call last):
        landscribe.errors.RecipeError: tracing: threshold out of range, got 40, need above 0, at most 1
    """

    threshold: float = 0.5
    """A pixel is inside where the field is at or above it; above 0 and up to 1."""
    mode: TraceMode = "contour"
    """`contour` runs between pixel centres where the field crosses the threshold; `edge` follows pixel borders;
    `opencv` runs through the centres of the outermost pixels and gives them whole numbers, which takes back what
    `burn_mask(..., mode="opencv")` does: half a pixel less on every side of other masks, and half a pixel up and to the
    left."""
    min_area_px: float = 4.0
    """Polygons with a smaller area are left out."""
    min_hole_px: float | None = None
    """Holes with a smaller area are filled; None takes `min_area_px`, and lets all holes stay where borders are shared
    with other classes."""
    simplify_px: float = 0.25
    """Vertices are left out as long as no boundary moves by more than this, and none moves over a pixel centre, so more
    than 1 gains little. On a border that two classes share the smaller one of theirs holds."""
    connectivity: Connectivity = 4
    """Whether pixels that meet at a corner only are two polygons (4) or one (8), or whatever the mean of the four
    pixels says ("mean", contours only). OpenCV's own is 8."""
    smooth: int = 0
    """How often the vertices of a contour move halfway to the line of their neighbours; none moves over a pixel
    centre."""
    right_angles: bool = False
    """Give polygons that are nearly so right angles, for buildings."""
    sharp: bool = True
    """In contours, place vertices and corners as covered shares demand, where the field is as sharp as they are. A
    smooth field is not changed by it."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise RecipeError(
                problem("tracing", "threshold out of range", got=self.threshold, need="above 0, at most 1")
            )
        if self.mode not in ("contour", "edge", "opencv"):
            raise RecipeError(problem("tracing", "unknown mode", got=repr(self.mode), need="contour | edge | opencv"))
        for name in ("min_area_px", "min_hole_px", "simplify_px"):
            value = getattr(self, name)
            if value is not None and not (0 <= value < math.inf):
                raise RecipeError(problem("tracing", f"{name} out of range", got=value, need="0 or more"))
        if self.connectivity not in (4, 8, "mean"):
            raise RecipeError(problem("tracing", "connectivity", got=repr(self.connectivity), need="4, 8 or 'mean'"))
        if self.connectivity == "mean" and self.mode != "contour":
            what = f"connectivity 'mean' is for contours; with mode {self.mode!r} it is 4 or 8"
            raise RecipeError(problem("tracing", what))
        if not 0 <= self.smooth <= MOST_ROUNDS:
            raise RecipeError(problem("tracing", "smooth out of range", got=self.smooth, need=f"0 to {MOST_ROUNDS}"))
        if self.smooth and self.mode != "contour":
            raise RecipeError(
                problem("tracing", f"smoothing has no meaning with mode {self.mode!r}, only for contours")
            )
        if self.right_angles and self.mode == "opencv":
            raise RecipeError(problem("tracing", "right angles have no meaning with mode 'opencv'"))

    @property
    def level(self) -> float:
        """The threshold as far as places of lines depend on it.

        Which pixels are inside is decided by the threshold to the last digit. Lines move by 1e-5 px at most by this,
        and thresholds that rounding alone tells apart have the same vertices, where two are equally good ones too.
        """
        return round(self.threshold, LEVEL_DECIMALS)

    @property
    def hole_px(self) -> float:
        """Area in square pixels below which holes are filled where no border is shared."""
        return self.min_area_px if self.min_hole_px is None else self.min_hole_px

    def with_shared_borders(self) -> Tracing:
        """Return what of this holds where classes share their borders: pixel edges, 4-connected.

        Raises:
            RecipeError: If right angles or smoothing are asked for, which would tear borders apart.
        """
        if self.right_angles or self.smooth:
            raise RecipeError(problem("tracing", "right angles and smoothing would tear shared borders apart"))
        return replace(self, mode="edge", connectivity=4)

    @property
    def is_sharp(self) -> bool:
        """Whether covered shares are told from smooth fields: for contours alone."""
        return self.sharp and self.mode == "contour"


EXACT = Tracing(min_area_px=0.0, simplify_px=0.0)
"""Everything that is there, with every vertex."""
PIXEL_EDGES = replace(EXACT, mode="edge")
"""The exact outlines of pixels: burning them gives the same pixels again."""


def smallest_byte(threshold: float) -> int:
    """Return the smallest byte, 0..255 for 0..1, that is at or above a threshold of at most 1."""
    return next(byte for byte in range(256) if byte / 255 >= threshold)


class TracingOptions(TypedDict, total=False):
    """The settings of `Tracing` as keywords, for type checkers."""

    threshold: float
    mode: TraceMode
    min_area_px: float
    min_hole_px: float | None
    simplify_px: float
    connectivity: Connectivity
    smooth: int
    right_angles: bool
    sharp: bool
