"""Polygons of tiles of one grid: on the map those that one large scene would have, whole and with the right area."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid, Window
from landscribe.io.project import open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize
from rule_scenes import RULE

WHOLE = Grid(94, 141, Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
TILES = {f"t{row}{col}": Window(47 * row, 47 * col, 47, 47) for row in range(2) for col in range(3)}
HOUSES = [(5, 7, 19, 21), (40, 9, 55, 24), (39, 39, 58, 60), (80, 44, 93, 49), (90, 20, 101, 31), (70, 61, 131, 66)]
"""Columns and rows; the second lies in two tiles, the third in four, the last in three of which it crosses one."""
SMALL = (45, 70, 49, 72)
"""Eight pixels, four in each of two tiles, less than which is left out."""
TIPPED = (82, 74, 96, 85)
"""Has two columns in the next tile."""
RECIPE = (
    RULE
    + """\
spectral = { index = "ndvi", threshold = 0.0, soft = 0.9 }
[vectorize]
min_area = { default = 7.0 }
[validate]
split = "none"
"""
)


def picture() -> np.ndarray:
    """Houses with soft edges on ground, a field of NDVI."""
    field = np.full(WHOLE.shape_hw, -0.6)
    for left, top, right, bottom in (*HOUSES, SMALL, TIPPED):
        field[top:bottom, left:right] = 0.6
    rng = np.random.default_rng(5)
    field += rng.uniform(-0.15, 0.15, field.shape)
    near_ir = np.clip(100 * (1 + field), 1, 250).astype(np.uint8)
    red = np.clip(100 * (1 - field), 1, 250).astype(np.uint8)
    return np.stack([red, red, red, near_ir])


def write(folder: Path, windows: dict[str, Window]) -> Path:
    folder.mkdir()
    for name, window in windows.items():
        grid = WHOLE.crop(window)
        with write_raster(folder / f"{name}.tif", grid, count=4, dtype="uint8") as writer:
            writer.write(grid.window, picture()[:, *window.slices])
    boxes = WHOLE.pixels_to_ground(np.array([shapely.box(*corners) for corners in HOUSES], dtype=object))
    gpd.GeoDataFrame(geometry=boxes, crs=32633).to_file(folder / "houses.gpkg")
    return folder


def made(folder: Path, more: str = "") -> Run:
    (folder / "r.toml").write_text(RECIPE + more)
    project, run = open_project(load_recipe(folder / "r.toml")), open_run(folder / "run")
    for stage in (prepare, train, predict, vectorize):
        stage(project, run)
    return run


def on_the_map(run: Run) -> gpd.GeoDataFrame:
    return gpd.read_file(run.path("features", "features.gpkg"), layer="features")


def px(features: gpd.GeoDataFrame) -> np.ndarray:
    return np.sort(shapely.area(features.geometry) / 0.25)


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    return write(tmp_path / "tiles", TILES)


def test_the_map_is_that_of_one_large_scene(tmp_path: Path, tiles: Path) -> None:
    whole = on_the_map(made(write(tmp_path / "whole", {"w": WHOLE.window})))
    found = on_the_map(made(tiles))
    assert len(found) == len(whole) == len(HOUSES) + 2
    for polygon, area in zip(whole.geometry, whole["area"], strict=True):
        (match,) = np.flatnonzero(shapely.intersects(found.geometry, shapely.buffer(polygon, -0.3)))
        assert found.geometry[match].symmetric_difference(polygon).area < 0.01 * 0.25
        assert found["area"][match] == pytest.approx(area, rel=1e-4)
        assert shapely.get_num_geometries(found.geometry[match]) == 1


def test_a_scene_keeps_what_it_shows_though_little_of_it(tiles: Path) -> None:
    run = made(tiles)
    for name, window in TILES.items():
        own = gpd.read_parquet(run.features(name))
        assert shapely.covers(shapely.buffer(WHOLE.crop(window).footprint, 1e-6), own.geometry.to_numpy()).all()
    tip = gpd.read_parquet(run.features("t12"))
    assert px(tip)[0] == pytest.approx(2 * 11, rel=0.1)
    left, right = (px(gpd.read_parquet(run.features(name))) for name in ("t10", "t11"))
    assert left[0] == pytest.approx(4, rel=0.2)  # less than min_area, and of something that is more
    assert right[0] == pytest.approx(4, rel=0.2)


def test_without_context_a_border_cuts(tiles: Path) -> None:
    run = made(tiles, "[mosaic]\ncontext = false\n")
    assert px(gpd.read_parquet(run.features("t10")))[0] > 7
    assert len(on_the_map(run)) == len(HOUSES) + 1  # the small one is gone


def test_a_neighbour_that_changes_makes_polygons_anew(tiles: Path) -> None:
    before = {name: record.key for name, record in made(tiles).records("vectorize").items()}
    image = picture()[:, *TILES["t02"].slices]
    image[:, 3:9, 3:9] = np.array([30, 30, 30, 180], np.uint8)[:, None, None]
    grid = WHOLE.crop(TILES["t02"])
    with write_raster(tiles / "t02.tif", grid, count=4, dtype="uint8") as writer:
        writer.write(grid.window, image)
    after = {name: record.key for name, record in made(tiles).records("vectorize").items()}
    assert {name for name in TILES if before[name] != after[name]} >= {"t01", "t02", "t11", "t12"}
