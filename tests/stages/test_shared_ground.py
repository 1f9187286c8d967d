"""Scores of scenes that show the same ground: it counts once, in the scene that owns it, and that is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.arrays import GeometryArray
from landscribe.core.grid import Grid
from landscribe.io.project import open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.score import score
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize
from rule_scenes import RULE

HOUSES = [(5, 7, 19, 21), (33, 10, 52, 24), (60, 8, 71, 19), (80, 12, 91, 30)]
"""Columns and rows of the whole, 97 x 47 pixels of half a metre: left is 0 to 61, right is 31 to 97."""
INVENTED = (35, 30, 43, 41)
"""A house that only the picture has, nearer to the left scene's middle."""
RECIPE = (
    RULE
    + """\
spectral = { index = "ndvi", threshold = 0.0, soft = 0.0 }
[vectorize]
min_area = { default = 0.0 }
mode = "edge"
[validate]
split = "named"
scenes = ["left", "right"]
"""
)
PX = 0.25
"""Square metres."""


def area_px(corners: tuple[int, int, int, int]) -> int:
    left, top, right, bottom = corners
    return (right - left) * (bottom - top)


def pixels_at(pixels: GeometryArray, west: int) -> GeometryArray:
    return shapely.transform(pixels, lambda xy: xy * (0.5, -0.5) + (west, 5_000_000))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    whole = np.zeros((4, 47, 97), np.uint8) + np.array([200, 90, 90, 20], np.uint8)[:, None, None]
    for left, top, right, bottom in (*HOUSES, INVENTED):
        whole[:, top:bottom, left:right] = np.array([20, 90, 90, 200], np.uint8)[:, None, None]
    for name, first, last in (("left", 0, 61), ("right", 31, 97), ("far", 200, 297)):
        grid = Grid(47, last - first, Affine(0.5, 0, 500_000 + first / 2, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
        with write_raster(tmp_path / f"{name}.tif", grid, count=4, dtype="uint8") as writer:
            writer.write(grid.window, whole if name == "far" else whole[:, :, first:last])
    pixels = np.array([shapely.box(*corners) for corners in HOUSES], dtype=object)
    boxes = [pixels_at(pixels, west) for west in (500_000, 500_100)]
    gpd.GeoDataFrame(geometry=np.concatenate(boxes), crs=32633).to_file(tmp_path / "houses.gpkg")
    return tmp_path


def scored(home: Path, more: str = "", recipe: str = RECIPE) -> dict[str, Any]:
    (home / "r.toml").write_text(recipe + more)
    project, run = open_project(load_recipe(home / "r.toml")), open_run(home / "run")
    for stage in (prepare, train, predict, vectorize, score):
        stage(project, run)
    found: dict[str, Any] = json.loads(run.path("score.json").read_text(encoding="utf-8"))
    return found


def test_ground_counts_once(home: Path) -> None:
    found = scored(home)
    row = found["classes"]["house"]
    assert row["polygon"]["tp"] == pytest.approx(PX * sum(map(area_px, HOUSES)), rel=2e-3)  # on the ellipsoid
    assert row["polygon"]["fp"] == pytest.approx(PX * area_px(INVENTED), rel=2e-3)
    assert row["polygon"]["fn"] == pytest.approx(0, abs=1e-6)
    assert (row["pixel"]["tp"], row["pixel"]["fp"]) == (sum(map(area_px, HOUSES)), area_px(INVENTED))
    (said,) = (r for r in found["left_out"] if r["why"] == "shown by another scored scene too, and counted there")
    assert said["count"] == pytest.approx(PX * 30 * 47, rel=2e-3)  # what both show, once
    assert found["scenes"]["left"]["house"]["polygon"]["fp"] > 0  # deeper there than in the right one


def test_priority_moves_what_counts(home: Path) -> None:
    found = scored(home)
    assert found["scenes"]["right"]["house"]["polygon"]["fp"] == pytest.approx(0, abs=1e-6)
    total = found["classes"]["house"]
    again = scored(home, '[mosaic]\npriority = ["right"]\n')  # in the same run
    assert again["scenes"]["left"]["house"]["polygon"]["fp"] == pytest.approx(0, abs=1e-6)
    assert again["scenes"]["right"]["house"]["polygon"]["fp"] == pytest.approx(PX * area_px(INVENTED), rel=2e-3)
    assert again["classes"]["house"]["pixel"]["jaccard"] == total["pixel"]["jaccard"]


def test_what_nobody_labelled_in_the_owner_counts_in_the_other(home: Path) -> None:
    for name, last in (("left", 500_017), ("right", 500_300), ("far", 500_300)):  # house 2 is from 16.5 to 26
        seen = gpd.GeoDataFrame(geometry=[shapely.box(500_000, 4_999_900, last, 5_000_000)], crs=32633)
        seen.to_file(home / f"seen_{name}.gpkg")
    recipe = RECIPE.replace('class = "house" }', 'class = "house", area = "seen_{scene}.gpkg" }')
    found = scored(home, recipe=recipe)
    row = found["classes"]["house"]
    assert row["pixel"]["tp"] == sum(map(area_px, HOUSES))
    assert row["pixel"]["fp"] == area_px(INVENTED)
    assert found["scenes"]["left"]["house"]["pixel"]["fp"] == 0
