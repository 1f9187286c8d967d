"""A run of small scenes in all the places where scenes may lie, with names that nobody should have, for its map."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.burn import burn_mask
from landscribe.core.features import join_features, make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass
from landscribe.io.project import Project, open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.io.vector.vectors import write_features
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.score import score
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize

NASTY = "</script><img src=x onerror=alert(1)>\"'&"
TREE, WATER = LandClass(7, NASTY, "#1B7837"), LandClass(2, "water", "#2166AC")
UTM = CRS.from_epsg(32611)
GRIDS = {
    "utm": Grid(307, 521, Affine(0.5, 0, 650_000, 0, -0.5, 4_000_000), UTM),
    "beside": Grid(131, 173, Affine(0.5, 0, 650_200, 0, -0.5, 3_999_950), UTM),
    "degrees": Grid(131, 173, Affine(5e-6, 0, -115.2, 0, -5e-6, 36.1), CRS.from_epsg(4326)),
    "nowhere": Grid(131, 173, Affine.identity()),
    "turned": Grid(131, 173, Affine(0.5, 0, 640_000, 0, -0.5, 4_000_000) @ Affine.rotation(30), UTM),
    "nothing": Grid(131, 173, Affine(0.5, 0, 660_000, 0, -0.5, 4_000_000), UTM),
    "unlabelled<b>'\"": Grid(131, 173, Affine(0.5, 0, 655_000, 0, -0.5, 4_000_000), UTM),
}
"""`utm` and `beside` overlap; nothing is found in `nothing`."""
RECIPE = f"""
[data]
root = "data"
sensors.N = {{ path = "img/{{scene}}.tif", kind = "naip" }}
labels = {{ path = "lab/{{scene}}.gpkg", class_field = "class_name" }}
[[classes]]
name = {json.dumps(NASTY)}
id = 7
colour = "#1B7837"
[[classes]]
name = "water"
id = 2
colour = "#2166AC"
[[models]]
name = "tree"
kind = "index"
classes = [{json.dumps(NASTY)}]
spectral = {{ index = "ndvi", threshold = 0.2, soft = 0.1 }}
[[models]]
name = "water"
kind = "index"
classes = ["water"]
spectral = {{ index = "ndwi", threshold = 0.2, soft = 0.1 }}
[predict]
scenes = "all"
[validate]
split = "named"
scenes = ["utm", "beside", "degrees", "nothing"]
leak_check = false
"""


def blobs(rng: np.random.Generator, grid: Grid, n: int, radius: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 15, endpoint=False)
    reach = radius * rng.uniform(0.6, 1.2, (n, 15))
    centre = rng.uniform(0.08, 0.92, (n, 2)) * (grid.width, grid.height)
    rings = np.stack((centre[:, :1] + reach * np.cos(angle), centre[:, 1:] + reach * np.sin(angle)), -1)
    return np.array([shapely.Polygon(ring) for ring in rings], dtype=object)


def write_scene(folder: Path, name: str, grid: Grid, seed: int) -> None:
    """Write a picture with trees and ponds, and labels that know most of them."""
    rng = np.random.default_rng(seed)
    count = 0 if name == "nothing" else max(4, grid.width // 20)
    trees, ponds = blobs(rng, grid, count, 7), blobs(rng, grid, min(count, 3), 13)
    image_chw = np.stack([rng.normal(v, 6, grid.shape_hw) for v in (128, 112, 92, 110)])
    for shapes, colours in ((trees, (60, 92, 50, 190)), (ponds, (40, 90, 110, 25))):
        mask_hw = burn_mask(shapes, grid.shape_hw) > 0
        for k, value in enumerate(colours):
            image_chw[k][mask_hw] = rng.normal(value, 6, int(mask_hw.sum()))
    (folder / "img").mkdir(parents=True, exist_ok=True)
    (folder / "lab").mkdir(exist_ok=True)
    path = folder / "img" / f"{name}.tif"
    with write_raster(path, grid, count=4, dtype="uint8", descriptions=("red", "green", "blue", "nir")) as writer:
        writer.write(grid.window, np.clip(image_chw, 1, 255).astype(np.uint8))
    if name.startswith("unlabelled"):
        return
    shifted = shapely.transform(trees[1:], lambda xy: xy + np.array((2, -1)))
    extra = blobs(rng, grid, min(count, 2), 6)
    labels = [(TREE, np.concatenate((shifted, extra))), (WATER, ponds)]
    if name == "nothing":
        labels = [(TREE, blobs(rng, grid, 3, 7))]
    features = join_features(
        [make_features(name, one, grid.pixels_to_ground(shapes), crs=grid.crs) for one, shapes in labels if len(shapes)]
    )
    write_features(folder / "lab" / f"{name}.gpkg", features, legend=None)


def make_run(folder: Path) -> tuple[Project, Run]:
    """Write the scenes and take them through the stages up to the score."""
    for seed, (name, grid) in enumerate(GRIDS.items()):
        write_scene(folder / "data", name, grid, seed)
    (folder / "odd.toml").write_text(RECIPE)
    project, run = open_project(load_recipe(folder / "odd.toml")), open_run(folder / "run")
    for stage in (prepare, train, predict, vectorize, score):
        result = stage(project, run)
        if result.failed:
            raise RuntimeError(str(result.failed))
    return project, run
