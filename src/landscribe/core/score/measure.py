"""From features to areas: what agrees, per scene and class, in square metres or square pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import FloatArray, GeometryArray
from landscribe.core.grid import WGS84, Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.core.polygons.flatten import require_polygons
from landscribe.core.polygons.quiet import total_bounds
from landscribe.core.score.areas import Areas, Matches, boundary_areas, match_objects, polygon_areas
from landscribe.core.score.parts import part_areas
from landscribe.errors import DataError, problem
from landscribe.late import geopandas as gpd
from landscribe.workers import stop_if_asked, thread_pool


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one class in one scene."""

    polygon: Areas
    """Square metres where the scene has a CRS, else square pixels, or square units of the file without a grid."""
    pixel: Areas | None = None
    """Pixels, truth where half or more is covered."""
    pixel_opencv: Areas | None = None
    """Pixels, truth painted as OpenCV fills polygons."""
    objects: Matches | None = None
    """Only of countable classes."""
    boundary: Areas | None = None
    """In the unit of `polygon`."""
    repaired: int = 0
    """Invalid polygons that were repaired before measuring."""
    parts: tuple[Areas, ...] = ()
    """`polygon` by parts of the scene, where the class stands in this scene only."""


Measures = dict[str, dict[str, Measured]]
"""By scene, then by class name."""

NONE: GeometryArray = np.empty(0, dtype=object)


@dataclass(frozen=True)
class _View:
    """Both sides of a scene by class, and the plane in which they are measured."""

    ours: Mapping[str, GeometryArray]
    theirs: Mapping[str, GeometryArray]
    plane: Affine | None
    region: BaseGeometry | None
    """Ground that counts, in that plane."""
    grid: Grid | None

    def sides(self, name: str) -> tuple[GeometryArray, GeometryArray]:
        """Return both sides of a class in the plane."""
        return _move(self.ours.get(name, NONE), self.plane), _move(self.theirs.get(name, NONE), self.plane)

    def frame(self) -> tuple[float, float, float, float]:
        """Return smallest x and y, largest x and y of the scene in the plane; without a grid, of what is there."""
        if self.grid is not None:
            corners = _move(np.array([self.grid.footprint], dtype=object), self.plane)
        else:
            corners = _move(np.concatenate([*self.ours.values(), *self.theirs.values()]), self.plane)
        return total_bounds(corners)


def measure(
    predicted: gpd.GeoDataFrame,
    truth: gpd.GeoDataFrame,
    legend: Legend,
    scenes: Sequence[str],
    grids: Mapping[str, Grid] | None = None,
    regions: Mapping[str, BaseGeometry] | None = None,
    *,
    boundary: float | None = None,
    iou: float = 0.5,
    workers: int = 2,
) -> Measures:
    """Measure every class in every scene.

    Args:
        predicted: Features with the columns of `landscribe.core.features`.
        truth: The same, in the same CRS.
        legend: Classes to score.
        scenes: Scenes to score; features of other scenes are not looked at.
        grids: Grids of the scenes, for units; without them units come from the CRS.
        regions: Ground that counts, per scene, in the coordinates of the features; a scene without one counts whole.
        boundary: Width of the strip for boundary scores, in metres with a CRS, else pixels; None leaves them out.
        iou: Least intersection over union of matched objects.
        workers: Threads.

    Raises:
        DataError: If the two sides have different CRS, or a geometry is not polygonal.
    """
    views = _views(predicted, truth, scenes, grids, regions)
    jobs: list[tuple[LandClass, _View]] = [(c, view) for view in views.values() for c in legend]

    def work(job: tuple[LandClass, _View]) -> Measured:
        stop_if_asked()
        land_class, view = job
        return _measure_class(land_class, *view.sides(land_class.name), view.region, boundary=boundary, iou=iou)

    # GEOS works outside the interpreter lock, so threads share the cores.
    with thread_pool(max(workers, 1), "measure") as pool:
        done = iter(list(pool.map(work, jobs)))
    return {scene: {land_class.name: next(done) for land_class in legend} for scene in scenes}


def standing_alone(measures: Measures) -> dict[str, tuple[str, ...]]:
    """Return for each scene the classes that have ground, true or predicted, in no other one."""
    seen = {
        (scene, name)
        for scene, classes in measures.items()
        for name, found in classes.items()
        if found.polygon.tp + found.polygon.fp + found.polygon.fn > 0
    }
    scenes = Counter(name for _, name in seen)
    alone = {s: tuple(n for n in found if (s, n) in seen and scenes[n] == 1) for s, found in measures.items()}
    return {scene: names for scene, names in alone.items() if names}


