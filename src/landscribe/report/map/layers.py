"""The polygons of a scene as layers: prediction, truth, and ground found, invented and missed; thinned to what fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import AnyArray, FloatArray, GeometryArray
from landscribe.core.legend import Legend
from landscribe.core.polygons.flatten import flatten
from landscribe.late import geopandas as gpd
from landscribe.report.map.packing import STEPS_PER_PX, pack, thousandths, three_digits
from landscribe.report.overlays import split_ground

TOLERANCES_PX = (0.25, 0.5, 1.0, 2.0)
"""How far lines may move so that the polygons fit; coarser than that, polygons are left out."""
WORTH = 0.95
"""Lines get coarser only where that leaves less than this part of the bytes."""
SIDES, ERRORS = ("found", "truth"), ("tp", "fp", "fn")
BYTES_PER_VERTEX, BYTES_PER_POLYGON = 5.5, 24


@dataclass(frozen=True)
class Layer:
    """Polygons of one kind in one scene, in frame coordinates."""

    polygons: GeometryArray
    classes: AnyArray
    """(N,) ids."""
    area: FloatArray
    """(N,) square frame units."""
    score: FloatArray | None = None
    """(N,) mean probability, NaN where none is known."""
    iou: FloatArray | None = None
    """(N,) with the best partner of the other side, NaN where nobody labelled."""
    wrong: FloatArray | None = None
    """(N,) area that is invented or missed, 0 where nobody labelled."""
    ids: AnyArray | None = None
    """(N,) numbers by which the polygon is known."""

    def take(self, rows: AnyArray) -> Layer:
        """Return some of the polygons."""
        some = {name: value[rows] for name, value in self.__dict__.items() if value is not None}
        return replace(self, **some)


@dataclass(frozen=True)
class Thinned:
    """Packed layers that fit."""

    packed: Mapping[str, Mapping[str, Any]]
    tolerance_px: float
    shown: int
    """Of prediction and truth."""
    total: int


def layer_of(features: gpd.GeoDataFrame, legend: Legend, to_frame: Affine) -> Layer:
    """Return features of the legend's classes as a layer."""
    known = {land_class.name: land_class.id for land_class in legend}
    ids = np.array([known.get(str(name), -1) for name in features["class_name"]], np.int64)
    rows = np.flatnonzero(ids >= 0)
    polygons = move(features.geometry.to_numpy()[rows], to_frame)
    score = features["score"].to_numpy(np.float64)[rows]
    return Layer(polygons, ids[rows], shapely.area(polygons), score, ids=rows)


def judge(found: Layer, truth: Layer, region: BaseGeometry) -> tuple[Layer, Layer]:
    """Compare both sides, class by class.

    Args:
        found: What the model found.
        truth: What labels say.
        region: Ground that somebody labelled, in the frame; elsewhere nothing is said.

    Returns:
        Both with `iou` and `wrong`.
    """
    best = [np.zeros(len(side.area)) for side in (found, truth)]
    common = [np.zeros(len(side.area)) for side in (found, truth)]
    for number in np.unique(np.concatenate((found.classes, truth.classes))):
        ours, theirs = (np.flatnonzero(side.classes == number) for side in (found, truth))
        rows, cols = shapely.STRtree(truth.polygons[theirs]).query(found.polygons[ours], predicate="intersects")
        rows, cols = ours[rows], theirs[cols]
        shared = shapely.area(shapely.intersection(found.polygons[rows], truth.polygons[cols]))
        iou = shared / np.maximum(found.area[rows] + truth.area[cols] - shared, 1e-12)
        for k, which in enumerate((rows, cols)):
            np.maximum.at(best[k], which, iou)
            np.add.at(common[k], which, shared)
    shapely.prepare(region)
    judged = []
    for side, iou, shared in zip((found, truth), best, common, strict=True):
        there = shapely.intersects(region, shapely.point_on_surface(side.polygons))
        wrong = np.where(there, np.maximum(side.area - shared, 0), 0.0)
        judged.append(replace(side, iou=np.where(there, np.minimum(iou, 1), np.nan), wrong=wrong))
    return judged[0], judged[1]


def errors_of(found: Layer, truth: Layer, region: BaseGeometry, tolerance: float) -> dict[str, Layer]:
    """Split the labelled ground into found, invented and missed, class by class.

    Args:
        found: What the model found.
        truth: What labels say.
        region: Ground that somebody labelled, in the frame.
        tolerance: How far lines may move, in frame units.
    """
    parts: dict[str, list[tuple[GeometryArray, int]]] = {kind: [] for kind in ERRORS}
    for number in np.unique(np.concatenate((found.classes, truth.classes))):
        sides = [flatten(coarse(side.polygons[side.classes == number], tolerance), region) for side in (found, truth)]
        for kind, polygons in zip(ERRORS, split_ground(*sides), strict=True):
            parts[kind].append((polygons, int(number)))
    layers = {}
    for kind, own in parts.items():
        polygons = np.concatenate([np.empty(0, object), *(p for p, _ in own)])
        classes = np.concatenate([np.empty(0, np.int64), *(np.full(len(p), number) for p, number in own)])
        area = shapely.area(polygons)
        visible = area > tolerance**2
        layers[kind] = Layer(polygons[visible], classes[visible], area[visible])
    return layers


