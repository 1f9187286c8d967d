"""`score.json`: the score of a run, read and checked."""

from __future__ import annotations

from pathlib import Path

from landscribe.core.score.score import Score
from landscribe.errors import DataError, IntegrityError, problem
from landscribe.io.run.runs import Run

SCORE = "score.json"
MAX_BYTES = 1 << 30


def read_score(file: Path) -> Score:
    """Read a score from wherever it comes.

    Raises:
        DataError: If the file is no score.
    """
    if file.stat().st_size > MAX_BYTES:
        raise DataError(problem(str(file), "too large for a score", got=f"{file.stat().st_size} bytes"))
    return Score.from_json(file.read_bytes(), str(file))


def run_score(run: Run) -> Score | None:
    """Read the score of a run, None where nothing was scored.

    Raises:
        IntegrityError: If the run's `score.json` is damaged, or is not the one that was recorded.
    """
    file = run.path(SCORE)
    if not file.is_file():
        return None
    try:
        return read_score(run.checked(file) if run.records("score") else file)
    except DataError as error:
        raise IntegrityError(f"{error}; delete it and run `landscribe score` again") from None
