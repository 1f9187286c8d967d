"""The labels of a scene from vector files and from DSTL's table."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
from pyproj import CRS

from landscribe.core.arrays import GeometryArray
from landscribe.core.features import join_features, make_features, one_at_a_time
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.core.polygons.repair import repair
from landscribe.core.recipe import LabelTable
from landscribe.errors import DataError, problem
from landscribe.io.labels.marks import NO_WIDTH, widen
from landscribe.io.vector.clean import clean
from landscribe.io.vector.readers import read_layer
from landscribe.io.vector.vectors import read_features
from landscribe.io.vector.wkt_csv import WktRows, read_wkt_csv
from landscribe.late import geopandas as gpd
from landscribe.late import pandas as pd


def read_vectors(
    scene_id: str, path: Path, table: LabelTable, legend: Legend, grid: Grid
) -> tuple[gpd.GeoDataFrame, dict[str, int]]:
    """Read the polygons of a vector file that lie in a scene.

    Args:
        scene_id: The scene.
        path: The file.
        table: What the recipe says of it.
        legend: Classes.
        grid: The scene's reference grid.

    Returns:
        Features in ground coordinates of the grid, and what was left out or mended by reason.

    Raises:
        DataError: If the file cannot be read, or is the scene's own and lies elsewhere.
    """
    layers = list(table.layers.items()) if table.layers is not None else [(table.class_name, table.layer)]
    if table.layers is not None and legend.is_partial:
        layers = [row for row in layers if row[0] in legend.names] or layers
    parts, counts = [], Counter[str]()
    for class_name, layer in layers:
        features, own = _cached_features(
            path, path.stat().st_mtime_ns, class_name, table.class_field, table.width_field, layer, legend, grid.crs
        )
        parts.append(features)
        counts.update(own)
    return settle(join_features(parts, grid.crs), counts, scene_id, str(path), table, grid)


@one_at_a_time
def settle(
    features: gpd.GeoDataFrame, counts: Counter[str], scene_id: str, where: str, table: LabelTable, grid: Grid
) -> tuple[gpd.GeoDataFrame, dict[str, int]]:
    """Widen lines and points, and keep what lies in a scene.

    Args:
        features: All that a file holds, in ground coordinates of the grid.
        counts: What was left out of it already.
        scene_id: The scene.
        where: File at fault, for messages.
        table: What the recipe says of the file.
        grid: The scene's reference grid.

    Raises:
        DataError: If lines and points have no width, or a scene's own file lies elsewhere.
    """
    polygons, widened = widen(features, table, grid, where)
    near = shapely.intersects(polygons.geometry.to_numpy(), grid.footprint)
    if len(features) and not near.any() and not table.is_shared and not widened.get(NO_WIDTH):
        got = ", ".join(f"{v:.6g}" for v in features.total_bounds)
        need = ", ".join(f"{v:.6g}" for v in grid.footprint.bounds)
        raise DataError(
            problem(f"scene {scene_id!r}, labels", "lie outside of the image", got=got, need=need, do="check their CRS")
        )
    kept = polygons[near].reset_index(drop=True)
    kept["scene"] = pd.Series([scene_id] * len(kept), dtype="string")
    kept["area"] = shapely.area(grid.ground_to_pixels(kept.geometry.to_numpy())) * grid.pixel_area
    outside = {} if table.is_shared else {"outside of the image": int((~near).sum())}
    return kept, {**counts, **outside, **widened}


def read_rows(
    scene_id: str, path: Path, legend: Legend, grid: Grid
) -> tuple[gpd.GeoDataFrame, dict[str, int], dict[str, int]]:
    """Read the polygons of a scene from a table in DSTL's layout.

    Arguments, first two results and errors are those of `read_vectors`; the third counts what belongs to no scene for
    sure: rows that cannot be read.
    """
    rows = _cached_rows(path, path.stat().st_mtime_ns)
    chosen = [k for k, image_id in enumerate(rows.ids) if image_id == scene_id]
    parts, counts = [], Counter[str]()
    for land_class in legend:
        own = [rows.geometries[k] for k in chosen if rows.class_ids[k] == land_class.id]
        polygons = shapely.get_parts(np.array(own, dtype=object)) if own else np.empty(0, dtype=object)
        polygons, mended = repair(polygons)
        counts.update(mended)
        pixels = grid.ground_to_pixels(polygons)
        near = shapely.intersects(pixels, shapely.box(0, 0, grid.width, grid.height))
        counts["outside of the image"] += int((~near).sum())
        area = shapely.area(pixels[near]) * grid.pixel_area
        parts.append(make_features(scene_id, land_class, polygons[near], area=area, crs=grid.crs))
    known = {land_class.id for land_class in legend}
    counts["of an unknown class"] += sum(1 for k in chosen if rows.class_ids[k] not in known)
    unread = {"rows of the table that cannot be read": len(rows.problems)}
    return join_features(parts, grid.crs), dict(counts), unread


def read_area(path: Path, grid: Grid) -> GeometryArray:
    """Read the polygons where somebody looked, those that lie in a scene, in its pixels.

    Raises:
        DataError: If the file cannot be read.
    """
    polygons = grid.ground_to_pixels(_cached_area(path, path.stat().st_mtime_ns, grid.crs))
    return polygons[shapely.intersects(polygons, shapely.box(0, 0, grid.width, grid.height))]


@lru_cache(maxsize=4)
def _cached_rows(path: Path, _when_ns: int) -> WktRows:
    # One CSV holds the labels of all scenes; it is parsed once per process.
    return read_wkt_csv(path)


@lru_cache(maxsize=4)
def _cached_area(path: Path, _when_ns: int, crs: CRS | None) -> GeometryArray:
    return clean(read_layer(path, None, ()), crs, str(path))[0]


@lru_cache(maxsize=16)
def _cached_features(
    path: Path,
    _when_ns: int,
    class_name: str | None,
    class_field: str | None,
    width_field: str | None,
    layer: str | None,
    legend: Legend,
    crs: CRS | None,
) -> tuple[gpd.GeoDataFrame, dict[str, int]]:
    return read_features(
        path, class_name=class_name, class_field=class_field, width_field=width_field, layer=layer, legend=legend,
        crs=crs, scene="", marks=True,
    )  # fmt: skip
