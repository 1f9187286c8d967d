"""Rules: declared steps on features, in order. Which class wins where is said in the recipe and nowhere else.

Every scene is worked on in a frame of its own: pixel coordinates times the size of a pixel, so that lengths and areas
are metres (pixels where the scene has no CRS). Features that no rule touches keep their coordinates to the last bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from landscribe.core.arrays import BoolArray
from landscribe.core.features import COLUMNS
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.core.polygons.repair import repair
from landscribe.core.recipe import AreaWindowTable, EraseTable, Names, RuleTable, VoteTable, name_list
from landscribe.core.rules.overlay import (
    Counts,
    Rows,
    clip,
    drop,
    erase,
    fill_holes,
    merge,
    outline,
    reshape,
    simplify,
    vote,
)
from landscribe.errors import DataError, RecipeError, problem

ALL = "*"
SCENE = "scene"
NO_AREA = "dropped, without area on the ground"
LENGTHS = frozenset({"buffer", "open", "close", "simplify"})
AREAS = frozenset({"drop_small", "fill_holes"})
"""Actions whose setting is a length, and an area."""


@dataclass(frozen=True)
class _Scene:
    """What a step may need beside the rows and its own setting."""

    rule: RuleTable
    legend: Legend
    footprint: shapely.Polygon


def apply_rules(
    features: gpd.GeoDataFrame,
    rules: Sequence[RuleTable],
    legend: Legend,
    grids: Mapping[str, Grid],
    *,
    places: Mapping[str, str] | None = None,
) -> tuple[gpd.GeoDataFrame, list[dict[str, int]]]:
    """Apply rules to features, one after the other, each scene by itself.

    Args:
        features: Features in ground coordinates, of one scene or several.
        rules: Rules in order.
        legend: Classes that they may name.
        grids: Grid of every scene in `features`.
        places: Place of each scene; None takes the scene id.

    Returns:
        New features, single Polygons except those left as they were, in order of scene and origin; and for each rule
        how many polygons there were before and after it and what became of the others, by reason.

    Raises:
        RecipeError: If a rule names a class that the legend lacks.
        DataError: If the grid of a scene is missing.
    """
    check_rules(rules, legend)
    counts: list[Counts] = [Counter() for _ in rules]
    if not len(rules):
        return features, []
    parts = []
    scene_of = features["scene"].to_numpy()
    for scene in pd.unique(scene_of):
        if scene not in grids:
            raise DataError(problem(f"scene {str(scene)!r}", "no grid for it", need="the grid of every scene"))
        place = scene if places is None else places.get(scene, scene)
        chosen = np.flatnonzero(scene_of == scene)
        wanted = [
            (rule.places is None or place in rule.places) and (rule.scenes is None or scene in rule.scenes)
            for rule in rules
        ]
        parts.append(_apply_to_scene(features.iloc[chosen], rules, wanted, legend, grids[scene], counts))
    result = (
        gpd.GeoDataFrame(pd.concat(parts, ignore_index=True), geometry="geometry", crs=features.crs)
        if parts
        else features
    )
    return result, [dict(count) for count in counts]


def check_rules(rules: Sequence[RuleTable], legend: Legend) -> None:
    """Refuse rules that name unknown classes.

    Raises:
        RecipeError: With the number of the rule, from 1.
    """
    for number, rule in enumerate(rules, start=1):
        named = [*name_list(rule.classes)]
        if rule.erase is not None:
            named += [*name_list(rule.erase.from_), *name_list(rule.erase.by)]
        if rule.vote is not None:
            named += rule.vote.sources
        if rule.clip is not None and rule.clip != SCENE:
            named += name_list(rule.clip)
        for name in named:
            if name != ALL and name not in legend.names:
                where = f"rule {number} ({rule.action})"
                raise RecipeError(problem(where, "unknown class", got=repr(name), need=" | ".join(legend.names)))


def _apply_to_scene(
    features: gpd.GeoDataFrame,
    rules: Sequence[RuleTable],
    wanted: Sequence[bool],
    legend: Legend,
    grid: Grid,
    counts: Sequence[Counts],
) -> gpd.GeoDataFrame:
    height_m, width_m = grid.pixel_size_m or (1.0, 1.0)
    size = np.array([width_m, height_m])
    pixels = grid.ground_to_pixels(features.geometry.to_numpy())
    ids = {c.id: k for k, c in enumerate(legend)}
    rows = Rows(
        geometry=shapely.transform(pixels, lambda xy: xy * size),
        class_index=np.array([ids.get(i, -1) for i in features["class_id"]], dtype=np.int64),
        score=features["score"].to_numpy(dtype=np.float64),
        origin=np.arange(len(features), dtype=np.int64),
        changed=np.zeros(len(features), dtype=np.bool_),
    )
    footprint = shapely.box(0.0, 0.0, grid.width * width_m, grid.height * height_m)
    for rule, here, count in zip(rules, wanted, counts, strict=True):
        if here:
            count["before"] += len(rows)
            chosen = _of(rows, rule.classes, legend)
            scene = _Scene(rule, legend, footprint)
            rows = STEPS[rule.action](rows, chosen, _in_ground_units(rule, grid), scene, count)
            count["after"] += len(rows)
    changed = rows.changed
    result = features.iloc[rows.origin].copy()
    area = result["area"].to_numpy(dtype=np.float64).copy()
    area[changed] = shapely.area(rows.geometry[changed])
    geometry = result.geometry.to_numpy().copy()
    ground = grid.pixels_to_ground(shapely.transform(rows.geometry[changed], lambda xy: xy / size))
    geometry[changed], _ = repair(ground)
    gone = shapely.is_empty(geometry)
    if gone.any():  # numbers so large that the ground cannot tell its vertices apart
        counts[-1][NO_AREA] += int(np.count_nonzero(gone))
        counts[-1]["after"] -= int(np.count_nonzero(gone))
    classes = [legend.classes[k] if k >= 0 else None for k in rows.class_index]
    result["class_id"] = np.array(
        [c.id if c else i for c, i in zip(classes, result["class_id"], strict=True)], dtype=np.int32
    )
    names = [c.name if c else n for c, n in zip(classes, result["class_name"], strict=True)]
    result["class_name"] = pd.Series(names, index=result.index, dtype="string")
    result["score"], result["area"] = rows.score, area
    result = result.set_geometry(gpd.GeoSeries(geometry, index=result.index, crs=features.crs))[~gone]
    return result[[*COLUMNS, *(c for c in result.columns if c not in COLUMNS)]]


def _in_ground_units(rule: RuleTable, grid: Grid) -> Any:
    """Return the setting of a rule's action, its lengths and areas in metres where the scene has a CRS."""
    value = getattr(rule, rule.action)
    if rule.unit == "ground":
        return value
    if rule.action in LENGTHS:
        return value * grid.pixel_length
    if rule.action in AREAS:
        return value * grid.pixel_area
    if rule.action == "area_window":
        scaled = [
            window.model_copy(update={k: v * grid.pixel_area for k, v in window.model_dump().items() if v is not None})
            for window in _windows(value)
        ]
        return tuple(scaled)
    return value


