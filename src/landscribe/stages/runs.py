"""`runs`: list and sort the runs below a folder by what their `run.json` says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from landscribe.core.score.rows import Means
from landscribe.core.seal import unseal
from landscribe.errors import DataError, IntegrityError, problem

SortBy = Literal["score", "date", "name"]


@dataclass(frozen=True)
class RunRow:
    """One run."""

    path: str
    recipe: str
    written: str
    """UTC, ISO 8601."""
    seed: int
    scenes: int
    classes: int
    jaccard: float | None
    """Mean polygon Jaccard; None where nothing was scored."""
    low: float | None
    high: float | None
    seconds: float
    landscribe: str


def list_runs(folder: Path, sort: SortBy = "score") -> tuple[list[RunRow], list[str]]:
    """Read the record of every run below a folder, the folder itself included.

    Args:
        folder: Where to look.
        sort: `score`, best first; `date`, newest first; `name`.

    Returns:
        The runs, and one line for each record that could not be read.

    Raises:
        DataError: If the folder is missing or holds no run.
    """
    if not folder.is_dir():
        raise DataError(problem(str(folder), "no such folder"))
    rows, problems = [], []
    for file in sorted(folder.rglob("run.json")):
        try:
            rows.append(_row(file, folder, unseal(file.read_bytes(), str(file), do="run again", sealed=False)))
        except (DataError, IntegrityError, ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(problem(str(file), "not the record of a run", got=repr(error)[:80]))
    if not rows and not problems:
        raise DataError(problem(str(folder), "no run below it", need="folders with a run.json"))
    if sort == "score":
        rows.sort(key=lambda row: -1.0 if row.jaccard is None else row.jaccard, reverse=True)
    elif sort == "date":
        rows.sort(key=lambda row: row.written, reverse=True)
    return rows, problems


def _row(file: Path, folder: Path, record: dict[str, Any]) -> RunRow:
    polygon = Means.from_json(json.dumps(record["score"])).polygon if record["score"] else None
    return RunRow(
        path=file.parent.relative_to(folder).as_posix(),
        recipe=str(record["recipe_name"]),
        written=str(record["written"]),
        seed=int(record["seed"]),
        scenes=len(record["scenes"]),
        classes=len(record["classes"]),
        jaccard=polygon.jaccard if polygon else None,
        low=polygon.low if polygon else None,
        high=polygon.high if polygon else None,
        seconds=round(sum(record["seconds"].values()), 1),
        landscribe=str(record["landscribe"]),
    )
