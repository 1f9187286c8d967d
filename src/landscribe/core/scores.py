"""From areas to scores: accumulated over scenes, then Jaccard per class, then the mean over classes, with intervals.

A score is never a mean of per-scene or per-tile scores. Intervals come from drawing places with replacement, because
scenes of one place are no independent evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd
import numpy as np
from shapely.geometry.base import BaseGeometry

from landscribe.core.areas import Areas, Matches, sum_areas
from landscribe.core.arrays import FloatArray
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.core.measure import Measured, Measures, measure, with_pixels
from landscribe.errors import DataError, problem

Empty = Literal["skip", "zero"]
"""What a class without truth and without prediction counts in the mean: nothing, or 0."""

PIXEL_KINDS = ("pixel", "pixel_opencv")
"""Conventions of what a true pixel is."""
DRAWS = 2000
"""Bootstrap samples; the ends of a 95 % interval then rest on 50 of them."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of a 95 % interval; NaN where there is no evidence for one."""

    low: float
    high: float


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
    drawn = {
        kind: _jaccard_of(bootstrap(_by_place(measures, legend, places, kind), draws, seed))
        for kind in ("polygon", *PIXEL_KINDS)
        if kind == "polygon" or any(getattr(f, kind) is not None for found in measures.values() for f in found.values())
    }
    classes: dict[str, Any] = {}
    for k, land_class in enumerate(legend):
        found = {scene: measures[scene][land_class.name] for scene in measures}
        classes[land_class.name] = _class_summary(found, {kind: table[:, k] for kind, table in drawn.items()}, places)
    absent = [name for name, row in classes.items() if row["polygon"]["jaccard"] is None]
    return {
        "mean": _means(classes, drawn, empty),
        "classes": classes,
        "scenes": {scene: {n: _scene_row(f) for n, f in found.items()} for scene, found in measures.items()},
        "places": {scene: places[scene] for scene in measures},
        "unit": unit,
        "conventions": {
            "accumulation": "areas are summed over scenes, then Jaccard per class, then the mean over classes",
            "empty": _EMPTY[empty],
            "empty_classes": absent,
            "interval": f"95 %, percentiles of {draws} bootstrap samples of places; null with fewer than two places",
            "places": len({places[scene] for scene in measures}),
            "draws": draws,
            "seed": seed,
            "repaired_polygons": sum(f.repaired for found in measures.values() for f in found.values()),
            **(notes or {}),
        },
    }


_EMPTY = {
    "skip": "a class without truth and without prediction has no Jaccard and is left out of the mean",
    "zero": "a class without truth and without prediction has no Jaccard and counts 0 in the mean",
}


def bootstrap(areas_pk3: FloatArray, draws: int = DRAWS, seed: int = 0) -> FloatArray:
    """Draw places with replacement and sum their areas.

    Args:
        areas_pk3: TP, FP, FN per place and class, float64 (P, K, 3).
        draws: Number of samples, each of P places.
        seed: Of the draw; the same seed draws the same places, so that two runs can be compared pair by pair.

    Returns:
        Sums, float64 (draws, K, 3).
    """
    n_places, n_classes, _ = areas_pk3.shape
    if not n_places:
        return np.zeros((draws, n_classes, 3))
    rng = np.random.default_rng(seed)
    flat = areas_pk3.reshape(n_places, -1)
    sums = np.empty((draws, flat.shape[1]))
    # In blocks, so that ten thousand places need no gigabyte of counts.
    block = max(1, 4_000_000 // n_places)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        sums[start : start + size] = rng.multinomial(n_places, np.full(n_places, 1 / n_places), size) @ flat
    return sums.reshape(draws, n_classes, 3)


def interval(samples: FloatArray) -> Interval:
    """Return the central 95 % of samples, NaN left out.

    Args:
        samples: Any shape; NaN where a sample has no value.
    """
    known = samples[~np.isnan(samples)]
    if not known.size:
        return Interval(math.nan, math.nan)
    low, high = np.percentile(known, (2.5, 97.5))
    return Interval(float(low), float(high))


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


def _by_place(measures: Measures, legend: Legend, places: Mapping[str, str], kind: str) -> FloatArray:
    order = {place: i for i, place in enumerate(sorted({places[scene] for scene in measures}))}
    table_pk3 = np.zeros((len(order), len(legend), 3))
    for scene, found in measures.items():
        for k, name in enumerate(legend.names):
            areas: Areas | None = getattr(found[name], kind)
            if areas is not None:
                table_pk3[order[places[scene]], k] += (areas.tp, areas.fp, areas.fn)
    return table_pk3


def _jaccard_of(areas_nk3: FloatArray) -> FloatArray:
    whole = areas_nk3.sum(-1)
    return np.divide(areas_nk3[..., 0], whole, out=np.full(whole.shape, math.nan), where=whole > 0)


def _class_summary(
    found: Mapping[str, Measured], drawn: Mapping[str, FloatArray], places: Mapping[str, str]
) -> dict[str, Any]:
    polygon = sum_areas(f.polygon for f in found.values())
    seen = {places[scene] for scene, f in found.items() if sum((f.polygon.tp, f.polygon.fp, f.polygon.fn)) > 0}
    row: dict[str, Any] = {
        "polygon": _ratios(polygon) | _areas(polygon) | _ends(drawn["polygon"], len(seen)),
        "places": len(seen),
    }
    for kind in PIXEL_KINDS:
        pixels = [getattr(f, kind) for f in found.values() if getattr(f, kind) is not None]
        if pixels:
            pixel = sum_areas(pixels)
            row[kind] = {"jaccard": _number(pixel.jaccard)} | _areas(pixel) | _ends(drawn[kind], len(seen))
    matches = [f.objects for f in found.values() if f.objects is not None]
    if matches:
        row["objects"] = _counts(sum(matches, Matches(0, 0, 0)))
    strips = [f.boundary for f in found.values() if f.boundary is not None]
    if strips:
        strip = sum_areas(strips)
        row["boundary"] = {"jaccard": _number(strip.jaccard)} | _areas(strip)
    return row


def _means(classes: Mapping[str, Any], drawn: Mapping[str, FloatArray], empty: Empty) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for kind in ("polygon", *PIXEL_KINDS, "boundary"):
        rows = [row[kind]["jaccard"] for row in classes.values() if kind in row]
        if not rows:
            continue
        values = np.array([math.nan if value is None else value for value in rows])
        means[kind] = {"jaccard": _number(float(mean_over_classes(values, empty)))}
        if kind in drawn:
            most = max(row["places"] for row in classes.values())
            means[kind] |= _ends(mean_over_classes(drawn[kind], empty), most)
    return means


def _ends(samples: FloatArray, n_places: int) -> dict[str, float | None]:
    # One place drawn over and over gives an interval of width zero, which would be a lie.
    ends = interval(samples) if n_places > 1 else Interval(math.nan, math.nan)
    return {"low": _number(ends.low), "high": _number(ends.high)}


def _scene_row(found: Measured) -> dict[str, Any]:
    row: dict[str, Any] = {"polygon": _areas(found.polygon)}
    for kind in PIXEL_KINDS:
        if getattr(found, kind) is not None:
            row[kind] = _areas(getattr(found, kind))
    if found.objects is not None:
        row["objects"] = {"tp": found.objects.tp, "fp": found.objects.fp, "fn": found.objects.fn}
    if found.boundary is not None:
        row["boundary"] = _areas(found.boundary)
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
