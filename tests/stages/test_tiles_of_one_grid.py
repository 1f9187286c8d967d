"""Scenes that are tiles of one grid are predicted as one scene would be: neighbours are seen, and only their pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.arrays import ByteArray
from landscribe.core.grid import Grid, Window
from landscribe.io.project import open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from small_scenes import TO_PREDICT, train_small, write_labels

WHOLE = Grid(96, 132, Affine(2, 0, 300_000, 0, -2, 5_000_000), CRS.from_epsg(32633))
TILES = {f"t{row}{col}": Window(48 * row, 44 * col, 48, 44) for row in range(2) for col in range(3)}
"""Multiples of the pooling grid, so that it is the same in tiles as in the whole."""
RECIPE = TO_PREDICT


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_small(tmp_path_factory.mktemp("small"))


def picture() -> ByteArray:
    rng = np.random.default_rng(7)
    coarse = rng.integers(1, 255, (3, 24, 33), dtype=np.uint8)
    image: ByteArray = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)
    return image // 2 + rng.integers(1, 127, image.shape, dtype=np.uint8)


def write(folder: Path, name: str, window: Window, image: ByteArray, shift_m: tuple[float, float] = (0, 0)) -> None:
    grid = WHOLE.crop(window)
    moved = Grid(*grid.shape_hw, Affine.translation(*shift_m) @ grid.transform, grid.crs)
    with write_raster(folder / "img" / f"{name}.tif", moved, count=3, dtype="uint8") as writer:
        writer.write(moved.window, image[:, *window.slices])


def predicted(folder: Path, models: Path, more: str = "", recipe: str = RECIPE) -> Run:
    (folder / "r.toml").write_text(recipe + more)
    project, run = open_project(load_recipe(folder / "r.toml")), open_run(folder / "run")
    prepare(project, run)
    predict(project, run, models=models)
    return run


def read(run: Run, scene_id: str) -> ByteArray:
    with open_raster(run.probability(scene_id)) as raster:
        image: ByteArray = raster.read()[0]
    return image


@pytest.fixture
def whole(tmp_path: Path, models: Path) -> ByteArray:
    folder = tmp_path / "whole"
    (folder / "img").mkdir(parents=True)
    write(folder, "w", WHOLE.window, picture())
    return read(predicted(folder, models), "w")


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    folder = tmp_path / "tiles"
    (folder / "img").mkdir(parents=True)
    for name, window in TILES.items():
        write(folder, name, window, picture())
    return folder


def test_tiles_have_the_bytes_of_the_whole(whole: ByteArray, tiles: Path, models: Path) -> None:
    run = predicted(tiles, models)
    for name, window in TILES.items():
        np.testing.assert_array_equal(read(run, name), whole[:, *window.slices])


def test_without_context_edges_are_mirrored(whole: ByteArray, tiles: Path, models: Path) -> None:
    run = predicted(tiles, models, "[mosaic]\ncontext = false\n")
    away = np.abs(read(run, "t01").astype(int) - whole[:, *TILES["t01"].slices]).max(axis=(0, 1))
    assert away[:3].max() > 0
    assert away[-3:].max() > 0


def test_a_neighbour_that_changes_makes_a_scene_anew_and_one_far_off_does_not(tiles: Path, models: Path) -> None:
    before = {name: record.key for name, record in predicted(tiles, models).records("predict").items()}
    far = TILES["t00"]
    write(tiles, "far", far, picture(), (60_000, 0))
    after = {name: record.key for name, record in predicted(tiles, models).records("predict").items()}
    assert {name: after[name] for name in before} == before
    changed = picture()
    changed[:, 20:30, 50:60] = 3
    write(tiles, "t01", TILES["t01"], changed)
    once_more = predicted(tiles, models).records("predict")
    assert once_more["far"].key == after["far"]
    assert once_more["t00"].key != after["t00"]


@pytest.mark.parametrize("shift_m", [(1.0, 0.0), (0.0, 0.6), (-2.0, 0.0)], ids=["half", "third", "overlap"])
def test_what_is_off_the_grid_or_overlaps_is_no_neighbour(
    tiles: Path, models: Path, shift_m: tuple[float, float]
) -> None:
    for name in TILES:
        if name != "t00":
            (tiles / "img" / f"{name}.tif").unlink()
    alone = read(predicted(tiles, models), "t00")
    write(tiles, "t01", TILES["t01"], picture(), shift_m)
    np.testing.assert_array_equal(read(predicted(tiles, models), "t00"), alone)
    write(tiles, "t01", TILES["t01"], picture())
    assert (read(predicted(tiles, models), "t00") != alone).any()


def test_where_a_tile_is_missing_the_scene_is_mirrored(whole: ByteArray, tiles: Path, models: Path) -> None:
    (tiles / "img" / "t12.tif").unlink()
    run = predicted(tiles, models)
    np.testing.assert_array_equal(read(run, "t00"), whole[:, *TILES["t00"].slices])
    lower = read(run, "t11")
    assert (lower[:, :, :20] == whole[:, *TILES["t11"].slices][:, :, :20]).all()
    assert (lower != whole[:, *TILES["t11"].slices]).any()


def test_of_neighbours_only_pixels_are_read(tiles: Path, models: Path) -> None:
    for name, window in TILES.items():
        write_labels(tiles / "lab" / f"{name}.gpkg", WHOLE.crop(window))
    labels = 'labels = { path = "lab/{scene}.gpkg", class_field = "class_name" }\n'
    recipe = RECIPE.replace("[[classes]]", labels + "[[classes]]", 1)
    run = predicted(tiles, models, recipe=recipe)
    record = run.records("predict")["t01"]
    read_of = {name.split("/")[1] for name in record.inputs}
    assert read_of == set(TILES)
    assert {Path(name).name for name in record.inputs} <= {"RGB.tif", "scene.json"}
    write_labels(tiles / "lab" / "t00.gpkg", WHOLE.crop(TILES["t00"]), "road", "house")
    assert predicted(tiles, models, recipe=recipe).records("predict")["t01"].key == record.key


def test_a_damaged_tile_stops_only_those_that_look_at_it(tiles: Path, models: Path) -> None:
    (tiles / "r.toml").write_text(RECIPE)
    project, run = open_project(load_recipe(tiles / "r.toml")), open_run(tiles / "run")
    prepare(project, run)
    facts = run.scene_folder("t00") / "scene.json"
    facts.write_text(facts.read_text().replace("RGB", "RGX", 1))
    result = predict(project, run, models=models)
    assert list(result.failed) == ["t00"]
    assert "t00/scene.json" in result.failed["t00"]
    assert len(result.made) == len(TILES) - 1
