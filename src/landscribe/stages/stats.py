"""`stats`: the class x scene table of area, perimeter and count of the labels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import shapely

from landscribe.apart import apart, at_once, start
from landscribe.core.features import of_class
from landscribe.core.legend import Legend
from landscribe.errors import BAD_FILE
from landscribe.io.labels.labels import read_labels
from landscribe.io.project import Progress, Project, silent
from landscribe.io.source.scenes import Scene, sensor_grids
from landscribe.io.source.sensor_files import open_sensor
from landscribe.workers import abreast

T = TypeVar("T")


@dataclass(frozen=True)
class ClassStatistics:
    """Labels of one class in one scene."""

    scene: str
    class_name: str
    count: int
    area_share: float
    """Covered share of the scene, 0..1; overlaps within a class count once."""
    perimeter_px: float
    """Length of all outlines and holes in pixels of the reference grid."""


@dataclass(frozen=True)
class ImageShape:
    """One raster of a scene."""

    scene: str
    sensor: str
    file: str
    """File name."""
    bands: int
    height: int
    width: int
    dtype: str


def shapes(project: Project, progress: Progress = silent, *, failed: dict[str, str] | None = None) -> list[ImageShape]:
    """Return size and type of every raster of every scene, in the order of scenes and sensors.

    Args:
        project: The recipe with its data.
        progress: Told of each scene.
        failed: Takes up why scenes cannot be read, id -> reason; without it the first one ends the work.

    Raises:
        DataError: If a raster cannot be opened, or with `failed` none.
    """
    start()
    return _each(project, project.scenes.scenes, progress, _shapes, failed)


def _shapes(scene: Scene) -> list[ImageShape]:
    rows = []
    for name, file in scene.sensors.items():
        with open_sensor(file) as raster:
            info = raster.info
        rows.append(
            ImageShape(scene.id, name, file.path.name, info.count, info.grid.height, info.grid.width, str(info.dtype))
        )
    return rows


def stats(
    project: Project, progress: Progress = silent, *, failed: dict[str, str] | None = None
) -> list[ClassStatistics]:
    """Measure the labels of every labelled scene.

    Args:
        project: The recipe with its data.
        progress: Told of each scene.
        failed: Takes up why scenes cannot be read, id -> reason; without it the first one ends the work.

    Returns:
        A row per labelled scene and class, in the order of scenes and legend.

    Raises:
        DataError: If labels cannot be read, or with `failed` those of no scene.

    Examples:
        >>> import landscribe as ls
        >>> row = ls.stats(project)[0]
        >>> row.scene, row.class_name
        ('6010_0_0', 'building')
    """
    start(*project.libraries)
    labelled = [scene for scene in project.scenes.scenes if scene.has_labels]
    return _each(project, labelled, progress, functools.partial(_measure, legend=project.legend), failed)


def _each(
    project: Project,
    scenes: Sequence[Scene],
    progress: Progress,
    work: Callable[[Scene], list[T]],
    failed: dict[str, str] | None,
) -> list[T]:
    by_id = {scene.id: scene for scene in scenes}

    def one(scene_id: str) -> list[T]:
        scene = by_id[scene_id]
        return apart(f"scene {scene_id!r}", work, scene, limits=project.limits, paths=scene.paths)

    rows: list[T] = []
    with abreast(one, list(by_id), at_once()) as outcomes:
        for number, (scene_id, outcome) in enumerate(outcomes):
            progress(f"stats {scene_id}", number, len(by_id))
            try:
                rows += outcome()
            except BAD_FILE as error:
                if failed is None or len(failed) == len(by_id) - 1:
                    raise
                failed[scene_id] = str(error)
    return rows


def _measure(scene: Scene, legend: Legend) -> list[ClassStatistics]:
    rows = []
    grid = sensor_grids(scene)[scene.reference.name]
    features = read_labels(scene, legend, grid).features
    frame = shapely.box(0, 0, grid.width, grid.height)
    for land_class in legend:
        pixels = shapely.make_valid(grid.ground_to_pixels(of_class(features, land_class.name)))
        inside = shapely.intersection(pixels, frame)
        whole = shapely.disjoint_subset_union_all(inside) if len(inside) else None
        area = float(shapely.area(whole)) if whole is not None else 0.0
        share = area / (grid.height * grid.width)
        perimeter = float(np.sum(shapely.length(inside)))
        rows.append(ClassStatistics(scene.id, land_class.name, len(pixels), share, perimeter))
    return rows
