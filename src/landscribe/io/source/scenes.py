"""Scenes: rasters of several sensors over one piece of ground, and where the labels lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import shapely

from landscribe.core.grid import Grid, dstl_grid
from landscribe.core.recipe import LabelTable
from landscribe.core.sensors import Sensor
from landscribe.errors import DataError, problem
from landscribe.io.raster.rasters import RasterInfo, open_raster, webmercator_tile_grid


@dataclass(frozen=True)
class Frame:
    """A georeference that does not stand in the raster: DSTL's Xmax and Ymin, or x, y, z of a web-mercator tile."""

    kind: Literal["dstl", "webmercator-tile"]
    numbers: tuple[float, ...]

    def grid(self, height: int, width: int) -> Grid:
        """Return the grid of a raster of that size."""
        if self.kind == "dstl":
            return dstl_grid(height, width, *self.numbers)
        x, y, z = (int(number) for number in self.numbers)
        return webmercator_tile_grid(x, y, z, height, width)


@dataclass(frozen=True)
class SensorFile:
    """One sensor's raster of one scene."""

    name: str
    path: Path
    sensor: Sensor
    nodata: float | None = None
    frame: Frame | None = None
    """None takes the file's own georeference, or that of the reference where it has none."""


@dataclass(frozen=True)
class LabelFile:
    """One file of labels of one scene, or of all of them, and how it is to be read."""

    table: LabelTable
    path: Path | None
    """None where there is none and the recipe says that nothing is there."""
    area: Path | None = None
    """Polygons where somebody looked; None where the recipe names none, so that it was everywhere."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are there."""
        return tuple(path for path in (self.path, self.area) if path is not None and path.is_file())


@dataclass(frozen=True)
class Scene:
    """A piece of ground: rasters of several sensors, the first being the reference, and where its labels lie."""

    id: str
    place: str
    sensors: Mapping[str, SensorFile]
    label_files: tuple[LabelFile, ...] = ()
    """One for each table of the recipe; none at all where one of them is missing, since nobody looked for all classes
    then."""
    unlabelled: tuple[str, ...] = ()
    """Label files that were looked for and are not there."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Sensors of the recipe that this scene lacks -> the file that was looked for."""
    absent: Mapping[str, Sensor] = field(default_factory=dict)
    """Sensors that it lacks as the recipe allows."""

    @property
    def reference(self) -> SensorFile:
        """The sensor whose grid is the grid of the result."""
        return next(iter(self.sensors.values()))


@dataclass(frozen=True)
class SceneList:
    """All scenes of a recipe."""

    scenes: tuple[Scene, ...]
    label_tables: tuple[LabelTable, ...] = ()
    sample_submission: Path | None = None
    problems: tuple[str, ...] = field(default=())
    """Files that belong to no scene, sensors that nobody misses: one line each."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Scenes that cannot be used, for want of their reference or of a sensor that a model reads -> why, in a line."""

    def by_id(self, scene_id: str) -> Scene:
        """Return a scene by its id.

        Raises:
            DataError: If there is none.
        """
        for scene in self.scenes:
            if scene.id == scene_id:
                return scene
        if scene_id in self.broken:
            raise DataError(self.broken[scene_id])
        raise DataError(
            problem("scenes", "no such scene", got=repr(scene_id), need="one that `landscribe check` lists")
        )


def lacks(scene_id: str, name: str, path: str, *, do: str | None = None) -> str:
    """Return the line that says which file of a scene is not there."""
    return problem(f"scene {scene_id!r}", f"{name} is missing", need=path, do=do)


def sensor_grids(scene: Scene) -> dict[str, Grid]:
    """Return the grid of each sensor of a scene, checked against its bands.

    A sensor without georeference beside a reference without georeference covers the same ground.

    Raises:
        DataError: If a raster cannot be opened or has other bands than its kind.
    """
    grids: dict[str, Grid] = {}
    for name, file in scene.sensors.items():
        with open_raster(file.path, nodata=file.nodata) as raster:
            info = raster.info
        check_bands(scene, file, info)
        if file.frame is not None:
            grids[name] = file.frame.grid(*info.grid.shape_hw)
        elif info.georeferenced or not grids:
            grids[name] = info.grid
        else:
            grids[name] = grids[scene.reference.name].resize(info.grid.height, info.grid.width)
    return grids


def shared_ground(scene: Scene, grids: Mapping[str, Grid]) -> dict[str, float]:
    """Return the share of the reference's ground that each other sensor covers, 0..1.

    Raises:
        DataError: If one sensor has a CRS and another has none.
    """
    reference = grids[scene.reference.name]
    frame = shapely.box(0, 0, reference.width, reference.height)
    shares = {}
    for name, grid in grids.items():
        if name != scene.reference.name:
            to_reference = grid.pixel_map(reference)
            corners = [(0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height)]
            outline = shapely.Polygon([to_reference @ corner for corner in corners])
            shares[name] = float(outline.intersection(frame).area / frame.area)
    return shares


def require_shared_ground(scene: Scene, grids: Mapping[str, Grid]) -> None:
    """Refuse a scene with a sensor that shows other ground than the reference.

    Raises:
        DataError: If a sensor covers nothing of it, or one has a CRS and another has none.
    """
    for name, share in shared_ground(scene, grids).items():
        if share == 0:
            raise DataError(other_ground(scene, name))


def other_ground(scene: Scene, name: str) -> str:
    """Say that a sensor's georeference leads elsewhere."""
    where = f"scene {scene.id!r}, {name}"
    return problem(where, "shows other ground than the reference", do="check its georeference")


def check_bands(scene: Scene, file: SensorFile, info: RasterInfo) -> None:
    """Compare the number of bands (alpha not counted) with the sensor's.

    Raises:
        DataError: If they differ.
    """
    bands = info.count - (1 if info.alpha_band is not None else 0)
    if bands != len(file.sensor.bands):
        where = f"scene {scene.id!r}, {file.name}"
        need = f"{len(file.sensor.bands)} for {file.sensor.kind!r}"
        do = f"check [data].sensors.{file.name}"
        raise DataError(problem(where, "wrong number of bands", got=f"{bands} in {file.path.name}", need=need, do=do))
