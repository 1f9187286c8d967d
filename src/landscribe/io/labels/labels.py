"""The labels of a scene, whatever they come as: vectors, DSTL's WKT-CSV, or label pictures, one file or several."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from landscribe.core.arrays import BoolArray, ByteArray, GeometryArray
from landscribe.core.burn import burn_mask
from landscribe.core.features import empty_features, join_features, make_features
from landscribe.core.grid import Grid, Window
from landscribe.core.legend import Legend
from landscribe.core.recipe import LabelTable
from landscribe.core.trace import trace
from landscribe.errors import DataError, problem
from landscribe.io.labels.drawings import read_drawn
from landscribe.io.labels.grids import BEYOND, WARPED, lay_on
from landscribe.io.labels.marks import NO_WIDTH, WIDENED
from landscribe.io.labels.pictures import Painted, how_painted, read_label_picture
from landscribe.io.labels.reviewed import lay_reviews
from landscribe.io.labels.vectors import read_area, read_rows, read_vectors
from landscribe.io.source.scenes import LabelFile, Scene
from landscribe.io.vector.foreign import Kind, kind_of
from landscribe.late import geopandas as gpd

NOWHERE: GeometryArray = np.empty(0, dtype=object)


@dataclass(frozen=True)
class Labels:
    """What is on the ground of one scene."""

    features: gpd.GeoDataFrame
    """Polygons in ground coordinates of the scene's reference grid."""
    coverage_khw: ByteArray | None = None
    """Covered shares 0..255 where the labels are a picture; None where they have to be burnt."""
    labelled_hw: BoolArray | None = None
    """False where a label picture says nothing; None where all is labelled."""
    areas: tuple[GeometryArray, ...] = ()
    """Where somebody looked, in pixels: inside of each of these. None at all where it was everywhere."""
    counts: dict[str, int] = field(default_factory=dict)
    """Polygons and pixels left out, by reason."""
    file_counts: dict[str, int] = field(default_factory=dict)
    """What was left out of a file that holds the labels of several scenes; each of them says it."""
    is_shared: bool = False
    """True where a file holds the labels of several scenes, and nothing tells whether somebody looked at this one."""
    also: GeometryArray = field(default_factory=NOWHERE.copy)
    """Where reviews say what is there, in pixels, beside what the above says."""

    @property
    def is_labelled(self) -> bool:
        """False where no part of the scene was looked at."""
        seen = self.labelled_hw is None or bool(self.labelled_hw.any())
        return (seen and all(len(area) for area in self.areas)) or bool(len(self.also))

    def labelled(self, grid: Grid, window: Window) -> BoolArray:
        """Return which pixels of a window are labelled, those whose centre lies in every area, (h, w)."""
        labelled_hw = np.ones(window.shape_hw, dtype=np.bool_)
        if self.labelled_hw is not None:
            labelled_hw &= self.labelled_hw[window.slices]
        for area in self.areas:
            labelled_hw &= burn_mask(area, grid.shape_hw, window=window).astype(np.bool_)
        if len(self.also):
            labelled_hw |= burn_mask(self.also, grid.shape_hw, window=window).astype(np.bool_)
        return labelled_hw


def read_labels(scene: Scene, legend: Legend, grid: Grid) -> Labels:
    """Read the labels of one scene, with what reviews say laid over those of its files.

    Args:
        scene: The scene, with its label files.
        legend: Classes.
        grid: The scene's reference grid.

    Raises:
        DataError: If the scene has no labels, or a file cannot be read, has another shape or lies elsewhere.
        IntegrityError: If a review is not what was absorbed.
    """
    labels = Labels(empty_features(grid.crs), areas=(NOWHERE,))
    if scene.label_files or not scene.reviews:
        labels = _read_files(scene, legend, grid)
    if not scene.reviews:
        return labels
    features, also, counts = lay_reviews(labels.features, scene, legend, grid)
    return replace(labels, features=features, coverage_khw=None, also=also, counts=labels.counts | counts)


def _read_files(scene: Scene, legend: Legend, grid: Grid) -> Labels:
    if not scene.label_files:
        need = ", ".join(scene.unlabelled) or "[data].labels"
        raise DataError(problem(f"scene {scene.id!r}", "no labels", need=need))
    found = [_read_file(scene, file, legend, grid) for file in scene.label_files]
    if len(found) == 1:
        return found[0]
    said = [labels.labelled_hw for labels in found if labels.labelled_hw is not None]
    return Labels(
        join_features([labels.features for labels in found], grid.crs),
        # Polygons of a picture run along its pixels, so burning gives the picture back.
        coverage_khw=None,
        labelled_hw=np.logical_and.reduce(said) if said else None,
        areas=tuple(area for labels in found for area in labels.areas),
        counts=_sum([labels.counts for labels in found]),
        file_counts=_sum([labels.file_counts for labels in found]),
        is_shared=any(labels.is_shared for labels in found),
    )


