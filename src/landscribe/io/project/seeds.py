"""What the networks of a run give alone, seed by seed, as their histories say."""

from __future__ import annotations

import csv

from landscribe.core.score.seeds import RowSeeds, class_jaccards
from landscribe.errors import RecipeError
from landscribe.io.project.training import HISTORY
from landscribe.io.run.runs import Run
from landscribe.io.settings import recipe_of_run


def seeds_of_run(run: Run) -> list[RowSeeds]:
    """Return what each network of a run gave on the held-out scenes when its training ended, row by row.

    Args:
        run: The run folder; one without `run.json`, or that used finished models, has none.

    Raises:
        IntegrityError: If a history was changed since it was written.
    """
    try:
        recipe = recipe_of_run(run.root).recipe
    except RecipeError:
        return []
    trained = run.records("train")
    found = []
    for table in recipe.models:
        paths = [run.path("models", name, HISTORY) for name in table.members(recipe.seed) if name in trained]
        if table.kind == "network" and paths and all(path.is_file() for path in paths):
            rows = [_last(run.checked(path).read_text(encoding="utf-8")) for path in paths]
            found.append(RowSeeds(table.name, rows))
    return [row for row in found if row.shared()]


def _last(text: str) -> dict[str, float]:
    rows = [*csv.DictReader(text.splitlines())]
    return class_jaccards({name: float(value) for name, value in rows[-1].items()}) if rows else {}
