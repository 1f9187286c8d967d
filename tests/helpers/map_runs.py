"""A run folder with pictures, labels, probabilities and polygons, made without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.features import join_features, make_features
from landscribe.core.grid import Grid
from landscribe.io.project import open_project
from landscribe.io.raster.geotiff import write_probabilities, write_raster
from landscribe.io.run.runs import Made, Run, note_made, open_run
from landscribe.io.settings import load_recipe
from landscribe.io.vector.vectors import write_features
from landscribe.pipeline import write_run_json
from landscribe.stages.prepare import prepare
from small_scenes import RECIPE

SHAPE_HW = (523, 701)
BOXES = [(20, 30, 120, 90), (150, 40, 260, 130), (300, 200, 420, 330), (450, 60, 600, 170), (90, 350, 230, 470)]
"""Found houses in pixels: left, top, right, bottom."""
ROAD = (30, 220, 660, 240)


def make_run(folder: Path, scenes: tuple[str, ...] = ("m1", "m2"), *, name: str = "run", placed: bool = True) -> Path:
    """Make a run of a few scenes in `folder`, and return the run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, scene in enumerate(scenes):
        grid = Grid(*SHAPE_HW, Affine.identity())
        if placed:
            grid = Grid(*SHAPE_HW, Affine(0.5, 0, 400_000 + 900 * number, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
        _write_picture(folder / "old" / "img" / f"{scene}.tif", grid, number)
        truth = _shapes(grid, [(x0 + 4, y0 + 3, x1 + 4, y1 + 3) for x0, y0, x1, y1 in BOXES[:4]])
        labels = folder / "old" / "lab" / f"{scene}.gpkg"
        labels.parent.mkdir(parents=True, exist_ok=True)
        write_features(labels, _features(scene, grid, truth), legend=None)
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.replace('scenes = ["o4"]', f'scenes = ["{scenes[-1]}"]'))
    project, run = open_project(load_recipe(recipe)), open_run(folder / name)
    prepare(project, run)
    for scene in scenes:
        _predict(run, scene, project.legend)
    write_run_json(project, run)
    return run.root


def _write_picture(path: Path, grid: Grid, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    image_chw = rng.normal(90, 12, (3, *grid.shape_hw)) + np.linspace(0, 30, grid.width)
    for x0, y0, x1, y1 in BOXES:
        image_chw[:, y0:y1, x0:x1] += 70
    image_chw[:, ROAD[1] : ROAD[3], ROAD[0] : ROAD[2]] -= 50
    with write_raster(path, grid, count=3, dtype="uint8") as writer:
        writer.write(grid.window, np.clip(image_chw, 1, 255).astype(np.uint8))


def _shapes(grid: Grid, boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
    return grid.pixels_to_ground(np.array([shapely.box(*box) for box in boxes], dtype=object))


def _features(scene: str, grid: Grid, houses: np.ndarray):
    from landscribe.core.legend import LandClass

    scores = np.linspace(0.4, 0.9, len(houses))
    areas = shapely.area(grid.ground_to_pixels(houses)) * grid.pixel_area
    road = _shapes(grid, [ROAD])
    house, way = LandClass(5, "house", "#AA0000"), LandClass(3, "road", "#0000AA")
    return join_features(
        [
            make_features(scene, house, houses, score=scores, area=areas, crs=grid.crs),
            make_features(scene, way, road, score=[0.7], area=shapely.area(road), crs=grid.crs),
        ],
        grid.crs,
    )


def _predict(run: Run, scene: str, legend) -> None:
    from landscribe.io.run.prepared import open_prepared

    grid = open_prepared(run, scene).grid
    stack = np.zeros((len(legend), *grid.shape_hw), np.uint8)
    for x0, y0, x1, y1 in BOXES:
        stack[legend.index("house"), y0:y1, x0:x1] = 200
    with write_probabilities(run.probability(scene), grid, legend) as writer:
        writer.write(grid.window, stack)
        writer.write_mask(grid.window, np.ones(grid.shape_hw, bool))
    note_made(run, "predict", scene, "key", Made((run.probability(scene),)))
    write_features(run.features(scene), _features(scene, grid, _shapes(grid, BOXES)), legend=legend)
    note_made(
        run, "vectorize", scene, "key", Made((run.features(scene),), {"house: kept": len(BOXES), "road: kept": 1})
    )