def with_parts(
    measures: Measures,
    predicted: gpd.GeoDataFrame,
    truth: gpd.GeoDataFrame,
    classes: Mapping[str, Sequence[str]],
    grids: Mapping[str, Grid] | None = None,
    regions: Mapping[str, BaseGeometry] | None = None,
) -> Measures:
    """Return the measures with those of the parts of some scenes beside them.

    Args:
        measures: What was measured.
        predicted: As in `measure`.
        truth: As in `measure`.
        classes: Scene -> names of the classes to measure by parts, such as `standing_alone` gives.
        grids: As in `measure`.
        regions: As in `measure`.
    """
    result = dict(measures)
    for scene, view in _views(predicted, truth, list(classes), grids, regions).items():
        frame = view.frame()
        found = {name: part_areas(*view.sides(name), frame, view.region) for name in classes[scene]}
        result[scene] = {n: replace(m, parts=found.get(n, m.parts)) for n, m in measures[scene].items()}
    return result


def with_pixels(
    measures: Measures,
    pixel: Mapping[str, Mapping[str, Areas]],
    opencv: Mapping[str, Mapping[str, Areas]] | None = None,
) -> Measures:
    """Return the measures with pixel areas of one or both conventions, by scene and class name, laid beside them."""

    def lay(scene: str, name: str, found: Measured) -> Measured:
        painted = None if opencv is None else opencv.get(scene, {}).get(name)
        return replace(found, pixel=pixel.get(scene, {}).get(name), pixel_opencv=painted)

    return {
        scene: {name: lay(scene, name, found) for name, found in classes.items()} for scene, classes in measures.items()
    }


def metres_per_unit(crs: CRS, x: float, y: float) -> tuple[float, float]:
    """Return how many metres on the ground one unit of x and one unit of y are, near a point of that CRS."""
    to_lonlat = Transformer.from_crs(crs, CRS.from_epsg(4326), always_xy=True)
    # A step that is short on the ground and long against rounding, in degrees as in metres.
    step = 1e-4 if crs.is_geographic else 10.0
    ends = [to_lonlat.transform(*p) for p in ((x - step, y), (x + step, y), (x, y - step), (x, y + step))]
    (left, right, below, above) = ends
    return (
        float(WGS84.inv(*left, *right)[2]) / (2 * step),
        float(WGS84.inv(*below, *above)[2]) / (2 * step),
    )


def _views(
    predicted: gpd.GeoDataFrame,
    truth: gpd.GeoDataFrame,
    scenes: Sequence[str],
    grids: Mapping[str, Grid] | None,
    regions: Mapping[str, BaseGeometry] | None,
) -> dict[str, _View]:
    if predicted.crs != truth.crs and len(predicted) and len(truth):
        raise DataError(
            problem("score", "predicted and truth differ in CRS", got=(predicted.crs, truth.crs), do="reproject one")
        )
    crs = truth.crs if len(truth) else predicted.crs
    sides = [_by_scene_and_class(side) for side in (predicted, truth)]
    views = {}
    for scene in scenes:
        ours, theirs = (side.get(scene, {}) for side in sides)
        plane = _plane(scene, grids, crs, [*ours.values(), *theirs.values()])
        region = None if regions is None or scene not in regions else _move(np.array([regions[scene]]), plane)[0]
        views[scene] = _View(ours, theirs, plane, region, None if grids is None else grids.get(scene))
    return views


def _by_scene_and_class(features: gpd.GeoDataFrame) -> dict[str, dict[str, GeometryArray]]:
    geometry = features.geometry.to_numpy()
    found: dict[str, dict[str, GeometryArray]] = {}
    for (scene, name), rows in features.groupby(["scene", "class_name"]).indices.items():
        found.setdefault(scene, {})[name] = geometry[rows]
    return found


def _measure_class(
    land_class: LandClass,
    ours: GeometryArray,
    theirs: GeometryArray,
    region: BaseGeometry | None,
    *,
    boundary: float | None,
    iou: float,
) -> Measured:
    (ours, broken_p), (theirs, broken_t) = require_polygons(ours), require_polygons(theirs)
    return Measured(
        polygon_areas(ours, theirs, region, checked=True),
        objects=match_objects(ours, theirs, iou, region, checked=True) if land_class.countable else None,
        boundary=None if boundary is None else boundary_areas(ours, theirs, boundary, region),
        repaired=broken_p + broken_t,
    )


def _plane(
    scene: str, grids: Mapping[str, Grid] | None, crs: CRS | None, geometries: Sequence[GeometryArray]
) -> Affine | None:
    """Return the affine map to a plane in metres (or pixels) near the scene; shares of area do not depend on it."""
    if grids is not None and scene in grids:
        grid = grids[scene]
        return grid.plane @ ~grid.transform
    if crs is None or not geometries:
        return None
    left, bottom, right, top = total_bounds(np.concatenate(geometries))
    x, y = left / 2 + right / 2, bottom / 2 + top / 2
    return Affine.scale(*metres_per_unit(crs, float(x), float(y))) @ Affine.translation(-x, -y)


def _move(geometries: GeometryArray, plane: Affine | None) -> GeometryArray:
    if plane is None:
        return geometries
    a, b, c, d, e, f = tuple(plane)[:6]

    def to_plane(xy: FloatArray) -> FloatArray:
        x, y = xy[:, 0], xy[:, 1]
        return np.column_stack((a * x + b * y + c, d * x + e * y + f))

    return shapely.transform(shapely.force_2d(geometries), to_plane)
