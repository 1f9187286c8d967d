"""A small run with what `suggest` has to tell apart: labelled, held out, unlabelled, odd and empty ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.features import make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass
from landscribe.io.project import Project, open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.io.vector.vectors import write_features
from landscribe.pipeline import write_run_json
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train

H, W, SIDE = 73, 103, 32
ODD = (1, 2)
"""Row and column, in windows, of the patch of `u2` that looks like nothing else."""
RECIPE = """
[data]
root = "data"
sensors.RGB = {{ path = "img/{{scene}}.tif", kind = "rgb8" }}
labels = {{ path = "lab/{{scene}}.gpkg", class = "house"{area} }}
[[classes]]
name = "house"
[[models]]
name = "net"
{seeds}
network = {{ filters = 2, depth = 2 }}
chips = {{ size = 32, context = 4, batch = 2 }}
schedule = {{ epochs = 1, steps = 2, rate = 1e-2, prior = 0.0 }}
[predict]
scenes = "all"
symmetries = {symmetries}
[validate]
split = "named"
scenes = ["h1"]
"""


def grid_of(number: int, crs: CRS | None) -> Grid:
    """Scenes lie 500 m apart; without a CRS all lie nowhere."""
    if crs is None:
        return Grid(H, W, Affine.identity())
    return Grid(H, W, Affine(1, 0, 400_000 + 500 * number, 0, -1, 5_000_000), crs)


def write_scene(folder: Path, name: str, grid: Grid, seed: int, *, odd: bool = False, empty: bool = False) -> None:
    """Write a picture of soft noise; an odd one has a bright, rough patch, an empty one no data but a strip."""
    random = np.random.default_rng(seed)
    image_chw = random.normal(90, 9, (3, H, W)).clip(1, 254)
    if odd:
        row, col = ODD[0] * SIDE, ODD[1] * SIDE
        image_chw[:, row : row + SIDE, col : col + SIDE] = random.choice([20.0, 240.0], (3, SIDE, SIDE))
    valid_hw = np.ones((H, W), np.bool_)
    valid_hw[:, 20:] = not empty
    path = folder / "data" / "img" / f"{name}.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_raster(path, grid, count=3, dtype="uint8", mask=True) as writer:
        writer.write(grid.window, image_chw.astype(np.uint8))
        writer.write_mask(grid.window, valid_hw)


def write_boxes(path: Path, grid: Grid, boxes: list[shapely.Polygon]) -> None:
    """Write polygons given in pixels."""
    ground = grid.pixels_to_ground(np.array(boxes, dtype=object))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_features(path, make_features(path.stem, LandClass(1, "house", "#AA0000"), ground, crs=grid.crs), legend=None)


def make_suggest_run(
    folder: Path, *, crs: CRS | None = None, seeds: str = "", symmetries: int = 1, part: bool = False
) -> tuple[Project, Run]:
    """Train and predict: t1 is labelled, h1 held out, u1 and u2 unlabelled, u2 with odd ground, u3 mostly empty.

    Args:
        folder: Where everything goes.
        crs: Of the scenes.
        seeds: A line of the model's table.
        symmetries: Views that are averaged.
        part: Whether only the left 40 columns of t1 were looked at.
    """
    for number, name in enumerate(("t1", "h1", "u1", "u2", "u3")):
        grid = grid_of(number, crs)
        write_scene(folder, name, grid, number, odd=name == "u2", empty=name == "u3")
        if name in ("t1", "h1"):
            write_boxes(folder / "data" / "lab" / f"{name}.gpkg", grid, [shapely.box(3, 5, 17, 11 + number)])
            looked = shapely.box(0, 0, 40 if part and name == "t1" else W, H)
            write_boxes(folder / "data" / "looked" / f"{name}.gpkg", grid, [looked])
    area = ', area = "looked/{scene}.gpkg"' if part else ""
    (folder / "r.toml").write_text(RECIPE.format(area=area, seeds=seeds, symmetries=symmetries))
    project, run = open_project(load_recipe(folder / "r.toml")), open_run(folder / "run")
    prepare(project, run)
    train(project, run)
    predict(project, run)
    write_run_json(project, run)
    return project, run
