"""From areas to scores: accumulated over scenes, then Jaccard per class, then the mean over classes, with intervals.

A score is never a mean of per-scene or per-tile scores. Intervals come from `landscribe.core.score.intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import FloatArray
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.core.score.areas import Areas, Matches, sum_areas
from landscribe.core.score.intervals import DRAWS, NO_INTERVAL, Basis, Evidence, f1_of, interval
from landscribe.core.score.measure import Measured, Measures, measure, standing_alone, with_parts, with_pixels
from landscribe.core.score.rows import (
    BoundaryRow,
    ClassRow,
    MeanBoundary,
    MeanObjects,
    MeanRow,
    Means,
    ObjectRow,
    PixelRow,
    PolygonRow,
    SceneRow,
)
from landscribe.core.score.score import KINDS, PIXEL_KINDS, Conventions, Kind, Score, Unit
from landscribe.errors import DataError, problem
from landscribe.late import geopandas as gpd

Empty = Literal["skip", "zero"]
"""What a class without truth and without prediction counts in the mean: nothing, or 0."""

Ends: TypeAlias = tuple[float | None, float | None, Basis | None]
"""Ends of an interval and what was drawn for it, None where there is none."""


def score_features(
    predicted: gpd.GeoDataFrame,
    truth: gpd.GeoDataFrame,
    legend: Legend,
    grids: Mapping[str, Grid] | None = None,
    regions: Mapping[str, BaseGeometry] | None = None,
    *,
    places: Mapping[str, str] | None = None,
    pixel: Mapping[str, Mapping[str, Areas]] | None = None,
    boundary: float | None = None,
    iou: float = 0.5,
    empty: Empty = "skip",
    draws: int = DRAWS,
    seed: int = 0,
    workers: int = 2,
) -> Score:
    """Score features against truth.

    Args:
        predicted: Features with the columns of `landscribe.core.features`.
        truth: The same, in the same CRS.
        legend: Classes to score.
        grids: Grids of the scenes, for units; without them units come from the CRS.
        regions: Ground that counts, per scene, in the coordinates of the features; a scene without one counts whole.
        places: Place of each scored scene, and thereby which scenes are scored; None scores every scene that either
            side names, each as a place of its own.
        pixel: Pixel areas by scene and class name, where masks were compared too.
        boundary: Width of the strip for boundary scores, in metres with a CRS, else pixels; None leaves them out.
        iou: Least intersection over union of matched objects.
        empty: What a class without truth and without prediction counts in the mean.
        draws: Bootstrap samples.
        seed: Of the bootstrap.
        workers: Threads.

    Returns:
        The score, see docs/scores.md.

    Raises:
        DataError: If the two sides have different CRS, or a geometry is not polygonal.
    """
    if places is None:
        names = {*predicted["scene"].astype(str), *truth["scene"].astype(str)}
        places = {name: name for name in sorted(names)}
    measures = measure(
        predicted,
        truth,
        legend,
        list(places),
        grids,
        regions,
        boundary=boundary,
        iou=iou,
        workers=workers,
    )
    measures = with_parts(measures, predicted, truth, standing_alone(measures), grids, regions)
    crs = truth.crs if len(truth) else predicted.crs
    unit: Unit = "m2" if crs is not None else "px2" if grids else "unit2"
    if pixel is not None:
        measures = with_pixels(measures, pixel)
    score = summarise(measures, legend, places, unit, empty=empty, draws=draws, seed=seed)
    return replace(score, conventions=replace(score.conventions, object_iou=iou, boundary_width=boundary))


def summarise(
    measures: Measures,
    legend: Legend,
    places: Mapping[str, str],
    unit: Unit,
    *,
    empty: Empty = "skip",
    draws: int = DRAWS,
    seed: int = 0,
) -> Score:
    """Accumulate measures over scenes.

    Args:
        measures: What was measured, by scene and class name.
        legend: Classes to report.
        places: Place of each scene in `measures`.
        unit: `m2`, `px2`, or `unit2` for files of which nobody knows the unit.
        empty: What a class without truth and without prediction counts in the mean.
        draws: Bootstrap samples.
        seed: Of the bootstrap.

    Raises:
        DataError: If a scene has no place.
    """
    lost = sorted(set(measures) - set(places))
    if lost:
        raise DataError(problem("score", "scenes without a place", got=", ".join(lost[:5])))
    evidence = {
        kind: Evidence(_tables(measures, legend, places, kind), draws, seed)
        for kind in KINDS
        if kind == "polygon" or any(getattr(f, kind) is not None for found in measures.values() for f in found.values())
    }
    classes: dict[str, ClassRow] = {}
    for k, land_class in enumerate(legend):
        found = {scene: measures[scene][land_class.name] for scene in measures}
        ends = {kind: _ends(pieces, [k], kind) for kind, pieces in evidence.items()}
        classes[land_class.name] = _class_row(found, ends, places)
    return Score(
        mean=_means(classes, evidence, empty),
        classes=classes,
        scenes={scene: {n: _scene_row(f) for n, f in found.items()} for scene, found in measures.items()},
        places={scene: places[scene] for scene in measures},
        unit=unit,
        conventions=Conventions(
            accumulation="areas are summed over scenes, then Jaccard per class, then the mean over classes",
            empty=_EMPTY[empty],
            empty_classes=tuple(name for name, row in classes.items() if row.polygon.jaccard is None),
            interval=f"95 %, percentiles of {draws} bootstrap samples of what `basis` says",
            basis=_BASIS,
            places=len({places[scene] for scene in measures}),
            draws=draws,
            seed=seed,
            repaired_polygons=sum(f.repaired for found in measures.values() for f in found.values()),
        ),
    )


_BASIS = (
    "places; where a class stands in one place only its scenes, and where it stands in one scene only parts of that "
    "scene: such an interval is too narrow for other places. null where there is a single piece"
)
_EMPTY = {
    "skip": "a class without truth and without prediction has no Jaccard and is left out of the mean",
    "zero": "a class without truth and without prediction has no Jaccard and counts 0 in the mean",
}


def mean_over_classes(jaccard: FloatArray, empty: Empty = "skip") -> FloatArray:
    """Average the last axis; classes without a value are left out, or count 0 with `zero`.

    Args:
        jaccard: Jaccard per class, (..., K), NaN where a class is empty.
        empty: The convention.

    Returns:
        (...,), NaN where no class has a value.
    """
    known = ~np.isnan(jaccard)
    count = known.sum(-1) if empty == "skip" else np.full(jaccard.shape[:-1], jaccard.shape[-1])
    total = np.where(known, jaccard, 0.0).sum(-1)
    return np.divide(total, count, out=np.full(np.shape(total), math.nan), where=count > 0)


def _tables(measures: Measures, legend: Legend, places: Mapping[str, str], kind: Kind) -> dict[Basis, FloatArray]:
    scene_sk3 = np.zeros((len(measures), len(legend), 3))
    for s, found in enumerate(measures.values()):
        for k, name in enumerate(legend.names):
            areas: Areas | Matches | None = getattr(found[name], kind)
            if areas is not None:
                scene_sk3[s, k] = areas.tp, areas.fp, areas.fn
    order = {place: i for i, place in enumerate(sorted({places[scene] for scene in measures}))}
    place_pk3 = np.zeros((len(order), len(legend), 3))
    np.add.at(place_pk3, [order[places[scene]] for scene in measures], scene_sk3)
    tables: dict[Basis, FloatArray] = {"places": place_pk3, "scenes": scene_sk3}
    if kind == "polygon":
        parts = [_parts_of(found, legend) for found in measures.values()]
        tables["parts"] = np.concatenate(parts) if parts else np.zeros((0, len(legend), 3))
    return tables


def _parts_of(found: Mapping[str, Measured], legend: Legend) -> FloatArray:
    count = max((len(measured.parts) for measured in found.values()), default=0)
    table_nk3 = np.zeros((count, len(legend), 3))
    for k, name in enumerate(legend.names):
        for n, areas in enumerate(found[name].parts):
            table_nk3[n, k] = areas.tp, areas.fp, areas.fn
    return table_nk3


def _class_row(found: Mapping[str, Measured], ends: Mapping[Kind, Ends], places: Mapping[str, str]) -> ClassRow:
    polygon = sum_areas(f.polygon for f in found.values())
    seen = {places[scene] for scene, f in found.items() if sum((f.polygon.tp, f.polygon.fp, f.polygon.fn)) > 0}
    pixels = {kind: [a for f in found.values() if (a := getattr(f, kind)) is not None] for kind in PIXEL_KINDS}
    matches = [f.objects for f in found.values() if f.objects is not None]
    strips = [f.boundary for f in found.values() if f.boundary is not None]
    return ClassRow(
        polygon=PolygonRow(*_ratios(polygon), polygon.tp, polygon.fp, polygon.fn, *ends["polygon"]),
        places=len(seen),
        objects=_object_row(sum(matches, Matches(0, 0, 0)), ends["objects"]) if matches else None,
        boundary=_boundary_row(sum_areas(strips)) if strips else None,
        **{kind: _pixel_row(sum_areas(areas), ends[kind]) for kind, areas in pixels.items() if areas},
    )


def _pixel_row(areas: Areas, ends: Ends) -> PixelRow:
    return PixelRow(_number(areas.jaccard), areas.tp, areas.fp, areas.fn, *ends)


def _object_row(matches: Matches, ends: Ends) -> ObjectRow:
    as_areas = Areas(float(matches.tp), float(matches.fp), float(matches.fn))
    return ObjectRow(
        *_ratios(as_areas), matches.tp, matches.fp, matches.fn, matches.merged, matches.fragmented, *ends
    )  # fmt: skip


def _boundary_row(areas: Areas) -> BoundaryRow:
    return BoundaryRow(_number(areas.jaccard), areas.tp, areas.fp, areas.fn)


def _means(classes: Mapping[str, ClassRow], evidence: Mapping[Kind, Evidence], empty: Empty) -> Means:
    def mean(kind: str) -> float | None:
        rows = [row for found in classes.values() if (row := getattr(found, kind)) is not None]
        values = np.array([math.nan if row.jaccard is None else row.jaccard for row in rows])
        return _number(float(mean_over_classes(values, empty)))

    every = range(len(classes))
    found = {
        kind: MeanRow(mean(kind), *_ends(pieces, every, kind, empty))
        for kind, pieces in evidence.items()
        if kind != "objects"
    }
    has_strips = any(row.boundary is not None for row in classes.values())
    return Means(
        **found,
        boundary=MeanBoundary(mean("boundary")) if has_strips else None,
        objects=_mean_objects(classes, evidence["objects"], empty) if "objects" in evidence else None,
    )


def _mean_objects(classes: Mapping[str, ClassRow], evidence: Evidence, empty: Empty) -> MeanObjects:
    rows = {k: row.objects for k, row in enumerate(classes.values()) if row.objects is not None}
    values = np.array([math.nan if row.f1 is None else row.f1 for row in rows.values()])
    mean = _number(float(mean_over_classes(values, empty)))
    return MeanObjects(mean, *_ends(evidence, list(rows), "objects", empty))


def _ends(evidence: Evidence, classes: Sequence[int], kind: Kind, empty: Empty = "skip") -> Ends:
    """Return the interval of the mean over some classes, of F1 for objects and else of Jaccard, and its basis."""
    basis = evidence.basis_of(classes)
    ends = NO_INTERVAL
    if basis is not None:
        drawn = evidence.draw(basis)[:, list(classes)]
        drawn = f1_of(drawn) if kind == "objects" else drawn
        ends = interval(drawn[:, 0] if len(classes) == 1 else mean_over_classes(drawn, empty))
    return _number(ends.low), _number(ends.high), basis


def _scene_row(found: Measured) -> SceneRow:
    parts = tuple((areas.tp, areas.fp, areas.fn) for areas in found.parts)
    return SceneRow(found.polygon, found.pixel, found.pixel_opencv, found.objects, found.boundary, parts)


def _ratios(areas: Areas) -> tuple[float | None, float | None, float | None, float | None]:
    return _number(areas.jaccard), _number(areas.precision), _number(areas.recall), _number(areas.f1)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
