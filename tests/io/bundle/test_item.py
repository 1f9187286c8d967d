"""The STAC item says what the extension asks for; the recipe comes back from its TOML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from landscribe.core.recipe import Recipe
from landscribe.io.bundle.about import About, ClassRow, InputRow, ReplayRow
from landscribe.io.bundle.item import EXTENSION, item_text, slug
from landscribe.io.bundle.readme import readme_text
from landscribe.io.bundle.recipe_file import recipe_toml
from landscribe.io.settings import load_recipe, parse_recipe

OUTLINE = [(13.74, 45.14), (13.75, 45.14), (13.75, 45.15), (13.74, 45.15)]


def about(name: str = "city 7") -> About:
    return About(
        format=1,
        name=name,
        classes=(
            ClassRow(id=3, name="road, paved", colour="#0000AA", countable=False, threshold=0.4, smallest_byte=102),
            ClassRow(id=5, name="house", colour="#AA0000", countable=True, threshold=0.5, smallest_byte=128),
        ),
        inputs=(
            InputRow(name="RGB", sensor="RGB", kind="rgb8", bands=("red", "green", "blue"), bits=8, step=1,
                     resample="linear", pixels=1.0, types=("uint8",)),
            InputRow(name="M", sensor="M", kind="m", bands=("nir1", "red"), bits=11, step=4, resample="cubic",
                     pixels=4.0, types=("uint16",)),
        ),
        outputs={"probability": "p"}, reference="RGB", divisor=16, context=8, radius=53, pixel_m=0.5, patch=64,
        step=None, empty_edges=("house",), deepness=None, without_deepness="a stacked picture has one grid",
        replay=ReplayRow(scene="s", place="s", rasters={"RGB": "replay/RGB.tif"}, probability="p", polygons="q"),
    )  # fmt: skip


def item(**changed: Any) -> dict[str, Any]:
    said = {"architecture": "U-Net", "parameters": 71, "written": "2026-05-01T00:00:00Z", "outlines": [OUTLINE],
            "others": {"README.md": "How"}}  # fmt: skip
    return json.loads(item_text(about(), **(said | changed)))


def test_the_item_says_what_goes_in_and_what_comes_out() -> None:
    found = item()
    assert found["stac_extensions"] == [EXTENSION]
    assert found["bbox"] == [13.74, 45.14, 13.75, 45.15]
    assert found["geometry"]["coordinates"][0][0][0] == found["geometry"]["coordinates"][0][0][-1]
    said = found["properties"]
    assert [row["input"]["shape"] for row in said["mlm:input"]] == [[-1, 3, -1, -1], [-1, 2, -1, -1]]
    assert [row["name"] for row in said["mlm:output"][0]["classification:classes"]] == ["road-paved", "house"]
    assert [key for key, row in found["assets"].items() if "mlm:model" in row["roles"]] == ["model"]
    bands = {row["name"] for row in found["assets"]["model"]["bands"]}
    assert {band["name"] for row in said["mlm:input"] for band in row["bands"]} == bands
    nowhere = item(outlines=[])
    assert nowhere["geometry"] is None
    assert "bbox" not in nowhere
    assert [slug(text) for text in ("city 7", "7", "", "ab", "--x--")] == [
        "city-7",
        "model-7",
        "model",
        "model-ab",
        "model-x",
    ]


def test_the_item_is_one_by_the_models_of_stac_model() -> None:
    """Of its release; the JSON schema of the extension itself is on the web, where tests do not go."""
    stac_model = pytest.importorskip("stac_model.schema", reason="stac-model is not installed")
    found = item()
    own = stac_model.MLModelProperties.model_validate(
        {key.removeprefix("mlm:"): value for key, value in found["properties"].items() if key.startswith("mlm:")}
    )
    assert own.total_parameters == 71
    assert [each.name for each in own.input] == ["RGB", "M"]
    assert {str(getattr(task, "value", task)) for task in own.tasks} == {"semantic-segmentation"}


@pytest.mark.parametrize("outlines", [[OUTLINE], []])
def test_the_item_is_one_by_the_schema_of_stac(outlines: list[Any]) -> None:
    """The schemas of the core, which pystac carries with it."""
    local = pytest.importorskip("pystac.validation.local_validator", reason="stac-model is not installed")
    jsonschema = pytest.importorskip("jsonschema", reason="stac-model is not installed")
    referencing = pytest.importorskip("referencing", reason="stac-model is not installed")
    schemas = local.get_local_schema_cache()
    root = next(schema for uri, schema in schemas.items() if uri.endswith("item-spec/json-schema/item.json"))
    known = [(uri, referencing.Resource.from_contents(schema)) for uri, schema in schemas.items()]
    check = jsonschema.Draft7Validator(root, registry=referencing.Registry().with_resources(known))
    found = item(outlines=outlines)
    assert not list(check.iter_errors(found))
    assert list(check.iter_errors({**found, "properties": {}}))


def test_the_page_says_what_is_special_about_these_networks() -> None:
    text = readme_text(about())
    for words in ("(n, 2, height / 4, width / 4)", "patches of 64 px", "by a bicubic", "a stacked picture has one grid",
                  "nothing is predicted of: house", "| 0 | road, paved | 0.4 | 102 |"):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize("name", ["default", "dstl-lopuhin", "dstl-ternaus"])
def test_a_recipe_comes_back_from_its_toml(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name).recipe
    assert parse_recipe(recipe_toml(recipe, name), tmp_path, "r.toml").recipe == recipe


def test_odd_names_come_back_from_toml(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {"data": {"root": 'a "b" \\ c\nd\te'}, "vectorize": {"threshold": {"default": 0.5, "new road.": 0.25}}}
    )
    assert parse_recipe(recipe_toml(recipe, "odd"), tmp_path, "r.toml").recipe == recipe
