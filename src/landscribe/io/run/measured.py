"""What `score` measured in one scene, kept beside the run so that scenes are measured wherever there is room."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from landscribe.core.score.left_out import LeftOut
from landscribe.core.score.measure import Measured
from landscribe.core.score.score import Unit
from landscribe.errors import IntegrityError, problem
from landscribe.io.atomic import write_text
from landscribe.io.names import safe_name
from landscribe.io.run.runs import Run

MEASURED = "measured"
"""Stage name of the records: a part of `score`, and no command of its own."""


@dataclass(frozen=True)
class SceneMeasured:
    """What was measured in one scene."""

    unit: Unit
    place: str
    classes: dict[str, Measured]
    by_default: dict[str, Measured]
    """By what the recipe alone says, where something was tuned."""
    left_out: tuple[LeftOut, ...]
    unadapted: dict[str, Measured] = field(default_factory=dict)
    """By networks that were not adapted to new scenes, where others were."""


def measured_file(run: Run, scene_id: str) -> Path:
    """Return where what was measured in a scene lies."""
    return run.path("measured", f"{safe_name(scene_id)}.json")


def write_measured(path: Path, measured: SceneMeasured) -> None:
    """Write what was measured; numbers keep all their digits."""
    write_text(path, json.dumps(_rows().dump_python(measured, mode="json", exclude_defaults=True)))


def read_measured(path: Path) -> SceneMeasured:
    """Read what was measured.

    Raises:
        IntegrityError: If the file is something else.
    """
    try:
        return _rows().validate_json(path.read_bytes())
    except ValidationError as error:
        got = error.errors()[0]["msg"]
        raise IntegrityError(
            problem(str(path), "not what was measured", got=got, do="delete it and score again")
        ) from None


@functools.cache
def _rows() -> TypeAdapter[Any]:
    return TypeAdapter(SceneMeasured)