def _windows(given: AreaWindowTable | tuple[AreaWindowTable, ...]) -> tuple[AreaWindowTable, ...]:
    return given if isinstance(given, tuple) else (given,)


def _of(rows: Rows, names: Names, legend: Legend, *, but: Names = ()) -> BoolArray:
    """Flag rows of the named classes; `*` is every class that is not named in `but`."""
    if ALL in name_list(names):
        return ~np.isin(rows.class_index, [legend.index(name) for name in name_list(but) if name != ALL])
    return np.isin(rows.class_index, [legend.index(name) for name in name_list(names)])


def _erase(rows: Rows, chosen: BoolArray, table: EraseTable, scene: _Scene, counts: Counts) -> Rows:
    losers = _of(rows, table.from_, scene.legend, but=table.by)
    return erase(rows, losers & chosen, _of(rows, table.by, scene.legend, but=table.from_), counts)


def _clip(rows: Rows, chosen: BoolArray, names: Names, scene: _Scene, counts: Counts) -> Rows:
    if names == SCENE:
        return clip(rows, chosen, np.array([scene.footprint], dtype=object), counts)
    keep = _of(rows, names, scene.legend)
    return clip(rows, chosen & ~keep, rows.geometry[keep], counts)


def _vote(rows: Rows, chosen: BoolArray, table: VoteTable, scene: _Scene, counts: Counts) -> Rows:  # noqa: ARG001
    sources = [scene.legend.index(name) for name in table.sources]
    return vote(rows, sources, table.at_least, scene.legend.index(name_list(scene.rule.classes)[0]), counts)


