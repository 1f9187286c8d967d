"""Small folders of imagery and labels that several tests write, and recipes for them."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.io.project import Project, open_project
from landscribe.io.raster.rasters import write_raster
from landscribe.io.settings import load_recipe

UTM = CRS.from_epsg(32636)
H, W = 61, 83
PIXEL = 0.5


def grid_at(number: int, h: int = H, w: int = W, crs: CRS | None = UTM) -> Grid:
    """Grids with different numbers lie beside each other from west to east."""
    if crs is None:
        return Grid(h, w, Affine.identity())
    return Grid(h, w, Affine(PIXEL, 0, 500_000 + number * w * PIXEL, 0, -PIXEL, 4_000_000), crs)


def write_image(path: Path, grid: Grid, *, seed: int = 0, count: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image_chw = np.random.default_rng(seed).integers(1, 250, (count, *grid.shape_hw), dtype=np.uint8)
    return write_bands(path, image_chw, grid)


def write_bands(path: Path, image_chw: np.ndarray, grid: Grid, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_raster(path, grid, count=len(image_chw), dtype=str(image_chw.dtype), **options) as writer:  # type: ignore[arg-type]
        writer.write(grid.window, image_chw)
    return path


def write_polygons(
    path: Path, pixels: list[shapely.Geometry], grid: Grid, *, layer: str | None = None, **columns: list[object]
) -> Path:
    """Write geometries given in pixels of a grid, in its CRS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    geometries = np.empty(len(pixels), dtype=object)
    geometries[:] = pixels
    frame = gpd.GeoDataFrame(columns, geometry=grid.pixels_to_ground(geometries), crs=grid.crs)
    frame.to_file(path, layer=layer) if layer else frame.to_file(path)
    return path


def project_of(folder: Path, text: str, *overrides: str) -> Project:
    """Write a recipe whose text begins inside `[data]`, and open it; images are in `img/` unless it says where."""
    sensors = "" if "sensors." in text else 'sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }\n'
    (folder / "r.toml").write_text(f"[data]\n{sensors}{text}")
    return open_project(load_recipe(folder / "r.toml", overrides))
