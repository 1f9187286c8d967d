"""Which classes a recipe has: those of its `[[classes]]`, else those that its labels name."""

from __future__ import annotations

from landscribe.core.legend import DSTL_LEGEND, LandClass, Legend, default_colour
from landscribe.core.recipe import LabelTable, Recipe
from landscribe.errors import RecipeError, problem
from landscribe.io.source.scenes import SceneList
from landscribe.io.vector.vectors import list_values


def legend_of(recipe: Recipe, scenes: SceneList) -> Legend:
    """Return the legend of a recipe: its `[[classes]]`, else what the labels themselves name.

    Raises:
        RecipeError: If neither says which classes there are.
        DataError: If a label file cannot be read, or lacks the column of classes.
    """
    if recipe.classes:
        rows = enumerate(recipe.classes)
        return Legend(
            tuple(
                LandClass(i + 1 if c.id is None else c.id, c.name, c.colour or default_colour(i), c.countable)
                for i, c in rows
            )
        )
    if recipe.data.source == "dstl":
        return DSTL_LEGEND
    if not scenes.label_tables:
        raise RecipeError(problem("[[classes]]", "missing", need="the classes, since there are no labels to name them"))
    names: dict[str, str | None] = {}
    for number, table in enumerate(scenes.label_tables):
        for name, colour in _named(table, number, scenes).items():
            names[name] = names.get(name) or colour
    return Legend(
        tuple(
            LandClass(i + 1, name, (colour or default_colour(i)).upper())
            for i, (name, colour) in enumerate(names.items())
        )
    )


def _named(table: LabelTable, number: int, scenes: SceneList) -> dict[str, str | None]:
    """Return the classes that one table of labels names, in order, with the colours that it gives them."""
    if table.colours is not None:
        return dict(table.colours)
    if table.is_picture:
        return dict.fromkeys(table.values or table.bands or ())
    if table.class_name is not None:
        return {table.class_name: None}
    if table.class_field is not None:
        own = [scene.label_files[number].path for scene in scenes.scenes if scene.label_files]
        paths = sorted({path for path in own if path is not None})
        return dict.fromkeys(sorted({v for path in paths for v in list_values(path, table.class_field)}))
    raise RecipeError(problem("[data].labels", "no class", need='class = "...", class_field, colours or values'))
