"""A recipe together with its scenes and its legend: what every stage starts from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from landscribe.core.legend import Legend
from landscribe.core.owners import require_owners
from landscribe.core.recipe import Recipe
from landscribe.errors import BAD_FILE, LandscribeError, LimitError, RecipeError, problem
from landscribe.io.labels.legend import legend_of
from landscribe.io.run.runs import Made, Run, make_item
from landscribe.io.settings import LoadedRecipe
from landscribe.io.source.scenes import Scene, SceneList
from landscribe.io.source.sources import list_scenes
from landscribe.workers import abreast

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def silent(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Project:
    """A recipe with its data found."""

    recipe: Recipe
    root: Path
    name: str
    text: str

    @cached_property
    def scenes(self) -> SceneList:
        """All scenes, in natural order."""
        return list_scenes(self.recipe, self.root)

    @cached_property
    def legend(self) -> Legend:
        """Classes in band order."""
        return legend_of(self.recipe, self.scenes)


@dataclass
class StageResult:
    """What a stage did, item by item."""

    stage: str
    made: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Item -> the one-line reason."""
    left_out: str = ""
    """Why the stage had nothing to do, where it had not."""
    notes: list[str] = field(default_factory=list)
    """What the user should know beside the items."""

    def add(self, other: StageResult, what: str) -> None:
        """Take in what was made beside the stage's own items, each named with what it is."""
        self.made += [f"{item} ({what})" for item in other.made]
        self.current += [f"{item} ({what})" for item in other.current]
        self.failed |= {f"{item} ({what})": reason for item, reason in other.failed.items()}


def open_project(loaded: LoadedRecipe) -> Project:
    """Bind a recipe to its data; the data are looked at when they are first asked for."""
    return Project(loaded.recipe, loaded.root, loaded.name, loaded.text)


def check_models(project: Project) -> None:
    """Refuse models that cannot stand side by side.

    Raises:
        RecipeError: If two have one name, a class is unknown, a spectral rule has several, or two models own a class
            and the recipe does not allow it.
    """
    names = [table.name for table in project.recipe.models]
    if len(set(names)) < len(names):
        raise RecipeError(problem("[[models]]", "two models of one name"))
    classes_of = {table.name: table.classes or project.legend.names for table in project.recipe.models}
    for table in project.recipe.models:
        classes = classes_of[table.name]
        for name in classes:
            project.legend.by_name(name)
        if table.kind == "index" and len(classes) != 1:
            need = "one class; write a model for each"
            raise RecipeError(problem(f"model {table.name!r}", "a spectral rule owns", got=len(classes), need=need))
    for name in project.recipe.predict.empty_edges:
        project.legend.by_name(name)
    require_owners(classes_of, project.recipe.predict)


def make_items(
    run: Run,
    stage: str,
    items: Iterable[str],
    key_of: Callable[[str], str],
    make: Callable[[str], Made],
    progress: Progress = silent,
    *,
    workers: int = 1,
) -> StageResult:
    """Make each item that is not up to date; an item that fails is named and the others go on.

    Args:
        run: The run folder.
        stage: Stage name.
        items: In the order in which they are reported and fail.
        key_of: Digest of everything an item depends on.
        make: Does the work on an item.
        progress: Told of each item.
        workers: Items that are worked on at once; `key_of` and `make` are then called in threads.

    Raises:
        LandscribeError: If every item failed, with the last reason; a full disk stops at once.
    """
    result = StageResult(stage)
    names = list(items)

    def work(item: str) -> bool:
        return make_item(run, stage, item, key_of(item), lambda: make(item))[1]

    with abreast(work, names, workers) as outcomes:
        for number, (item, outcome) in enumerate(outcomes):
            progress(f"{stage} {item}", number, len(names))
            try:
                (result.made if outcome() else result.current).append(item)
            except BAD_FILE as error:
                error.add_note(f"{stage}, {item}")
                result.failed[item] = str(error)
                last: LandscribeError = error
            except OSError as error:
                raise LimitError(
                    problem(f"{stage}, {item}", _disk_reason(error), do="free space, then run again")
                ) from error
    progress(stage, len(names), len(names))
    run.note_failures(stage, names, result.failed)
    run.write_manifest()
    if names and len(result.failed) == len(names):
        raise last
    return result


def follow_items(
    run: Run, stage: str, items: Iterable[str], key_of: Callable[[str], str], make: Callable[[str], Made]
) -> StageResult:
    """Work, as one of several processes, on what the first one makes with `make_items`; no record is written here.

    An item that fails does so in every process, and the first one tells; the result says nothing.
    """
    for item in items:
        with contextlib.suppress(*BAD_FILE):
            if not run.is_current(stage, item, key_of(item)):
                make(item)
    return StageResult(stage)


def _disk_reason(error: OSError) -> str:
    return f"the system refused: {error.strerror or error}"


def scenes_of(project: Project, items: Iterable[str]) -> list[Scene]:
    """Return the project's scenes of these ids, in its order."""
    wanted = set(items)
    return [scene for scene in project.scenes.scenes if scene.id in wanted]
