"""The piece of a scene that a bundle carries: what networks saw of it, and what they and tracing made of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.core.grid import Grid, Window
from landscribe.core.legend import Legend
from landscribe.core.pixel_source import PixelSource
from landscribe.core.sensors import SensorSpec
from landscribe.errors import DataError, IntegrityError, problem
from landscribe.io.bundle.about import REPLAY, ReplayRow
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.vector.vectors import read_own, write_features
from landscribe.late import geopandas as gpd

BESIDE_PX = 4
"""Pixels of a coarser sensor around the piece, for what lies between pixels."""
MOST_SIDE_PX = 8192
"""Of a raster in a bundle."""
PROBABILITY, POLYGONS = f"{REPLAY}/probability.tif", f"{REPLAY}/polygons.parquet"


@dataclass(frozen=True)
class ReplayScene:
    """A `PixelSource` in memory, without labels."""

    id: str
    grid: Grid
    sensors: Mapping[str, SensorSpec]
    grids: Mapping[str, Grid]
    images_chw: Mapping[str, AnyArray]
    valid_hw: Mapping[str, BoolArray]
    absent: frozenset[str] = frozenset()

    def dtype(self, sensor: str) -> str:
        """Return the NumPy name of a sensor's pixel type."""
        return self.images_chw[sensor].dtype.name

    def read(self, sensor: str, window: Window) -> tuple[AnyArray, BoolArray]:
        """Return raw values (C, h, w) and validity (h, w) of a window inside a sensor's grid."""
        return self.images_chw[sensor][:, *window.slices], self.valid_hw[sensor][window.slices]

    def read_coverage(self, window: Window) -> tuple[ByteArray, BoolArray]:
        """Return no class, known nowhere."""
        return np.zeros((0, *window.shape_hw), np.uint8), np.zeros(window.shape_hw, np.bool_)


def cut_scene(source: PixelSource, window: Window, folder: Path, names: list[str]) -> dict[str, str]:
    """Write what sensors show of a window of the reference grid.

    Args:
        source: The scene.
        window: Of its reference grid.
        folder: Of the bundle to be.
        names: Sensors, the reference first.

    Returns:
        Sensor -> file below the folder.
    """
    files = {}
    for name in names:
        grid = source.grids[name]
        there = _on(grid, source.grid, window)
        image_chw, valid_hw = source.read(name, there)
        files[name] = f"{REPLAY}/{name}.tif"
        part = grid.crop(there)
        bands = source.sensors[name].bands
        with write_raster(
            folder / files[name], part, count=len(bands), dtype=image_chw.dtype.name, descriptions=bands, mask=True,
            overviews=False,
        ) as writer:  # fmt: skip
            writer.write(part.window, image_chw)
            writer.write_mask(part.window, valid_hw)
    return files


def write_expected(
    folder: Path, grid: Grid, bytes_khw: ByteArray, valid_hw: BoolArray, features: gpd.GeoDataFrame, legend: Legend
) -> None:
    """Write the probabilities and polygons that whoever replays the piece is to get."""
    with write_raster(
        folder / PROBABILITY, grid, count=len(legend), dtype="uint8", descriptions=legend.names, mask=True,
        scale=1 / 255, overviews=False,
    ) as writer:  # fmt: skip
        writer.write(grid.window, bytes_khw)
        writer.write_mask(grid.window, valid_hw)
    write_features(folder / POLYGONS, features, legend=legend)


def read_scene(folder: Path, row: ReplayRow, sensors: Mapping[str, SensorSpec]) -> ReplayScene:
    """Read the piece of a scene.

    Args:
        folder: The unpacked bundle.
        row: What the bundle says of it.
        sensors: What each raster holds; those that no network reads are not looked at closer.

    Raises:
        DataError: If a raster cannot be read.
        IntegrityError: If one holds something else than the bundle says.
    """
    grids, images, valid, specs = {}, {}, {}, {}
    for name, file in row.rasters.items():
        images[name], valid[name], grids[name] = _read(folder, file)
        own = SensorSpec(name, name, tuple(f"band{k + 1}" for k in range(len(images[name]))), 0)
        specs[name] = sensors.get(name, own)
        if len(specs[name].bands) != len(images[name]):
            got, need = len(images[name]), len(specs[name].bands)
            raise IntegrityError(problem(file, "bands", got=got, need=need))
    missing = sorted(set(sensors) - set(images))
    if missing or not images:
        raise IntegrityError(problem(REPLAY, "no raster of a sensor", got=", ".join(missing) or "none at all"))
    return ReplayScene(row.scene, next(iter(grids.values())), specs, grids, images, valid)


def read_expected(folder: Path, row: ReplayRow, grid: Grid, classes: int) -> tuple[ByteArray, gpd.GeoDataFrame]:
    """Read the probabilities, uint8 (K, H, W), and the polygons that are to come out.

    Raises:
        DataError: If a file cannot be read.
        IntegrityError: If the probabilities are of another size or type than the piece of the scene.
    """
    bytes_khw, valid_hw, own = _read(folder, row.probability)
    if bytes_khw.dtype != np.uint8 or bytes_khw.shape != (classes, *grid.shape_hw) or own.shape_hw != grid.shape_hw:
        got, need = f"{bytes_khw.dtype} {bytes_khw.shape}", f"uint8 {(classes, *grid.shape_hw)}"
        raise IntegrityError(problem(row.probability, "not the probabilities of the piece", got=got, need=need))
    return np.where(valid_hw, bytes_khw, np.uint8(0)), read_own(folder / row.polygons)


def _read(folder: Path, file: str) -> tuple[AnyArray, BoolArray, Grid]:
    path = folder / file
    if not path.is_file():
        raise IntegrityError(problem(file, "a part of the bundle is missing"))
    with open_raster(path) as raster:
        grid = raster.info.grid
        if max(grid.shape_hw) > MOST_SIDE_PX:
            raise DataError(problem(file, "larger than a piece of a scene", got=grid.shape_hw, need=MOST_SIDE_PX))
        return *raster.read(), grid


def _on(grid: Grid, reference: Grid, window: Window) -> Window:
    """Return the part of a sensor's grid that shows a window of the reference grid."""
    if grid == reference:
        return window
    there = reference.pixel_map(grid)
    corners = [there @ (col, row) for row in (window.row, window.row_stop) for col in (window.col, window.col_stop)]
    spans = []
    for values, size in zip(zip(*corners, strict=True), (grid.width, grid.height), strict=True):
        first = min(max(int(min(values)) - BESIDE_PX, 0), size - 1)
        spans.append((first, max(first + 1, min(int(max(values)) + 1 + BESIDE_PX, size))))
    (left, right), (top, bottom) = spans
    return Window(top, left, bottom - top, right - left)
