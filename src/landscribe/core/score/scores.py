"""From areas to scores: accumulated over scenes, then Jaccard per class, then the mean over classes, with intervals.

A score is never a mean of per-scene or per-tile scores. Intervals come from `landscribe.core.score.intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import geopandas as gpd
import numpy as np
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import FloatArray
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.core.score.areas import Areas, Matches, sum_areas
from landscribe.core.score.intervals import DRAWS, NO_INTERVAL, Basis, Evidence, interval
from landscribe.core.score.measure import Measured, Measures, measure, standing_alone, with_parts, with_pixels
from landscribe.errors import DataError, problem

Empty = Literal["skip", "zero"]
"""What a class without truth and without prediction counts in the mean: nothing, or 0."""

PIXEL_KINDS = ("pixel", "pixel_opencv")
"""Conventions of what a true pixel is."""


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
) -> dict[str, Any]:
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
        The content of `score.json`, see docs/scores.md.

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
    unit = "m2" if crs is not None else "px2" if grids else "unit2"
    if pixel is not None:
        measures = with_pixels(measures, pixel)
    notes = {"object_iou": iou, "boundary_width": boundary}
    return summarise(measures, legend, places, unit, empty=empty, draws=draws, seed=seed, notes=notes)


def summarise(
    measures: Measures,
    legend: Legend,
    places: Mapping[str, str],
    unit: str,
    *,
    empty: Empty = "skip",
    draws: int = DRAWS,
    seed: int = 0,
    notes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Accumulate measures over scenes and write them as the content of `score.json`.

    Args:
        measures: What was measured, by scene and class name.
        legend: Classes to report.
        places: Place of each scene in `measures`.
        unit: `m2`, `px2`, or `unit2` for files of which nobody knows the unit.
        empty: What a class without truth and without prediction counts in the mean.
        draws: Bootstrap samples.
        seed: Of the bootstrap.
        notes: Further conventions to say in the result.

    Raises:
        DataError: If a scene has no place.
    """
    lost = sorted(set(measures) - set(places))
    if lost:
        raise DataError(problem("score", "scenes without a place", got=", ".join(lost[:5])))
    evidence = {
        kind: Evidence(_tables(measures, legend, places, kind), draws, seed)
        for kind in ("polygon", *PIXEL_KINDS)
        if kind == "polygon" or any(getattr(f, kind) is not None for found in measures.values() for f in found.values())
    }
    classes: dict[str, Any] = {}
    for k, land_class in enumerate(legend):
        found = {scene: measures[scene][land_class.name] for scene in measures}
        ends = {kind: _ends(pieces, k) for kind, pieces in evidence.items()}
        classes[land_class.name] = _class_summary(found, ends, places)
    absent = [name for name, row in classes.items() if row["polygon"]["jaccard"] is None]
    return {
        "mean": _means(classes, evidence, empty),
        "classes": classes,
        "scenes": {scene: {n: _scene_row(f) for n, f in found.items()} for scene, found in measures.items()},
        "places": {scene: places[scene] for scene in measures},
        "unit": unit,
        "conventions": {
            "accumulation": "areas are summed over scenes, then Jaccard per class, then the mean over classes",
            "empty": _EMPTY[empty],
            "empty_classes": absent,
            "interval": f"95 %, percentiles of {draws} bootstrap samples of what `basis` says",
            "basis": _BASIS,
            "places": len({places[scene] for scene in measures}),
            "draws": draws,
            "seed": seed,
            "repaired_polygons": sum(f.repaired for found in measures.values() for f in found.values()),
            **(notes or {}),
        },
    }


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


def _tables(measures: Measures, legend: Legend, places: Mapping[str, str], kind: str) -> dict[Basis, FloatArray]:
    scene_sk3 = np.zeros((len(measures), len(legend), 3))
    for s, found in enumerate(measures.values()):
        for k, name in enumerate(legend.names):
            areas: Areas | None = getattr(found[name], kind)
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
    count = max(len(measured.parts) for measured in found.values())
    table_nk3 = np.zeros((count, len(legend), 3))
    for k, name in enumerate(legend.names):
        for n, areas in enumerate(found[name].parts):
            table_nk3[n, k] = areas.tp, areas.fp, areas.fn
    return table_nk3


def _class_summary(
    found: Mapping[str, Measured], ends: Mapping[str, dict[str, Any]], places: Mapping[str, str]
) -> dict[str, Any]:
    polygon = sum_areas(f.polygon for f in found.values())
    seen = {places[scene] for scene, f in found.items() if sum((f.polygon.tp, f.polygon.fp, f.polygon.fn)) > 0}
    row: dict[str, Any] = {
        "polygon": _ratios(polygon) | _areas(polygon) | ends["polygon"],
        "places": len(seen),
    }
    for kind in PIXEL_KINDS:
        pixels = [getattr(f, kind) for f in found.values() if getattr(f, kind) is not None]
        if pixels:
            pixel = sum_areas(pixels)
            row[kind] = {"jaccard": _number(pixel.jaccard)} | _areas(pixel) | ends[kind]
    matches = [f.objects for f in found.values() if f.objects is not None]
    if matches:
        row["objects"] = _counts(sum(matches, Matches(0, 0, 0)))
    strips = [f.boundary for f in found.values() if f.boundary is not None]
    if strips:
        strip = sum_areas(strips)
        row["boundary"] = {"jaccard": _number(strip.jaccard)} | _areas(strip)
    return row


