"""A recipe from lists and dictionaries, with the errors that a file gets."""

from __future__ import annotations

import copy
import pickle
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landscribe.core.recipe import DataTable, Recipe, SensorTable
from landscribe.errors import RecipeError
from landscribe.io.settings import parse_recipe

SENSORS = {"RGB": {"path": "img/{scene}.tif", "kind": "rgb8"}}
TOML = """
seed = 7
[data]
root = "here"
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
[[models]]
name = "all"
classes = ["house", "road"]
[[rules]]
erase = { from = "*", by = "road" }
[validate]
split = "place"
"""


def test_it_is_the_one_that_toml_says() -> None:
    made = Recipe(
        seed=np.int64(7),
        data={"root": Path("here"), "sensors": SENSORS},
        models=[{"name": "all", "classes": ("house", "road")}],
        rules=[{"erase": {"from": "*", "by": "road"}}],
        validate={"split": "place"},
    )
    assert made == parse_recipe(TOML, Path(), "r.toml").recipe


def test_tables_may_be_models_and_copies_are_equal() -> None:
    data = DataTable(sensors={"RGB": SensorTable(path="img/{scene}.tif", kind="rgb8")})
    made = Recipe(data=data, seed=3)
    assert made == Recipe(data={"sensors": SENSORS}, seed=3)
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made
    assert Recipe.model_validate(made.model_dump(by_alias=True)) == made
    assert Recipe.model_validate_json(made.model_dump_json(by_alias=True)) == made


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"data": {"sensors": SENSORS}, "sede": 1}, "recipe: unknown key 'sede', did you mean 'seed'?"),
        ({"data": {"sensors": SENSORS}, "seed": -1, "models": [{"name": "a/b"}]}, "got -1; 'models.0.name'"),
        ({}, "recipe: 'data' is missing"),
        ({"data": {"sensors": SENSORS}, "seed": date(2020, 1, 1)}, "recipe: holds a date; no setting is one"),
        ({"data": {"sensors": SENSORS}, "models": [{"name": "a", "clases": []}]}, "did you mean 'classes'"),
    ],
)
def test_mistakes_are_one_line(tables: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe(**tables)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_circle_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["data"] = circle
    with pytest.raises(RecipeError, match="nested too deeply"):
        Recipe(data=circle)
