"""`merge-features`: finished runs on one map, each object once, as a run does of its own scenes."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.errors import DataError, IntegrityError, RecipeError
from landscribe.io.project import open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.pipeline import do_stage, write_run_json
from landscribe.stages.files.merge_features import merge_features

HOUSES = [(5, 7, 19, 21), (33, 10, 52, 24), (60, 8, 71, 19), (80, 12, 91, 30)]
"""Columns and rows of the whole, 97 x 47 pixels of half a metre: west is 0 to 61, east is 31 to 97."""
WINDOWS = {"west": (0, 61), "east": (31, 97)}
RECIPE = """
[data]
sensors.S = {{ path = "{{scene}}.tif", kind = "rgbn" }}
labels = {{ path = "houses.gpkg", class = "{name}" }}
[[data.kinds]]
kind = "rgbn"
bands = ["red", "green", "blue", "nir"]
bits = 8
[[classes]]
name = "{name}"
id = {number}
[[models]]
name = "rule"
kind = "index"
spectral = {{ index = "ndvi", threshold = 0.0, soft = 0.0 }}
[vectorize]
min_area = {{ default = 0.0 }}
mode = "edge"
[validate]
split = "none"
"""


def finished(
    folder: Path, side: str, scene: str, name: str = "house", number: int = 1, zone: int | None = 32633
) -> Path:
    """Make a run of one scene."""
    folder.mkdir()
    first, last = WINDOWS[side]
    whole = np.zeros((4, 47, 97), np.uint8) + np.array([200, 90, 90, 20], np.uint8)[:, None, None]
    for left, top, right, bottom in HOUSES:
        whole[:, top:bottom, left:right] = np.array([20, 90, 90, 200], np.uint8)[:, None, None]
    grid = Grid(
        47, last - first, Affine(0.5, 0, 500_000 + first / 2, 0, -0.5, 5_000_000), CRS.from_epsg(zone) if zone else None
    )
    with write_raster(folder / f"{scene}.tif", grid, count=4, dtype="uint8") as writer:
        writer.write(grid.window, whole[:, :, first:last])
    gpd.GeoDataFrame(geometry=truth(), crs=zone).to_file(folder / "houses.gpkg", engine="pyogrio")
    (folder / "r.toml").write_text(RECIPE.format(name=name, number=number))
    project, run = open_project(load_recipe(folder / "r.toml")), open_run(folder / "run")
    for stage in ("prepare", "train", "predict", "vectorize"):
        do_stage(stage, project, run)
    write_run_json(project, run)
    return run.root


def truth() -> np.ndarray:
    pixels = np.array([shapely.box(*corners) for corners in HOUSES], dtype=object)
    return shapely.transform(pixels, lambda xy: xy * (0.5, -0.5) + (500_000, 5_000_000))


def test_each_house_is_there_once(tmp_path: Path) -> None:
    runs = [finished(tmp_path / side, side, f"{side}1") for side in WINDOWS]
    counts = merge_features(runs, tmp_path / "all.gpkg")
    found = gpd.read_file(tmp_path / "all.gpkg", layer="features")
    assert counts["scenes"] == 2
    assert counts["polygons written"] == len(found) == len(HOUSES)
    for house in truth():
        (match,) = found.geometry[found.intersects(house.buffer(-0.1))]
        assert match.symmetric_difference(house).area < 1e-3
    assert set(found["scene"]) == {"west1", "east1"}
    assert counts["polygons joined across borders of scenes"] >= 2


def test_the_earlier_run_owns_what_it_shows(tmp_path: Path) -> None:
    west, east = (finished(tmp_path / side, side, "s") for side in WINDOWS)
    for order, expected in (((west, east), {"west": 2, "east": 2}), ((east, west), {"west": 1, "east": 3})):
        merge_features(order, tmp_path / "all.fgb", in_order=True)
        names = gpd.read_file(tmp_path / "all.fgb")["scene"]  # of one name in two runs, so the run is in it
        assert {side: int(names.str.contains(f"/{side}/").sum()) for side in WINDOWS} == expected
        assert names.str.endswith("/s").all()


def test_what_does_not_go_together_is_said(tmp_path: Path) -> None:
    west = finished(tmp_path / "w", "west", "a")
    road = finished(tmp_path / "e", "east", "b", name="road")
    with pytest.raises(DataError, match="class 1 'road' is another one in an earlier run"):
        merge_features([west, road], tmp_path / "all.gpkg")
    with pytest.raises(DataError, match="a run is given twice"):
        merge_features([west, west], tmp_path / "all.gpkg")
    with pytest.raises(DataError, match="there is no such run folder"):
        merge_features([west, tmp_path / "none"], tmp_path / "all.gpkg")
    with pytest.raises(RecipeError, match="cannot be written here"):
        merge_features([west], tmp_path / "all.txt")
    features = west / "features" / "a.parquet"
    features.write_bytes(features.read_bytes()[:-1] + b"\x00")
    with pytest.raises(IntegrityError, match="damaged"):
        merge_features([west], tmp_path / "all.gpkg")
    assert not list(tmp_path.glob("all.*"))


def test_runs_of_two_systems_come_in_degrees(tmp_path: Path) -> None:
    runs = [finished(tmp_path / "w", "west", "a"), finished(tmp_path / "e", "east", "b", zone=32634)]
    merge_features(runs, tmp_path / "all.gpkg")
    found = gpd.read_file(tmp_path / "all.gpkg", layer="features")
    assert found.crs == CRS.from_epsg(4326)
    assert len(found) == 3 + 3  # six degrees apart


def test_scenes_without_crs_lie_by_their_own_numbers_and_not_beside_others(tmp_path: Path) -> None:
    west, east = (finished(tmp_path / side, side, side, zone=None) for side in WINDOWS)
    assert merge_features([west, east], tmp_path / "all.gpkg")["polygons written"] == 3 + 3
    placed = finished(tmp_path / "placed", "east", "c")
    with pytest.raises(DataError, match="some scenes have a CRS and some have none"):
        merge_features([west, placed], tmp_path / "none.gpkg")
