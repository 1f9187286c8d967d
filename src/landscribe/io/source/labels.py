"""The labels of a scene, whatever they come as: vectors, DSTL's WKT-CSV, or a label picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS

from landscribe.core.arrays import BoolArray, ByteArray
from landscribe.core.features import empty_features, join_features, make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import DSTL_LEGEND, LandClass, Legend, default_colour
from landscribe.core.polygons.repair import repair
from landscribe.core.recipe import LabelTable, Recipe
from landscribe.core.trace import trace
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.source.label_grids import lay_on
from landscribe.io.source.label_pictures import read_label_picture
from landscribe.io.source.scenes import Scene, SceneList
from landscribe.io.vector.vectors import list_values, read_features
from landscribe.io.vector.wkt_csv import WktRows, read_wkt_csv

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True)
class Labels:
    """What is on the ground of one scene."""

    features: gpd.GeoDataFrame
    """Polygons in ground coordinates of the scene's reference grid."""
    coverage_khw: ByteArray | None = None
    """Covered shares 0..255 where the labels are a picture; None where they have to be burnt."""
    labelled_hw: BoolArray | None = None
    """False where a label picture says nothing; None where all is labelled."""
    counts: dict[str, int] = field(default_factory=dict)
    """Polygons and pixels left out, by reason."""


def legend_of(recipe: Recipe, scenes: SceneList) -> Legend:
    """Return the legend of a recipe: its `[[classes]]`, else what the labels themselves name.

    Raises:
        RecipeError: If neither says which classes there are.
    """
    if recipe.classes:
        rows = enumerate(recipe.classes)
        return Legend(
            tuple(LandClass(c.id or i + 1, c.name, c.colour or default_colour(i), c.countable) for i, c in rows)
        )
    if recipe.data.source == "dstl":
        return DSTL_LEGEND
    table = scenes.label_table
    if table is None:
        raise RecipeError(problem("[[classes]]", "missing", need="the classes, since there are no labels to name them"))
    if table.class_name is not None:
        return _numbered([table.class_name], {})
    if table.colours is not None:
        return _numbered(list(table.colours), table.colours)
    if table.is_picture:
        return _numbered(list(table.values or table.bands or ()), {})
    if table.class_field is not None:
        paths = sorted({scene.labels for scene in scenes.scenes if scene.labels is not None})
        return _numbered(sorted({value for path in paths for value in list_values(path, table.class_field)}), {})
    raise RecipeError(problem("[data].labels", "no class", need='class = "...", class_field, colours or values'))


def read_labels(scene: Scene, table: LabelTable, legend: Legend, grid: Grid) -> Labels:
    """Read the labels of one scene.

    Args:
        scene: The scene; its `labels` is the file.
        table: `[data].labels`.
        legend: Classes.
        grid: The scene's reference grid.

    Raises:
        DataError: If the scene has no labels, or the file cannot be read, is of another size or lies elsewhere.
    """
    if scene.labels is None:
        raise DataError(problem(f"scene {scene.id!r}", "no labels", need=table.path))
    if table.is_picture:
        return _read_picture(scene, scene.labels, table, legend, grid)
    if scene.labels.name.lower().endswith((".csv", ".csv.gz")):
        return _read_rows(scene, scene.labels, legend, grid)
    return _read_vectors(scene, scene.labels, table, legend, grid)


def _read_picture(scene: Scene, path: Path, table: LabelTable, legend: Legend, grid: Grid) -> Labels:
    painted = lay_on(read_label_picture(path, table, legend.names), grid, f"scene {scene.id!r}, labels")
    coverage_khw = painted.coverage_khw
    parts = []
    for land_class, coverage_hw in zip(legend, coverage_khw, strict=True):
        traced = trace(coverage_hw > 0, mode="edge")
        ground = grid.pixels_to_ground(traced.geometries)
        parts.append(make_features(scene.id, land_class, ground, area=traced.area_px * grid.pixel_area, crs=grid.crs))
    return Labels(join_features(parts, grid.crs), coverage_khw, painted.labelled_hw, painted.counts)


def _read_vectors(scene: Scene, path: Path, table: LabelTable, legend: Legend, grid: Grid) -> Labels:
    features, counts = _cached_features(
        path, path.stat().st_mtime_ns, table.class_name, table.class_field, table.layer, legend, grid.crs
    )
    shared = "{" not in table.path
    near = shapely.intersects(features.geometry.to_numpy(), grid.footprint)
    if len(features) and not near.any() and not shared:
        got = ", ".join(f"{v:.6g}" for v in features.total_bounds)
        need = ", ".join(f"{v:.6g}" for v in grid.footprint.bounds)
        raise DataError(
            problem(f"scene {scene.id!r}, labels", "lie outside of the image", got=got, need=need, do="check their CRS")
        )
    kept = features[near].reset_index(drop=True)
    kept["scene"] = pd.Series([scene.id] * len(kept), dtype="string")
    kept["area"] = shapely.area(grid.ground_to_pixels(kept.geometry.to_numpy())) * grid.pixel_area
    outside = {} if shared else {"outside of the image": int((~near).sum())}
    return Labels(kept, counts=_nonzero({**counts, **outside}))


def _read_rows(scene: Scene, path: Path, legend: Legend, grid: Grid) -> Labels:
    rows = _cached_rows(path, path.stat().st_mtime_ns)
    chosen = [k for k, image_id in enumerate(rows.ids) if image_id == scene.id]
    parts, counts = [], Counter[str]()
    # A row that cannot be read belongs to no scene for sure: every scene says so.
    counts["rows of the table that cannot be read"] = len(rows.problems)
    for land_class in legend:
        own = [rows.geometries[k] for k in chosen if rows.class_ids[k] == land_class.id]
        polygons = shapely.get_parts(np.array(own, dtype=object)) if own else np.empty(0, dtype=object)
        polygons, mended = repair(polygons)
        counts.update(mended)
        pixels = grid.ground_to_pixels(polygons)
        near = shapely.intersects(pixels, shapely.box(0, 0, grid.width, grid.height))
        counts["outside of the image"] += int((~near).sum())
        area = shapely.area(pixels[near]) * grid.pixel_area
        parts.append(make_features(scene.id, land_class, polygons[near], area=area, crs=grid.crs))
    known = {land_class.id for land_class in legend}
    counts["of an unknown class"] += sum(1 for k in chosen if rows.class_ids[k] not in known)
    return Labels(join_features(parts, grid.crs), counts=_nonzero(counts))


@lru_cache(maxsize=4)
def _cached_rows(path: Path, _when_ns: int) -> WktRows:
    # One CSV holds the labels of all scenes; it is parsed once per process.
    return read_wkt_csv(path)


@lru_cache(maxsize=4)
def _cached_features(
    path: Path,
    _when_ns: int,
    class_name: str | None,
    class_field: str | None,
    layer: str | None,
    legend: Legend,
    crs: CRS | None,
) -> tuple[gpd.GeoDataFrame, dict[str, int]]:
    return read_features(
        path, class_name=class_name, class_field=class_field, layer=layer, legend=legend, crs=crs, scene=""
    )


def _numbered(names: list[str], colours: dict[str, str]) -> Legend:
    return Legend(
        tuple(LandClass(i + 1, name, colours.get(name, default_colour(i)).upper()) for i, name in enumerate(names))
    )


def _nonzero(counts: dict[str, int] | Counter[str]) -> dict[str, int]:
    return {reason: n for reason, n in counts.items() if n}


def no_labels(grid: Grid) -> Labels:
    """Return the labels of a scene that nobody labelled."""
    return Labels(empty_features(grid.crs))
