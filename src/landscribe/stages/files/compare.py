"""`compare`: two runs scored on the same scenes -> which differences are real."""

from __future__ import annotations

from pathlib import Path

from landscribe.core.score.compare import Comparison, compare_scores
from landscribe.core.score.score import Score
from landscribe.core.split.split import read_split
from landscribe.errors import DataError, problem, some
from landscribe.io.project.splits import SPLIT
from landscribe.io.run.runs import Run
from landscribe.io.run.scored import SCORE, read_score, run_score
from landscribe.report.words import plural


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compare two scores.

    Args:
        first: A run folder or a `score.json`.
        second: Another one.

    Raises:
        DataError: If there is no score, or the two have nothing in common.
    """
    return compare_scores(read_scored(first), read_scored(second))


def comparison_table(result: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of a table for people."""
    rows = []
    for name, row in [*result.classes.items(), ("mean", result.mean)]:
        ends = "-" if row.low is None or row.high is None else f"{row.low:+.3f} to {row.high:+.3f}"
        verdict = {
            True: "better" if (row.difference or 0) > 0 else "worse",
            False: "no",
            None: "one piece of evidence",
        }
        numbers = (_number(row.first), _number(row.second), _number(row.difference, "+"))
        rows.append([name, *numbers, ends, verdict[row.real], row.basis or "-"])
    return ["class", "first", "second", "difference", "95 %", "real", "over"], rows


def comparison_lines(result: Comparison) -> list[str]:
    """Say what was compared, and what only one of the two has."""
    where = f"{plural(len(result.scenes), 'scene')} in {plural(result.places, 'place')}"
    lines = [f"on {where} that both scored: {some(list(result.scenes))}"]
    for which, alone in (("first", result.only_first), ("second", result.only_second)):
        lines += [f"scored by the {which} alone: {some(list(alone.scenes))}"] if alone.scenes else []
        lines += [f"classes of the {which} alone: {some(list(alone.classes))}"] if alone.classes else []
    if result.other_truth:
        lines.append(f"labels are not the same in both: {some(list(result.other_truth))}; score one of them again")
    return lines


def read_scored(path: Path) -> Score:
    """Return the score of a run folder, or of a `score.json`.

    Raises:
        DataError: If there is none.
        IntegrityError: If that of a run was changed.
    """
    file = path / SCORE if path.is_dir() else path
    if not file.is_file():
        split = path / SPLIT
        if path.is_dir() and split.is_file():
            drawn = read_split(split.read_text(encoding="utf-8", errors="replace"), str(split))[0]
            if not drawn.validate:
                do = "hold scenes out that nobody reviews, or label others"
                raise DataError(problem(str(path), "nothing was scored: no scene is held out", got=drawn.why, do=do))
        raise DataError(problem(str(path), f"no {SCORE}", do="run `landscribe score` first"))
    run = Run(path)
    score = run_score(run) if path.is_dir() and run.records("score") else None
    return read_score(file) if score is None else score


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"
