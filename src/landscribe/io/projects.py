"""A recipe together with its scenes, its legend and its split: what every stage starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np

from landscribe.core.ensemble import require_owners
from landscribe.core.legend import Legend
from landscribe.core.places import folds, split_places
from landscribe.core.recipe import Recipe
from landscribe.errors import DataError, IntegrityError, LandscribeError, LimitError, RecipeError, problem
from landscribe.io.labels import legend_of
from landscribe.io.runs import Made, Record, Run, make_item
from landscribe.io.scenes import Scene, SceneList
from landscribe.io.settings import LoadedRecipe
from landscribe.io.sources import list_scenes

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


def open_project(loaded: LoadedRecipe) -> Project:
    """Bind a recipe to its data; the data are looked at when they are first asked for."""
    return Project(loaded.recipe, loaded.root, loaded.name, loaded.text)


def check_models(project: Project) -> None:
    """Refuse models that cannot stand side by side.

    Raises:
        RecipeError: If two have one name, a class is unknown, or two own a class and the recipe does not allow it.
    """
    names = [table.name for table in project.recipe.models]
    if len(set(names)) < len(names):
        raise RecipeError(problem("[[models]]", "two models of one name"))
    classes_of = {table.name: table.classes or project.legend.names for table in project.recipe.models}
    for classes in classes_of.values():
        for name in classes:
            project.legend.by_name(name)
    require_owners(classes_of, project.recipe.predict)


def held_out(project: Project, prepared: Mapping[str, Record]) -> tuple[list[str], list[str]]:
    """Return the training scenes and the scenes held out from training, among the labelled ones.

    Whole places go to one side. Where the recipe names no places, they are drawn so that rare classes stand on both
    sides where they can (class areas come from the records of `prepare`).

    Raises:
        RecipeError: If the recipe names a place or scene that does not exist, or nothing is left to train on.
    """
    recipe = project.recipe.validation
    labelled = [s for s in project.scenes.scenes if s.id in prepared and "labelled pixels" in prepared[s.id].counts]
    place_of = {s.id: s.place for s in labelled}
    if recipe.split == "none":
        return list(place_of), []
    if recipe.split == "named":
        known_places, known_scenes = {s.place for s in project.scenes.scenes}, {s.id for s in project.scenes.scenes}
        unknown = [n for n in recipe.places if n not in known_places] + [
            n for n in recipe.scenes if n not in known_scenes
        ]
        if unknown:
            raise RecipeError(
                problem("[validate]", "unknown place or scene", got=unknown[0], need="one that `check` lists")
            )
        chosen = set(recipe.places) | {s.place for s in project.scenes.scenes if s.id in recipe.scenes}
    else:
        areas = {i: _class_areas(prepared[i], project.legend) for i in place_of}
        chosen = set(split_places(place_of, recipe.share, project.recipe.seed, areas))
    valid = [i for i, place in place_of.items() if place in chosen]
    train = [i for i in place_of if i not in set(valid)]
    return train, valid


def training_folds(project: Project, prepared: Mapping[str, Record]) -> tuple[tuple[str, ...], ...]:
    """Return the training scenes that each fold model does not see, whole places each.

    Where there are fewer training places than `[tune].folds`, there are as many folds as places; with one place, or
    where nothing is tuned, there are none.

    Raises:
        RecipeError: If the recipe names a place or scene that does not exist.
    """
    training, _ = held_out(project, prepared)
    place_of = {s.id: s.place for s in project.scenes.scenes if s.id in set(training)}
    count = min(project.recipe.tune.folds, len(set(place_of.values())))
    if count < 2:
        return ()
    areas = {i: _class_areas(prepared[i], project.legend) for i in place_of}
    dealt = folds(place_of, count, project.recipe.seed, areas)
    return tuple(tuple(i for i in training if place_of[i] in places) for places in dealt)


def make_items(
    run: Run,
    stage: str,
    items: Iterable[str],
    key_of: Callable[[str], str],
    make: Callable[[str], Made],
    progress: Progress = silent,
) -> StageResult:
    """Make each item that is not up to date; an item that fails is named and the others go on.

    Raises:
        LandscribeError: If every item failed, with the first reason; a full disk or a hit limit stops at once.
    """
    result = StageResult(stage)
    names = list(items)
    for number, item in enumerate(names):
        progress(f"{stage} {item}", number, len(names))
        try:
            _, worked = make_item(run, stage, item, key_of(item), lambda item=item: make(item))  # type: ignore[misc]
            (result.made if worked else result.current).append(item)
        except (DataError, IntegrityError) as error:
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


def _disk_reason(error: OSError) -> str:
    return f"the system refused: {error.strerror or error}"


def _class_areas(record: Record, legend: Legend) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([float(record.counts.get(f"area {name}", 0.0)) for name in legend.names])


def scenes_of(project: Project, items: Iterable[str]) -> list[Scene]:
    """Return the project's scenes of these ids, in its order."""
    wanted = set(items)
    return [scene for scene in project.scenes.scenes if scene.id in wanted]
