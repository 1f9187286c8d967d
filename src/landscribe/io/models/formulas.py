"""Models without weights on disk: a spectral rule, or the labels themselves, as one JSON file beside the networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from landscribe.core.recipe import SpectralTable
from landscribe.errors import IntegrityError, problem
from landscribe.io.atomic import write_text

FORMULA = "formula.json"


class Formula(BaseModel, frozen=True, extra="forbid"):
    """A model that needs no weights."""

    format: Literal[1] = 1
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
    write_text(path, formula.model_dump_json(indent=1) + "\n")
    return path


def read_formula(path: Path) -> Formula:
    """Read the file of one model.

    Raises:
        IntegrityError: If it is damaged or foreign.
    """
    try:
        return Formula.model_validate_json(path.read_bytes())
    except (ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(problem(str(path), "not a model without weights", got=str(error)[:200])) from error
