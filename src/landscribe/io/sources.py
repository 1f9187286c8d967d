"""Recipe `[data]` -> scenes, whatever their layout."""

from __future__ import annotations

from pathlib import Path

from landscribe.core.recipe import DataTable, Recipe
from landscribe.errors import DataError, problem
from landscribe.io.dstl import list_dstl
from landscribe.io.patterns import list_files
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
    return _choose(found, recipe.data)


def _choose(found: SceneList, data: DataTable) -> SceneList:
    if data.scenes is None:
        return found
    chosen = tuple(found.by_id(scene_id) for scene_id in data.scenes)
    return SceneList(chosen, found.label_table, found.sample_submission, found.problems)
