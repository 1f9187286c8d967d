"""Small rasters that several tests write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import HealthCheck, settings
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.io.raster.rasters import write_raster

H, W = 61, 47
UTM = CRS.from_epsg(32636)
GRID = Grid(H, W, Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), UTM)
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def image(count: int = 3, dtype: str = "uint8", h: int = H, w: int = W) -> np.ndarray:
    return np.random.default_rng(11).integers(1, 120, (count, h, w)).astype(dtype)


def save(path: Path, image_chw: np.ndarray, grid: Grid = GRID, **options: object) -> Path:
    with write_raster(path, grid, count=len(image_chw), dtype=str(image_chw.dtype), **options) as writer:
        writer.write(grid.window, image_chw)
    return path


def save_foreign(path: Path, image_chw: np.ndarray, **options: object) -> Path:
    count, height, width = image_chw.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": image_chw.dtype}
    with rasterio.open(path, "w", **profile | {"transform": GRID.transform, "crs": "EPSG:32636"} | options) as dataset:
        dataset.write(image_chw)
    return path
