"""How a score looks: the table of the command line and of notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landscribe.core.score.left_out import alarms, left_out_lines
from landscribe.core.shown import box, lines, table

if TYPE_CHECKING:
    from landscribe.core.score.rows import ClassRow, Means
    from landscribe.core.score.score import Score

HEADS = ("class", "Jaccard", "95 %", "over", "on pixels")
OBJECT_HEADS = (
    "objects", "F1", "95 %", "precision", "recall", "found", "invented", "missed", "merged", "fragmented",
)  # fmt: skip
OBJECT_SPARE = ("fragmented", "merged", "recall", "precision")
"""Which of them a small screen goes without, the first one first: the last two follow from the counts."""


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


def object_rows(score: Score) -> list[list[str]]:
    """Return a row of text for each countable class, below `OBJECT_HEADS`; none where no class is."""
    rows = []
    for name, row in score.classes.items():
        found = row.objects
        if found is None:
            continue
        ends = "" if found.low is None or found.high is None else f"{found.low:.3f} to {found.high:.3f}"
        numbers = [_number(value) for value in (found.f1, found.precision, found.recall)]
        counts = (found.tp, found.fp, found.fn, found.merged, found.fragmented)
        rows.append([name, numbers[0], ends, *numbers[1:], *("-" if n is None else str(n) for n in counts)])
    return rows


def show_score(score: Score) -> str:
    """Return a score as HTML: the table, what counts on no side, and where there is nothing to score."""
    said = [*left_out_lines(score), *(f"WARNING: {line}" for line in alarms(score))]
    objects = object_rows(score)
    tables = [table(HEADS, score_rows(score)), *([table(OBJECT_HEADS, objects)] if objects else [])]
    return box("Score", *tables, lines(said))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
