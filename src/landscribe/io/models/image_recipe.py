"""A recipe for images alone: sensors of finished models, and polygons as these were trained to make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from landscribe.errors import RecipeError, problem
from landscribe.io.models.finished import OPTION, FinishedModels
from landscribe.io.run.tuned import TUNED
from landscribe.io.settings import LoadedRecipe, make_recipe, recipe_dict
from landscribe.io.source.images import image_table

SAME_PIXELS = 0.01
"""Pixels whose sides differ by less than this share are as large as each other."""


def recipe_of_models(
    finished: FinishedModels, overrides: Sequence[str], *, several: bool = False
) -> tuple[LoadedRecipe, list[str]]:
    """Return a recipe for images of the sensors that models read, with how they were trained to make polygons.

    Args:
        finished: The models.
        overrides: `table.key=value` each.
        several: Let models in that read several sensors, or one beside a finer reference: whoever has images of each
            of them.

    Returns:
        The recipe, and what is to be said of it.

    Raises:
        RecipeError: If the models say no sensor, read several or one at the pixels of another where that is not let
            in, or give back labels.
    """
    where, do = f"{OPTION} {finished.named}", f"write a recipe and use `landscribe run RECIPE {OPTION} DIR`"
    if finished.read_labels:
        raise RecipeError(problem(where, f"model {finished.read_labels[0]!r} gives back labels, which images have not"))
    if not finished.sensors or (len(finished.sensors) > 1 and not several):
        got = ", ".join(sensor.name for sensor in finished.sensors) or "no model that says its sensor"
        raise RecipeError(problem(where, "the models read several sensors of a scene", got=got, need="one", do=do))
    scale = finished.sensors[0].scale
    if scale is not None and abs(scale - 1) > SAME_PIXELS and not several:
        got, name = f"pixels {scale:.3g} times as large", finished.sensors[0].name
        raise RecipeError(problem(where, f"{name!r} was read beside a finer reference", got=got, do=do))
    table: dict[str, Any] = {"data": {"sensors": {}, "kinds": []}}
    for sensor in finished.sensors:
        own = image_table(sensor.name, sensor.kind, sensor.bands, sensor.bits)
        table["data"]["sensors"] |= own["sensors"]
        table["data"]["kinds"] += [row for row in own.get("kinds", ()) if row not in table["data"]["kinds"]]
    kept = {name: (finished.recipe or {}).get(name) for name in ("predict", "vectorize", "rules")}
    name, notes = "images", []
    try:
        loaded = make_recipe(table | {key: value for key, value in kept.items() if value is not None}, name)
        table = {**recipe_dict(loaded.recipe), "predict": {**recipe_dict(loaded.recipe)["predict"], "scenes": "all"}}
    except RecipeError:
        notes.append("the models keep a recipe of another version: images are predicted by the defaults")
    loaded = make_recipe(table, name, overrides)
    if loaded.recipe.vectorize.tuned and not (finished.folder.parent / TUNED).is_file():
        notes.append(f"no {TUNED} beside the models: polygons are made without what was tuned for them")
        loaded = make_recipe(table, name, [*overrides, "vectorize.tuned=false"])
    return loaded, notes
