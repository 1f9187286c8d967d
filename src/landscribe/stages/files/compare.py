"""`compare`: two runs scored on the same scenes -> which differences are real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from landscribe.core.score.compare import compare_scores
from landscribe.errors import DataError, problem

SCORE = "score.json"
NEEDED = ("classes", "scenes", "places", "unit")
MAX_BYTES = 1 << 30


def compare_runs(first: Path, second: Path) -> dict[str, Any]:
    """Compare two scores.

    Args:
        first: A run folder or a `score.json`.
        second: Another one.

    Returns:
        See `landscribe.core.score.compare.compare_scores`.

    Raises:
        DataError: If there is no score, or the two have nothing in common.
    """
    return compare_scores(_read(first), _read(second))


def comparison_table(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of a table for people."""
    rows = []
    for name, row in [*result["classes"].items(), ("mean", result["mean"])]:
        known = row["low"] is not None
        ends = f"{row['low']:+.3f} to {row['high']:+.3f}" if known else "-"
        verdict = {
            True: "better" if (row["difference"] or 0) > 0 else "worse",
            False: "no",
            None: "one piece of evidence",
        }
        rows.append([name, _number(row["first"]), _number(row["second"]), _number(row["difference"], "+"), ends,
                     verdict[row["real"]], row["basis"] or "-"])  # fmt: skip
    return ["class", "first", "second", "difference", "95 %", "real", "over"], rows


def _read(path: Path) -> dict[str, Any]:
    file = path / SCORE if path.is_dir() else path
    if not file.is_file():
        raise DataError(problem(str(path), f"no {SCORE}", do="run `landscribe score` first"))
    if file.stat().st_size > MAX_BYTES:
        raise DataError(problem(str(file), "too large for a score", got=f"{file.stat().st_size} bytes"))
    try:
        score = json.loads(file.read_text(encoding="utf-8"))
        missing = [key for key in NEEDED if key not in score]
    except (ValueError, TypeError, RecursionError):
        raise DataError(problem(str(file), "not a score", need=f"a {SCORE} of this program")) from None
    if missing:
        raise DataError(problem(str(file), "not a score", got=f"no {', '.join(missing)}"))
    return dict(score)


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"
