"""Recipe `[data]` -> scenes, whatever their layout."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from landscribe.core.recipe import DataTable, Recipe
from landscribe.core.sensors import Sensor, find_sensor
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.source.dstl import list_dstl
from landscribe.io.source.dstl_files import SENSORS
from landscribe.io.source.patterns import list_files, own_kinds
from landscribe.io.source.scenes import SceneList, lacks
from landscribe.io.source.stac_items import list_items


def list_scenes(recipe: Recipe, root: Path) -> SceneList:
    """Find the scenes of a recipe.

    Args:
        recipe: The recipe.
        root: Its data folder, absolute.

    Raises:
        DataError: If the folder is missing, no scene is found or a chosen one is none of them.
        RecipeError: If a pattern names a field that no path has, or a model a sensor that is not known.
    """
    if not root.is_dir():
        raise DataError(
            problem("[data].root", "no such folder", got=str(root), do="check [data].root or --set data.root=")
        )
    find = {"dstl": lambda: list_dstl(root), "stac": lambda: list_items(recipe.data, root)}
    found = find.get(recipe.data.source, lambda: list_files(recipe.data, root))()
    return _settle_missing(_choose(found, recipe.data), recipe)


def _settle_missing(found: SceneList, recipe: Recipe) -> SceneList:
    """Tell apart what scenes may lack, what they cannot be used without, and what nobody reads."""
    optional = _optional(recipe.data)
    needed = _needed(found, recipe)
    scenes, broken, count = [], dict(found.broken), Counter[str]()
    for scene in found.scenes:
        absent = {name: sensor for name, sensor in optional.items() if name in scene.missing}
        rest = {name: path for name, path in scene.missing.items() if name not in absent}
        count.update(scene.missing.keys())
        for name, path in rest.items():
            if name in needed:
                do = "add the file, or say in [data].optional that scenes may lack it"
                broken.setdefault(scene.id, lacks(scene.id, name, path, do=do))
        scenes.append(replace(scene, absent=absent, missing=rest))
    why = {name: "as [data].optional allows" if name in optional else "which no model reads" for name in count}
    said = [
        f"{name} is missing in {n} of {len(scenes)} scenes, {why[name]}"
        for name, n in count.items()
        if name not in needed or name in optional
    ]
    return replace(found, scenes=tuple(scenes), problems=(*found.problems, *said), broken=broken)


def _needed(found: SceneList, recipe: Recipe) -> set[str]:
    """Return the sensors that networks read; one that names none reads all of the recipe, or all of a DSTL folder.

    Raises:
        RecipeError: If a model names a sensor that the recipe does not know.
    """
    known = _sensors(recipe.data)
    present = set(recipe.data.sensors) or {name for scene in found.scenes for name in scene.sensors}
    for table in recipe.models:
        for name in set(table.inputs.sensors or ()) - set(known):
            where = f"model {table.name!r}, inputs.sensors"
            raise RecipeError(problem(where, "unknown sensor", got=repr(name), need=", ".join(known)))
    networks = [table for table in recipe.models if table.kind == "network"]
    return {name for table in networks for name in table.inputs.sensors or present}


def _optional(data: DataTable) -> dict[str, Sensor]:
    """Return the sensors that a scene may lack.

    Raises:
        RecipeError: If the recipe has no such sensor, or it is the reference.
    """
    known = _sensors(data)
    reference = next(iter(known))
    for name in data.optional:
        if name not in known or name == reference:
            what = "the reference cannot be missing" if name == reference else "unknown sensor"
            need = ", ".join(n for n in known if n != reference)
            raise RecipeError(problem("[data].optional", what, got=repr(name), need=need))
    return {name: known[name] for name in data.optional}


def _sensors(data: DataTable) -> dict[str, Sensor]:
    if data.source == "dstl":
        return {name: find_sensor(kind) for name, kind in SENSORS.items()}
    return {name: find_sensor(table.kind, own_kinds(data)) for name, table in data.sensors.items()}


def _choose(found: SceneList, data: DataTable) -> SceneList:
    if data.scenes is None:
        return found
    broken = {scene_id: why for scene_id, why in found.broken.items() if scene_id in data.scenes}
    chosen = tuple(found.by_id(scene_id) for scene_id in data.scenes if scene_id not in broken)
    return replace(found, scenes=chosen, broken=broken)
