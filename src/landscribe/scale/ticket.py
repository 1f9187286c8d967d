"""What a worker is sent: plain values that say which batch of which run, and no project, network or file."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from pathlib import Path

from landscribe import __version__
from landscribe.io.atomic import name_while_here
from landscribe.io.project import Project
from landscribe.io.settings import recipe_dict

SIGN = "crew"
"""Of the name of an empty file in the run folder while a batch is under way: by it a worker sees that it has the same
folder, and whoever opens the run next removes what a killed process left of it."""


@dataclass(frozen=True)
class Ticket:
    """A batch of a stage, or the looks of `check`."""

    version: str
    """Of Landscribe."""
    serial: str
    """Of the batch: what a worker has opened for it is kept by this name."""
    token: str
    """Name of a file in the run folder while the batch is under way."""
    stage: str
    number: int
    """Of the batch among those of its stage."""
    recipe: str
    """JSON of its tables with all defaults and overrides."""
    digest: str
    name: str
    root: str
    home: str | None
    images: tuple[str, ...]
    anyway: bool
    models: str | None
    trusted: bool
    scenes: str
    """Digest of the scenes that are there."""
    run: str | None
    """Run folder; None where nothing is written."""
    beside: int
    """Workers on one machine."""


def ticket_of(
    project: Project, models: Path | None, stage: str, number: int, run: Path | None, *, beside: int
) -> Ticket:
    """Return the ticket of a batch.

    Args:
        project: The recipe with its data.
        models: Folder of finished models.
        stage: Its name.
        number: Of the batch among those of its stage.
        run: Run folder.
        beside: Workers on one machine.
    """
    recipe = json.dumps(recipe_dict(project.recipe), sort_keys=True)
    finished = project.finished
    return Ticket(
        __version__, uuid.uuid4().hex, name_while_here(SIGN), stage, number, recipe, digest_of(recipe), project.name,
        str(project.root), None if project.home is None else str(project.home.resolve()),
        tuple(str(path.resolve()) for path in project.images), project.anyway,
        None if models is None else str(models.resolve()), finished is not None and finished.trusted,
        digest_of(scenes_said(project)), None if run is None else str(run.resolve()), beside,
    )  # fmt: skip


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def scenes_said(project: Project) -> str:
    """Say which scenes a project has, with their files."""
    return json.dumps([[scene.id, scene.place, [str(path) for path in scene.paths]] for scene in project.scenes.scenes])
