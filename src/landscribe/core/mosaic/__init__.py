"""Features of many scenes as one map: ground that two scenes show belongs to one of them, and what a border cut is one.

A point belongs to the scene in which it lies deepest, among those that have data there: the edge of a scene is where
context lacks. Polygons are cut to what their scene owns. Pieces of one class on both sides of a border become one where
they share most of it; nothing is merged by how much two polygons overlap, which would take real neighbours for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import GeometryArray, IntArray
from landscribe.core.features import join_features
from landscribe.core.mosaic._ground import TOUCHING_PX, Sheet, lost_ground, neighbours, overlapping
from landscribe.core.polygons.repair import repair

__all__ = ["JOINED", "TWICE", "Sheet", "as_one_map", "overlapping"]

LEAST_SHARE = 0.5
"""Of the border that the shorter of two pieces has, so much must be common for them to be one."""
TWICE, JOINED = "on ground that another scene owns", "joined across borders of scenes"


def as_one_map(parts: Sequence[gpd.GeoDataFrame], sheets: Sequence[Sheet]) -> tuple[gpd.GeoDataFrame, Counter[str]]:
    """Join features of scenes that overlap or meet.

    Args:
        parts: Features of each scene, in one CRS.
        sheets: The scenes, in the same order. Where two lie equally deep, the first owns.

    Returns:
        The features of all, areas and scores carried over, and how many were left out (`TWICE`) and how many pieces
        became fewer polygons (`JOINED`). A joined polygon is of the scene that has most of it.
    """
    counts: Counter[str] = Counter()
    pairs, crs = neighbours(sheets), parts[0].crs if parts else None  # which holds without a polygon, too
    if not len(pairs):
        return join_features(parts, crs), counts
    lost = lost_ground(sheets, pairs)
    owned, cut = [], []
    for part, sheet, gone in zip(parts, sheets, lost, strict=True):
        owned.append(sheet.footprint if gone is None else sheet.footprint.difference(gone))
        kept, twice = (part, 0) if gone is None else _without(part, gone)
        counts[TWICE] += twice
        cut.append(kept)
    number = np.repeat(np.arange(len(cut)), [len(part) for part in cut])
    features = join_features(cut, crs)
    groups = _groups(features, number, pairs, owned, sheets)
    counts[JOINED] = sum(len(group) for group in groups)
    return _united(features, groups, sheets, number), counts


def _without(part: gpd.GeoDataFrame, gone: BaseGeometry) -> tuple[gpd.GeoDataFrame, int]:
    """Cut features to the ground outside of another; return them, one for each piece, and how many have none left."""
    shapes = part.geometry.to_numpy()
    shapely.prepare(gone)
    cut = np.flatnonzero(shapely.intersects(gone, shapes))
    pieces, source = shapely.get_parts(shapely.difference(shapes[cut], gone), return_index=True)
    some = shapely.area(pieces) > 0
    pieces, source = pieces[some], cut[source[some]]
    whole = np.setdiff1d(np.arange(len(part)), cut)
    rows = np.concatenate([whole, source])
    order = np.argsort(rows, kind="stable")
    area = part["area"].to_numpy()
    areas = np.concatenate([area[whole], area[source] * shapely.area(pieces) / shapely.area(shapes[source])])
    kept = part.iloc[rows[order]].reset_index(drop=True)
    kept["area"] = areas[order]
    geometry = np.concatenate([shapes[whole], pieces])[order]
    return kept.set_geometry(gpd.GeoSeries(geometry, crs=part.crs)), len(set(cut.tolist()) - set(source.tolist()))


def _groups(
    features: gpd.GeoDataFrame,
    number: IntArray,
    pairs: Iterable[tuple[int, int]],
    owned: Sequence[BaseGeometry],
    sheets: Sequence[Sheet],
) -> list[list[int]]:
    """Return the rows that are pieces of one polygon, two or more each."""
    shapes, classes = features.geometry.to_numpy(), features["class_name"].to_numpy()
    parent = list(range(len(features)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    rows_of = {k: np.flatnonzero(number == k) for k in range(len(sheets))}
    for i, j in pairs:
        reach = TOUCHING_PX * max(sheets[i].pixel, sheets[j].pixel)
        border = shapely.buffer(owned[i], reach).intersection(shapely.buffer(owned[j], reach))
        first, second = (rows[shapely.intersects(border, shapes[rows])] for rows in (rows_of[i], rows_of[j]))
        if not len(first) or not len(second):
            continue
        lengths = {row: _along(shapes[row], border) for row in (*first.tolist(), *second.tolist())}
        tree = shapely.STRtree(shapes[second])
        for a, b in zip(*tree.query(shapes[first], predicate="dwithin", distance=2 * reach), strict=True):
            left, right = int(first[a]), int(second[b])
            least = min(lengths[left], lengths[right])
            if classes[left] != classes[right] or least <= 4 * reach:
                continue
            with np.errstate(all="ignore"):  # GEOS divides by zero at edges that turn back
                near = shapely.buffer(shapes[right], 2 * reach, join_style="mitre")
            if _along(shapes[left], border.intersection(near)) >= LEAST_SHARE * least:
                parent[root(left)] = root(right)
    found: dict[int, list[int]] = {}
    for row in range(len(features)):
        found.setdefault(root(row), []).append(row)
    return [rows for rows in found.values() if len(rows) > 1]


def _along(shape: BaseGeometry, border: BaseGeometry) -> float:
    """Return how much of a polygon's boundary lies on a border."""
    return float(shapely.length(shapely.intersection(shapely.boundary(shape), border)))


def _united(
    features: gpd.GeoDataFrame, groups: Sequence[Sequence[int]], sheets: Sequence[Sheet], number: IntArray
) -> gpd.GeoDataFrame:
    if not groups:
        return features
    features = features.copy()
    shapes, area, score = (features[name].to_numpy().copy() for name in ("geometry", "area", "score"))
    gone = np.zeros(len(features), np.bool_)
    for rows in groups:
        size = shapely.area(shapes[rows])
        kept = rows[int(size.argmax())]
        reach = TOUCHING_PX * max(sheets[int(number[row])].pixel for row in rows)
        score[kept] = float(np.average(score[rows], weights=size))
        area[kept] = float(area[rows].sum())
        shapes[kept] = _closed(shapes[rows], reach)
        gone[[row for row in rows if row != kept]] = True
    features["area"], features["score"] = area, score
    features = features.set_geometry(gpd.GeoSeries(shapes, index=features.index, crs=features.crs))
    return features[~gone].reset_index(drop=True)


def _closed(pieces: GeometryArray, reach: float) -> BaseGeometry:
    """Unite pieces that touch, or nearly so."""
    united = shapely.union_all(pieces)
    if united.geom_type != "Polygon":
        grown = shapely.buffer(pieces, reach, join_style="mitre")
        united = shapely.buffer(shapely.union_all(grown), -reach, join_style="mitre")
    repaired, _ = repair(np.array([united], dtype=object))
    return repaired[0]
