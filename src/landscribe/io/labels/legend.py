"""Which classes a recipe has: those of its `[[classes]]`, else those that its labels name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from landscribe.apart import Limits, apart
from landscribe.core.legend import DSTL_LEGEND, LandClass, Legend, default_colour
from landscribe.core.recipe import LabelTable, Recipe
from landscribe.errors import BAD_FILE, DataError, LandscribeError, RecipeError, problem
from landscribe.io.labels.drawings import drawn_classes
from landscribe.io.labels.labels import require_fitting
from landscribe.io.source.scenes import SceneList
from landscribe.io.vector.foreign import Kind, kind_of
from landscribe.io.vector.vectors import list_columns, list_values

OWN_FIELD = "class_name"
MANY, COLUMNS = 5, 10
"""Values and columns that are named."""


def legend_of(recipe: Recipe, scenes: SceneList, limits: Limits) -> Legend:
    """Return the legend of a recipe: its `[[classes]]`, else what the labels themselves name.

    Raises:
        RecipeError: If neither says which classes there are.
        DataError: If a label file cannot be read, or lacks the column of classes.
    """
    if recipe.classes:
        rows = enumerate(recipe.classes)
        return Legend(
            tuple(
                LandClass(i + 1 if c.id is None else c.id, c.name, c.colour or default_colour(i), c.countable, c.also)
                for i, c in rows
            )
        )
    if recipe.data.source == "dstl":
        return DSTL_LEGEND
    if not scenes.label_tables:
        raise RecipeError(problem("[[classes]]", "missing", need="the classes, since there are no labels to name them"))
    names: dict[str, str | None] = {}
    for number, table in enumerate(scenes.label_tables):
        for name, colour in _named(table, number, scenes, limits).items():
            names[name] = names.get(name) or colour
    return Legend(
        tuple(
            LandClass(i + 1, name, (colour or default_colour(i)).upper())
            for i, (name, colour) in enumerate(names.items())
        )
    )


def classes_of_labels(tables: Sequence[LabelTable], legend: Legend) -> tuple[str, ...]:
    """Return the classes of a legend that labels could have named: of their tables, or all where files name them."""
    named: set[str] = set()
    for table in tables:
        painted = table.colours or table.values or table.bands or table.layers
        said = list(painted or ([table.class_name] if table.class_name is not None else legend.names))
        named |= {found.name for found in map(legend.find, said) if found is not None}
    return tuple(name for name in legend.names if name in named)


def _named(table: LabelTable, number: int, scenes: SceneList, limits: Limits) -> dict[str, str | None]:
    """Return the classes that one table of labels names, in order, with the colours that it gives them."""
    if table.colours is not None:
        return dict(table.colours)
    if table.is_picture:
        return dict.fromkeys(table.values or table.bands or ())
    if table.class_name is not None:
        return {table.class_name: None}
    if table.layers is not None:
        return dict.fromkeys(table.layers)
    files = [scene.label_files[number] for scene in scenes.scenes if scene.label_files]
    paths = sorted({file.path for file in files if file.path is not None})
    kind, field = _way_to_read(paths, table, limits) if paths else ("vector", "")
    if kind not in ("vector", "picture"):
        where = str(paths[0].parent)
        return dict.fromkeys(apart(where, drawn_classes, kind, files, limits=limits) if kind != "table" else ())
    return dict.fromkeys(sorted(_values(paths, field, table.layer, limits)))


def _way_to_read(paths: list[Path], table: LabelTable, limits: Limits) -> tuple[Kind, str]:
    """Return the kind of label files and the column of their classes, as the first one that can be read shows them.

    Raises:
        DataError: If none can be read, with what is wrong with the first.
    """
    first: LandscribeError | None = None
    for path in paths:
        try:
            return apart(str(path), _look_at, path, table, limits=limits, paths=(path,))
        except BAD_FILE as error:
            first = first or error
    raise first or DataError(problem("labels", "no file"))


def _look_at(path: Path, table: LabelTable) -> tuple[Kind, str]:
    kind = kind_of(path)
    if kind not in ("vector", "picture"):
        return kind, ""
    require_fitting(path, table, kind)
    return kind, table.class_field or _own_field([path], table.layer)


def _values(paths: list[Path], field: str, layer: str | None, limits: Limits) -> set[str]:
    """Return the values of a column of all files that can be read; the others have their line where they are used."""
    found: set[str] = set()
    bad: LandscribeError | None = None
    for path in paths:
        try:
            found |= set(apart(str(path), _list_values, path, field, layer, limits=limits, paths=(path,)))
        except BAD_FILE as error:
            bad = bad or error
    if bad is not None and not found:
        raise bad
    return found


def _list_values(path: Path, field: str, layer: str | None) -> list[str]:
    return list_values(path, field, layer=layer)


def _own_field(paths: list[Path], layer: str | None) -> str:
    """Return the column that our own files have; where there is none, list what could be one.

    Raises:
        RecipeError: With the columns and some of their values.
    """
    columns = list_columns(paths[0], layer=layer) if paths else {}
    if OWN_FIELD in columns:
        return OWN_FIELD
    said = [
        f"{name} ({', '.join(values[:MANY])}{', ...' if len(values) > MANY else ''})"
        for name, values in columns.items()
    ]
    got = f"columns {'; '.join(said[:COLUMNS])}" if said else None
    need = 'class = "...", or class_field with the name of a column'
    raise RecipeError(problem("[data].labels", "nothing says which class a polygon is of", got=got, need=need))
