"""Nouns of alignment: what a sensor looks like to an estimator, and the move that it proposes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Grid, Window

Read: TypeAlias = Callable[[Window], tuple[AnyArray, BoolArray]]
"""A window inside the raster to raw values (C, h, w) and validity (h, w)."""

REFERENCE, NOT_ASKED, APPLIED, MEDIAN = "reference", "not estimated", "applied", "applied: median of the place"
TOO_FAR, NO_GAIN, DISAGREE = "refused: too far", "refused: no better than before", "refused: parts disagree"
NO_OVERLAP, FEATURELESS, LOST = "failed: no common ground", "failed: nothing to hold on to", "failed: no result"
TOO_SMALL = "accepted: too small a shift to tell from none"
NO_BAND = "failed: no band to compare"
TOO_LATE = "refused: it took too long"


@dataclass(frozen=True)
class Source:
    """One sensor of a scene as an estimator reads it."""

    name: str
    grid: Grid
    """Where its georeference says it lies."""
    bands: tuple[str, ...]
    wavelengths_nm: tuple[float, ...]
    """0 where nobody said it."""
    read: Read


@dataclass(frozen=True)
class Move:
    """How far a sensor's content has to move to lie on the reference: an estimate, and what became of it."""

    row_px: float = 0.0
    """Pixels of the reference, positive = down."""
    col_px: float = 0.0
    """Pixels of the reference, positive = to the right."""
    score: float | None = None
    """Similarity after the move, 0..1; None where it could not be measured."""
    spread: float | None = None
    """How far apart parts of the scene want to go, in pixels of the reference; None where there is one part."""
    decision: str = APPLIED
    before: float | None = None
    """Similarity without a move."""
    linear: tuple[float, float, float, float] | None = None
    """a, b, d, e of an affine correction about the centre of the reference grid; None is a translation."""

    @property
    def is_applied(self) -> bool:
        """Whether the georeference is moved."""
        return self.decision.startswith(APPLIED)

    @property
    def is_lost(self) -> bool:
        """Whether an estimate was asked for and nothing came of it."""
        return self.decision.startswith(("refused", "failed"))

    @property
    def length_px(self) -> float:
        """Length of the shift in pixels of the reference."""
        return math.hypot(self.row_px, self.col_px)


def judge_move(proposed: Move, max_shift_px: float) -> Move:
    """Decide on an estimate: a move that is too long, or that makes the sensors no more alike, is refused.

    Args:
        proposed: An estimate; one that has failed stays as it is.
        max_shift_px: Longest shift in pixels of the reference.

    Returns:
        The estimate with its decision; a refused one keeps its score and has no shift.
    """
    if not proposed.is_applied:
        return refuse(proposed, proposed.decision)
    if proposed.length_px > max_shift_px:
        return refuse(proposed, TOO_FAR)
    if proposed.score is None or proposed.before is None or not proposed.score > proposed.before:
        return refuse(proposed, NO_GAIN)
    return proposed


def refuse(proposed: Move, decision: str) -> Move:
    """Return an estimate without its shift, with the reason as its decision."""
    return replace(proposed, row_px=0.0, col_px=0.0, linear=None, decision=decision)


def move_grid(own: Grid, reference: Grid, move: Move) -> Grid:
    """Return a sensor's grid with its georeference moved; pixels stay as they are.

    Args:
        own: Where the sensor's georeference says that it lies.
        reference: Grid whose pixels the move counts.
        move: What to apply; a move that is not applied returns `own`.
    """
    if not move.is_applied:
        return own
    to_reference = own.pixel_map(reference)
    moved = ~to_reference @ correction(move, reference) @ to_reference
    return Grid(own.height, own.width, own.transform @ moved, own.crs)


def correction(move: Move, reference: Grid) -> Affine:
    """Return the map that takes the reference pixel where content is to the one where it belongs."""
    shift = Affine.translation(move.col_px, move.row_px)
    if move.linear is None:
        return shift
    a, b, d, e = move.linear
    centre = Affine.translation(reference.width / 2, reference.height / 2)
    return shift @ centre @ Affine(a, b, 0.0, d, e, 0.0) @ ~centre
