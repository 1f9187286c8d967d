"""`run.json`: what a run was made from and what came out, in one file."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from landscribe import __version__
from landscribe.io.atomic import write_text
from landscribe.io.run.projects import Project, held_out
from landscribe.io.run.runs import Run
from landscribe.io.run.tuned import read_tuned
from landscribe.io.settings import recipe_dict

FILE = "run.json"
VERSIONS = ("torch", "numpy", "numba", "rasterio", "pyogrio", "shapely", "geopandas", "opencv-python-headless")


def write_run_json(project: Project, run: Run) -> None:
    """Write the record of a run as far as it has come: recipe with all defaults, data, split, versions, times, score.

    Args:
        project: The recipe with its data.
        run: The run folder.
    """
    prepared = run.records("prepare")
    train, valid = held_out(project, prepared)
    sides = {
        **dict.fromkeys(prepared, "unlabelled"),
        **dict.fromkeys(train, "train"),
        **dict.fromkeys(valid, "validate"),
    }
    stages = ("check", "prepare", "train", "predict", "oof", "tune", "vectorize", "score", "submit", "report")
    seconds = {stage: round(sum(r.seconds for r in run.records(stage).values()), 2) for stage in stages}
    scenes = {s.id: {"place": s.place, "split": sides[s.id]} for s in project.scenes.scenes if s.id in sides}
    content: dict[str, Any] = {
        "landscribe": __version__,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe_name": project.name,
        "recipe": recipe_dict(project.recipe),
        "seed": project.recipe.seed,
        "classes": [{"id": c.id, "name": c.name, "colour": c.colour} for c in project.legend],
        "scenes": scenes,
        "data": {item: record.key for item, record in prepared.items()},
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in VERSIONS}},
        "seconds": {stage: value for stage, value in seconds.items() if value},
        "score": _mean_score(run),
        "tuned": read_tuned(run) or None,
        "failed": {stage: run.failures(stage) for stage in stages if run.failures(stage)},
    }
    write_text(run.path(FILE), json.dumps(content, indent=1))


def _mean_score(run: Run) -> Any:
    file = run.path("score.json")
    return json.loads(file.read_text(encoding="utf-8"))["mean"] if file.is_file() else None
