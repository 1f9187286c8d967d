"""`features.gpkg` of scenes that overlap: each object once, those on a border whole, and said so."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.io.project import Project, open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize
from rule_scenes import RULE

HOUSES = [(5, 7, 19, 21), (33, 10, 52, 24), (60, 8, 71, 19), (40, 30, 47, 41), (80, 12, 91, 30)]
"""Columns and rows of the whole, 97 x 47 pixels of half a metre: left is 0 to 61, right is 31 to 97."""
RECIPE = (
    RULE
    + """\
spectral = { index = "ndvi", threshold = 0.0, soft = 0.0 }
[vectorize]
min_area = { default = 0.0 }
mode = "edge"
[validate]
split = "none"
"""
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    whole = np.zeros((4, 47, 97), np.uint8) + np.array([200, 90, 90, 20], np.uint8)[:, None, None]
    for left, top, right, bottom in HOUSES:
        whole[:, top:bottom, left:right] = np.array([20, 90, 90, 200], np.uint8)[:, None, None]
    for name, first, last in (("left", 0, 61), ("right", 31, 97)):
        grid = Grid(47, last - first, Affine(0.5, 0, 500_000 + first / 2, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
        with write_raster(tmp_path / f"{name}.tif", grid, count=4, dtype="uint8") as writer:
            writer.write(grid.window, whole[:, :, first:last])
    pixels = np.array([shapely.box(*corners) for corners in HOUSES], dtype=object)
    boxes = shapely.transform(pixels, lambda xy: xy * (0.5, -0.5) + (500_000, 5_000_000))
    gpd.GeoDataFrame(geometry=boxes, crs=32633).to_file(tmp_path / "houses.gpkg")
    (tmp_path / "r.toml").write_text(RECIPE)
    return tmp_path


def features_of(home: Path) -> tuple[gpd.GeoDataFrame, list[str], Project, Run]:
    project, run = open_project(load_recipe(home / "r.toml")), open_run(home / "run")
    for stage in (prepare, train, predict):
        stage(project, run)
    notes = vectorize(project, run).notes
    return gpd.read_file(run.path("features", "features.gpkg"), layer="features"), notes, project, run


def test_each_house_is_on_the_map_once(home: Path) -> None:
    found, notes, _, run = features_of(home)
    truth = gpd.read_file(home / "houses.gpkg").geometry
    assert len(found) == len(HOUSES)
    for house in truth:
        (match,) = found.geometry[found.intersects(house.buffer(-0.1))]
        assert match.symmetric_difference(house).area < 1e-3
    assert found["area"].sum() == pytest.approx(truth.area.sum(), rel=2e-3)  # on the ellipsoid
    own = sum(len(gpd.read_parquet(run.features(scene))) for scene in ("left", "right"))
    assert own > len(HOUSES)  # each scene keeps all that it shows
    assert any("joined across borders of scenes" in note for note in notes)
    assert any("on ground that another scene owns" in note for note in notes)


def test_where_one_scene_has_no_data_the_other_owns(home: Path) -> None:
    with open_raster(home / "left.tif") as raster:
        grid, (image, _) = raster.info.grid, raster.read()
    image[:, 28:, 25:] = 0
    with write_raster(home / "left.tif", grid, count=4, dtype="uint8", nodata=0) as writer:
        writer.write(grid.window, image)
    found, _, _, _ = features_of(home)
    house = gpd.read_file(home / "houses.gpkg").geometry[3]  # the left scene lies deeper there, and is blind
    (match,) = found.geometry[found.intersects(house.buffer(-0.1))]
    assert match.symmetric_difference(house).area < 1e-3


def test_priority_says_whose_word_counts(home: Path) -> None:
    (home / "r.toml").write_text(RECIPE + '[mosaic]\npriority = ["r*", "front"]\n')
    found, notes, _, _ = features_of(home)
    assert found["scene"].tolist().count("right") == 4  # all but the first, which it does not show whole
    assert len(found) == len(HOUSES)
    assert any("mosaic.priority names 'front', and no scene is called so" in note for note in notes)
    (home / "r.toml").write_text(RECIPE + '[mosaic]\npriority = ["left"]\n')
    found, _, _, _ = features_of(home)  # of the same run: the map is made anew
    assert found["scene"].tolist().count("left") == 3  # it shows one pixel of the fourth


def test_the_map_in_other_formats_holds_the_same_houses(home: Path) -> None:
    found, _, _, run = features_of(home)
    folder = run.path("features")
    (home / "r.toml").write_text(RECIPE + '[outputs]\nmap = ["parquet", "fgb"]\n')
    project = open_project(load_recipe(home / "r.toml"))
    vectorize(project, run)
    (part,) = folder.glob("map/*.parquet")
    for path in (part, folder / "features.fgb"):
        other = gpd.read_parquet(path) if path == part else gpd.read_file(path)
        assert other.crs == found.crs
        same = shapely.union_all(other.geometry.to_numpy()).symmetric_difference(found.geometry.union_all())
        assert (len(other), same.area) == (len(found), pytest.approx(0, abs=1e-6))
    assert not (folder / "features.gpkg").exists()  # one of an older recipe would be taken for the map
    assert set(run.records("map")["all"].outputs) == {"features/features.fgb", "features/map/part-00000.parquet"}


def test_a_map_that_is_too_large_for_one_file_is_left_out_and_said(home: Path) -> None:
    (home / "r.toml").write_text(RECIPE + "[outputs]\nlargest_gpkg_mb = 0.0001\n")
    project, run = open_project(load_recipe(home / "r.toml")), open_run(home / "run")
    for stage in (prepare, train, predict):
        stage(project, run)
    notes = vectorize(project, run).notes
    assert any("features.gpkg left out: polygons of 0.00" in note for note in notes)
    assert len(gpd.read_parquet(run.path("features", "map", "part-00000.parquet"))) == len(HOUSES)
    assert not run.path("features", "features.gpkg").exists()


def test_catalogues_get_a_cog_and_an_item_for_each_scene(home: Path) -> None:
    (home / "r.toml").write_text(RECIPE + "[outputs]\ncog = true\nstac = true\n")
    _, _, project, run = features_of(home)
    item = json.loads(run.path("catalog", "left.json").read_text())
    assert (item["type"], item["stac_version"], item["id"]) == ("Feature", "1.1.0", "left")
    props = item["properties"]
    assert (props["proj:code"], props["proj:shape"]) == ("EPSG:32633", [47, 61])
    assert props["proj:transform"] == [0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0]
    west, south, east, north = item["bbox"]
    assert 14.9999 < west < east < 15.001
    assert 45 < south < north < 45.2
    assert shapely.geometry.shape(item["geometry"]).bounds == tuple(item["bbox"])
    for asset in item["assets"].values():
        file = (run.path("catalog") / asset["href"]).resolve()
        assert file.stat().st_size == asset["file:size"]
        assert asset["file:checksum"] == "1220" + hashlib.sha256(file.read_bytes()).hexdigest()
    assert item["assets"]["probability"]["bands"][0]["name"] == "house"
    with rasterio.open(run.path("catalog", "left.tif")) as cog:
        assert cog.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert vectorize(project, run).made == []
    (home / "r.toml").write_text(RECIPE + "[outputs]\nstac = true\n")
    vectorize(open_project(load_recipe(home / "r.toml")), run)
    item = json.loads(run.path("catalog", "left.json").read_text())
    assert item["assets"]["probability"]["href"] == "../probability/left.tif"
    assert not run.path("catalog", "left.tif").exists()
    (home / "r.toml").write_text(RECIPE)
    vectorize(open_project(load_recipe(home / "r.toml")), run)
    assert not list(run.path("catalog").glob("*.*"))
