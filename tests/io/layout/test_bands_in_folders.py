"""What files say of their bands: `init` and `check` take it for the same."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import rasterio
from rasterio.enums import ColorInterp

from folders import photo, save
from landscribe.io.project import open_project
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.init import write_recipe

RED, GREEN, BLUE, UNDEFINED = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined


def images(folder: Path, dtype: str, tags: Sequence[ColorInterp], names: Sequence[str] = ()) -> Path:
    for k in range(3):
        path = save(folder / f"t{k}.tif", photo(k, len(tags), dtype), k, photometric="MINISBLACK")
        with rasterio.open(path, "r+") as dataset:
            dataset.colorinterp = tags
            for number, name in enumerate(names, start=1):
                dataset.set_band_description(number, name)
    return folder


def written(folder: Path) -> tuple[str, dict[str, Any], list[str]]:
    """What `init` says of the sensor, the `[data]` of its recipe, and what `check` says of bands."""
    recipe = folder.parent / "own.toml"
    said = write_recipe(folder, recipe)
    found = [line for line in map(str, check(open_project(load_recipe(recipe))).findings) if "band" in line]
    return said[0], tomllib.loads(recipe.read_text(encoding="utf-8"))["data"], found


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_descriptions_go_before_tags_and_check_agrees(tmp_path: Path, dtype: str):
    said, data, found = written(images(tmp_path / "a", dtype, (RED, GREEN, BLUE), ("Blue", "Green", "Red")))
    assert data["sensors"]["RGB"]["bands"] == [3, 2, 1]
    assert "bands reordered to [3, 2, 1] by what the files say (descriptions, not tags)" in said
    assert found == []


def test_tags_order_what_has_no_descriptions(tmp_path: Path):
    said, data, found = written(images(tmp_path / "a", "uint16", (BLUE, GREEN, RED)))
    assert data["sensors"]["RGB"]["bands"] == [3, 2, 1]
    assert "by what the files say (tags)" in said
    assert found == []


def test_tags_name_the_bands_of_a_sensor_of_its_own(tmp_path: Path):
    said, data, found = written(images(tmp_path / "a", "uint16", (BLUE, GREEN, RED, UNDEFINED)))
    assert data["kinds"][0]["bands"] == ["blue", "green", "red", "nir"]
    assert "bands blue, green, red, nir" in said
    assert found == []


def test_tags_against_descriptions_in_order_are_told_by_both(tmp_path: Path):
    said, data, found = written(images(tmp_path / "a", "uint16", (BLUE, GREEN, RED), ("Red", "Green", "Blue")))
    assert "bands" not in data["sensors"]["RGB"]
    assert "bands in the order of their descriptions, not tags" in said
    assert len(found) == 1
    assert "bands are tagged as blue, green, red and described in the kind's order, which is taken" in found[0]
