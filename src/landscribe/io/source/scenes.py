"""Scenes: rasters of several sensors over one piece of ground, and where the labels lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import shapely

from landscribe.core.grid import Grid
from landscribe.core.recipe import LabelTable
from landscribe.core.sensors import Sensor
from landscribe.errors import DataError, problem
from landscribe.io.source.sensor_files import SensorFile, check_bands, check_stated, open_sensor


@dataclass(frozen=True)
class LabelFile:
    """One file of labels of one scene, or of all of them, and how it is to be read."""

    table: LabelTable
    path: Path | None
    """None where there is none and the recipe says that nothing is there."""
    area: Path | None = None
    """Polygons where somebody looked; None where the recipe names none, so that it was everywhere."""
    names: Path | None = None
    """YOLO: what the numbers of classes mean."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are there."""
        return tuple(path for path in (self.path, self.area, self.names) if path is not None and path.is_file())


@dataclass(frozen=True)
class ReviewFile:
    """A review that was absorbed and speaks of a scene, after its label files and before later reviews."""

    path: Path
    sha256: str
    over_labels: bool = False
    """Whether it holds against label files too, where they say otherwise."""
    exclusive: bool = False
    """Whether ground of one class is none of the others."""


@dataclass(frozen=True)
class Scene:
    """A piece of ground: rasters of several sensors, the first being the reference, and where its labels lie.

    Examples:
        >>> scene = project.scenes.by_id("6010_0_0")
        >>> scene.place, scene.reference.name, list(scene.sensors)
        ('6010_0_0', 'RGB', ['RGB', 'P', 'M', 'A'])
    """

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
    reviews: tuple[ReviewFile, ...] = ()
    """What people said of what was found in it, oldest first."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """All its files that are there."""
        sensors = [path for file in self.sensors.values() for path in file.paths]
        labels = [path for label in self.label_files for path in label.paths]
        return (*sensors, *labels, *(review.path for review in self.reviews))

    @property
    def is_remote(self) -> bool:
        """True where a sensor lies on a server and no copy is there."""
        return any(file.address for file in self.sensors.values())

    @property
    def has_labels(self) -> bool:
        """True where a label file or a review speaks of it."""
        return bool(self.label_files or self.reviews)

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
        DataError: If a raster cannot be opened, or has other bands than its kind or has them in another order.
    """
    grids: dict[str, Grid] = {}
    for name, file in scene.sensors.items():
        with open_sensor(file) as raster:
            info = raster.info
        check_bands(f"scene {scene.id!r}, {file.name}", file, info)
        check_stated(f"scene {scene.id!r}, {file.name}", file, info)
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
