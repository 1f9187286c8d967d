"""Models without weights on disk: a spectral rule, or the labels themselves, as one JSON file beside the networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from landscribe.core.recipe import SpectralTable
from landscribe.core.seal import seal, unseal
from landscribe.errors import IntegrityError, problem
from landscribe.io.atomic import write_text

FORMULA = "formula.json"
MEANT = "copy or train it again, or say --models DIR --trust if it is meant so"
"""What to do about a model that was changed."""


class Formula(BaseModel, frozen=True, extra="forbid"):
    """A model that needs no weights."""

    format: Literal[1, 2] = 2
    name: str
    kind: Literal["index", "labels"]
    classes: tuple[str, ...]
    spectral: SpectralTable
    sensors: tuple[str, ...] | None = None
    """Sensors that bands are taken from, in order; None takes all of a scene."""
    trained_on: tuple[str, ...] = ()
    """Scenes that index and threshold were searched on; none where the recipe gives them."""
    held_out: tuple[str, ...] = ()
    knows: dict[str, Any] = {}
    """Classes, sensors and scenes of the run that it comes from."""


def write_formula(folder: Path, formula: Formula) -> Path:
    """Write a model into its folder; return the file."""
    path = folder / FORMULA
    write_text(path, seal(formula.model_dump(mode="json")))
    return path


def read_formula(path: Path, *, trusted: bool = False) -> Formula:
    """Read the file of one model.

    Args:
        path: The file.
        trusted: Take it though its seal is broken.

    Raises:
        IntegrityError: If it is damaged, edited or foreign.
    """
    values = unseal(path.read_bytes(), str(path), do=MEANT, trusted=trusted)
    try:
        return Formula.model_validate_json(json.dumps(values))
    except (ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(problem(str(path), "not a model without weights", got=str(error)[:200])) from error
