"""How a score looks: the table of the command line and of notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landscribe.core.score.left_out import alarms, left_out_lines
from landscribe.core.shown import box, lines, table

if TYPE_CHECKING:
    from landscribe.core.score.rows import ClassRow, Means
    from landscribe.core.score.score import Score

HEADS = ("class", "Jaccard", "95 %", "over", "on pixels")


def score_rows(score: Score) -> list[list[str]]:
    """Return a row of text for each class and for the mean, below `HEADS`."""
    named: list[tuple[str, ClassRow | Means]] = [*score.classes.items(), ("mean", score.mean)]
    rows = []
    for name, row in named:
        polygon, pixel = row.polygon, row.pixel
        ends = "" if polygon.low is None or polygon.high is None else f"{polygon.low:.3f} to {polygon.high:.3f}"
        on_pixels = _number(None if pixel is None else pixel.jaccard)
        rows.append([name, _number(polygon.jaccard), ends, polygon.basis or "", on_pixels])
    return rows


def show_score(score: Score) -> str:
    """Return a score as HTML: the table, what counts on no side, and where there is nothing to score."""
    said = [*left_out_lines(score), *(f"WARNING: {line}" for line in alarms(score))]
    return box("Score", table(HEADS, score_rows(score)), lines(said))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
