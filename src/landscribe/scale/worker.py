"""What runs on a worker: it opens the project and the stage once for each batch, and makes items by their names."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from landscribe import __version__
from landscribe.apart import OF_THE_DISK
from landscribe.errors import LandscribeError, problem
from landscribe.io.project import Project, StageResult, as_run, make_noted, with_models
from landscribe.io.project.batches import Batch
from landscribe.io.run.leases import Leases, renewed
from landscribe.io.run.runs import Run
from landscribe.io.settings import make_recipe, recipe_dict
from landscribe.pipeline import work_of
from landscribe.scale.ticket import Ticket, digest_of, scenes_said
from landscribe.workers import usable_processors

Answer: TypeAlias = tuple[str, tuple[Literal["done", "failed", "unfit"], Any]]
"""This worker's address, and what came of an item: a result, its error, or why it cannot be done here."""

_lock = threading.RLock()


@dataclass(frozen=True)
class _Opened:
    serial: str
    project: Project
    batch: Batch | None
    leases: Leases | None


_opened: list[_Opened] = []
"""None or one."""


def look(values: dict[str, Any]) -> str | None:
    """Tell why this worker cannot do a batch, None if it can."""
    opened = _open(values)
    return opened if isinstance(opened, str) else None


def do_item(values: dict[str, Any], item: str) -> Answer:
    """Make an item of a batch, unless it is up to date, once no other process is at it."""

    def work(opened: _Opened, threads: int) -> tuple[bool, list[str]]:
        batch, leases = opened.batch, opened.leases
        if batch is None or leases is None:
            raise LandscribeError(problem(item, "no batch of items"))
        with leases.waited_for(batch.stage, item):
            return make_noted(leases.run, batch.stage, item, batch.key_of, lambda i: batch.make(i, threads))

    return _answer(values, work)


def look_at(values: dict[str, Any], scene_id: str) -> Answer:
    """Look at a scene, as `check` does."""

    def work(opened: _Opened, _threads: int) -> Any:
        from landscribe.stages.check import look_at_one

        return look_at_one(opened.project, scene_id)

    return _answer(values, work)


def _answer(values: dict[str, Any], work: Callable[[_Opened, int], Any]) -> Answer:
    from distributed import get_worker

    return get_worker().address, _came_of(values, work)


def _came_of(
    values: dict[str, Any], work: Callable[[_Opened, int], Any]
) -> tuple[Literal["done", "failed", "unfit"], Any]:
    opened = _open(values)
    if isinstance(opened, str):
        return "unfit", opened
    try:
        return "done", work(opened, max(1, usable_processors() // values["beside"]))
    except LandscribeError as error:
        error.__cause__ = error.__context__ = error.__traceback__ = None
        return "failed", error
    except OSError as error:
        if error.errno is None or error.errno in OF_THE_DISK:
            return "unfit", f"the system refused: {error.strerror or error}"
        return "failed", OSError(error.errno, error.strerror, error.filename)


def _open(values: dict[str, Any]) -> _Opened | str:
    """Open what a ticket names, or say why this worker cannot."""
    if values["version"] != __version__:
        return f"has Landscribe {__version__}, the command that asks {values['version']}"
    ticket = Ticket(**values)
    with _lock:
        if not _opened or _opened[0].serial != ticket.serial:
            try:
                opened = _begin(ticket)
            except (LandscribeError, OSError) as error:
                return " ".join(str(error).split())
            if isinstance(opened, str):
                return opened
            _opened[:] = [opened]
        return _opened[0]


def _begin(ticket: Ticket) -> _Opened | str:
    if ticket.run is not None and not Path(ticket.run, ticket.token).is_file():
        return f"does not see the run folder {ticket.run}"
    if not Path(ticket.root).is_dir():
        return f"does not see the data in {ticket.root}"
    project = _project(ticket)
    if digest_of(json.dumps(recipe_dict(project.recipe), sort_keys=True)) != ticket.digest:
        return "reads the recipe as another one"
    if digest_of(scenes_said(project)) != ticket.scenes:
        return f"sees other scenes in {ticket.root}, {len(project.scenes.scenes)} of them"
    if ticket.run is None:
        return _Opened(ticket.serial, project, None, None)
    models = None if ticket.models is None else Path(ticket.models)
    if models is not None:
        project = with_models(project, models, trust=ticket.trusted)
    elif ticket.stage != "predict":
        project = as_run(project, Run(Path(ticket.run)))
    run = Run(Path(ticket.run))
    return _Opened(ticket.serial, project, _batch(ticket, project, run, models), renewed(run))


def _project(ticket: Ticket) -> Project:
    """Return the project of a ticket; one that is open and finds the same scenes stays open."""
    if _opened:
        before = _opened[0].project
        same = digest_of(json.dumps(recipe_dict(before.recipe), sort_keys=True)) == ticket.digest
        same &= (str(before.root), before.anyway) == (ticket.root, ticket.anyway)
        if same and digest_of(scenes_said(before)) == ticket.scenes:
            return replace(before, finished=None) if before.finished is not None else before
    recipe = make_recipe(json.loads(ticket.recipe), ticket.name).recipe
    home, images = None if ticket.home is None else Path(ticket.home), tuple(map(Path, ticket.images))
    return Project(recipe, Path(ticket.root), ticket.name, "", anyway=ticket.anyway, images=images, home=home)


def _batch(ticket: Ticket, project: Project, run: Run, models: Path | None) -> Batch:
    """Go through a stage up to the batch that is meant, without doing anything."""
    work = work_of(ticket.stage, project, run, models=models)
    batch = next(work)
    for _ in range(ticket.number):
        batch = work.send(StageResult(batch.stage))
    work.close()
    return batch
