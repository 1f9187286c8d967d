"""What counts on no side of a score, in numbers and in words, one line each; and when there is nothing to score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import GeometryArray
from landscribe.core.score._shape import ROW

if TYPE_CHECKING:
    from landscribe.core.score.score import Score

NAMED = 6
"""Names that are kept and said at most."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that counts on no side."""

    __pydantic_config__ = ROW

    what: Literal["scenes", "polygons", "ground"]
    why: str
    count: int | float
    """How many; of ground its area in `unit`."""
    total: int | float
    """How many there are in all, those left out included."""
    names: tuple[str, ...] = ()
    """The first of them, where they have names."""


def scenes_left_out(why: str, names: Sequence[str], total: int) -> LeftOut:
    """Return scenes that count on no side."""
    return LeftOut("scenes", why, len(names), total, tuple(names[:NAMED]))


def add_left_out(rows: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    """Add up what was left out for one reason, in the order in which reasons come, without those that left out nothing.

    Args:
        rows: Rows of several scenes.
    """
    sums: dict[tuple[str, str], LeftOut] = {}
    for row in rows:
        before = sums.get((row.what, row.why))
        if before is not None:
            names = (*before.names, *row.names)[:NAMED]
            row = LeftOut(row.what, row.why, before.count + row.count, before.total + row.total, names)  # noqa: PLW2901
        sums[row.what, row.why] = row
    return tuple(row for row in sums.values() if row.count > 0)


def count_outside(geometries: GeometryArray, region: BaseGeometry) -> int:
    """Count polygons that have no area on the ground that counts.

    Args:
        geometries: Polygons and MultiPolygons.
        region: Ground that counts, in the same coordinates.
    """
    shapely.prepare(region)
    near = shapely.intersects(region, geometries)
    # A polygon traced along the border of the region touches it and has no area in it.
    border = np.flatnonzero(near & ~shapely.contains_properly(region, geometries))
    shared = shapely.area(shapely.intersection(geometries[border], region))
    return int((~near).sum() + (shared <= 0).sum())


def left_out_lines(score: Score) -> list[str]:
    """Say what counts on no side, one line each."""
    lines = [_line(row, score.unit) for row in score.left_out]
    for side, reasons in (score.conventions.left_out or {}).items():
        lines += [f"{side}: {count} {reason}" for reason, count in reasons.items()]
    empty = score.conventions.empty_classes
    if empty:
        lines.append(
            f"no score: {len(empty)} of {len(score.classes)} classes, neither true nor predicted: {_some(empty)}"
        )
    return lines


def alarms(score: Score) -> list[str]:
    """Say where there is nothing to score, so that the number is not taken for an ordinary result."""
    rows = [row.polygon for row in score.classes.values()]
    predicted, true = sum(row.tp + row.fp for row in rows), sum(row.tp + row.fn for row in rows)
    if not predicted and not true:
        return ["nothing is predicted and nothing is true in any scored scene: there is no score"]
    if not predicted:
        return ["nothing is predicted in any scored scene: all that is true counts as missed"]
    if not true:
        return ["nothing is true in any scored scene: all that is predicted counts as false"]
    if not any(row.tp for row in rows):
        return [
            "nothing predicted touches anything true of its class: look whether both are of one place, CRS and class"
        ]
    return []


def _line(row: LeftOut, unit: str) -> str:
    if row.what == "ground":
        share, area = 100 * row.count / row.total, f"{row.count:,.0f} {_UNITS[unit]}"
        return f"not scored: {share:.2g} % of the ground of scored scenes ({area}), {row.why}"
    named = ""
    if row.names:
        more = f" and {row.count - len(row.names)} more" if row.count > len(row.names) else ""
        named = f": {', '.join(row.names)}{more}"
    return f"not scored: {row.count} of {row.total} {row.what}, {row.why}{named}"


_UNITS = {"m2": "m²", "px2": "px", "unit2": "square units"}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