def _means(classes: Mapping[str, Any], evidence: Mapping[str, Evidence], empty: Empty) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for kind in ("polygon", *PIXEL_KINDS, "boundary"):
        rows = [row[kind]["jaccard"] for row in classes.values() if kind in row]
        if not rows:
            continue
        values = np.array([math.nan if value is None else value for value in rows])
        means[kind] = {"jaccard": _number(float(mean_over_classes(values, empty)))}
        if kind in evidence:
            means[kind] |= _ends(evidence[kind], None, empty)
    return means


def _ends(evidence: Evidence, index: int | None, empty: Empty = "skip") -> dict[str, Any]:
    """Return the interval of one class, or of the mean over classes, and what it was drawn from."""
    classes = range(evidence.tables["places"].shape[1]) if index is None else [index]
    basis = evidence.basis_of(classes)
    ends = NO_INTERVAL
    if basis is not None:
        drawn = evidence.draw(basis)
        ends = interval(mean_over_classes(drawn, empty) if index is None else drawn[:, index])
    return {"low": _number(ends.low), "high": _number(ends.high), "basis": basis}


def _scene_row(found: Measured) -> dict[str, Any]:
    row: dict[str, Any] = {"polygon": _areas(found.polygon)}
    for kind in PIXEL_KINDS:
        if getattr(found, kind) is not None:
            row[kind] = _areas(getattr(found, kind))
    if found.objects is not None:
        row["objects"] = {"tp": found.objects.tp, "fp": found.objects.fp, "fn": found.objects.fn}
    if found.boundary is not None:
        row["boundary"] = _areas(found.boundary)
    if found.parts:
        row["parts"] = [[areas.tp, areas.fp, areas.fn] for areas in found.parts]
    return row


def _counts(matches: Matches) -> dict[str, Any]:
    as_areas = Areas(float(matches.tp), float(matches.fp), float(matches.fn))
    return _ratios(as_areas) | {"tp": matches.tp, "fp": matches.fp, "fn": matches.fn}


def _ratios(areas: Areas) -> dict[str, float | None]:
    return {name: _number(getattr(areas, name)) for name in ("jaccard", "precision", "recall", "f1")}


def _areas(areas: Areas) -> dict[str, float]:
    return {"tp": areas.tp, "fp": areas.fp, "fn": areas.fn}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def scene_jaccard(classes: Mapping[str, Any]) -> float:
    """Return the mean Jaccard of one scene over the classes it has, NaN where it has none.

    Only for putting scenes in order: the score of a run is never a mean over scenes.

    Args:
        classes: A scene's row of `score.json`.
    """
    values = [Areas(**row["polygon"]).jaccard for row in classes.values()]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def areas_table(score: Mapping[str, Any], scenes: Sequence[str], names: Sequence[str], kind: str) -> FloatArray:
    """Read TP, FP, FN back from the content of a `score.json`.

    Args:
        score: The content.
        scenes: Scenes, in the order wanted.
        names: Class names, in the order wanted; a class the score lacks is zero.
        kind: `polygon` or `pixel`.

    Returns:
        Float64 (S, K, 3).
    """
    table_sk3 = np.zeros((len(scenes), len(names), 3))
    for s, scene in enumerate(scenes):
        for k, name in enumerate(names):
            row = score["scenes"][scene].get(name, {}).get(kind)
            if row is not None:
                table_sk3[s, k] = row["tp"], row["fp"], row["fn"]
    return table_sk3


def parts_table(score: Mapping[str, Any], scenes: Sequence[str], names: Sequence[str]) -> FloatArray:
    """Read TP, FP, FN of the parts of scenes back from the content of a `score.json`.

    Args:
        score: The content.
        scenes: Scenes, in the order wanted.
        names: Class names, in the order wanted; a class that was not measured by parts is zero.

    Returns:
        Float64 (N, K, 3); no rows where nothing was measured by parts.
    """
    tables = [np.zeros((0, len(names), 3))]
    for scene in scenes:
        rows = [score["scenes"][scene].get(name, {}).get("parts", ()) for name in names]
        table_nk3 = np.zeros((max(map(len, rows), default=0), len(names), 3))
        for k, row in enumerate(rows):
            table_nk3[: len(row), k] = np.reshape(row, (-1, 3))
        tables.append(table_nk3)
    return np.concatenate(tables)
