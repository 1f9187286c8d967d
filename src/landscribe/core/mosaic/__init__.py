"""Features of many scenes as one map: ground that two scenes show belongs to one of them, and what a border cut is one.

A point belongs to the scene in which it lies deepest, among those that have data there: the edge of a scene is where
context lacks. Polygons are cut to what their scene owns. Pieces of one class on both sides of a border become one where
they share most of it; nothing is merged by how much two polygons overlap, which would take real neighbours for one.

Scenes come one after the other, and of those that came only pieces at borders with scenes to come are held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import GeometryArray
from landscribe.core.features import join_features
from landscribe.core.mosaic._ground import (
    TOUCHING_PX,
    Sheet,
    by_scene,
    lost_ground,
    neighbours,
    overlapping,
    overlapping_pairs,
)
from landscribe.core.mosaic._joining import Borders
from landscribe.late import geopandas as gpd

__all__ = [
    "JOINED",
    "TWICE",
    "Sheet",
    "as_one_map",
    "cut_to",
    "lost_grounds",
    "one_map",
    "overlapping",
    "overlapping_pairs",
]

TWICE, JOINED = "on ground that another scene owns", "joined across borders of scenes"


def as_one_map(parts: Sequence[gpd.GeoDataFrame], sheets: Sequence[Sheet]) -> tuple[gpd.GeoDataFrame, Counter[str]]:
    """Join features of scenes that overlap or meet, all of them in memory.

    Args:
        parts: Features of each scene, in one CRS.
        sheets: The scenes, in the same order.

    Returns:
        The features of `one_map`, and its counts.
    """
    counts: Counter[str] = Counter()
    lots = list(one_map(parts.__getitem__, sheets, counts))
    return join_features(lots, parts[0].crs if parts else None), counts  # which holds without a polygon, too


def one_map(
    read: Callable[[int], gpd.GeoDataFrame],
    sheets: Sequence[Sheet],
    counts: Counter[str],
    order: Sequence[int] | None = None,
) -> Iterator[gpd.GeoDataFrame]:
    """Join features of scenes that overlap or meet, scene by scene.

    Args:
        read: Gives the features of a scene by its number, all in one CRS; asked once for each.
        sheets: The scenes. Where two of one rank lie equally deep, the first owns.
        counts: Told how many polygons were left out (`TWICE`) and how many pieces became fewer polygons (`JOINED`).
        order: Which scene comes when; None takes them as they are. It decides what is held, and never who owns.

    Yields:
        Features that are final, one lot or none for each scene: areas and scores are carried over. A joined polygon is
        of the scene that has most of it.
    """
    beside = by_scene(neighbours(sheets), len(sheets))
    borders = Borders(sheets, beside)
    for k in range(len(sheets)) if order is None else order:
        part, sheet = read(k), sheets[k]
        if not beside[k]:
            yield part
            continue
        gone = lost_ground(sheets, k, beside[k])
        owned = sheet.footprint if gone is None else sheet.footprint.difference(gone)
        if gone is not None:
            part, twice = _cut(part, gone, shapely.difference, sheet.pixel)
            counts[TWICE] += twice
        inside, done, joined = borders.add(k, part, owned)
        counts[JOINED] += joined
        lots = [lot for lot in (inside, *done) if len(lot)]
        if lots:
            yield join_features(lots, part.crs)


def lost_grounds(sheets: Sequence[Sheet]) -> list[BaseGeometry | None]:
    """Return of each scene the ground that others own, None where that is nothing."""
    beside = by_scene(neighbours(sheets), len(sheets))
    return [lost_ground(sheets, k, others) for k, others in enumerate(beside)]


def cut_to(part: gpd.GeoDataFrame, ground: BaseGeometry, pixel: float) -> gpd.GeoDataFrame:
    """Cut features to some ground, one for each piece; what lies beside it goes.

    Args:
        part: The features.
        ground: Convex.
        pixel: Length of a pixel in the same units.
    """
    shapes = part.geometry.to_numpy()
    shapely.prepare(ground)
    near = shapely.intersects(ground, shapes)
    inside = shapely.covers(ground, shapes)
    some, _ = _cut(part[near & ~inside], ground, shapely.intersection, pixel)
    return join_features([part[inside], some], part.crs)


def _cut(
    part: gpd.GeoDataFrame, ground: BaseGeometry, how: Callable[..., GeometryArray], pixel: float
) -> tuple[gpd.GeoDataFrame, int]:
    """Cut features by some ground, one for each piece; return also how many have none left.

    Pieces that are smaller than a square within which things touch are rounding.
    """
    least = (TOUCHING_PX * pixel) ** 2
    shapes = part.geometry.to_numpy()
    shapely.prepare(ground)
    cut = np.flatnonzero(shapely.intersects(ground, shapes))
    pieces, source = shapely.get_parts(how(shapes[cut], ground), return_index=True)
    some = shapely.area(pieces) > least
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
