"""Recipe `[data]` -> scenes, whatever their layout."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from landscribe.core.recipe import DataTable, Recipe
from landscribe.core.sensors import Sensor, find_sensor
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.dstl import SENSORS, list_dstl
from landscribe.io.patterns import list_files, own_kinds
from landscribe.io.scenes import SceneList


def list_scenes(recipe: Recipe, root: Path) -> SceneList:
    """Find the scenes of a recipe.

    Args:
        recipe: The recipe.
        root: Its data folder, absolute.

    Raises:
        DataError: If the folder is missing, no scene is found or a chosen one lacks its reference raster.
        RecipeError: If a pattern names a field that no path has.
    """
    if not root.is_dir():
        raise DataError(
            problem("[data].root", "no such folder", got=str(root), do="check [data].root or --set data.root=")
        )
    found = list_dstl(root) if recipe.data.source == "dstl" else list_files(recipe.data, root)
    return _choose(_allow_missing(found, recipe.data), recipe.data)


def _allow_missing(found: SceneList, data: DataTable) -> SceneList:
    """Take what the recipe allows to be missing from the problems, and say how often it is."""
    if not data.optional:
        return found
    known = _sensors(data)
    reference = next(iter(known))
    for name in data.optional:
        if name not in known or name == reference:
            what = "the reference cannot be missing" if name == reference else "unknown sensor"
            need = ", ".join(n for n in known if n != reference)
            raise RecipeError(problem("[data].optional", what, got=repr(name), need=need))
    scenes, allowed, count = [], [], Counter[str]()
    for scene in found.scenes:
        absent = {name: known[name] for name in scene.missing if name in data.optional}
        allowed += [problem(f"scene {scene.id!r}", f"{name} is missing") for name in absent]
        count.update(absent.keys())
        rest = tuple(name for name in scene.missing if name not in absent)
        scenes.append(replace(scene, absent=absent, missing=rest))
    problems = [text for text in found.problems if not text.startswith(tuple(allowed))]
    problems += [
        f"{name} is missing in {n} of {len(scenes)} scenes, as [data].optional allows" for name, n in count.items()
    ]
    return replace(found, scenes=tuple(scenes), problems=tuple(problems))


def _sensors(data: DataTable) -> dict[str, Sensor]:
    if data.source == "dstl":
        return {name: find_sensor(kind) for name, kind in SENSORS.items()}
    return {name: find_sensor(table.kind, own_kinds(data)) for name, table in data.sensors.items()}


def _choose(found: SceneList, data: DataTable) -> SceneList:
    if data.scenes is None:
        return found
    chosen = tuple(found.by_id(scene_id) for scene_id in data.scenes)
    return SceneList(chosen, found.label_table, found.sample_submission, found.problems)
