"""`tuned.json`: what was chosen per class, and the recipe with it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from landscribe.core.recipe import Recipe
from landscribe.core.score.tuning import Choice, apply_choices
from landscribe.core.seal import unseal
from landscribe.errors import DataError, IntegrityError, problem
from landscribe.io.names import safe_name
from landscribe.io.run.runs import Run

TUNED = "tuned.json"
_TUNE_AGAIN = "delete it and run `landscribe tune` again"
UNTUNED_PROBABILITY, UNTUNED_FEATURES = "untuned-probability", "untuned-features"
"""Stage names of the records of held-out scenes as the recipe alone makes them, to compare with."""
UNADAPTED_PROBABILITY, UNADAPTED_FEATURES = "unadapted-probability", "unadapted-features"
"""The same as networks make them that were not adapted to new scenes."""


def unadapted(run: Run, scene_id: str, ending: str) -> Path:
    """Return where a held-out scene lies as networks make it that were not adapted: `.tif` or `.parquet`."""
    return run.path("unadapted", f"{safe_name(scene_id)}{ending}")


def effective_recipe(recipe: Recipe, run: Run, *, needed: bool = True) -> Recipe:
    """Return the recipe as it is carried out: with what was tuned, where `[vectorize].tuned` says so.

    Args:
        recipe: The recipe as written.
        run: The run folder.
        needed: Whether what is not tuned yet is an error, or leaves the recipe as it is.

    Raises:
        DataError: If nothing was tuned and it is needed.
        IntegrityError: If `tuned.json` was changed or damaged.
    """
    if not recipe.vectorize.tuned:
        return recipe
    file = run.path(TUNED)
    if not file.is_file() and not needed:
        return recipe
    if not file.is_file():
        do = "set [tune].folds and run `landscribe tune`, or put the tuned.json of the models' run there"
        raise DataError(problem(str(run.root), "[vectorize].tuned without tuned.json", do=do))
    if run.read_record("tune", "all") is not None:
        run.checked(file)
    return apply_choices(recipe, accepted(read_tuned(run)))


def read_tuned(run: Run) -> dict[str, Any]:
    """Read `tuned.json`, empty where nothing was tuned.

    Raises:
        IntegrityError: If it is no JSON, or its seal is broken.
    """
    file = run.path(TUNED)
    if not file.is_file():
        return {}
    return unseal(file.read_bytes(), str(file), do=_TUNE_AGAIN, sealed=False)


def accepted(tuned: dict[str, Any]) -> dict[str, Choice]:
    """Return the choices that were accepted, by class name, each checked as a recipe would be.

    Raises:
        IntegrityError: If the content is not that of a `tuned.json`.
    """
    try:
        rows = {name: row["chosen"] for name, row in tuned["classes"].items() if row["accepted"]}
        choices = {name: Choice(**row | {"max_area": row.get("max_area") or math.inf}) for name, row in rows.items()}
        for name, choice in choices.items():
            choice.rules(name)
            if not (0 < choice.threshold <= 1 and choice.min_area >= 0 and choice.symmetries in (0, 1, 4, 8)):
                raise _damaged(f"class {name!r}, threshold {choice.threshold}, minimum area {choice.min_area}")
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise _damaged(type(error).__name__) from None
    return choices


def _damaged(got: str) -> IntegrityError:
    return IntegrityError(problem(TUNED, "damaged", got=got, do=_TUNE_AGAIN))