def _read_file(scene: Scene, file: LabelFile, legend: Legend, grid: Grid) -> Labels:
    areas = () if file.area is None else (_area(file.area, grid),)
    if file.path is None:
        return Labels(empty_features(grid.crs), areas=areas)
    kind = kind_of(file.path)
    require_fitting(file.path, file.table, kind)
    if file.table.is_picture:
        return _read_picture(scene, file.path, file.table, legend, grid, areas)
    if kind == "table":
        # The table names the images that somebody looked at.
        features, counts, of_all = read_rows(scene.id, file.path, legend, grid)
        return Labels(features, None, None, areas, _nonzero(counts), _nonzero(of_all))
    if kind != "vector":
        drawn = read_drawn(scene, file, kind, legend, grid)
        if drawn is None:
            return Labels(empty_features(grid.crs), areas=(NOWHERE,))
        features, counts, of_all = drawn
        return Labels(features, None, None, areas, _nonzero(counts), _nonzero(of_all))
    features, counts = read_vectors(scene.id, file.path, file.table, legend, grid)
    # Points and lines are counted where they lie, polygons of a shared file in the whole of it.
    own = {reason: n for reason, n in counts.items() if not file.table.is_shared or reason in (WIDENED, NO_WIDTH)}
    of_all = {reason: n for reason, n in counts.items() if reason not in own}
    return Labels(features, None, None, areas, _nonzero(own), _nonzero(of_all), file.table.is_shared and not areas)


def require_fitting(path: Path, table: LabelTable, kind: Kind) -> None:
    """Refuse a picture where the recipe speaks of polygons, and the other way round.

    Raises:
        DataError: With what the recipe should say.
    """
    if table.is_picture and kind != "picture":
        do = "say `class` or `class_field` in place of colours, values or bands"
        raise DataError(problem(str(path), "is no picture", do=do))
    if kind == "picture" and not table.is_picture:
        name = table.class_name or "CLASS"
        raise DataError(problem(str(path), "is a picture, not polygons", do=how_painted(path, name)))


@lru_cache(maxsize=1)
def _read_shared(path: Path, table_json: str, names: tuple[str, ...], _when_ns: int) -> Painted:
    # One picture of the ground of many scenes is read once.
    return read_label_picture(path, LabelTable.model_validate_json(table_json), names)


def _area(path: Path, grid: Grid) -> GeometryArray:
    # A scene without a file of its own was not looked at.
    return read_area(path, grid) if path.is_file() else NOWHERE


def _read_picture(
    scene: Scene, path: Path, table: LabelTable, legend: Legend, grid: Grid, areas: tuple[GeometryArray, ...]
) -> Labels:
    table = _of_legend(table, legend)
    if table.is_shared:
        picture = _read_shared(path, table.model_dump_json(by_alias=True), legend.names, path.stat().st_mtime_ns)
    else:
        picture = read_label_picture(path, table, legend.names)
    where = f"scene {scene.id!r}, labels"
    painted = lay_on(picture, grid, where)
    if not table.is_shared and painted.counts.get(BEYOND) == grid.height * grid.width:
        raise DataError(problem(where, "the label picture lies outside of the image", do="check the CRS of both"))
    parts = []
    for land_class, coverage_hw in zip(legend, painted.coverage_khw, strict=True):
        traced = trace(coverage_hw > 0, mode="edge")
        ground = grid.pixels_to_ground(traced.geometries)
        parts.append(make_features(scene.id, land_class, ground, area=traced.area_px * grid.pixel_area, crs=grid.crs))
    features = join_features(parts, grid.crs)
    own = {reason: n for reason, n in painted.counts.items() if not table.is_shared or reason in (WARPED, BEYOND)}
    of_all = {reason: n for reason, n in painted.counts.items() if reason not in own}
    return Labels(features, painted.coverage_khw, painted.labelled_hw, areas, own, of_all)


def _of_legend(table: LabelTable, legend: Legend) -> LabelTable:
    """Return the table without classes that a partial legend lacks: what they cover is then of none of the classes."""
    way = next((way for way in ("colours", "values", "bands") if getattr(table, way) is not None), "")
    painted = getattr(table, way) if way else {}
    kept = {name: paint for name, paint in painted.items() if name in legend.names}
    if not legend.is_partial or len(kept) == len(painted):
        return table
    if not kept:
        need = " | ".join(legend.names)
        raise DataError(problem(f"labels.{way}", "no class that a model knows", got=", ".join(painted), need=need))
    return table.model_copy(update={way: kept})


def _sum(parts: list[dict[str, int]]) -> dict[str, int]:
    total = Counter[str]()
    for part in parts:
        total.update(part)
    return dict(total)


def _nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {reason: n for reason, n in counts.items() if n}
