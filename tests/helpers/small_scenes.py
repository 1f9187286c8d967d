"""Small georeferenced scenes of one sensor, a house and a road in each, and a network that is no good but is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.features import make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass
from landscribe.io.project import open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.io.vector.vectors import write_features
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train

SHAPE_HW = (41, 53)
RECIPE = """
[data]
root = "old"
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
labels = { path = "lab/{scene}.gpkg", class_field = "class_name" }
[[classes]]
name = "house"
id = 5
colour = "#AA0000"
countable = true
[[classes]]
name = "road"
id = 3
colour = "#0000AA"
[[models]]
name = "net"
network = { filters = 2, depth = 2 }
chips = { size = 32, context = 4, batch = 2 }
schedule = { epochs = 1, steps = 1 }
[predict]
symmetries = 1
[vectorize]
threshold = { default = 0.01 }
[validate]
split = "named"
scenes = ["o4"]
"""

TO_PREDICT = """
[data]
root = "."
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
[[classes]]
name = "house"
id = 5
[[classes]]
name = "road"
id = 3
[predict]
symmetries = 1
tile = 32
"""
"""A recipe of pictures that the network of `train_small` predicts."""


def write_image(path: Path, east_m: float | None, seed: int, bands: int = 3) -> Grid:
    """Write a picture of noise, so many metres east of the others; None lies nowhere."""
    grid = Grid(*SHAPE_HW, Affine.identity())
    if east_m is not None:
        grid = Grid(*SHAPE_HW, Affine(2, 0, 400_000 + east_m, 0, -2, 5_000_000), CRS.from_epsg(32633))
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_raster(path, grid, count=bands, dtype="uint8") as writer:
        writer.write(grid.window, np.random.default_rng(seed).integers(1, 255, (bands, *SHAPE_HW), dtype=np.uint8))
    return grid


def write_labels(path: Path, grid: Grid, first: str = "house", second: str = "road") -> None:
    """Write a polygon of each of two classes."""
    boxes = grid.pixels_to_ground(np.array([shapely.box(3, 5, 17, 11), shapely.box(23, 19, 40, 29)], dtype=object))
    features = make_features(path.stem, LandClass(1, first, "#AA0000"), boxes, crs=grid.crs)
    features["class_name"] = pd.Series([first, second], dtype="string")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_features(path, features, legend=None)


def train_small(folder: Path) -> Path:
    """Train a network in `folder` on the scenes o1, o2, o3, with o4 held out, 1,000 m apart; return the models."""
    for number in (1, 2, 3, 4):
        grid = write_image(folder / "old" / "img" / f"o{number}.tif", 1000 * number, number)
        write_labels(folder / "old" / "lab" / f"o{number}.gpkg", grid)
    (folder / "old.toml").write_text(RECIPE)
    project, run = open_project(load_recipe(folder / "old.toml")), open_run(folder / "old_run")
    prepare(project, run)
    train(project, run)
    return run.path("models")
