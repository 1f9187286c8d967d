"""A recipe together with its scenes, its legend and its split: what every stage starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from landscribe.core.grid import Grid, Window
from landscribe.core.legend import Legend
from landscribe.core.owners import require_owners
from landscribe.core.recipe import Recipe
from landscribe.core.split.places import DSTL_FIVE, folds, split_places, stratify
from landscribe.errors import DataError, IntegrityError, LandscribeError, LimitError, RecipeError, problem
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Made, Record, Run, make_item
from landscribe.io.settings import LoadedRecipe
from landscribe.io.source.labels import legend_of
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
        RecipeError: If two have one name, a class is unknown, or two own a class and the recipe does not allow it.
    """
    names = [table.name for table in project.recipe.models]
    if len(set(names)) < len(names):
        raise RecipeError(problem("[[models]]", "two models of one name"))
    classes_of = {table.name: table.classes or project.legend.names for table in project.recipe.models}
    for classes in classes_of.values():
        for name in classes:
            project.legend.by_name(name)
    for name in project.recipe.predict.empty_edges:
        project.legend.by_name(name)
    require_owners(classes_of, project.recipe.predict)


def held_out(project: Project, prepared: Mapping[str, Record]) -> tuple[list[str], list[str]]:
    """Return the training scenes and the scenes held out from training, among the labelled ones.

    Where the recipe names no scenes, whole places are drawn so that rare classes stand on both sides where they can
    (class areas come from the records of `prepare`). With the split `corner` every scene is on both sides, and
    `corner_window` says which part of it.

    Raises:
        RecipeError: If the recipe names a place, scene or class that does not exist, or nothing is left to train on.
    """
    recipe = project.recipe.validation
    labelled = [s for s in project.scenes.scenes if s.id in prepared and "labelled pixels" in prepared[s.id].counts]
    place_of = {s.id: s.place for s in labelled}
    if recipe.split == "none":
        return list(place_of), []
    if recipe.split == "corner":
        return list(place_of), list(place_of)
    chosen = _chosen(project, prepared, place_of)
    if recipe.whole_places:
        places = {place_of[i] for i in chosen}
        chosen = {i for i, place in place_of.items() if place in places} - set(recipe.train)
    return [i for i in place_of if i not in chosen], [i for i in place_of if i in chosen]


def _chosen(project: Project, prepared: Mapping[str, Record], place_of: Mapping[str, str]) -> set[str]:
    """Return the labelled scenes that a split names, draws or counts off."""
    recipe, legend = project.recipe.validation, project.legend
    known_places, known_scenes = {s.place for s in project.scenes.scenes}, {s.id for s in project.scenes.scenes}
    unknown = [n for n in recipe.places if n not in known_places]
    unknown += [n for n in (*recipe.scenes, *recipe.train) if n not in known_scenes]
    if unknown:
        raise RecipeError(
            problem("[validate]", "unknown place or scene", got=unknown[0], need="one that `check` lists")
        )
    if recipe.split == "named":
        # A scene may be named that has no labels itself; its place is meant then.
        places = set(recipe.places) | {s.place for s in project.scenes.scenes if s.id in recipe.scenes}
        wanted = places if recipe.whole_places else set(recipe.places)
        return {i for i, place in place_of.items() if place in wanted or i in recipe.scenes}
    if recipe.split == "dstl-five":
        found = set(DSTL_FIVE) & set(place_of)
        if not found:
            raise RecipeError(problem("[validate].split", "none of the five images is here", need=", ".join(DSTL_FIVE)))
        return found
    fixed = {place_of[i] for i in recipe.train if i in place_of} if recipe.whole_places else set(recipe.train)
    free = {i: place if recipe.whole_places else i for i, place in place_of.items()}
    free = {i: unit for i, unit in free.items() if unit not in fixed}
    if recipe.split == "stratified":
        bands = [legend.index(name) for name in recipe.classes] or list(range(len(legend)))
        labelled_px = {i: float(prepared[i].counts["labelled pixels"]) for i in free}
        shown = {i: _class_areas(prepared[i], legend)[bands].sum() / max(labelled_px[i], 1) for i in free}
        return set(stratify(shown))
    areas = {i: _class_areas(prepared[i], legend) for i in free} if recipe.split == "place" else None
    drawn = split_places(free, recipe.share, project.recipe.seed, areas)
    return {i for i, unit in free.items() if unit in drawn}


def corner_window(project: Project, grid: Grid) -> Window | None:
    """Return the part of a scene that validates where the split is `corner`, None where it is not.

    Raises:
        RecipeError: If it is the whole scene.
    """
    recipe = project.recipe.validation
    if recipe.split != "corner":
        return None
    side = recipe.corner_px
    if side >= min(grid.shape_hw):
        got, need = f"corner_px = {side}", f"less than {min(grid.shape_hw)}, the shorter side of a scene"
        raise RecipeError(problem("[validate].split", "nothing is left to train on", got=got, need=need))
    return Window(0, 0, side, side)


def open_side(project: Project, run: Run, scene_id: str, side: Literal["train", "validate"]) -> PreparedScene:
    """Open a prepared scene with the labels that count on one side of the split."""
    scene = open_prepared(run, scene_id)
    corner = corner_window(project, scene.grid)
    return replace(scene, without=corner) if side == "train" else replace(scene, within=corner)


def training_folds(project: Project, prepared: Mapping[str, Record]) -> tuple[tuple[str, ...], ...]:
    """Return the training scenes that each fold model does not see, whole places each.

    Where there are fewer training places than `[tune].folds`, there are as many folds as places; with one place, or
    where nothing is tuned, there are none.

    Raises:
        RecipeError: If the recipe names a place or scene that does not exist.
    """
    training, valid = held_out(project, prepared)
    if project.recipe.tune.folds and set(training) & set(valid):
        raise RecipeError(
            problem("[tune].folds", "no folds with split = 'corner'", do="take another split, or 0 folds")
        )
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
        LandscribeError: If every item failed, with the first reason; a full disk or a hit limit stops at once.
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