def thin(layers: Mapping[str, Layer], origin: tuple[float, float], pixel: float, limit_bytes: int) -> Thinned:
    """Pack layers, with coarser lines and at last without the least important polygons until they fit.

    The most important ones are those with most wrong ground, then the largest.

    Args:
        layers: By kind.
        origin: Upper left corner of the scene in its frame.
        pixel: Side of a pixel in frame units.
        limit_bytes: As JSON.
    """
    total = sum(len(layers[kind].area) for kind in SIDES if kind in layers)
    # Not even as squares would all of them fit: then there is no use in simplifying those that cannot stay.
    polygons = sum(len(one.area) for one in layers.values())
    share = min(1.0, limit_bytes / max(polygons * (BYTES_PER_POLYGON + 4 * BYTES_PER_VERTEX), 1))
    wanted = {kind: _most_important(one, share) for kind, one in layers.items()}
    lines, tolerance_px = _coarser(wanted, TOLERANCES_PX[0] * pixel), TOLERANCES_PX[0]
    for next_px in TOLERANCES_PX[1:]:
        before = _guess(lines)
        if before <= limit_bytes:
            break
        coarser = _coarser(wanted, next_px * pixel)
        if _guess(coarser) > WORTH * before:
            break  # squares do not get simpler
        lines, tolerance_px = coarser, next_px
    share = min(1.0, limit_bytes / max(_guess(lines), 1))
    while True:
        packed = {kind: pack_layer(_most_important(one, share), origin, pixel) for kind, one in lines.items()}
        size = sum(len(json.dumps(one, separators=(",", ":"))) for one in packed.values())
        if size <= limit_bytes or share < 1e-3:
            shown = sum(packed[kind]["n"] for kind in SIDES if kind in packed)
            return Thinned(packed, tolerance_px, shown, total)
        share *= 0.9 * limit_bytes / size


def _coarser(layers: Mapping[str, Layer], tolerance: float) -> dict[str, Layer]:
    return {kind: replace(one, polygons=coarse_all(one.polygons, tolerance)) for kind, one in layers.items()}


def coarse(polygons: GeometryArray, tolerance: float) -> GeometryArray:
    """Simplify polygons, without those that are too small to be seen then."""
    large = polygons[shapely.area(polygons) >= tolerance**2]
    return np.asarray(shapely.simplify(large, tolerance, preserve_topology=True), dtype=object)


def coarse_all(polygons: GeometryArray, tolerance: float) -> GeometryArray:
    """Simplify polygons and keep each of them."""
    return np.asarray(shapely.simplify(polygons, tolerance, preserve_topology=True), dtype=object)


def move(polygons: GeometryArray, transform: Affine) -> GeometryArray:
    """Map polygons by an affine map."""
    a, b, c, d, e, f = tuple(transform)[:6]

    def moved(xy: FloatArray) -> FloatArray:
        x, y = xy[:, 0], xy[:, 1]
        return np.column_stack((a * x + b * y + c, d * x + e * y + f))

    return np.asarray(shapely.transform(shapely.force_2d(np.asarray(polygons, dtype=object)), moved), dtype=object)


def pack_layer(layer: Layer, origin: tuple[float, float], pixel: float) -> dict[str, Any]:
    """Pack one layer as it is, with what is known of its polygons.

    Args:
        layer: The polygons.
        origin: Upper left corner of the scene in its frame.
        pixel: Side of a pixel in frame units.
    """
    columns: dict[str, list[Any]] = {"class": layer.classes.tolist(), "area": list(three_digits(layer.area))}
    if layer.score is not None and np.isfinite(layer.score).any():
        columns["score"] = thousandths(layer.score)
    if layer.iou is not None and np.isfinite(layer.iou).any():
        columns["iou"] = thousandths(layer.iou)
    if layer.ids is not None:
        columns["id"] = layer.ids.tolist()
    return pack(layer.polygons, Affine.identity(), origin, pixel / STEPS_PER_PX, columns)


def _guess(layers: Mapping[str, Layer]) -> float:
    vertices = sum(int(shapely.get_num_coordinates(one.polygons).sum()) for one in layers.values())
    polygons = sum(len(one.area) for one in layers.values())
    return vertices * BYTES_PER_VERTEX + polygons * BYTES_PER_POLYGON


def _most_important(layer: Layer, share: float) -> Layer:
    if share >= 1:
        return layer
    wrong = np.zeros(len(layer.area)) if layer.wrong is None else layer.wrong
    order = np.lexsort((-layer.area, -wrong))
    return layer.take(np.sort(order[: int(len(order) * share)]))