def _drop_small(rows: Rows, chosen: BoolArray, area: float, scene: _Scene, counts: Counts) -> Rows:  # noqa: ARG001
    return drop(rows, chosen & (shapely.area(rows.geometry) < area), "small", counts)


def _area_window(
    rows: Rows,
    chosen: BoolArray,
    given: AreaWindowTable | tuple[AreaWindowTable, ...],
    scene: _Scene,  # noqa: ARG001
    counts: Counts,
) -> Rows:
    area = shapely.area(rows.geometry)
    inside = np.zeros(len(rows), dtype=np.bool_)
    for window in _windows(given):
        high, below = (np.inf if limit is None else limit for limit in (window.max, window.below))
        above = -1.0 if window.above is None else window.above
        inside |= (area >= window.min) & (area <= high) & (area > above) & (area < below)
    return drop(rows, chosen & ~inside, "area outside of the window", counts)


def _min_score(rows: Rows, chosen: BoolArray, score: float, scene: _Scene, counts: Counts) -> Rows:  # noqa: ARG001
    return drop(rows, chosen & (rows.score < score), "score too low", counts)


def _keep_largest(rows: Rows, chosen: BoolArray, number: int, scene: _Scene, counts: Counts) -> Rows:  # noqa: ARG001
    index = np.flatnonzero(chosen)
    order = index[np.lexsort((-shapely.area(rows.geometry[index]), rows.class_index[index]))]
    classes = rows.class_index[order]
    rank = np.arange(len(order)) - np.searchsorted(classes, classes)
    gone = np.zeros(len(rows), dtype=np.bool_)
    gone[order[rank >= number]] = True
    return drop(rows, gone, "not among the largest", counts)


def _fill_holes(rows: Rows, chosen: BoolArray, area: float, scene: _Scene, counts: Counts) -> Rows:  # noqa: ARG001
    filled, holes = fill_holes(rows.geometry, area)
    counts["holes filled"] += int(holes[chosen].sum())
    index = np.flatnonzero(chosen & (holes > 0))
    return reshape(rows, index, filled[index], "vanished", counts)


def _buffer(rows: Rows, chosen: BoolArray, distance: float, scene: _Scene, counts: Counts) -> Rows:  # noqa: ARG001
    index = np.flatnonzero(chosen)
    return reshape(rows, index, outline(rows.geometry[index], distance), "vanished", counts)


def _open(rows: Rows, chosen: BoolArray, distance: float, scene: _Scene, counts: Counts) -> Rows:  # noqa: ARG001
    index = np.flatnonzero(chosen)
    kept = outline(outline(rows.geometry[index], -distance), distance)
    # A mitred corner may stick out of what was there before; opening never adds ground.
    return reshape(rows, index, shapely.intersection(kept, rows.geometry[index]), "vanished", counts)


def _close(rows: Rows, chosen: BoolArray, distance: float, scene: _Scene, counts: Counts) -> Rows:  # noqa: ARG001
    return merge(rows, chosen, counts, reach=distance)


def _simplify(rows: Rows, chosen: BoolArray, tolerance: float, scene: _Scene, counts: Counts) -> Rows:  # noqa: ARG001
    index = np.flatnonzero(chosen)
    return reshape(rows, index, simplify(rows.geometry[index], tolerance), "vanished", counts)


def _merge_touching(rows: Rows, chosen: BoolArray, yes: bool, scene: _Scene, counts: Counts) -> Rows:  # noqa: ARG001
    return merge(rows, chosen, counts)


STEPS: dict[str, Callable[..., Rows]] = {
    "erase": _erase,
    "clip": _clip,
    "vote": _vote,
    "drop_small": _drop_small,
    "fill_holes": _fill_holes,
    "area_window": _area_window,
    "min_score": _min_score,
    "keep_largest": _keep_largest,
    "buffer": _buffer,
    "open": _open,
    "close": _close,
    "simplify": _simplify,
    "merge_touching": _merge_touching,
}
