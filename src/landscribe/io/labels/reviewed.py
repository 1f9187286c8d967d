"""What reviews say of a scene, laid over the labels of its files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely

from landscribe.core.arrays import GeometryArray
from landscribe.core.features import join_features, make_features, of_class
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.io.review.found import to_crs
from landscribe.io.review.ground import lay_over, polygons_of, said_of
from landscribe.io.review.history import require_as_absorbed
from landscribe.io.review.reading import read_review
from landscribe.io.review.review import Review
from landscribe.io.source.scenes import Scene
from landscribe.late import geopandas as gpd

REVIEWED = "reviewed polygons and areas"
"""Count of a scene that somebody has reviewed, whatever is said of it."""


def lay_reviews(
    features: gpd.GeoDataFrame, scene: Scene, legend: Legend, grid: Grid
) -> tuple[gpd.GeoDataFrame, GeometryArray, dict[str, int]]:
    """Lay the reviews of a scene over the labels of its files.

    Args:
        features: Of the files, in ground coordinates of the grid.
        scene: The scene.
        legend: Classes.
        grid: The scene's reference grid.

    Returns:
        Labels in ground coordinates; ground of which reviews say of every class whether it is there, in pixels; and
        what reviews add and take away.

    Raises:
        IntegrityError: If a review is not what was absorbed.
    """
    older = {name: of_class(features, name) for name in legend.names}
    reviews = read_reviews(scene, legend, grid)
    said = [
        said_of(own, scene.id, legend.names, exclusive=f.exclusive)
        for own, f in zip(reviews, scene.reviews, strict=True)
    ]
    laid = lay_over(older, [(own, file.over_labels) for own, file in zip(said, scene.reviews, strict=True)])
    parts = []
    for land_class in legend:
        pixels = grid.ground_to_pixels(laid.polygons[land_class.name])
        inside = shapely.intersects(pixels, shapely.box(0, 0, grid.width, grid.height))
        shapes, area = laid.polygons[land_class.name][inside], shapely.area(pixels[inside]) * grid.pixel_area
        parts.append(make_features(scene.id, land_class, shapes, area=area, crs=grid.crs))
    known = polygons_of(grid.ground_to_pixels(np.array([laid.known], dtype=object)))
    return join_features(parts, grid.crs), known, {REVIEWED: said_count(reviews, scene.id), **laid.counts}


def read_reviews(scene: Scene, legend: Legend, grid: Grid) -> list[Review]:
    """Read the reviews of a scene in the CRS of its grid, oldest first.

    Raises:
        IntegrityError: If one is not what was absorbed.
    """
    found = []
    for file in scene.reviews:
        require_as_absorbed(file.path, file.sha256)
        found.append(to_crs(_cached(file.path, file.sha256, legend), grid.crs))
    return found


def said_count(reviews: list[Review], scene: str) -> int:
    """Return how many polygons and areas of a scene some reviews speak of."""
    polygons = sum(int((own.features["scene"] == scene).sum()) for own in reviews)
    return polygons + sum(int(own.looked["scene"].isin(["", scene]).sum()) for own in reviews)


def reviewed_ground(scene: Scene, legend: Legend, grid: Grid) -> GeometryArray:
    """Return the polygons and areas that reviews of a scene speak of, in its pixels.

    Raises:
        IntegrityError: If a review is not what was absorbed.
    """
    shapes = []
    for own in read_reviews(scene, legend, grid):
        shapes.append(own.features.geometry[own.features["scene"] == scene.id].to_numpy())
        shapes.append(own.looked.geometry[own.looked["scene"].isin(["", scene.id])].to_numpy())
    return grid.ground_to_pixels(np.concatenate([np.empty(0, dtype=object), *shapes]))


@lru_cache(maxsize=4)
def _cached(path: Path, _digest: str, legend: Legend) -> Review:
    # One review may speak of many scenes.
    return read_review(path, legend)
