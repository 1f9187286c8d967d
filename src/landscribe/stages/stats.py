"""`stats`: the class x scene table of area, perimeter and count of the labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from landscribe.core.features import of_class
from landscribe.io.labels.labels import read_labels
from landscribe.io.project import Progress, Project, silent
from landscribe.io.source.scenes import sensor_grids
from landscribe.io.source.sensor_files import open_sensor


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


def shapes(project: Project, progress: Progress = silent) -> list[ImageShape]:
    """Return size and type of every raster of every scene, in the order of scenes and sensors.

    Raises:
        DataError: If a raster cannot be opened.
    """
    rows = []
    for number, scene in enumerate(project.scenes.scenes):
        progress(f"stats {scene.id}", number, len(project.scenes.scenes))
        for name, file in scene.sensors.items():
            with open_sensor(file) as raster:
                info = raster.info
            rows.append(
                ImageShape(
                    scene.id, name, file.path.name, info.count, info.grid.height, info.grid.width, str(info.dtype)
                )
            )
    return rows


def stats(project: Project, progress: Progress = silent) -> list[ClassStatistics]:
    """Measure the labels of every labelled scene.

    Args:
        project: The recipe with its data.
        progress: Told of each scene.

    Returns:
        A row per labelled scene and class, in the order of scenes and legend.

    Raises:
        DataError: If labels cannot be read.
    """
    labelled = [scene for scene in project.scenes.scenes if scene.label_files]
    rows = []
    for number, scene in enumerate(labelled):
        progress(f"stats {scene.id}", number, len(labelled))
        grid = sensor_grids(scene)[scene.reference.name]
        features = read_labels(scene, project.legend, grid).features
        frame = shapely.box(0, 0, grid.width, grid.height)
        for land_class in project.legend:
            pixels = shapely.make_valid(grid.ground_to_pixels(of_class(features, land_class.name)))
            inside = shapely.intersection(pixels, frame)
            whole = shapely.disjoint_subset_union_all(inside) if len(inside) else None
            area = float(shapely.area(whole)) if whole is not None else 0.0
            share = area / (grid.height * grid.width)
            perimeter = float(np.sum(shapely.length(inside)))
            rows.append(ClassStatistics(scene.id, land_class.name, len(pixels), share, perimeter))
    return rows
