"""`compare`: two runs scored on the same scenes -> which differences are real."""

from __future__ import annotations

from pathlib import Path

from landscribe.core.score.compare import Comparison, compare_scores
from landscribe.core.score.score import Score
from landscribe.core.score.seeds import RowSeeds
from landscribe.core.split.split import read_split
from landscribe.errors import DataError, problem, some
from landscribe.io.project.seeds import seeds_of_run
from landscribe.io.project.splits import SPLIT
from landscribe.io.run.runs import Run
from landscribe.io.run.scored import SCORE, read_score, run_score
from landscribe.report.words import plural

UNKNOWN_SEEDS = (
    "how far other seeds would move these scores is not known: give one of the runs seeds = [0, 1, 2] in [[models]]"
)


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compare two scores.

    Args:
        first: A run folder or a `score.json`.
        second: Another one.

    Raises:
        DataError: If there is no score, or the two have nothing in common.
    """
    return compare_scores(read_scored(first), read_scored(second), seeds=(seeds_at(first), seeds_at(second)))


def seeds_at(path: Path) -> list[RowSeeds]:
    """Return what the networks of a run gave alone, seed by seed; of a file, nothing."""
    return seeds_of_run(Run(path)) if path.is_dir() else []


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
        beyond = "larger" if row.beyond_seeds else "noise"
        seeds = "-" if row.seed_noise is None else f"{row.seed_noise:.3f} {beyond}"
        rows.append([name, *numbers, ends, verdict[row.real], row.basis or "-", seeds])
    heads = ["class", "first", "second", "difference", "95 %", "real", "over", "seeds alone"]
    if any(row.seed_noise is not None for row in (*result.classes.values(), result.mean)):
        return heads, rows
    return heads[:-1], [row[:-1] for row in rows]


def comparison_lines(result: Comparison) -> list[str]:
    """Say what was compared, and what only one of the two has."""
    where = f"{plural(len(result.scenes), 'scene')} in {plural(result.places, 'place')}"
    lines = [f"on {where} that both scored: {some(list(result.scenes))}"]
    for which, alone in (("first", result.only_first), ("second", result.only_second)):
        lines += [f"scored by the {which} alone: {some(list(alone.scenes))}"] if alone.scenes else []
        lines += [f"classes of the {which} alone: {some(list(alone.classes))}"] if alone.classes else []
    if result.other_truth:
        lines.append(f"labels are not the same in both: {some(list(result.other_truth))}; score one of them again")
    if result.mean.beyond_seeds is None:
        lines.append(UNKNOWN_SEEDS)
    elif not result.mean.beyond_seeds:
        made = f"{result.mean.seed_noise:.3f} is the standard deviation that seeds alone make"
        lines.append(f"the difference of the means, {_number(result.mean.difference, '+')}, is noise: {made}")
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
